//! Many standings on record: the gate judges before the kernel's sets are full, and whatever happens
//! while they are filled, nobody gets in who is banned, and nobody is lost.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use portcullis::lab::Visit;
use serde_json::Value;

use crate::stage::{
    CARLA, Gate, HASTE, MALLORY, Recorded, TRUDY, World, address, eventually, in_lab, nft_load,
    standings, text, write_ledger,
};

/// So many that it takes a second or two to put them into the sets.
const MANY: u32 = 100_000;
/// Other tests use the machine too.
const LIMIT: Duration = Duration::from_secs(60);

/// The ledger of an earlier run, on which Mallory's ban is the oldest, so that it is the last to get
/// into the sets.
fn recorded() -> Vec<Recorded> {
    let all = standings(address(MALLORY), MANY);
    write_ledger("/run/gate/state", &all).expect("a ledger");
    all
}

/// How many standings are not in the sets yet.
fn left(gate: &Gate<'_>) -> Option<u64> {
    match &gate.status()["firewall"]["filling"] {
        Value::Null => None,
        filling => Some(filling["left"].as_u64().expect("a number")),
    }
}

/// Nobody gets in who is banned, whether or not the sets are full; others do.
fn is_guarded(world: &World) {
    assert_eq!(world.visit_within(MALLORY, 80, HASTE), Visit::TimedOut);
    assert!(world.visit(CARLA, 80).is_served());
}

/// Waits until the sets are full, and looks for everybody.
fn holds_all(gate: &Gate<'_>, all: &[Recorded], more: &[&str]) {
    eventually(LIMIT, "full sets", || match left(gate) {
        None => Ok(()),
        Some(left) => Err(format!("{left} are missing")),
    });
    let mut wanted: HashMap<&str, Vec<IpAddr>> = HashMap::new();
    for standing in all {
        wanted.entry(standing.set()).or_default().push(standing.address);
    }
    for address in more {
        wanted.entry("banned4").or_default().push(address.parse().expect("an address"));
    }
    for (set, mut wanted) in wanted {
        let mut held: Vec<IpAddr> =
            gate.set(set).iter().map(|text| text.parse().expect("an address")).collect();
        held.sort_unstable();
        wanted.sort_unstable();
        assert!(held == wanted, "{set} holds {} of {}: {}", held.len(), wanted.len(), gate.said());
    }
}

in_lab! {
    fn a_new_ban_does_not_wait_for_the_old_ones() {
        let world = World::new();
        let all = recorded();
        let gate = Gate::start(&world.server, "");
        let added = gate.ask(&["bans", "add", TRUDY, "--for", "1h"]);
        assert!(added.status.success(), "{}", text(&added));
        assert!(left(&gate).is_some(), "still at it: {}", gate.status());
        is_guarded(&world);
        // Who is pardoned gets in at once, and is not put into the sets when it is its turn.
        let pardoned = gate.ask(&["bans", "remove", MALLORY]);
        assert!(pardoned.status.success(), "{}", text(&pardoned));
        assert!(world.visit(MALLORY, 80).is_served());
        assert_eq!(world.visit_within(TRUDY, 80, HASTE), Visit::TimedOut);
        holds_all(&gate, &all[1..], &[TRUDY]);
        assert!(world.visit(MALLORY, 80).is_served());
        assert_eq!(world.visit_within(TRUDY, 80, HASTE), Visit::TimedOut);
        assert_eq!(gate.lost(), 0);
        assert_eq!(gate.stop(), Some(0));
    }

    fn whatever_ends_it_in_the_middle_nobody_is_lost() {
        let world = World::new();
        let all = recorded();
        for crash in [false, true] {
            let gate = Gate::start(&world.server, "");
            assert!(left(&gate).is_some(), "still at it: {}", gate.status());
            is_guarded(&world);
            if crash { gate.crash() } else { assert_eq!(gate.stop(), Some(0)) }
        }
        let gate = Gate::restart(&world.server, "gate").expect("it starts");
        is_guarded(&world);
        holds_all(&gate, &all, &[]);
        is_guarded(&world);
        assert!(gate.kernel_count("banned") > 0, "the kernel itself stops Mallory now");
        // What an earlier run left and nobody knows of any more is not kept.
        assert_eq!(gate.stop(), Some(0));
        std::fs::remove_file("/run/gate/state/standings").expect("a ledger");
        let gate = Gate::restart(&world.server, "gate").expect("it starts");
        assert!(world.visit(MALLORY, 80).is_served());
        assert!(gate.set("banned4").is_empty() && gate.set("suspect6").is_empty());
    }

    fn whoever_flushes_it_in_the_middle_it_is_filled_again() {
        let world = World::new();
        let all = recorded();
        let gate = Gate::start(&world.server, "");
        assert!(left(&gate).is_some(), "still at it: {}", gate.status());
        nft_load(&world.server, "flush ruleset");
        eventually(LIMIT, "mended table", || {
            match gate.status()["firewall"]["repaired"].as_u64() {
                Some(0) | None => Err(gate.said()),
                Some(_) => Ok(()),
            }
        });
        is_guarded(&world);
        holds_all(&gate, &all, &[]);
        // Of a full set, too.
        nft_load(&world.server, "flush set inet portcullis banned4");
        eventually(LIMIT, "mended set", || match gate.status()["firewall"]["repaired"].as_u64() {
            Some(0 | 1) | None => Err(gate.said()),
            Some(_) => Ok(()),
        });
        holds_all(&gate, &all, &[]);
        is_guarded(&world);
    }
}
