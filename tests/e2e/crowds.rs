//! Many at once: floods that must not crowd out visitors, and thousands of standings.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use portcullis::lab::{Forge, Probe, visit};

use crate::stage::{
    ANNA, BEN, Gate, MALLORY, MALLORY6, PATIENCE, TRUDY, World, address, eventually, in_lab, nft,
};

in_lab! {
    fn one_sources_flood_does_not_keep_others_waiting() {
        let world = World::new();
        let gate = Gate::start(&world.server, "");
        let before = gate.judged();
        let flood = world.forged(TRUDY, std::iter::repeat_n(80, 35_000)).into_iter();
        // Every SYN another attempt: the source ports repeat, the sequence numbers do not.
        let flood: Vec<Probe> = flood.enumerate().map(|(n, syn)| Probe { seq: n as u32, ..syn }).collect();
        let begun = Instant::now();
        let flooding = world.rogues.spawn(move || Forge::open()?.flood(flood, 20_000)).unwrap();
        let mut slowest = Duration::ZERO;
        while !flooding.is_finished() {
            let seen = world.visit(ANNA, 80);
            slowest = slowest.max(seen.connected().unwrap_or_else(|| panic!("{seen:?}")));
            // She stays below the ceiling herself.
            std::thread::sleep(Duration::from_millis(20));
        }
        flooding.join().unwrap().unwrap().unwrap();
        assert!(slowest < Duration::from_millis(500), "a visitor waited {slowest:?}");
        let judged = gate.judged() - before;
        // The burst and 2000 a second, if it was fast enough to say anything: sent at less than the
        // ceiling, all of it is judged.
        let lasted = begun.elapsed();
        println!("slowest visit {slowest:?}, {judged} judged in {lasted:?}");
        let allowed = 4000.0 + 2000.0 * lasted.as_secs_f64();
        assert!(
            (judged as f64) < 1.1 * allowed + 500.0,
            "the kernel should have kept the flood away: {judged} were judged in {lasted:?}"
        );
        let over = eventually(PATIENCE, "a trace of every packet", || {
            let (judged, over) = (gate.judged() - before, gate.kernel_count("over_ceiling"));
            let all = judged + over >= 35_000;
            if all { Ok(over) } else { Err(format!("{judged} judged and {over} stopped")) }
        });
        let slow = lasted > Duration::from_secs(10);
        assert!(over > 0 || slow, "nothing was over the ceiling in {lasted:?}");
    }

    fn trusted_sources_have_no_ceiling_but_are_counted() {
        let world = World::new();
        let gate = Gate::start(
            &world.server,
            "[guard]\nceiling = \"5/s\"\nceiling_burst = 5\n\
             [allowlist]\nfrom = [\"192.0.2.64/28\", \"192.0.2.66\", \"2001:db8:bad::/48\"]\n",
        );
        for (from, all) in [(MALLORY, true), (MALLORY6, true), (TRUDY, true), (BEN, false)] {
            let before = gate.judged();
            let many = world.forged(from, std::iter::repeat_n(80, 200));
            world.send(&world.rogues, many, 2000);
            let judged = || gate.judged() - before;
            if all {
                eventually(PATIENCE, "judgement of all", || {
                    if judged() == 200 { Ok(()) } else { Err(format!("{from}: {}", judged())) }
                });
            } else {
                std::thread::sleep(Duration::from_millis(200));
                assert!((5..20).contains(&judged()), "{from}: {}", judged());
            }
        }
        // Beyond the judging capacity they pass unjudged, whatever becomes of others.
        assert_eq!(gate.stop(), Some(0));
        let gate = Gate::start(
            &world.server,
            "[allowlist]\nfrom = [\"192.0.2.66\"]\n\
             [queue]\nmax_rate = \"1/h\"\nwhen_over = \"drop\"\n",
        );
        let before = gate.judged();
        for _ in 0..5 {
            assert!(world.visit(MALLORY, 80).is_served());
        }
        let judged = gate.judged() - before;
        assert!(judged < 5, "{judged}");
        // What an allow list takes back at a reload is gone from the kernel too.
        assert_eq!(gate.set("trusted4").len(), 1);
        gate.write_policy("mode = \"enforce\"\n");
        assert!(gate.ask(&["reload"]).status.success());
        assert!(nft(&world.server, &["list", "set", "inet", "portcullis", "trusted4"]).status.code() != Some(0));
    }

    fn ten_thousand_standings_in_a_second_are_all_in_the_kernel() {
        const SOURCES: u32 = 10_000;
        let world = World::new();
        let gate = Gate::start(
            &world.server,
            // So many sources at once are a flood; this is about what it would freeze.
            "[flood]\nsurplus = \"unlimited\"\n[scan]\nsensitivity = \"off\"\n[bans]\nafter = 1\nevidence = \"any\"\nbudget = 1_000_000\nbudget_network = 1_000_000\n\
             [rate]\nsource = \"unlimited\"\nnetwork = \"unlimited\"\n",
        );
        let to = SocketAddr::new(world.server.v4().unwrap(), 81);
        let from = |n: u32| std::net::IpAddr::from(std::net::Ipv4Addr::from_bits(0x0a09_0000 + n));
        let syns: Vec<Probe> =
            (0..SOURCES).map(|n| Probe::syn(SocketAddr::new(from(n), 40_000), to)).collect();
        let done = AtomicBool::new(false);
        let slowest = std::thread::scope(|scope| {
            let visitor = scope.spawn(|| {
                let (from, to) = (address(ANNA), SocketAddr::new(to.ip(), 80));
                let mut slowest = Duration::ZERO;
                while !done.load(Ordering::Relaxed) {
                    let seen = world.people.run(|| visit(from, to, PATIENCE)).unwrap();
                    slowest = slowest.max(seen.connected().unwrap_or(Duration::MAX));
                    std::thread::sleep(Duration::from_millis(10));
                }
                slowest
            });
            let begun = Instant::now();
            world.send(&world.rogues, syns, 10_000);
            eventually(Duration::from_secs(10), "set of ten thousand", || {
                let count = gate.set("banned4").len();
                if count == SOURCES as usize { Ok(()) } else { Err(format!("{count} {}", gate.status())) }
            });
            println!("all in the kernel {:?} after the first SYN", begun.elapsed());
            done.store(true, Ordering::Relaxed);
            visitor.join().unwrap()
        });
        println!("slowest visit {slowest:?}; {}", gate.status()["kernel_sets"]);
        assert!(slowest < Duration::from_millis(800), "a visitor waited {slowest:?}");
        assert_eq!(gate.lost(), 0, "{}", gate.status());
    }
}
