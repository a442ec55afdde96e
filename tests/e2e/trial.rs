//! `--confirm`: what nobody confirms in time is undone.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;

use crate::stage::{
    ANNA, BEN, Gate, HASTE, MALLORY, Terminal, World, break_nft, eventually, in_lab, mend_nft, nft,
    text,
};

const LIMIT: Duration = Duration::from_secs(30);
/// Shuts out everybody, and has a kernel rule of its own.
const SHUT: &str = "[denylist]\nfrom = [\"0.0.0.0/0\"]\n[allowlist]\nfrom = [\"198.18.0.0/15\"]\n[guard]\nceiling = \"77/s\"\n";

/// The rules of our table, and the served ports, without counters.
fn rules(world: &World) -> String {
    let listed = text(&nft(&world.server, &["-s", "-t", "list", "table", "inet", "portcullis"]));
    let served = text(&nft(&world.server, &["list", "set", "inet", "portcullis", "served"]));
    let mut lines: Vec<String> = format!("{listed}{served}").lines().map(str::to_owned).collect();
    lines.sort();
    lines.join("\n")
}

fn is_marked(folder: &str) -> bool {
    Path::new(folder).join("unconfirmed").exists()
}

fn ours(world: &World) -> bool {
    let mut all = text(&nft(&world.server, &["-t", "list", "ruleset"]));
    all += &text(&world.server.command("iptables-save").output().unwrap());
    all.contains("portcullis") || all.contains("QUEUE")
}

