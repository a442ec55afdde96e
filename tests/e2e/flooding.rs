//! A flood of forged SYNs is recognised, told once, and teaches the gate nothing.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use portcullis::lab::{Forge, Probe};

use crate::stage::{ANNA, BEN, Gate, HASTE, PATIENCE, TRUDY, World, eventually, in_lab};

/// Long enough for a flood to be over: three seconds without any of it.
const CALM: Duration = Duration::from_secs(8);

/// SYNs to a port of the server, each from another address.
fn crowd(world: &World, count: u32, port: u16) -> Vec<Probe> {
    let to = SocketAddr::new(world.server.v4().unwrap(), port);
    let from = |n: u32| IpAddr::from(Ipv4Addr::from_bits(0x0a09_0000 + n));
    (0..count).map(|n| Probe::syn(SocketAddr::new(from(n), 40_000), to)).collect()
}

fn told<'a>(events: &'a [serde_json::Value], event: &str) -> Vec<&'a str> {
    let of = |e: &&serde_json::Value| e["event"] == event && e["what"] == "flood";
    events.iter().filter(of).map(|e| e["text"].as_str().unwrap()).collect()
}

in_lab! {
    fn a_flood_of_forged_addresses_is_told_once_and_bans_nobody() {
        let world = World::new();
        let gate = Gate::start(&world.server, "");
        assert!(world.visit(BEN, 80).is_served());
        assert_eq!(gate.status()["floods"], serde_json::json!([]));

        let flood = crowd(&world, 4000, 80);
        let begun = jiff::Timestamp::now();
        let flooding = world.rogues.spawn(move || Forge::open()?.flood(flood, 1000)).unwrap();
        let facts = eventually(PATIENCE, "flood mode", || {
            let status = gate.status();
            status["floods"].get(0).cloned().ok_or_else(|| status.to_string())
        });
        assert_eq!((&facts["kind"], &facts["frozen"]), (&"forged".into(), &true.into()), "{facts}");
        assert_eq!(facts["ports"], serde_json::json!([80]), "{facts}");
        let screen = gate.ask(&["status"]);
        let screen = String::from_utf8_lossy(&screen.stdout).into_owned();
        assert!(screen.contains("FORGED SYNS at port 80"), "{screen}");

        // Whoever is real comes in, and whatever arrives in somebody's name is not held against him.
        for from in [ANNA, BEN] {
            assert!(world.visit(from, 80).is_served(), "{from}");
        }
        world.send(&world.rogues, world.forged(TRUDY, 8000..8020), 500);
        assert_eq!(world.visit_within(ANNA, 81, HASTE), portcullis::lab::Visit::TimedOut);
        let explained = gate.explain(ANNA, 80);
        let row = explained["checks"].as_array().unwrap().iter().find(|row| row["check"] == "flood");
        assert_eq!(row.unwrap()["finding"], "suspect", "{explained}");
        assert_eq!(explained["accepted"], true);
        assert!(!flooding.is_finished(), "all this was meant to happen during the flood");
        flooding.join().unwrap().unwrap().unwrap();
        assert_eq!(gate.standing(TRUDY), None);

        eventually(CALM, "end of the flood", || {
            let events = gate.events();
            if told(&events, "note").is_empty() { Err(format!("{events:#?}")) } else { Ok(()) }
        });
        let events = gate.events();
        let alarms = told(&events, "alarm");
        assert!(matches!(alarms[..], [alarm] if alarm.contains("forged SYNs at port 80")), "{alarms:?}");
        let alarm = events.iter().find(|e| e["what"] == "flood").unwrap()["time"].as_str().unwrap();
        let late = alarm.parse::<jiff::Timestamp>().unwrap().duration_since(begun);
        println!("told {late:#} after the first SYN");
        assert!(late.as_secs_f64() < 1.0, "told only {late:#} after the first SYN");
        let ends = told(&events, "note");
        assert!(matches!(ends[..], [end] if end.contains("is over after")), "{ends:?}");
        let status = gate.status();
        assert_eq!(status["floods"], serde_json::json!([]));
        let alarms = status["alarms"].as_array().unwrap();
        let of_flood: Vec<_> = alarms.iter().filter(|alarm| alarm["what"] == "flood").collect();
        assert!(matches!(of_flood[..], [over] if over["level"] == "notice"), "it is over: {status}");
        // What comes now is held against its sender again.
        world.send(&world.rogues, world.forged(TRUDY, 9000..9020), 500);
        eventually(PATIENCE, "standing", || gate.standing(TRUDY).ok_or_else(|| "none".to_owned()));
    }

    /// They never say a word, so the kernel proves none of them; that they complete their
    /// connections is all that tells them from a flood.
    fn who_completes_connections_floods_nobody() {
        let world = World::new();
        let gate = Gate::start(
            &world.server,
            "[rate]\nsource = \"unlimited\"\n[rate.class.web]\nrate = \"unlimited\"\n\
             [guard]\nceiling = \"unlimited\"\n",
        );
        let to = SocketAddr::new(world.server.v4().unwrap(), 80);
        let visits = world.people.run(|| {
            let begun = Instant::now();
            (0_u32..).take_while(|_| begun.elapsed() < Duration::from_secs(3) && TcpStream::connect(to).is_ok()).count()
        });
        let visits = visits.unwrap();
        assert!(visits > 900, "only {visits} visits in three seconds: a flood would be more");
        assert_eq!(gate.explain(ANNA, 80)["memory"]["proven"], false);
        assert_eq!(told(&gate.events(), "alarm"), [""; 0], "{}", gate.said());
        assert_eq!(gate.status()["floods"], serde_json::json!([]));
    }
}
