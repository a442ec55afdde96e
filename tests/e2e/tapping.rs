//! Captures on request: the asker's own file, the gate's own pace.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use portcullis::lab::{Process, Visit};
use rustix::process::Signal;
use serde_json::Value;

use crate::stage::{
    ANNA, BEN, Gate, HASTE, MALLORY, PORTCULLIS, World, are_there, eventually, in_lab, text,
};

const FILE: &str = "/run/trace.pcapng";
const SOON: Duration = Duration::from_secs(20);

/// Starts a capture and waits until the gate knows of it.
fn capture(world: &World, gate: &Gate<'_>, args: &[&str]) -> Process {
    let mut command = world.server.command(PORTCULLIS);
    command.arg("capture").args(args).args(["--socket", "/run/gate/control.sock", "--json"]);
    command.stdin(Stdio::null());
    command.stdout(fs::File::create("/run/stdout").expect("a file"));
    command.stderr(fs::File::create("/run/stderr").expect("a file"));
    // The gate notices at the next pulse that an earlier one was interrupted.
    eventually(SOON, "no capture", || {
        if captures(gate).is_empty() { Ok(()) } else { Err(format!("{:?}", captures(gate))) }
    });
    let process = Process::start(&mut command).expect("it starts");
    eventually(SOON, "a capture", || {
        if captures(gate).is_empty() { Err(outcome().to_string()) } else { Ok(()) }
    });
    process
}

fn captures(gate: &Gate<'_>) -> Vec<Value> {
    gate.status()["captures"].as_array().expect("a list").clone()
}

/// What the capture said at its end.
fn outcome() -> Value {
    let said = fs::read_to_string("/run/stderr").unwrap_or_default();
    serde_json::from_str(&said).unwrap_or(Value::String(said))
}

fn ended(process: &mut Process) -> Option<i32> {
    let ended = process.wait(SOON).expect("a child can be waited for");
    ended.unwrap_or_else(|| panic!("it does not end: {}", outcome())).code()
}

/// SYNs that `replay` finds in a file.
fn replayed(world: &World, file: &str) -> u64 {
    let output = world.server.command(PORTCULLIS).args(["replay", file, "--json"]).output();
    let output = output.expect("it runs");
    assert!(output.status.success(), "{}", text(&output));
    let lines = String::from_utf8_lossy(&output.stdout);
    let rows = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    rows.filter_map(|row| row["syns"].as_u64()).sum()
}