in_lab! {
    fn a_policy_that_nobody_confirms_is_taken_back() {
        let world = World::new();
        let gate = Gate::start(&world.server, "");
        assert!(gate.ask(&["bans", "add", MALLORY, "--for", "1h"]).status.success());
        gate.await_set("banned4", MALLORY);
        let before = rules(&world);
        gate.write_policy(SHUT);
        let reload = gate.ask(&["reload", "--confirm", "8s"]);
        let said = text(&reload);
        assert!(reload.status.success() && said.contains("portcullis confirm"), "{said}");
        assert!(!world.visit_within(ANNA, 80, HASTE).is_served(), "it is in force: {said}");
        assert_ne!(rules(&world), before);
        let status = gate.status();
        assert_eq!(status["trial"]["state"], "waiting", "{status}");
        // Whoever was shut out by mistake has earned a standing by it, and tries again and again.
        for _ in 0..5 {
            assert!(!world.visit_within(BEN, 80, HASTE).is_served());
        }
        // A plain reload would leave nobody knowing what comes back.
        let second = gate.ask(&["reload"]);
        assert_eq!(second.status.code(), Some(69), "{}", text(&second));
        assert!(text(&second).contains("portcullis confirm --undo"), "{}", text(&second));

        eventually(LIMIT, "the old policy", || {
            if world.visit_within(ANNA, 80, HASTE).is_served() { Ok(()) } else { Err(gate.said()) }
        });
        eventually(LIMIT, "the old rules", || {
            let now = rules(&world);
            if now == before { Ok(()) } else { Err(now) }
        });
        assert_eq!(gate.set("banned4"), [MALLORY], "standings are as they were");
        assert!(gate.standing(BEN).is_none() && gate.standing(ANNA).is_none(), "{}", gate.said());
        assert!(world.visit_within(BEN, 80, HASTE).is_served());
        assert_eq!(gate.status()["trial"]["state"], "undone");
        gate.await_alarm("the old policy is back: nobody confirmed it");
        for args in [&["confirm"][..], &["confirm", "--undo"]] {
            let late = gate.ask(args);
            assert_eq!(late.status.code(), Some(64), "{}", text(&late));
        }
    }

    fn a_policy_that_failed_comes_back_by_no_reload_until_it_changes() {
        let world = World::new();
        let mut gate = Gate::start(&world.server, "");
        gate.write_policy(SHUT);
        assert!(gate.ask(&["reload", "--confirm", "1h"]).status.success());
        assert!(gate.ask(&["confirm", "--undo"]).status.success());
        // By a hook that knows nothing of it, and by hand.
        gate.signal(Signal::HUP);
        eventually(LIMIT, "word of it", || {
            let said = gate.said();
            if said.contains("nobody confirmed it, and it has not changed since") { Ok(()) } else { Err(said) }
        });
        let plain = gate.ask(&["reload"]);
        assert_eq!(plain.status.code(), Some(69), "{}", text(&plain));
        assert!(text(&plain).contains("portcullis reload --confirm 60s"), "{}", text(&plain));
        assert!(world.visit(ANNA, 80).is_served(), "{}", gate.said());
        // Nor does the next start take it for confirmed; and there, too, a reload is no yes.
        gate.crash();
        let gate = Gate::restart(&world.server, "gate").unwrap();
        assert_eq!(gate.status()["mode"], "observe");
        let plain = gate.ask(&["reload"]);
        assert_eq!(plain.status.code(), Some(69), "{}", text(&plain));
        assert!(text(&plain).contains("if it is good: portcullis confirm"), "{}", text(&plain));
        assert_eq!(gate.status()["mode"], "observe");
        // Another trial of it is something else, and so is another policy.
        assert!(gate.ask(&["reload", "--confirm", "1h"]).status.success());
        assert!(!world.visit_within(ANNA, 80, HASTE).is_served());
        assert!(gate.ask(&["confirm", "--undo"]).status.success());
        gate.write_policy("[denylist]\nfrom = [\"203.0.113.10\"]\n");
        let corrected = gate.ask(&["reload"]);
        assert!(corrected.status.success(), "{}", text(&corrected));
        assert!(!world.visit_within(ANNA, 80, HASTE).is_served() && world.visit(BEN, 80).is_served());
    }

    fn only_an_answer_to_the_question_confirms() {
        let world = World::new();
        let gate = Gate::start(&world.server, "");
        gate.write_policy(SHUT);
        let mut terminal = Terminal::start(gate.command(&["reload", "--confirm", "1h"]), 80, 24);
        // Impatience, before there is a question.
        terminal.keys("\n\n");
        terminal.await_text("comes back in 35");
        assert_eq!(gate.status()["trial"]["state"], "waiting", "{}", terminal.screen());
        terminal.keys("no\n");
        terminal.await_text("That is not an answer");
        assert_eq!(gate.status()["trial"]["state"], "waiting", "{}", terminal.screen());
        terminal.keys("\n");
        let ended = terminal.await_exit();
        assert_eq!(ended.code(), Some(0), "{}", terminal.screen());
        assert_eq!(gate.status()["trial"]["state"], "confirmed");
    }

    fn a_policy_is_confirmed_or_undone_at_once() {
        let world = World::new();
        let gate = Gate::start(&world.server, "");
        gate.write_policy(SHUT);
        assert!(gate.ask(&["reload", "--confirm", "1h", "--no-wait"]).status.success());
        // Another trial in its place: what comes back is still the first policy.
        gate.write_policy("[denylist]\nfrom = [\"203.0.113.10\"]\n");
        assert!(gate.ask(&["reload", "--confirm", "1h"]).status.success());
        assert!(!world.visit_within(ANNA, 80, HASTE).is_served() && world.visit(BEN, 80).is_served());
        assert!(gate.ask(&["confirm", "--undo"]).status.success());
        assert!(world.visit(ANNA, 80).is_served() && world.visit(BEN, 80).is_served());

        assert!(gate.ask(&["reload", "--confirm", "1h"]).status.success());
        let confirmed = gate.ask(&["confirm"]);
        assert!(text(&confirmed).contains("the new policy stays"), "{}", text(&confirmed));
        assert!(!world.visit_within(ANNA, 80, HASTE).is_served());
        assert_eq!(gate.status()["trial"]["state"], "confirmed");
        // Confirmed is confirmed: it comes back after a crash, too.
        gate.crash();
        let gate = Gate::start(&world.server, "[denylist]\nfrom = [\"203.0.113.10\"]\n");
        assert_eq!(gate.status()["mode"], "enforce");
    }

    fn a_daemon_that_is_killed_meanwhile_does_not_come_back_with_it() {
        let world = World::new();
        let gate = Gate::start(&world.server, "");
        gate.write_policy(SHUT);
        assert!(gate.ask(&["reload", "--confirm", "1h"]).status.success());
        assert!(!world.visit_within(ANNA, 80, HASTE).is_served());
        gate.crash();
        // As systemd would, with the files as they are.
        let gate = Gate::restart(&world.server, "gate").unwrap();
        assert!(world.visit(ANNA, 80).is_served(), "{}", gate.said());
        assert_eq!(gate.status()["mode"], "observe");
        gate.await_alarm("was on trial and nobody confirmed it");
        let confirmed = gate.ask(&["confirm"]);
        assert!(confirmed.status.success(), "{}", text(&confirmed));
        assert_eq!(gate.status()["mode"], "enforce");
        assert!(!world.visit_within(ANNA, 80, HASTE).is_served());
        gate.crash();
        let gate = Gate::restart(&world.server, "gate").unwrap();
        assert_eq!(gate.status()["mode"], "enforce", "{}", gate.said());
    }

    fn a_kernel_that_refuses_the_old_rules_keeps_nobody_waiting() {
        let world = World::new();
        let mut gate = Gate::start(&world.server, "");
        let before = rules(&world);
        gate.write_policy(SHUT);
        assert!(gate.ask(&["reload", "--confirm", "5s"]).status.success());
        break_nft(&world.server);
        eventually(LIMIT, "word of it", || {
            let said = gate.said();
            if said.contains("judged by the old policy again") { Ok(()) } else { Err(said) }
        });
        assert!(world.visit(ANNA, 80).is_served(), "{}", gate.said());
        let late = gate.ask(&["confirm"]);
        assert_eq!(late.status.code(), Some(69), "{}", text(&late));
        assert!(text(&late).contains("too late: the old policy is being put back"), "{}", text(&late));
        let status = gate.status();
        assert_eq!((&status["trial"]["state"], &status["trial"]["left"]), (&"waiting".into(), &0.0.into()), "{status}");
        gate.signal(Signal::HUP);
        mend_nft(&world.server);
        eventually(LIMIT, "the old rules", || {
            let (status, now) = (gate.status(), rules(&world));
            if status["trial"]["state"] == "undone" && now == before { Ok(()) } else { Err(format!("{status}\n{now}")) }
        });
        // And while it lasts, the daemon ends when it is told to.
        assert!(gate.ask(&["reload", "--confirm", "1h"]).status.success());
        break_nft(&world.server);
        let undo = gate.ask(&["confirm", "--undo"]);
        assert_eq!(undo.status.code(), Some(69), "{}", text(&undo));
        assert!(world.visit(ANNA, 80).is_served(), "{}", gate.said());
        gate.signal(Signal::HUP);
        gate.signal(Signal::TERM);
        assert!(gate.wait().is_some());
    }

    fn a_trial_is_written_down_before_it_begins_and_wherever_a_start_would_look() {
        let world = World::new();
        let gate = Gate::start(&world.server, "");
        gate.write_policy(SHUT);
        // The kernel does not take it: no trial begins.
        break_nft(&world.server);
        let refused = gate.ask(&["reload", "--confirm", "1h"]);
        assert_eq!(refused.status.code(), Some(69), "{}", text(&refused));
        mend_nft(&world.server);
        assert!(!is_marked("/run/gate/state"));
        // The policy names another folder, which the next start uses: out of reach of a gate that
        // is confined.
        let other = "[bans]\nstate_dir = \"/run/gate/other\"\n";
        fs::write("/run/gate/conf.d/z.toml", other).unwrap();
        let refused = gate.ask(&["reload", "--confirm", "1h"]);
        assert_eq!(refused.status.code(), Some(69), "{}", text(&refused));
        assert!(text(&refused).contains("cannot be tried"), "{}", text(&refused));
        assert!(world.visit(ANNA, 80).is_served(), "{}", gate.said());
        // One that is not writes it down there too.
        assert_eq!(gate.stop(), Some(0));
        fs::remove_file("/run/gate/conf.d/z.toml").unwrap();
        let gate = Gate::start(&world.server, "[daemon]\nconfine = false\n");
        gate.write_policy(SHUT);
        fs::write("/run/gate/conf.d/z.toml", other).unwrap();
        let reload = gate.ask(&["reload", "--confirm", "1h"]);
        assert!(reload.status.success(), "{}", text(&reload));
        for folder in ["/run/gate/state", "/run/gate/other"] {
            assert!(is_marked(folder), "{folder}: {}", text(&reload));
        }
        gate.crash();
        let gate = Gate::restart(&world.server, "gate").unwrap();
        assert_eq!(gate.status()["mode"], "observe", "{}", gate.said());
        assert!(gate.ask(&["confirm"]).status.success());
        assert!(!is_marked("/run/gate/other"));
    }

    fn a_start_that_nobody_confirms_leaves_nothing_behind() {
        let world = World::new();
        let start = |span| Gate::start_with(&world.server, "gate", SHUT, &["--confirm", span]).unwrap();
        let gate = start("5s");
        assert!(gate.ask(&["bans", "add", MALLORY, "--for", "1h"]).status.success());
        assert!(!world.visit_within(ANNA, 80, HASTE).is_served() && ours(&world));
        assert_eq!(gate.ask(&["reload"]).status.code(), Some(69));
        assert_eq!(gate.wait(), Some(79));
        assert!(!ours(&world));
        for from in [ANNA, MALLORY] {
            assert!(world.visit(from, 80).is_served(), "{from}");
        }
        // Ended by hand before that, it is not confirmed either; nor when somebody says so.
        let mut gate = start("1h");
        gate.signal(Signal::INT);
        assert_eq!((gate.wait(), ours(&world)), (Some(79), false));
        let gate = start("1h");
        assert!(gate.ask(&["confirm", "--undo"]).status.success());
        assert_eq!((gate.wait(), ours(&world)), (Some(79), false));
        // Confirmed, it is like any other.
        let gate = start("1h");
        assert!(gate.ask(&["confirm"]).status.success());
        assert_eq!(gate.status()["trial"]["state"], "confirmed");
        assert_eq!(gate.stop(), Some(0));
        assert!(ours(&world), "bans survive a clean stop");
    }
}
