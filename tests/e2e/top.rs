//! `portcullis top` on a real terminal: attackers are seen, banned and unbanned by keys, and the
//! terminal is as it was afterwards.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use portcullis::lab::Visit;
use rustix::process::Signal;

use crate::stage::{ANNA, Gate, HASTE, MALLORY, Terminal, World, eventually, in_lab, text};

fn top(gate: &Gate<'_>) -> Terminal {
    Terminal::start(gate.command(&["top", "--every", "250ms"]), 80, 24)
}

in_lab! {
    fn an_attacker_is_seen_banned_and_forgiven_by_keys() {
        let world = World::new();
        let gate = Gate::start(&world.server, "");
        let mut top = top(&gate);
        top.await_text("nobody has tried to connect");
        assert!(world.visit(MALLORY, 80).is_served());
        for port in 9001..9004 {
            assert_eq!(world.visit_within(MALLORY, port, HASTE), Visit::TimedOut);
        }
        let screen = top.await_text(MALLORY);
        assert!(screen.contains("[Sources]"), "{screen}");

        // It is the only one, so it is selected.
        top.keys("b");
        top.await_text(&format!("Ban {MALLORY}"));
        top.keys("10m\r\rtoo curious\r");
        top.await_text(&format!("Ban {MALLORY} for 10m?"));
        assert_eq!(gate.standing(MALLORY).as_deref(), None, "not before the yes");
        top.keys("y");
        gate.await_set("banned4", MALLORY);
        top.await_text("too curious");
        assert_eq!(world.visit_within(MALLORY, 80, HASTE), Visit::TimedOut);

        top.keys("e");
        top.await_text("it would be REFUSED now");
        top.keys("q");
        top.keys("\t\t");
        // What was explained had these words too.
        top.await_text("[Standings]");
        top.await_text("by admin: too");
        top.keys("u");
        top.await_text(&format!("Make {MALLORY} clean?"));
        top.keys("y");
        top.await_text("nobody is suspect or banned");
        assert_eq!(gate.standing(MALLORY), None);
        assert!(world.visit(MALLORY, 80).is_served());

        top.resize(60, 15);
        top.await_text("[Standings]");
        top.keys("q");
        assert_eq!(top.await_end().code(), Some(0));
    }

    fn a_ban_that_is_refused_says_why() {
        let world = World::new();
        let gate = Gate::start(&world.server, &format!("[allowlist]\nfrom = [\"{ANNA}\"]\n"));
        let mut top = top(&gate);
        top.await_text("[Sources]");
        assert!(world.visit(ANNA, 80).is_served());
        top.await_text(ANNA);
        top.keys("b\r\r\ry");
        top.await_text(&format!("{ANNA} is not banned"));
        assert_eq!(gate.standing(ANNA), None);
        top.signal(Signal::TERM);
        assert_eq!(top.await_end().signal(), Some(Signal::TERM.as_raw()));
    }

    fn a_gate_that_died_is_waited_for() {
        let world = World::new();
        let gate = Gate::start(&world.server, "");
        let mut top = top(&gate);
        top.await_text("no flood, no alarm");
        gate.crash();
        top.await_text("NO ANSWER since ");
        let gate = Gate::start(&world.server, "");
        top.await_text("the gate answers again");
        assert!(world.visit(ANNA, 80).is_served());
        top.await_text(ANNA);
        // Ctrl-C.
        top.keys("\x03");
        assert_eq!(top.await_end().code(), Some(0));
        drop(gate);
    }

    fn without_a_terminal_it_says_what_to_do_instead() {
        let world = World::new();
        let gate = Gate::start(&world.server, "");
        let output = gate.ask(&["top"]);
        assert_eq!(output.status.code(), Some(64));
        assert!(text(&output).contains("portcullis status"), "{}", text(&output));
        // The first question begins the counting.
        gate.ask_json(&["top", "--once", "--every", "250ms"]);
        assert!(world.visit(ANNA, 80).is_served());
        eventually(Duration::from_secs(10), "Anna in the numbers", || {
            let seen = gate.ask_json(&["top", "--once", "--every", "250ms"]);
            let first = &seen["busiest"]["sources"][0];
            if first["source"] == format!("{ANNA}/32") && first["port"] == 80 {
                Ok(())
            } else {
                Err(seen["busiest"].to_string())
            }
        });
        let once = gate.ask(&["top", "--once", "--every", "250ms"]);
        assert!(once.status.success() && text(&once).contains(ANNA), "{}", text(&once));
    }
}
