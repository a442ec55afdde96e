//! Floods in a client's name: what they cost the client.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use portcullis::lab::{Forge, Manner, Probe, Visit};

use crate::stage::{ANNA, BEN, CARLA, DORA, Gate, World, address, in_lab};

/// What the forger sends in a second, and for how long: the visit begins in between.
const PER_SECOND: u32 = 1000;
const LEAD: Duration = Duration::from_millis(1500);
const FLOOD: u32 = 4500;

/// An honest system repeats its SYN after one second, and then not before the third.
const ONE_KNOCK_MORE: Duration = Duration::from_millis(1500);
const AT_ONCE: Duration = Duration::from_millis(300);

in_lab! {
    fn a_stranger_gets_in_through_a_flood_in_her_name_with_the_second_knock() {
        let world = World::new();
        let gate = Gate::start(&world.server, "");
        for (victim, flooded, port, manner) in [
            (BEN, vec![80], 80, Manner::Linux),
            (DORA, (8001..9000).collect(), 80, Manner::Linux),
            (CARLA, vec![22], 22, Manner::Linux),
            (ANNA, vec![80], 80, Manner::Scanner),
        ] {
            let seen = flooded_visits(&world, victim, &flooded, manner, port, 1);
            println!("{victim} to {port}, flooded at {} ports: {seen:?}", flooded.len());
            let connected = seen[0].connected();
            assert!(connected.is_some_and(|time| time < ONE_KNOCK_MORE), "{victim}: {seen:?}");
            // From now on she is known, flood or not.
            let seen = flooded_visits(&world, victim, &flooded, manner, port, 3);
            println!("{victim} again: {seen:?}");
            at_once(&seen, victim);
        }
        assert!(gate.set("banned4").is_empty() && gate.set("banned6").is_empty());
        assert_eq!(gate.lost(), 0, "{}", gate.status());
    }

    fn whoever_is_known_gets_in_through_a_flood_in_her_name_at_once() {
        let world = World::new();
        let gate = Gate::start(&world.server, "");
        for (victim, flooded, port) in
            [(ANNA, vec![80], 80), (CARLA, (8001..9000).collect(), 80), (BEN, vec![22], 22)]
        {
            assert!(world.visit(victim, port).is_served());
            let seen = flooded_visits(&world, victim, &flooded, Manner::Linux, port, 3);
            println!("{victim} to {port}, flooded at {} ports: {seen:?}", flooded.len());
            at_once(&seen, victim);
            let banned = gate.standing(&portcullis::memory::SourceKey::of(address(victim)).to_string());
            assert_ne!(banned.as_deref(), Some("banned"), "{victim}");
        }
        assert!(gate.set("banned4").is_empty() && gate.set("banned6").is_empty());
    }
}

fn at_once(seen: &[Visit], who: &str) {
    let quick = |visit: &Visit| visit.connected().is_some_and(|time| time < AT_ONCE);
    assert!(seen.iter().all(quick), "{who}: {seen:?}");
}

/// Visits while somebody else sends SYNs in the visitor's name, from another distance, to these
/// ports, every one another attempt.
fn flooded_visits(
    world: &World,
    victim: &str,
    flooded: &[u16],
    manner: Manner,
    port: u16,
    visits: u32,
) -> Vec<Visit> {
    let from = address(victim);
    let to = world.server_for(from);
    let syn = |n: u32| {
        let from = SocketAddr::new(from, 10_000 + (n % 20_000) as u16);
        let to = SocketAddr::new(to, flooded[n as usize % flooded.len()]);
        let syn = Probe { seq: n.wrapping_mul(2_654_435_761), ..Probe::syn(from, to) };
        // A scanner's is that of nmap -sS, hops and all: known and refused by its header.
        syn.ttl(if manner == Manner::Scanner { 51 } else { 201 }).manner(manner)
    };
    let syns: Vec<Probe> = (0..FLOOD).map(syn).collect();
    let flooding = world.rogues.spawn(move || Forge::open()?.flood(syns, PER_SECOND)).unwrap();
    let begun = Instant::now();
    std::thread::sleep(LEAD);
    let visit = |n: u32| {
        if n > 0 {
            std::thread::sleep(Duration::from_millis(200));
        }
        world.visit(victim, port)
    };
    let seen = (0..visits).map(visit).collect();
    assert!(!flooding.is_finished(), "the flood ended too early, after {:?}", begun.elapsed());
    assert_eq!(flooding.join().unwrap().unwrap().unwrap(), u64::from(FLOOD));
    seen
}
