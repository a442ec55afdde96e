//! The gate's numbers, as Prometheus and node_exporter get them from the real daemon.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use portcullis::lab::{Probe, Process, Visit};

use crate::stage::{
    ANNA, BEN, CARLA, Gate, HASTE, MALLORY, World, are_there, eventually, in_lab, text,
};

const ADDRESS: &str = "127.0.0.1:9917";
const TEXTFILE: &str = "/run/gate/portcullis.prom";
const POLICY: &str = "[metrics]\nlisten = \"127.0.0.1:9917\"\n\
                      textfile = \"/run/gate/portcullis.prom\"\nevery = \"1s\"\n";
const GET: &[u8] = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
/// Numbers are at most a second old, and the file another.
const SOON: Duration = Duration::from_secs(10);
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

fn connect(world: &World) -> io::Result<TcpStream> {
    let stream = world.server.run(|| TcpStream::connect(ADDRESS)).expect("a host")?;
    stream.set_read_timeout(Some(SOON))?;
    Ok(stream)
}

/// Says something over HTTP; the head of the answer and its body.
fn ask(world: &World, request: &[u8]) -> (String, String) {
    let mut stream = connect(world).expect("it listens");
    stream.write_all(request).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?}"));
    (head.to_owned(), body.to_owned())
}

fn scrape(world: &World) -> String {
    let (head, body) = ask(world, GET);
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.contains(&format!("\r\nContent-Type: {OPEN_METRICS}\r\n")), "{head}");
    assert!(body.ends_with("\n# EOF\n"), "{body}");
    body
}

/// The value of a series, by its name and labels.
fn value(exposition: &str, series: &str) -> Option<f64> {
    let line = exposition
        .lines()
        .find(|line| line.strip_prefix(series).is_some_and(|rest| rest.starts_with(' ')))?;
    line.rsplit(' ').next()?.parse().ok()
}

/// Waits until a series has this value.
fn await_value(look: impl Fn() -> String, series: &str, expected: f64) {
    eventually(SOON, &format!("{series} {expected}"), || {
        let exposition = look();
        match value(&exposition, series) {
            Some(seen) if seen == expected => Ok(()),
            seen => Err(format!("{seen:?} in {exposition}")),
        }
    });
}

fn series(exposition: &str) -> BTreeSet<String> {
    let lines = exposition.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.rsplit_once(' ')).map(|(series, _)| series.to_owned()).collect()
}

