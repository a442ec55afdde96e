//! Who must not get in, does not, and the log says why.

use std::fs;
use std::time::Duration;

use portcullis::lab::{Overheard, Visit};
use portcullis::packet::Flags;

use crate::stage::{
    ANNA, BEN, CARLA, DORA, Gate, HASTE, MALLORY, MALLORY6, TRUDY, World, in_lab, text,
};

in_lab! {
    fn unserved_ports_do_not_even_answer() {
        let world = World::new();
        assert_eq!(world.visit(ANNA, 81), Visit::Refused, "without a gate, closed ports answer");
        let gate = Gate::start(&world.server, "");
        for from in [ANNA, CARLA] {
            assert_eq!(world.visit_within(from, 81, HASTE), Visit::TimedOut);
            let event = gate.await_event("drop", from);
            assert_eq!((&event["reason"], &event["dpt"]), (&"ports".into(), &81.into()), "{event}");
        }
    }

    fn the_denylist_inline_and_from_a_file() {
        let world = World::new();
        fs::create_dir_all("/run/gate").unwrap();
        fs::write("/run/gate/bad.txt", "# rogues\n2001:db8:bad::/48\n").unwrap();
        let gate = Gate::start(
            &world.server,
            "[denylist]\nfrom = [\"192.0.2.64/29\"]\nfiles = [\"/run/gate/bad.txt\"]\n",
        );
        for from in [MALLORY, MALLORY6] {
            assert_eq!(world.visit_within(from, 80, HASTE), Visit::TimedOut);
            assert_eq!(gate.await_event("drop", from)["reason"], "denylist");
        }
        for from in [TRUDY, ANNA] {
            assert!(world.visit(from, 80).is_served(), "{from}");
        }
        assert_eq!(gate.explain(MALLORY, 80)["accepted"], false);
        assert_eq!(gate.explain(MALLORY, 80)["settled_by"], "denylist");
        assert_eq!(gate.explain(TRUDY, 80)["accepted"], true);
    }

    fn the_allow_list_comes_first() {
        let world = World::new();
        let gate = Gate::start(
            &world.server,
            "[allowlist]\nfrom = [\"192.0.2.66\"]\n[denylist]\nfrom = [\"192.0.2.0/24\"]\n\
             [bans]\nafter = 2\nevidence = \"any\"\n",
        );
        assert!(world.visit(MALLORY, 80).is_served());
        for _ in 0..4 {
            // Closed, not dropped: the gate lets trusted sources through to wherever they like.
            assert_eq!(world.visit(MALLORY, 81), Visit::Refused);
        }
        assert_eq!(world.visit_within(TRUDY, 80, HASTE), Visit::TimedOut);
        assert_eq!(gate.standing(MALLORY), None);
        assert!(world.visit(MALLORY, 80).is_served());
        // Whoever tries to ban them all the same is told which of them, and why.
        let own = world.server.v4().unwrap().to_string();
        for (whom, says) in [
            ("192.0.2.0/24", "192.0.2.0/24 holds 192.0.2.66, which is never banned: it is in the allow list"),
            (&*own, "is never banned: it is an address of this host"),
        ] {
            let refused = gate.ask(&["bans", "add", whom]);
            assert_eq!(refused.status.code(), Some(64), "{}", text(&refused));
            let said = text(&refused).split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(said.contains(says), "{said}");
        }
    }

    fn some_ports_are_for_some_sources_only() {
        let world = World::new();
        let gate = Gate::start(
            &world.server,
            "[ports.only_from]\n\"22\" = [\"203.0.113.10\", \"2001:db8:7:1::/64\"]\n",
        );
        for from in [ANNA, CARLA] {
            assert!(world.visit(from, 22).is_served(), "{from}: {}", gate.said());
        }
        for from in [BEN, DORA] {
            assert_eq!(world.visit_within(from, 22, HASTE), Visit::TimedOut, "{from}");
            assert!(world.visit(from, 80).is_served(), "{from}");
        }
    }

    fn logins_over_the_rate_are_dropped_and_others_are_not_touched() {
        let world = World::new();
        let gate = Gate::start(
            &world.server,
            "[rate.class.login]\nports = \"22\"\nrate = \"1/m\"\nburst = 3\n",
        );
        for from in [MALLORY, MALLORY6] {
            for attempt in 0..3 {
                assert!(world.visit(from, 22).is_served(), "{from}, attempt {attempt}");
            }
            assert_eq!(world.visit_within(from, 22, HASTE), Visit::TimedOut, "{from}");
            let event = gate.await_event("drop", from);
            assert_eq!((&event["reason"], &event["what"]), (&"rate".into(), &"login".into()));
            assert!(world.visit(from, 80).is_served(), "the web is another class");
        }
        assert!(world.visit(ANNA, 22).is_served());
    }

    fn a_throttled_browser_gets_in_a_second_later_and_is_never_banned() {
        let world = World::new();
        let gate = Gate::start(
            &world.server,
            "[rate.class.web]\nports = \"80\"\nrate = \"3/s\"\nburst = 5\noffends = false\n\
             [bans]\nafter = 2\n",
        );
        let mut slow = 0;
        for _ in 0..12 {
            let seen = world.visit(BEN, 80);
            assert!(seen.is_served(), "{seen:?}");
            slow += u32::from(seen.connected().unwrap() > Duration::from_millis(900));
        }
        assert!(slow > 0, "nothing was throttled");
        assert_eq!(gate.standing(BEN), None);
    }

    fn stealth_probes_and_broken_flags_learn_nothing() {
        let world = World::new();
        let gate = Gate::start(&world.server, "[bans]\nafter = 100\n");
        for from in [TRUDY, MALLORY6] {
            let ears = Overheard::start(&world.rogues).unwrap();
            let kinds = [0, Flags::FIN, Flags::FIN | Flags::PSH | Flags::URG, Flags::SYN | Flags::FIN];
            let syns = world.forged(from, [80; 4]);
            let probes = syns.into_iter().zip(kinds).map(|(syn, kind)| syn.flags(kind)).collect();
            world.send(&world.rogues, probes, 100);
            assert_eq!(gate.await_event("drop", from)["reason"], "quirks");
            assert!(ears.stop(Duration::from_millis(200)).is_empty());
        }
    }

    fn observing_refuses_nobody_and_says_what_it_would_do() {
        let world = World::new();
        let gate = Gate::start(
            &world.server,
            "mode = \"observe\"\n[denylist]\nfrom = [\"192.0.2.66\"]\n\
             [bans]\nafter = 3\nevidence = \"any\"\n",
        );
        for _ in 0..5 {
            assert!(world.visit(MALLORY, 80).is_served());
            assert_eq!(world.visit(MALLORY, 81), Visit::Refused);
        }
        let event = gate.await_event("would-drop", MALLORY);
        assert_eq!((&event["reason"], &event["enforced"]), (&"denylist".into(), &false.into()));
        gate.await_event("would-ban", MALLORY);
        let explained = gate.explain(MALLORY, 80);
        assert_eq!((&explained["accepted"], &explained["enforced"]), (&false.into(), &false.into()));
        assert_eq!(gate.set("banned4"), [""; 0]);
        assert!(world.visit(MALLORY, 80).is_served());
        // An admin's ban does not act either, and explain does not say that it does.
        assert!(gate.ask(&["bans", "add", TRUDY, "--for", "1h"]).status.success());
        assert!(world.visit(TRUDY, 80).is_served());
        let said = text(&gate.ask(&["explain", TRUDY, "80"]));
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        for words in [
            "Outcome: it would be LET IN now, because the gate only observes; enforcing, it would be refused (settled by: standing)",
            "every new connection from it; not now, because the gate only observes",
        ] {
            assert!(said.contains(words), "{said}");
        }
    }
}
