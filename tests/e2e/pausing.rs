//! A daemon that gets no processor for a while loses nothing.

use std::net::SocketAddr;
use std::time::Duration;

use portcullis::lab::{Forge, Probe};
use rustix::process::Signal;

use crate::stage::{Gate, World, address, eventually, in_lab};

const SYNS: u16 = 4000;

in_lab! {
    fn four_thousand_syns_wait_for_a_daemon_that_sleeps() {
        let mut world = World::new();
        world.lab.own(&world.rogues, "10.9.0.0/16".parse().unwrap()).unwrap();
        let mut gate = Gate::start(&world.server, "[rate]\nsource = \"unlimited\"\nnetwork = \"unlimited\"\n");
        let before = gate.judged();
        let to = SocketAddr::new(world.server.v4().unwrap(), 80);
        let syns: Vec<Probe> = (0..SYNS)
            .map(|n| {
                let from = address(&format!("10.9.{}.{}", n / 250, n % 250 + 1));
                Probe::syn(SocketAddr::new(from, 40_000), to)
            })
            .collect();
        gate.signal(Signal::STOP);
        let begun = std::time::Instant::now();
        let sent = world.rogues.run(|| Forge::open()?.flood(syns, 40_000)).unwrap().unwrap();
        std::thread::sleep(Duration::from_millis(200).saturating_sub(begun.elapsed()));
        gate.signal(Signal::CONT);
        assert_eq!(sent, u64::from(SYNS));
        let judged = eventually(Duration::from_secs(5), "verdict on each SYN", || {
            let judged = gate.judged() - before;
            if judged >= u64::from(SYNS) { Ok(judged) } else { Err(format!("{judged}: {}", gate.status())) }
        });
        assert_eq!(judged, u64::from(SYNS), "each SYN once");
        assert_eq!(gate.lost(), 0, "{}", gate.status());
    }
}