in_lab! {
    fn numbers_are_those_of_status() {
        let world = World::new();
        let gate = Gate::start(&world.server, POLICY);
        assert!(world.visit(ANNA, 80).is_served());
        for from in [BEN, CARLA] {
            assert_eq!(world.visit_within(from, 81, HASTE), Visit::TimedOut);
        }
        let banned = gate.ask(&["bans", "add", MALLORY, "--for", "1h", "--reason", "my \"words\"\n"]);
        assert!(banned.status.success(), "{}", text(&banned));
        gate.write_policy("[ports]\nopen = 99999\n");
        assert!(!gate.ask(&["reload"]).status.success());
        gate.write_policy(POLICY);
        assert!(gate.ask(&["reload"]).status.success());

        let counters = gate.status()["counters"].clone();
        let number = |name: &str| counters[name].as_u64().expect("a number") as f64;
        let of_checks = |name: &str| counters[name].as_object().expect("checks").clone();
        let looks: [&dyn Fn() -> String; 2] =
            [&|| scrape(&world), &|| fs::read_to_string(TEXTFILE).unwrap_or_default()];
        for look in looks {
            await_value(look, "portcullis_syns_received_total", number("received"));
            await_value(look, "portcullis_syns_accepted_total", number("accepted"));
            await_value(look, "portcullis_policy_reloads_total{result=\"failed\"}", 1.0);
            await_value(look, "portcullis_policy_reloads_total{result=\"done\"}", 1.0);
            await_value(look, "portcullis_standings{standing=\"banned\",reason=\"admin\"}", 1.0);
            await_value(look, "portcullis_queue_received_total{queue=\"7\"}", number("received"));
            await_value(look, "portcullis_redirect_up", 1.0);
            for (check, count) in of_checks("dropped") {
                let series = format!("portcullis_syns_dropped_total{{check=\"{check}\"}}");
                await_value(look, &series, count.as_f64().unwrap());
            }
        }
        assert!(!of_checks("dropped").is_empty(), "{counters}");

        let file = fs::metadata(TEXTFILE).unwrap();
        assert_eq!(file.permissions().mode() & 0o777, 0o644, "node_exporter is somebody else");
        assert_eq!(gate.stop(), Some(0));
        assert!(!Path::new(TEXTFILE).exists(), "numbers of a gate that does not run are none");
        assert!(connect(&world).is_err(), "nor does anybody answer");
    }

    fn nobody_makes_more_series_by_sending_packets() {
        let mut world = World::new();
        world.lab.own(&world.rogues, "10.9.0.0/16".parse().unwrap()).unwrap();
        let gate = Gate::start(&world.server, POLICY);
        let before = scrape(&world);
        let source = |n: u16| IpAddr::from([10, 9, (n >> 8) as u8, n as u8]);
        let to = world.server_for(source(1));
        let syns: Vec<Probe> = (1..=600)
            .map(|n| Probe::syn(SocketAddr::new(source(n), 40_000), SocketAddr::new(to, 1000 + n)))
            .collect();
        world.send(&world.rogues, syns, 2000);
        let after = eventually(SOON, "600 SYNs in the numbers", || {
            let exposition = scrape(&world);
            let received = value(&exposition, "portcullis_syns_received_total");
            if received >= Some(600.0) { Ok(exposition) } else { Err(exposition) }
        });
        assert_eq!(series(&before), series(&after));
        assert!(after.len() < 32 * 1024, "{} bytes", after.len());
        assert!(gate.said().is_empty() || !gate.said().contains("metrics"), "{}", gate.said());
    }

    fn bad_clients_do_not_keep_the_gate_from_its_work() {
        let world = World::new();
        let gate = Gate::start(&world.server, POLICY);
        // More than are answered at a time: silent, in the middle of a request, and not reading.
        let idle: Vec<TcpStream> = (0..30).filter_map(|n| {
            let mut stream = connect(&world).ok()?;
            stream.write_all([b"".as_slice(), b"GET /metr", GET][n % 3]).ok()?;
            Some(stream)
        }).collect();
        for _ in 0..200 {
            if let Ok(mut stream) = connect(&world) {
                // It may be turned away while it talks.
                let _ = stream.write_all(&[0x16, 3, 1, 0, 0xff, b'\n', 0, b'\r']);
            }
        }
        assert!(world.visit(ANNA, 80).is_served());
        assert_eq!(world.visit_within(BEN, 81, HASTE), Visit::TimedOut);
        assert!(gate.judged() >= 2, "{}", gate.status());
        let threads = threads(&gate);
        assert!(threads < 24, "{threads} threads");
        drop(idle);
        let (head, _) = eventually(SOON, "an answer", || {
            let mut stream = connect(&world).map_err(|error| error.to_string())?;
            let mut answer = String::new();
            let asked = stream.write_all(GET).and_then(|()| stream.read_to_string(&mut answer));
            asked.map_err(|error| error.to_string())?;
            let (head, body) = answer.split_once("\r\n\r\n").ok_or("no head")?;
            if body.ends_with("# EOF\n") { Ok((head.to_owned(), ())) } else { Err(answer) }
        });
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    }

    fn an_address_that_is_taken_is_an_alarm_and_no_more() {
        let world = World::new();
        let _taken = world.server.run(|| TcpListener::bind(ADDRESS)).unwrap().unwrap();
        let gate = Gate::start(&world.server, "[metrics]\nlisten = \"127.0.0.1:9917\"\n\
                                                textfile = \"/run/nowhere/portcullis.prom\"\n");
        assert!(world.visit(ANNA, 80).is_served());
        eventually(SOON, "two alarms", || {
            let alarms = gate.status()["alarms"].to_string();
            let both = ["no numbers are served at 127.0.0.1:9917", "/run/nowhere/portcullis.prom cannot"];
            if both.iter().all(|text| alarms.contains(text)) { Ok(()) } else { Err(alarms) }
        });
    }

    fn node_exporter_and_curl_read_them() {
        let exporter = "prometheus-node-exporter";
        let test = concat!(module_path!(), "::node_exporter_and_curl_read_them");
        if !are_there(&[("curl", "curl"), (exporter, exporter)], test) {
            return;
        }
        let world = World::new();
        let _gate = Gate::start(&world.server, POLICY);
        assert!(world.visit(ANNA, 80).is_served());
        let curl = |url: &str| {
            let output = world.server.command("curl").args(["-sS", "--max-time", "5", url]).output();
            text(&output.expect("curl runs"))
        };
        let own = || curl("http://127.0.0.1:9917/metrics");
        await_value(own, "portcullis_syns_accepted_total", 1.0);
        let mut exporter = world.server.command("prometheus-node-exporter");
        exporter.args(["--collector.disable-defaults", "--collector.textfile"]);
        exporter.args(["--collector.textfile.directory=/run/gate"]);
        exporter.args(["--web.listen-address=127.0.0.1:9100"]);
        exporter.stdout(Stdio::null()).stderr(Stdio::null());
        let _exporter = Process::start(&mut exporter).expect("nsenter starts");
        let theirs = || curl("http://127.0.0.1:9100/metrics");
        await_value(theirs, "portcullis_syns_accepted_total", 1.0);
        let read = theirs();
        assert_eq!(value(&read, "node_textfile_scrape_error"), Some(0.0), "{read}");
        for line in [
            "# TYPE portcullis_syns_accepted_total counter",
            "# HELP portcullis_syns_accepted_total Packets that were let in",
            "# TYPE portcullis_standing_delay_seconds histogram",
        ] {
            assert!(read.lines().any(|own| own.starts_with(line)), "{line}: {read}");
        }
        let ours: BTreeSet<String> = series(&fs::read_to_string(TEXTFILE).unwrap());
        let names = |all: &BTreeSet<String>| -> BTreeSet<String> {
            all.iter().filter_map(|one| one.split('{').next()).map(str::to_owned).collect()
        };
        let missing: Vec<_> = names(&ours).difference(&names(&series(&read))).cloned().collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}

/// The threads of the daemon, counted by the system.
fn threads(gate: &Gate<'_>) -> usize {
    let pid = gate.status()["pid"].as_u64().expect("a number");
    fs::read_dir(format!("/proc/{pid}/task")).expect("it runs").count()
}
