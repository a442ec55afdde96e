//! Start, stop, crash, reload.

use std::time::Duration;

use portcullis::lab::Visit;
use rustix::process::Signal;

use crate::stage::{
    ANNA, BEN, CARLA, Gate, HASTE, MALLORY, MALLORY6, PORTCULLIS, World, eventually, in_lab, nft,
    nft_load, text,
};

in_lab! {
    fn a_crash_leaves_the_door_open_and_bans_in_force() {
        let world = World::new();
        let gate = Gate::start(&world.server, "");
        ban(&gate, MALLORY);
        gate.crash();
        for from in [ANNA, CARLA] {
            let seen = world.visit_within(from, 80, HASTE);
            assert!(seen.is_served(), "{from}: {seen:?}");
        }
        assert_eq!(world.visit_within(MALLORY, 80, HASTE), Visit::TimedOut);

        let gate = Gate::start(&world.server, "");
        assert_eq!(gate.standing(MALLORY).as_deref(), Some("banned"), "standings are back");
        assert_eq!(gate.set("banned4"), [MALLORY]);
        assert_eq!(world.visit_within(MALLORY, 80, HASTE), Visit::TimedOut);
        assert!(world.visit(ANNA, 80).is_served());
    }

    fn the_watchdog_is_fed_while_verdicts_make_progress() {
        let world = World::new();
        let mut gate = Gate::start(&world.server, "");
        for _ in 0..3 {
            gate.await_notice("WATCHDOG=1").unwrap();
            assert!(world.visit(ANNA, 80).is_served());
        }
        gate.signal(Signal::TERM);
        gate.await_notice("STOPPING=1").unwrap();
    }

    fn a_crash_shuts_the_door_where_the_policy_says_so() {
        let world = World::new();
        let policy = "[guard]\nwhen_down = \"drop\"\n";
        let gate = Gate::start(&world.server, policy);
        assert!(world.visit(ANNA, 80).is_served());
        gate.crash();
        for from in [ANNA, CARLA] {
            assert_eq!(world.visit_within(from, 80, HASTE), Visit::TimedOut);
        }
        let _gate = Gate::start(&world.server, policy);
        for from in [ANNA, CARLA] {
            assert!(world.visit(from, 80).is_served());
        }
    }

    fn standings_survive_even_the_loss_of_the_kernels_sets() {
        let world = World::new();
        let gate = Gate::start(&world.server, "");
        ban(&gate, MALLORY);
        gate.crash();
        nft_load(&world.server, "flush ruleset");
        assert!(world.visit(MALLORY, 80).is_served());
        let gate = Gate::start(&world.server, "");
        gate.await_set("banned4", MALLORY);
        assert_eq!(world.visit_within(MALLORY, 80, HASTE), Visit::TimedOut);
    }

    fn a_ban_that_is_changed_ends_at_its_new_time_in_the_kernel_too() {
        let world = World::new();
        let gate = Gate::start(&world.server, "");
        for who in [MALLORY, MALLORY6] {
            let net = if who == MALLORY { who } else { "2001:db8:bad::" };
            let set = if who == MALLORY { "banned4" } else { "banned6" };
            // Longer, then shorter: by itself an older kernel (6.1) leaves the end as it was.
            for hours in [1, 5, 2] {
                let lasts = format!("{hours}h");
                let added = gate.ask(&["bans", "add", who, "--for", &lasts, "--reason", "test"]);
                assert!(added.status.success(), "{}", text(&added));
                gate.await_set(set, net);
                let listed = text(&nft(&world.server, &["list", "set", "inet", "portcullis", set]));
                let minute_before = format!("expires {}h59m", hours - 1);
                let minute_before = minute_before.replace("expires 0h", "expires ");
                assert!(listed.contains(&minute_before), "{minute_before}: {listed}");
            }
        }
    }

    fn a_clean_stop_takes_the_redirect_away_and_leaves_the_bans() {
        let world = World::new();
        let gate = Gate::start(&world.server, "[guard]\nwhen_down = \"drop\"\n");
        ban(&gate, MALLORY);
        assert_eq!(gate.stop(), Some(0));
        assert!(world.visit_within(ANNA, 80, HASTE).is_served(), "even where a crash shuts the door");
        assert_eq!(world.visit(ANNA, 81), Visit::Refused, "nothing is judged any more");
        assert_eq!(world.visit_within(MALLORY, 80, HASTE), Visit::TimedOut);
        for rules in [nft(&world.server, &["list", "ruleset"]), iptables_save(&world)] {
            let rules = text(&rules);
            assert!(!rules.contains("NFQUEUE") && !rules.contains("queue to"), "{rules}");
        }
    }

    fn unload_removes_everything_and_nothing_else() {
        let world = World::new();
        nft_load(&world.server, "table inet admin { chain input { type filter hook input priority 0; ip saddr 192.0.2.1 drop; } }");
        let admins = world.server.command("iptables").args("-t mangle -A PREROUTING -s 192.0.2.2 -j DROP".split(' ')).status();
        assert!(admins.unwrap().success());
        let before = [nft(&world.server, &["list", "ruleset"]), iptables_save(&world)].map(|o| rules(&o));
        let gate = Gate::start(&world.server, "");
        ban(&gate, MALLORY);
        let unload = || {
            let mut command = world.server.command(PORTCULLIS);
            command.args(["unload", "--config", "/run/gate/policy.toml"]).output().unwrap()
        };
        // A daemon that runs would put all of it back.
        let refused = unload();
        assert_eq!(refused.status.code(), Some(75), "{}", text(&refused));
        let pid = gate.status()["pid"].to_string();
        let said = text(&refused);
        assert!(said.contains(&format!("the gate runs (pid {pid})")), "{said}");
        assert!(said.contains("systemctl stop portcullis") && said.contains("portcullis panic"));
        assert_eq!(world.visit_within(MALLORY, 80, HASTE), Visit::TimedOut);
        assert_eq!(gate.stop(), Some(0));
        let unload = unload();
        assert!(unload.status.success(), "{}", text(&unload));
        let after = [nft(&world.server, &["list", "ruleset"]), iptables_save(&world)].map(|o| rules(&o));
        for (before, after) in before.iter().zip(&after) {
            assert!(before.iter().all(|line| after.contains(line)), "{before:?}\n{after:?}");
            // What is new are empty chains that iptables needs to look for rules.
            let ours = |line: &String| line.contains("portcullis") || line.contains("QUEUE");
            assert!(!after.iter().any(ours), "{after:?}");
        }
        assert!(world.visit(MALLORY, 80).is_served());
    }

    fn a_second_gate_is_refused_and_does_no_harm() {
        let world = World::new();
        let gate = Gate::start(&world.server, "");
        ban(&gate, MALLORY);
        // The same state and socket; then others, but the same queue.
        for (name, word) in [("gate", "already"), ("other", "queue 7 belongs to")] {
            let second = Gate::try_start(&world.server, name, "").err().expect("a refusal");
            assert_eq!(second.code, Some(69), "{second:?}");
            assert!(second.said.contains(word), "{second:?}");
            assert_eq!(gate.set("banned4"), [MALLORY], "the first one's bans stay");
            assert_eq!(world.visit_within(MALLORY, 80, HASTE), Visit::TimedOut);
            assert!(world.visit(ANNA, 80).is_served(), "the first goes on");
            assert_eq!(world.visit_within(ANNA, 81, HASTE), Visit::TimedOut, "{}", gate.said());
        }
        let events = gate.events();
        assert!(events.iter().all(|event| event["what"] != "flushed"), "{events:?}");
    }

    fn a_reload_takes_the_new_policy_and_keeps_the_memory() {
        let world = World::new();
        let mut gate = Gate::start(&world.server, "");
        ban(&gate, MALLORY);
        assert!(world.visit(BEN, 80).is_served());
        let before = gate.judged();
        gate.write_policy("[denylist]\nfrom = [\"203.0.113.11\"]\n");
        gate.signal(Signal::HUP);
        gate.await_notice("RELOADING=1").unwrap();
        gate.await_notice("READY=1").unwrap();
        assert_eq!(world.visit_within(BEN, 80, HASTE), Visit::TimedOut);
        assert!(world.visit(ANNA, 80).is_served());
        assert_eq!(gate.set("banned4"), [MALLORY]);
        assert!(gate.judged() > before, "counters go on");

        gate.write_policy("");
        let reload = gate.ask(&["reload"]);
        assert!(reload.status.success(), "{}", text(&reload));
        assert!(world.visit(BEN, 80).is_served());
    }

    fn a_reload_with_mistakes_names_them_and_changes_nothing() {
        let world = World::new();
        let gate = Gate::start(&world.server, "[denylist]\nfrom = [\"192.0.2.66\"]\n");
        gate.write_policy(
            "mode = \"sometimes\"\n[denylst]\nfrom = []\n[queue]\nlength = -1\n\
             [rate.class.login]\nrate = \"6/q\"\n[bans]\nafter = \"five\"\n",
        );
        let reload = gate.ask(&["reload"]);
        assert!(!reload.status.success());
        let said = text(&reload);
        for place in ["1:8", "2:2", "5:10", "7:8", "9:9"] {
            assert!(said.contains(place), "no message for {place}: {said}");
        }
        assert_eq!(said.lines().last(), Some("The old policy stays in force."));
        let alarms = gate.await_alarm("1:8");
        assert!(!alarms.to_string().contains("^^"), "no excerpts in the log: {alarms}");
        assert_eq!(world.visit_within(MALLORY, 80, HASTE), Visit::TimedOut, "the old policy stays");
        assert!(world.visit(ANNA, 80).is_served());
        // Warnings are told in one sentence each; and what was wrong is over.
        gate.write_policy("[denylist]\nfrom = [\"192.0.2.66\"]\n[ports]\nopen = \"1-65535\"\n");
        let reload = gate.ask(&["reload"]);
        assert!(reload.status.success(), "{}", text(&reload));
        assert!(!text(&reload).contains('^'), "{}", text(&reload));
        eventually(Duration::from_secs(5), "end of that alarm", || {
            let status = gate.status();
            let alarms = status["alarms"].as_array().unwrap().iter();
            let of_reload: Vec<_> = alarms.filter(|alarm| alarm["what"] == "reload").collect();
            let over = matches!(of_reload[..], [over] if over["level"] == "notice");
            if over { Ok(()) } else { Err(status.to_string()) }
        });
    }
}

fn ban(gate: &Gate<'_>, who: &str) {
    // As hands that know fail2ban type `bans add`.
    let added = gate.ask(&["ban", who, "--for", "1h", "--reason", "test"]);
    assert!(added.status.success(), "{}", text(&added));
    gate.await_set("banned4", who);
}

fn iptables_save(world: &World) -> std::process::Output {
    world.server.command("iptables-save").output().expect("iptables-save runs")
}

/// Rules without comments, counters and empty tables, which differ from run to run.
fn rules(output: &std::process::Output) -> Vec<String> {
    let text = text(output);
    let kept = text.lines().filter(|line| !line.starts_with('#') && !line.starts_with(':'));
    let without = |line: &str| line.split("packets").next().unwrap_or_default().trim().to_owned();
    kept.map(without).collect()
}
