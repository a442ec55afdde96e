//! `doctor` beside a running gate: all well, and then what others do to it.

use std::os::unix::process::CommandExt;
use std::process::Output;
use std::time::Duration;

use portcullis::lab::{Host, Process, Visit};
use serde_json::Value;

use crate::stage::{
    ANNA, Gate, HASTE, MALLORY, PORTCULLIS, World, eventually, in_lab, nft_load, text,
};

/// Runs `doctor --json` against the gate of the stage: the exit code, the answer, everything said.
fn doctor(host: &Host, args: &[&str]) -> (Option<i32>, Value, Output) {
    let policy = ["doctor", "--json", "--config", "/run/gate/policy.toml"];
    let output = host.command(PORTCULLIS).args(policy).args(args).output().expect("it runs");
    let json = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output.status.code(), json, output)
}

/// What is off, by kind.
fn off(report: &Value) -> Vec<&str> {
    let findings = report["findings"].as_array().into_iter().flatten();
    findings.filter(|f| f["off"] == true).filter_map(|f| f["kind"].as_str()).collect()
}

/// Runs the command with which the first finding is to be mended.
fn mend(host: &Host, report: &Value) {
    let remedy = report["findings"][0]["do"].as_str().expect("words");
    let (_, command) = remedy.split_once("sudo ").expect("a command");
    let end = [". ", ", "].iter().filter_map(|end| command.find(end)).min();
    let words: Vec<&str> = command[..end.unwrap_or(command.len())].split(' ').collect();
    let done = host.command(words[0]).args(&words[1..]).output().expect("it runs");
    assert!(done.status.success(), "{command}: {}", text(&done));
}

/// A queue of 64 fits the buffer that an ordinary user gets.
const POLICY: &str = "[queue]\nlength = 64\n";

fn iptables(host: &Host, args: &str) {
    for tool in ["iptables", "ip6tables"] {
        let mut command = host.command(tool);
        let output = command.args(["-w", "-t", "mangle"]).args(args.split(' ')).output();
        let output = output.expect("it runs");
        assert!(output.status.success(), "{tool} {args}: {}", text(&output));
    }
}

fn by_iptables(gate: &Gate<'_>) -> bool {
    gate.status()["redirect"].as_str().is_some_and(|way| way.contains("iptables"))
}

