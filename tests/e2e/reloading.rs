//! A reload costs as much as has changed, and misses nothing that others have done.

use std::fs;

use portcullis::lab::Visit;

use crate::stage::{ANNA, BEN, Gate, HASTE, MALLORY, World, in_lab, nft, nft_load, text};

/// How much memory the programs that this process ran have asked for, in pages (`cminflt`,
/// proc_pid_stat(5)): no program runs without any.
fn programs(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    let (_, behind) = stat.rsplit_once(')').expect("a name in brackets");
    let field = behind.split_whitespace().nth(8).expect("so many fields");
    field.parse().expect("a number")
}

fn reload(gate: &Gate<'_>) {
    let said = gate.ask(&["reload"]);
    assert!(said.status.success(), "{}", text(&said));
}

in_lab! {
    fn what_stands_already_is_not_loaded_again() {
        let world = World::new();
        let mut gate = Gate::start(&world.server, "");
        let pid = gate.pid();
        reload(&gate);
        let settled = programs(pid);
        (0..3).for_each(|_| reload(&gate));
        // The kernel does not know of this list.
        gate.write_policy("[denylist]\nfrom = [\"203.0.113.11\"]\n");
        reload(&gate);
        assert_eq!(programs(pid), settled, "it ran programs that it needs not");
        assert_eq!(world.visit_within(BEN, 80, HASTE), Visit::TimedOut);

        // What it changes itself, it knows.
        let added = gate.ask(&["bans", "add", MALLORY, "--for", "1h"]);
        assert!(added.status.success(), "{}", text(&added));
        // The kernel's counters are read for a list, and then not again for a minute.
        assert!(gate.ask(&["bans", "list"]).status.success());
        let banned = programs(pid);
        assert!(banned > settled, "nft has to be told of a ban");
        reload(&gate);
        assert_eq!(programs(pid), banned, "it ran programs that it needs not");
        assert_eq!(gate.set("banned4"), [MALLORY]);
        assert!(world.visit(ANNA, 80).is_served());
    }

    fn what_has_changed_is_loaded_and_standings_stay() {
        let world = World::new();
        let mut gate = Gate::start(&world.server, "");
        let pid = gate.pid();
        assert!(gate.ask(&["bans", "add", MALLORY, "--for", "1h"]).status.success());
        // Another port; then sets of another size, which are new ones; then all as it was.
        for policy in ["[ports]\nopen = \"80, 4711\"\n", "[guard]\nset_size = 4096\n", ""] {
            let before = programs(pid);
            gate.write_policy(policy);
            reload(&gate);
            assert!(programs(pid) > before, "{policy:?} changes the kernel's table");
            let served = text(&nft(&world.server, &["list", "set", "inet", "portcullis", "served"]));
            assert_eq!(served.contains("4711"), policy.contains("4711"), "{served}");
            gate.await_set("banned4", MALLORY);
            assert_eq!(world.visit_within(MALLORY, 80, HASTE), Visit::TimedOut);
            assert!(world.visit(ANNA, 80).is_served());
            assert_eq!(world.visit_within(ANNA, 81, HASTE), Visit::TimedOut, "judged");
        }
    }

    /// Somebody else's change is a reason to look, whatever it was.
    fn after_changes_of_others_it_is_looked_again() {
        let world = World::new();
        let mut gate = Gate::start(&world.server, "");
        let pid = gate.pid();
        reload(&gate);
        for rules in [
            "add table inet other",
            "add rule inet portcullis early counter",
            "flush chain inet portcullis early",
            "delete table inet other",
        ] {
            let before = programs(pid);
            nft_load(&world.server, rules);
            reload(&gate);
            assert!(programs(pid) > before, "after {rules:?}");
            let early = text(&nft(&world.server, &["list", "chain", "inet", "portcullis", "early"]));
            assert!(!early.contains("counter packets 0 bytes 0\n"), "{early}");
            assert!(early.contains("goto opening"), "{early}");
        }
    }
}
