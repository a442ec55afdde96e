//! A daemon that gets no processor for a while loses nothing.

use std::net::SocketAddr;
use std::time::Duration;

use portcullis::lab::{Forge, Probe};
use rustix::process::Signal;

use crate::stage::{ANNA, Gate, TRUDY, World, address, eventually, in_lab};

/// What a gate with all rights must be able to hold. An ordinary user's socket buffer may be
/// bounded below that (net.core.rmem_max): then the gate has to say so, and hold what it says.
const SYNS: u64 = 4000;

in_lab! {
    fn four_thousand_syns_wait_for_a_daemon_that_sleeps() {
        let mut world = World::new();
        world.lab.own(&world.rogues, "10.9.0.0/16".parse().unwrap()).unwrap();
        let mut gate = Gate::start(&world.server, "[rate]\nsource = \"unlimited\"\nnetwork = \"unlimited\"\n");
        let counts = |gate: &Gate<'_>| (gate.judged(), gate.kernel_count("queued"));
        let before = counts(&gate);
        let holds = gate.status()["queues"][0]["buffer_holds"].as_u64().unwrap();
        let warned = gate.said().contains("rmem_max");
        assert!(holds >= SYNS || warned, "room for {holds} only, and no word of it");
        assert!(holds >= SYNS || !is_the_machines_root(), "root has room for {holds} only");
        let syns = SYNS.min(holds) as u16;
        let to = SocketAddr::new(world.server.v4().unwrap(), 80);
        let packets: Vec<Probe> = (0..syns)
            .map(|n| {
                let from = address(&format!("10.9.{}.{}", n / 250, n % 250 + 1));
                Probe::syn(SocketAddr::new(from, 40_000), to)
            })
            .collect();
        gate.signal(Signal::STOP);
        let begun = std::time::Instant::now();
        let sent = world.rogues.run(|| Forge::open()?.flood(packets, 40_000)).unwrap().unwrap();
        std::thread::sleep(Duration::from_millis(200).saturating_sub(begun.elapsed()));
        gate.signal(Signal::CONT);
        assert_eq!(sent, u64::from(syns));
        let judged = eventually(Duration::from_secs(5), "verdict on each SYN", || {
            let judged = gate.judged() - before.0;
            if judged >= u64::from(syns) { Ok(judged) } else { Err(format!("{judged}: {}", gate.status())) }
        });
        assert_eq!(judged, u64::from(syns), "each SYN once");
        // What the kernel handed over and what was judged are the same: none was let by.
        let after = counts(&gate);
        assert_eq!((after.0 - before.0, after.1 - before.1), (judged, judged), "{}", gate.status());
        assert_eq!(gate.lost(), 0, "{}", gate.status());
        println!("{judged} SYNs waited and were judged; there is room for {holds}");
    }

    fn what_finds_no_room_is_counted() {
        const SENT: u16 = 400;
        let world = World::new();
        for when_full in ["accept", "drop"] {
            let mut gate = Gate::start(
                &world.server,
                &format!("[queue]\nlength = 64\nwhen_full = \"{when_full}\"\n[guard]\nceiling = \"unlimited\"\n"),
            );
            let before = (gate.judged(), gate.kernel_count("queued"), gate.lost());
            let syns = world.forged(TRUDY, std::iter::repeat_n(80, usize::from(SENT)));
            gate.signal(Signal::STOP);
            world.send(&world.rogues, syns, 20_000);
            gate.signal(Signal::CONT);
            // A gap is seen when the next one comes.
            eventually(Duration::from_secs(5), "empty queue", || {
                if gate.judged() - before.0 >= 64 { Ok(()) } else { Err(gate.status().to_string()) }
            });
            assert!(world.visit(ANNA, 80).is_served());
            let (judged, lost) = eventually(Duration::from_secs(5), "count of all", || {
                let (judged, queued) = (gate.judged() - before.0, gate.kernel_count("queued") - before.1);
                let lost = gate.status()["counters"]["lost"].as_u64().unwrap() - before.2;
                if judged + lost == queued { Ok((judged, lost)) } else { Err(gate.status().to_string()) }
            });
            assert!((65..200).contains(&judged), "{when_full}: {judged} were judged, {lost} were lost");
            assert_eq!(judged + lost, u64::from(SENT) + 1);
            assert_eq!(gate.stop(), Some(0));
        }
    }
}

/// Root in the machine's own user namespace, where every identity is itself (user_namespaces(7)).
fn is_the_machines_root() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    map.split_whitespace().eq(["0", "0", "4294967295"])
}