in_lab! {
    fn what_is_captured_is_what_was_asked_for() {
        let world = World::new();
        let gate = Gate::start(&world.server, "");
        let wish = ["-w", FILE, "--all", "--from", "203.0.113.0/24", "--count", "2", "--for", "1m"];
        let mut process = capture(&world, &gate, &wish);
        assert_eq!(captures(&gate)[0]["what"], "all from 203.0.113.0/24");
        assert_eq!(world.visit_within(MALLORY, 81, HASTE), Visit::TimedOut);
        assert!(world.visit(ANNA, 80).is_served());
        assert_eq!(world.visit_within(BEN, 81, HASTE), Visit::TimedOut);
        assert_eq!(ended(&mut process), Some(0));
        let told = outcome();
        assert_eq!((&told["packets"], &told["ended"], &told["lost"]), (&2.into(), &"done".into(), &0.into()), "{told}");
        assert_eq!(told["files"], serde_json::json!([FILE]));
        eventually(SOON, "its end", || {
            if captures(&gate).is_empty() { Ok(()) } else { Err(format!("{:?}", captures(&gate))) }
        });
        assert_eq!(replayed(&world, FILE), 2);
        let mode = fs::metadata(FILE).expect("a file").permissions().mode();
        assert_eq!(mode & 0o007, 0, "{mode:o}: who talks to this host is nobody else's business");
        assert!(gate.events().iter().any(|event| event["what"] == "capture"), "it is told");

        // Nothing is overwritten, and a daemon is not asked for what cannot be.
        let again = gate.ask(&["capture", "-w", FILE]);
        assert_eq!(again.status.code(), Some(73), "{}", text(&again));
        assert!(text(&again).contains("exists; nothing is overwritten"), "{}", text(&again));

        if !are_there(&[("tshark", "tshark")], module_path!()) {
            return;
        }
        let mut tshark = world.server.command("tshark");
        tshark.args(["-n", "-r", FILE, "-T", "fields", "-e", "ip.src", "-e", "tcp.dstport", "-e", "frame.comment"]);
        let read = text(&tshark.output().expect("tshark runs"));
        for line in [format!("{ANNA}\t80\tACCEPT IN="), format!("{BEN}\t81\tDROP IN=")] {
            assert!(read.lines().any(|own| own.starts_with(&line)), "{line}\n{read}");
        }
        assert!(read.contains("reason=ports what=") && !read.contains(MALLORY), "{read}");
    }

    fn ctrl_c_ends_it_and_what_came_is_whole() {
        let world = World::new();
        let gate = Gate::start(&world.server, "");
        let mut process = capture(&world, &gate, &["-w", FILE]);
        assert_eq!(world.visit_within(BEN, 81, HASTE), Visit::TimedOut);
        eventually(SOON, "a packet", || {
            if captures(&gate)[0]["packets"] == 1 { Ok(()) } else { Err(format!("{:?}", captures(&gate))) }
        });
        // nsenter becomes the program itself.
        process.signal(Signal::INT).expect("it can be signalled");
        assert_eq!((ended(&mut process), &outcome()["ended"]), (Some(0), &"interrupted".into()));
        assert_eq!(replayed(&world, FILE), 1);

        // Without a file it is a line for each, and with `-` a stream for another program.
        let mut process = capture(&world, &gate, &["--count", "1", "--port", "81"]);
        assert_eq!(world.visit_within(BEN, 81, HASTE), Visit::TimedOut);
        assert_eq!(ended(&mut process), Some(0));
        let line = fs::read_to_string("/run/stdout").expect("a file");
        assert!(line.contains(" DROP IN=") && line.contains(BEN) && line.lines().count() == 1, "{line}");
        let mut process = capture(&world, &gate, &["-w", "-", "--count", "1"]);
        assert_eq!(world.visit_within(BEN, 82, HASTE), Visit::TimedOut);
        assert_eq!(ended(&mut process), Some(0));
        assert_eq!(replayed(&world, "/run/stdout"), 1);

        // A gate that ends, ends captures in order.
        fs::remove_file(FILE).expect("a file");
        let mut process = capture(&world, &gate, &["-w", FILE]);
        assert_eq!(gate.stop(), Some(0));
        assert_eq!(replayed(&world, FILE), 0);
        assert!(ended(&mut process).is_some());
    }

    fn whoever_reads_slowly_delays_nobody() {
        let world = World::new();
        let gate = Gate::start(&world.server, "[guard]\nceiling = \"unlimited\"\n[bans]\nafter = 1000\n[scan]\nsensitivity = \"off\"\n");
        let mut process = capture(&world, &gate, &["-w", FILE, "--rate", "0"]);
        process.signal(Signal::STOP).expect("it can be signalled");
        // More than the channel and the socket take.
        world.send(&world.rogues, world.forged(BEN, 1000..7000), 3000);
        let begun = Instant::now();
        assert!(world.visit(ANNA, 80).is_served());
        println!("served after {:?} while the reader sleeps", begun.elapsed());
        eventually(SOON, "losses that are told, or the end of it", || {
            let rows = captures(&gate);
            if rows.first().is_none_or(|row| row["missing"].as_u64() > Some(0)) { Ok(()) } else { Err(format!("{rows:?}")) }
        });
        eventually(SOON, "the end of whoever does not read", || {
            let rows = captures(&gate);
            if rows.is_empty() { Ok(()) } else { Err(format!("{rows:?}")) }
        });
        process.signal(Signal::CONT).expect("it can be signalled");
        assert_eq!((ended(&mut process), &outcome()["ended"]), (Some(69), &"lost".into()));
        assert!(replayed(&world, FILE) > 0, "what came is whole");
        assert_eq!(gate.lost(), 0);
    }
}