in_lab! {
    fn all_is_well_beside_a_running_gate() {
        let world = World::new();
        let gate = Gate::start(&world.server, POLICY);
        assert!(gate.ask(&["bans", "add", MALLORY, "--for", "1h"]).status.success());
        gate.await_set("banned4", MALLORY);
        assert!(world.visit(ANNA, 80).is_served());
        let (code, report, output) = doctor(&world.server, &[]);
        assert_eq!((code, off(&report)), (Some(0), vec![]), "{}", text(&output));
        let seen = |topic: &str| {
            let looks = report["looks"].as_array().expect("looks").iter();
            let look = looks.into_iter().find(|look| look["topic"] == topic);
            look.and_then(|look| look["seen"].as_str()).unwrap_or_default().to_owned()
        };
        assert!(seen("table").contains("as the policy wants it"), "{report}");
        assert!(seen("ban list").starts_with("1 banned"), "{report}");
        assert!(seen("sets").contains("1 of 262,144"), "{report}");
        if by_iptables(&gate) {
            assert!(seen("redirect").contains("IPv4 rule 1 of 1, IPv6 rule 1 of 1"), "{report}");
        }
        let chains = report["chains"].as_array().expect("chains");
        assert!(chains.iter().any(|c| c["owner"] == "portcullis" && c["name"] == "early"));
        // For people it is as wide as a terminal.
        let policy = ["doctor", "--config", "/run/gate/policy.toml"];
        let screen = world.server.command(PORTCULLIS).args(policy).output().expect("it runs");
        let screen = text(&screen);
        assert!(screen.lines().all(|line| line.chars().count() <= 80), "{screen}");
        assert!(screen.contains("nothing is off"), "{screen}");
    }

    fn a_gate_that_is_not_there_and_a_queue_that_another_program_has() {
        let world = World::new();
        // The other gate has its own policy and socket, and so is another program to this one.
        let other = Gate::try_start(&world.server, "other", POLICY).expect("it starts");
        let home = "/run/gate/conf.d";
        std::fs::create_dir_all(home).expect("a folder");
        std::fs::write("/run/gate/policy.toml", POLICY).expect("a file");
        let places = "[bans]\nstate_dir = \"/run/gate/state\"\n[control]\nsocket = \"/run/gate/control.sock\"\n";
        std::fs::write("/run/gate/conf.d/places.toml", places).expect("a file");
        let (code, report, output) = doctor(&world.server, &[]);
        assert_eq!(code, Some(1), "{}", text(&output));
        let kinds = off(&report);
        assert!(kinds.contains(&"not-running"), "{kinds:?}");
        // Who has a queue is shown to the real root only.
        let blind = text(&output).contains("queues to root only");
        assert!(blind || kinds.contains(&"queue-taken"), "{}", text(&output));
        assert!(blind || text(&output).contains("portcullis (pid "), "{}", text(&output));
        other.stop();
    }

    fn rules_before_ours_and_behind_it() {
        let world = World::new();
        let gate = Gate::start(&world.server, POLICY);
        if !by_iptables(&gate) {
            println!("not by iptables here: nobody can stand before us");
            return;
        }
        assert_eq!(world.visit_within(ANNA, 81, HASTE), Visit::TimedOut);
        iptables(&world.server, "-I PREROUTING -p tcp --dport 81 -j ACCEPT");
        // It is really so: what the gate would refuse gets past it.
        assert_eq!(world.visit_within(ANNA, 81, HASTE), Visit::Refused);
        let (code, report, output) = doctor(&world.server, &[]);
        assert_eq!((code, off(&report)), (Some(1), vec!["rule-bypassed"; 2]), "{}", text(&output));
        mend(&world.server, &report);
        let (_, report, _) = doctor(&world.server, &[]);
        assert_eq!(off(&report), ["rule-bypassed"], "the other family's is left");
        assert_eq!(world.visit_within(ANNA, 81, HASTE), Visit::TimedOut);
        let rule = ["-t", "mangle", "-D", "PREROUTING", "1"];
        assert!(world.server.command("ip6tables").args(rule).status().expect("it runs").success());
        iptables(&world.server, "-I PREROUTING -j MARK --set-mark 1");
        let (_, report, _) = doctor(&world.server, &[]);
        assert_eq!(off(&report), ["mark-overwritten"; 2]);
        assert_eq!(world.visit_within(ANNA, 81, HASTE), Visit::Refused, "nothing is judged");
        iptables(&world.server, "-D PREROUTING 1");
        iptables(&world.server, "-A PREROUTING -p tcp --dport 9 -j DROP");
        let (_, report, _) = doctor(&world.server, &[]);
        assert_eq!(off(&report), ["rule-not-last"; 2]);
        mend(&world.server, &report);
        eventually(Duration::from_secs(5), "our rule at the end again", || {
            let (_, report, output) = doctor(&world.server, &[]);
            if off(&report) == ["rule-not-last"] { Ok(()) } else { Err(text(&output)) }
        });
    }

    fn fail_modes_policies_and_flushes() {
        let world = World::new();
        let gate = Gate::start(&world.server, POLICY);
        gate.write_policy("[queue]\nlength = 64\n[guard]\nwhen_down = \"drop\"\n");
        // File times and the daemon's may be told apart.
        eventually(Duration::from_secs(5), "changed policy", || {
            gate.write_policy("[queue]\nlength = 64\n[guard]\nwhen_down = \"drop\"\n");
            let (_, report, output) = doctor(&world.server, &[]);
            let kinds = off(&report);
            let both = kinds.contains(&"fail-mode") && kinds.contains(&"policy-changed");
            if both { Ok(()) } else { Err(text(&output)) }
        });
        gate.write_policy(POLICY);
        assert!(gate.ask(&["reload"]).status.success());
        nft_load(&world.server, "flush ruleset");
        eventually(Duration::from_secs(5), "mended table and a word about it", || {
            let (code, report, output) = doctor(&world.server, &[]);
            let told = report["findings"].to_string().contains("rebuilt");
            if code == Some(0) && told { Ok(()) } else { Err(text(&output)) }
        });
        gate.crash();
        // Nobody is there to mend it now: what is left is still read.
        let (_, report, output) = doctor(&world.server, &[]);
        assert_eq!(off(&report), ["not-running"], "{}", text(&output));
    }

    fn without_tools() {
        let world = World::new();
        // A folder over /usr/sbin, where an empty PATH would still find them.
        let mut command = world.server.command("unshare");
        let script = "mount -t tmpfs none /usr/sbin && PATH= exec \"$0\" doctor --json";
        command.args(["--mount", "/bin/sh", "-c", script, PORTCULLIS]).process_group(0);
        command.stdout(std::process::Stdio::piped());
        let mut process = Process::start(&mut command).expect("it starts");
        let ended = process.wait(Duration::from_secs(20)).expect("it can be waited for");
        let stdout = process.child().stdout.take().expect("a pipe");
        let report: Value = serde_json::from_reader(stdout).expect("JSON");
        assert_eq!(ended.and_then(|status| status.code()), Some(1));
        assert!(off(&report).contains(&"tool-missing"), "{report}");
        assert!(report.to_string().contains("apt-get install nftables"), "{report}");
    }

    fn bans_block_on_this_kernel() {
        let world = World::new();
        let _gate = Gate::start(&world.server, POLICY);
        let (code, report, output) = doctor(&world.server, &["--prove"]);
        assert_eq!(code, Some(0), "{}", text(&output));
        let proofs = report["proof"].as_array().expect("proofs");
        assert_eq!(proofs.len(), 8);
        assert!(proofs.iter().all(|proof| proof["holds"] == true), "{report}");
    }
}
