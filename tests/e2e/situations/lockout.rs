//! Somebody who should come in does not: banned, refused by the deny list, too quick, or refused by
//! something that is not the gate. An admin asks from the console, or from another address.

use super::{edit, start, types};
use crate::stage::{ANNA, BEN, HASTE, World, eventually, in_lab};
use portcullis::lab::Visit;
use std::time::Duration;

in_lab! {
    fn a_locked_out_admin_is_told_why_and_let_in_again() {
        let world = World::new();
        let gate = start(&world.server, "");
        assert!(world.visit(ANNA, 22).is_served());

        // Banned, and the console says why and by whom.
        types(&world.server, &format!("bans add {ANNA} --for 1h --reason 4711")).ends_with(0);
        assert_eq!(world.visit_within(ANNA, 22, HASTE), Visit::TimedOut);
        let screen = types(&world.server, &format!("explain {ANNA}"));
        let remedy = format!("bans remove {ANNA}");
        screen
            .says(&["it would be REFUSED now", "banned, for another 59m", "because by admin: 4711"])
            .says(&[&format!("To lift it now: portcullis {remedy}")])
            .shown(&["Outcome: it would be REFUSED now (settled by: standing)", "To lift it now: portcullis bans remove"])
            .row("1 locked out: banned", "Outcome");
        types(&world.server, &remedy).ends_with(0);
        assert!(world.visit(ANNA, 22).is_served());

        // As one of a whole network.
        types(&world.server, "bans add 203.0.113.0/24 --for 1h").ends_with(0);
        let screen = types(&world.server, &format!("explain {ANNA}"));
        screen.says(&["banned, as all of 203.0.113.0/24", "portcullis bans remove 203.0.113.0/24"]);
        // A remedy for the address alone is none, and says so.
        types(&world.server, &remedy).ends_with(64).says(&["bans remove 203.0.113.0/24"]);
        types(&world.server, "bans remove 203.0.113.0/24").ends_with(0);
        assert!(world.visit(ANNA, 22).is_served());

        // Trusted, it cannot be banned again.
        edit(&format!("[allowlist]\nfrom = [\"{ANNA}\"]\n"));
        types(&world.server, "reload").ends_with(0);
        types(&world.server, &format!("bans add {ANNA}")).ends_with(64).says(&["is never banned", "[allowlist]"]);
        drop(gate);
    }

    fn the_deny_list_and_a_list_file_are_named() {
        let world = World::new();
        let _gate = start(&world.server, "");
        std::fs::write("/run/portcullis/drop.txt", format!("{BEN}\n")).expect("a file");
        edit(&format!("[denylist]\nfrom = [\"{ANNA}\"]\nfiles = [\"/run/portcullis/drop.txt\"]\n"));
        types(&world.server, "reload").ends_with(0);
        for who in [ANNA, BEN] {
            assert_eq!(world.visit_within(who, 22, HASTE), Visit::TimedOut);
        }
        types(&world.server, &format!("explain {ANNA}"))
            .says(&["settled by: denylist", "out of [denylist] from, then: portcullis reload"])
            .row("1 locked out: deny list", "It is on the deny list");
        types(&world.server, &format!("explain {BEN}")).says(&["It is on the deny list", "drop.txt"]);
        edit("[denylist]\nfrom = []\n");
        types(&world.server, "reload").ends_with(0);
        for who in [ANNA, BEN] {
            assert!(world.visit(who, 22).is_served());
        }
    }

    fn who_was_too_quick_is_told_which_limit_it_was() {
        let world = World::new();
        let _gate = start(&world.server, "[rate.class.login]\noffends = false\n");
        eventually(Duration::from_secs(10), "refusal", || {
            match world.visit_within(ANNA, 22, HASTE) {
                Visit::TimedOut => Ok(()),
                seen => Err(format!("{seen:?}")),
            }
        });
        types(&world.server, &format!("explain {ANNA}"))
            .says(&["settled by: rate", "[rate.class.login] rate says how often it may"])
            .says(&["share this address", "raise [rate.class.login] rate and burst, then: portcullis reload"])
            .row("1 locked out: over its rate", "It is let in again");
        edit("[rate.class.login]\nrate = \"600/m\"\nburst = 100\n");
        types(&world.server, "reload").ends_with(0);
        eventually(Duration::from_secs(2), "visit", || {
            let seen = world.visit(ANNA, 22);
            if seen.is_served() { Ok(()) } else { Err(format!("{seen:?}")) }
        });
        // Where nothing speaks against it, the gate says where else to look.
        let screen = eventually(Duration::from_secs(2), "room for another", || {
            let screen = types(&world.server, &format!("explain {ANNA}"));
            if screen.text.contains("LET IN") { Ok(screen) } else { Err(screen.text) }
        });
        screen.says(&["it would be LET IN now", "something else stops it", "sudo portcullis doctor"]);
    }
}
