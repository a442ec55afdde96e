//! Refused packets in files: whole, with the decision, and readable by others.

use std::fs;
use std::path::Path;
use std::time::Duration;

use portcullis::lab::Visit;

use crate::stage::{
    ANNA, BEN, CARLA, Gate, HASTE, PORTCULLIS, World, are_there, eventually, in_lab, text,
};

const DIR: &str = "/run/gate";
const FILE: &str = "/run/gate/portcullis.pcapng";
const POLICY: &str = "[capture]\ndir = \"/run/gate\"\n";
const SOON: Duration = Duration::from_secs(10);

/// Waits until `replay` reads so many SYNs from the file.
fn await_packets(world: &World, packets: u64) {
    eventually(SOON, &format!("{packets} packets"), || {
        let mut replay = world.server.command(PORTCULLIS);
        let output = replay.args(["replay", FILE, "--json"]).output().expect("it runs");
        let lines = String::from_utf8_lossy(&output.stdout);
        let syns = lines.lines().filter_map(|line| {
            serde_json::from_str::<serde_json::Value>(line).ok()?["syns"].as_u64()
        });
        if syns.sum::<u64>() == packets { Ok(()) } else { Err(text(&output)) }
    });
}

in_lab! {
    fn what_is_refused_is_in_the_file_with_the_reason() {
        let world = World::new();
        let gate = Gate::start(&world.server, POLICY);
        assert!(world.visit(ANNA, 80).is_served());
        assert!(!Path::new(FILE).exists(), "nothing is refused yet");
        for (from, port) in [(BEN, 81), (CARLA, 23)] {
            assert_eq!(world.visit_within(from, port, HASTE), Visit::TimedOut);
        }
        let refused: u64 = gate.status()["counters"]["dropped"]
            .as_object().expect("checks").values().filter_map(|count| count.as_u64()).sum();
        assert!(refused >= 2);
        await_packets(&world, refused);
        assert_eq!(gate.events().iter().filter(|event| event["event"] == "drop").count() as u64, refused);

        if !are_there(&[("tshark", "tshark")], module_path!()) {
            return;
        }
        let mut tshark = world.server.command("tshark");
        tshark.args(["-n", "-r", FILE, "-T", "fields", "-e", "tcp.dstport", "-e", "frame.comment"]);
        let read = text(&tshark.output().expect("tshark runs"));
        for event in gate.events().iter().filter(|event| event["event"] == "drop") {
            let (port, id) = (event["dpt"].to_string(), event["id"].as_str().expect("an id"));
            let line = read.lines().find(|line| line.contains(&format!("id={id}")));
            let line = line.unwrap_or_else(|| panic!("{id} is not in:\n{read}"));
            assert!(line.starts_with(&format!("{port}\tDROP IN=")), "{line}");
            let reason = event["reason"].as_str().expect("a reason");
            assert!(line.contains(&format!("reason={reason}")), "{line}");
        }
    }

    fn a_reload_begins_and_ends_it() {
        let world = World::new();
        let gate = Gate::start(&world.server, "");
        let reload = |policy: &str| {
            gate.write_policy(policy);
            let said = gate.ask(&["reload"]);
            assert!(said.status.success() && !text(&said).contains("[capture]"), "{}", text(&said));
        };
        assert_eq!(world.visit_within(BEN, 81, HASTE), Visit::TimedOut);
        assert!(!Path::new(FILE).exists());
        reload(POLICY);
        assert_eq!(world.visit_within(BEN, 82, HASTE), Visit::TimedOut);
        await_packets(&world, 1);
        reload("mode = \"enforce\"\n");
        let size = fs::metadata(FILE).expect("a file").len();
        assert_eq!(world.visit_within(BEN, 83, HASTE), Visit::TimedOut);
        gate.await_event("drop", BEN);
        assert_eq!(fs::metadata(FILE).expect("a file").len(), size);
    }

    fn a_file_is_bounded_and_so_is_the_rate() {
        let world = World::new();
        let policy = "[capture]\ndir = \"/run/gate\"\nmax_size = \"10kB\"\nfiles = 2\nrate = \"100/d\"\n\
                      [metrics]\ntextfile = \"/run/gate/portcullis.prom\"\nevery = \"1s\"\n";
        let _gate = Gate::start(&world.server, policy);
        let syns = world.forged(BEN, 1000..1300);
        world.send(&world.rogues, syns, 1000);
        let told = eventually(SOON, "what became of 300 packets", || {
            let metrics = fs::read_to_string("/run/gate/portcullis.prom").unwrap_or_default();
            let value = |result: &str| {
                let series = format!("portcullis_capture_packets_total{{result=\"{result}\"}} ");
                let line = metrics.lines().find_map(|line| line.strip_prefix(&series));
                line.and_then(|number| number.parse::<u64>().ok()).unwrap_or_default()
            };
            let told = [value("written"), value("passed_over"), value("lost")];
            // Those that the kernel stops itself, when the source is a suspect, never come.
            let dropped: u64 = metrics.lines()
                .filter(|line| line.starts_with("portcullis_syns_dropped_total"))
                .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum();
            if dropped > 4 && told.iter().sum::<u64>() == dropped { Ok(told) } else { Err(metrics) }
        });
        assert!(told[0] <= 100, "{told:?}");
        let captures: Vec<_> = fs::read_dir(DIR).unwrap()
            .filter_map(|entry| entry.ok())
            .filter(|entry| entry.path().extension().is_some_and(|end| end == "pcapng"))
            .map(|entry| entry.metadata().expect("a file").len())
            .collect();
        assert!((1..=2).contains(&captures.len()) && captures.iter().all(|size| *size <= 10_000), "{captures:?}");
    }

    fn a_folder_that_is_not_there_is_an_alarm_and_no_more() {
        let world = World::new();
        let gate = Gate::start(&world.server, "[capture]\ndir = \"/run/nowhere\"\n");
        assert_eq!(world.visit_within(BEN, 81, HASTE), Visit::TimedOut);
        assert!(world.visit(ANNA, 80).is_served());
        eventually(SOON, "an alarm", || {
            let alarms = gate.status()["alarms"].to_string();
            if alarms.contains("refused packets are not captured: /run/nowhere") { Ok(()) } else { Err(alarms) }
        });
    }
}
