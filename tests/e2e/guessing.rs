//! Guessing at a login service, and the ban that ends it: everywhere, or at that port only.

use std::time::Duration;

use portcullis::lab::Visit;

use crate::stage::{
    ANNA, CARLA, DORA, Gate, HASTE, MALLORY, MALLORY6, TRUDY, World, eventually, in_lab, nft, text,
};

/// Logins that the policy permits at once, and refusals that make an offence.
const BURST: usize = 5;
const AFTER: usize = 5;

const AT_ONE_PORT: &str = "[rate.class.login]\nban = \"port\"\n[bans]\ndurations = [\"10m\"]\n";

in_lab! {
    fn a_guesser_is_banned_at_that_port_if_the_policy_says_so() {
        let world = World::new();
        let gate = Gate::start(&world.server, AT_ONE_PORT);
        for (from, named, set, element) in [
            (MALLORY, MALLORY, "banned_at4", r#"{"concat":["192.0.2.66",22]}"#),
            (MALLORY6, "2001:db8:bad::/64", "banned_at6", r#"{"concat":["2001:db8:bad::",22]}"#),
        ] {
            guess(&world, from, AFTER);
            gate.await_set(set, element);
            let event = gate.await_event("ban", named);
            assert_eq!((&event["reason"], &event["dpt"]), (&"rate".into(), &22.into()), "{event}");

            // The kernel stops it at that port without asking, and nowhere else.
            let before = gate.judged();
            assert_eq!(world.visit_within(from, 22, HASTE), Visit::TimedOut);
            assert_eq!(gate.judged(), before, "{from}");
            for _ in 0..3 {
                assert!(world.visit(from, 80).is_served(), "{from}");
            }
            let explained = gate.explain(from, 22);
            assert_eq!((&explained["accepted"], &explained["standing_port"]), (&false.into(), &22.into()));
            assert!(explained["advice"].to_string().contains(&format!("remove {from} --port 22")));
            assert_eq!(gate.explain(from, 80)["accepted"], true);
        }
        assert!(gate.set("banned4").is_empty() && gate.set("banned6").is_empty());
        assert_eq!(gate.status()["standings"]["banned"], 2);

        // It outlasts a flush by somebody else, and a restart.
        assert!(nft(&world.server, &["flush", "ruleset"]).status.success());
        eventually(Duration::from_secs(5), "ban after a flush", || {
            let listed = text(&nft(&world.server, &["list", "set", "inet", "portcullis", "banned_at4"]));
            if listed.contains("192.0.2.66 . 22") { Ok(()) } else { Err(listed) }
        });
        assert_eq!(gate.stop(), Some(0));
        let gate = Gate::start(&world.server, AT_ONE_PORT);
        let bans = gate.ask_json(&["bans", "list"]);
        assert!(bans.as_array().unwrap().iter().all(|ban| ban["port"] == 22), "{bans}");
        assert_eq!(world.visit_within(MALLORY6, 22, HASTE), Visit::TimedOut);

        let removed = gate.ask(&["bans", "remove", MALLORY6]);
        assert!(removed.status.success(), "{}", text(&removed));
        assert!(gate.set("banned_at6").is_empty());
        assert_eq!(gate.set("banned_at4").len(), 1);
    }

    fn a_guesser_is_banned_everywhere_by_default() {
        let world = World::new();
        let gate = Gate::start(&world.server, "");
        guess(&world, MALLORY, AFTER);
        gate.await_set("banned4", MALLORY);
        assert_eq!(world.visit_within(MALLORY, 80, HASTE), Visit::TimedOut);
        assert!(gate.set("banned_at4").is_empty());
    }

    fn admins_ban_at_one_port() {
        let world = World::new();
        let gate = Gate::start(&world.server, "");
        for (from, named) in [(TRUDY, "192.0.2.77/32"), (DORA, "2001:db8:7:2::/64")] {
            let said = gate.ask(&["bans", "add", from, "--port", "22", "--for", "10m"]);
            assert!(text(&said).contains(&format!("{named} is banned at port 22")), "{}", text(&said));
            assert_eq!(world.visit_within(from, 22, HASTE), Visit::TimedOut);
            assert!(world.visit(from, 80).is_served());
            // A ban at all ports lies over it, and the smaller one is there when it is lifted.
            assert!(gate.ask(&["bans", "add", from, "--for", "10m"]).status.success());
            assert_eq!(world.visit_within(from, 80, HASTE), Visit::TimedOut);
            assert_eq!(gate.explain(from, 22)["standing_port"], serde_json::Value::Null);
            let listed = text(&gate.ask(&["bans"]));
            assert!(listed.contains("banned: 22"), "{listed}");
            let said = gate.ask(&["bans", "remove", from, "--port", "22"]);
            assert!(text(&said).contains("is clean at port 22"), "{}", text(&said));
            assert_eq!(world.visit_within(from, 80, HASTE), Visit::TimedOut);
            // Both at once.
            assert!(gate.ask(&["bans", "add", from, "--port", "22"]).status.success());
            let said = text(&gate.ask(&["bans", "remove", from]));
            assert_eq!(said.trim(), format!("{named} is clean"));
            assert!(world.visit(from, 22).is_served() && world.visit(from, 80).is_served());
        }
        for (words, code) in [
            (&["bans", "add", "192.0.2.0/24", "--port", "22"][..], 64),
            (&["bans", "add", TRUDY, "--port", "22", "--suspect"], 64),
            (&["bans", "remove", TRUDY, "--port", "22"], 64),
        ] {
            let said = gate.ask(words);
            assert_eq!(said.status.code(), Some(code), "{words:?}: {}", text(&said));
        }
    }

    fn a_guesser_who_was_proven_before_the_gate_knew_it_is_banned_too() {
        let world = World::new();
        let gate = Gate::start(&world.server, "");
        for (from, proven) in [(MALLORY, MALLORY), (MALLORY6, "2001:db8:bad::")] {
            let set = if from == MALLORY { "proven4" } else { "proven6" };
            assert!(world.visit(from, 80).is_served());
            gate.await_set(set, proven);
        }
        assert_eq!(gate.stop(), Some(0));
        // The kernel still knows that they are real; the gate has never seen them.
        let gate = Gate::start(&world.server, "");
        for (from, suspect, proven, banned) in [
            (MALLORY, "suspect4", "proven4", "banned4"),
            (MALLORY6, "suspect6", "proven6", "banned6"),
        ] {
            guess(&world, from, AFTER);
            eventually(Duration::from_secs(5), "suspect that is to prove itself anew", || {
                let sets = (gate.set(suspect), gate.set(proven), gate.set(banned));
                let done = sets.0.len() == 1 && !sets.1.iter().any(|e| from.starts_with(e.trim_end_matches(':')));
                if done && sets.2.is_empty() { Ok(()) } else { Err(format!("{sets:?}")) }
            });
            // It does with its next try, and goes on.
            assert!(world.visit(from, 22).is_served());
            for _ in 0..AFTER {
                assert_eq!(world.visit_within(from, 22, HASTE), Visit::TimedOut);
            }
            eventually(Duration::from_secs(5), "ban", || {
                let set = gate.set(banned);
                if set.len() == 1 { Ok(()) } else { Err(format!("{set:?} {}", gate.said())) }
            });
        }
        assert!(world.visit(ANNA, 22).is_served() && world.visit(CARLA, 22).is_served());
    }
}

/// So many logins as are permitted, and so many that are refused.
fn guess(world: &World, from: &str, refused: usize) {
    for _ in 0..BURST {
        assert!(world.visit(from, 22).is_served(), "{from}");
    }
    for _ in 0..refused {
        assert_eq!(world.visit_within(from, 22, HASTE), Visit::TimedOut, "{from}");
    }
}
