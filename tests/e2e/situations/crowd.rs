//! Many people behind one address, and one of them guesses passwords.

use std::time::Duration;

use portcullis::lab::Visit;

use super::{edit, start, types};
use crate::stage::{ANNA, BEN, Gate, HASTE, World, eventually, in_lab};

in_lab! {
    fn an_office_behind_one_address_gets_its_web_pages_back() {
        let world = World::new();
        let gate = start(&world.server, "");
        assert!(world.visit(ANNA, 80).is_served());
        guesses(&world, &gate, "banned4", ANNA);
        assert_eq!(world.visit_within(ANNA, 80, HASTE), Visit::TimedOut, "everybody is shut out");

        let screen = types(&world.server, "bans");
        screen.says(&["203.0.113.10 banned", "rate (login: 6, limit 5)"]);
        let screen = types(&world.server, &format!("explain {ANNA} 80"));
        screen
            .says(&["because rate (login: 6, limit 5)", "If many people share this address"])
            .says(&["[rate.class.login] ban = \"port\"", &format!("portcullis bans remove {ANNA}")])
            .shown(&["If many people share this address (an office, a school, a mobile network)"])
            .row("6 banned behind NAT", "If many people");

        edit("[rate.class.login]\nban = \"port\"\n");
        types(&world.server, "reload").ends_with(0);
        types(&world.server, &format!("bans remove {ANNA}")).ends_with(0);
        assert!(world.visit(ANNA, 80).is_served());
        // The guesser goes on, and only the port that it tries is closed.
        guesses(&world, &gate, "banned_at4", r#"{"concat":["203.0.113.10",22]}"#);
        assert!(world.visit(ANNA, 80).is_served());
        assert_eq!(world.visit_within(ANNA, 22, HASTE), Visit::TimedOut);
        types(&world.server, &format!("explain {ANNA} 22"))
            .says(&["at this port only"])
            .is_silent_of("share this address");
        assert!(world.visit(BEN, 22).is_served());
    }
}

/// Tries passwords until the kernel stops it.
fn guesses(world: &World, gate: &Gate<'_>, set: &str, element: &str) {
    eventually(Duration::from_secs(30), "ban", || {
        world.visit_within(ANNA, 22, HASTE);
        let banned = gate.set(set);
        if banned.iter().any(|own| own == element) { Ok(()) } else { Err(format!("{banned:?}")) }
    });
}
