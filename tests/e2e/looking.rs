//! Looking at sockets: `connections` with real states and the gate's opinion of the peers, `audit`
//! with real listeners, rules and answers.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Output;
use std::time::Duration;

use portcullis::lab::Host;
use serde_json::Value;

use crate::stage::{
    ANNA, CARLA, Gate, MALLORY, PORTCULLIS, World, address, eventually, in_lab, nft_load, text,
};

/// Nobody has this address, so nobody answers what is sent to it.
const NOBODY: &str = "192.0.2.200";

/// Connects from one of the lab's addresses and stays.
fn call(world: &World, from: &str, port: u16) -> TcpStream {
    let to = SocketAddr::new(world.server_for(address(from)), port);
    world
        .home(address(from))
        .run(|| {
            let domain = socket2::Domain::for_address(to);
            let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None)?;
            socket.bind(&SocketAddr::new(address(from), 0).into())?;
            socket.connect_timeout(&to.into(), Duration::from_secs(5))?;
            Ok::<_, std::io::Error>(socket.into())
        })
        .expect("a host")
        .unwrap_or_else(|error| panic!("{from} to {to}: {error}"))
}

fn listen(host: &Host, at: &str) -> TcpListener {
    host.run(|| TcpListener::bind(at))
        .expect("a host")
        .unwrap_or_else(|error| panic!("{at}: {error}"))
}

/// The socket whose other end is at this address.
fn row<'a>(seen: &'a Value, peer: &str, state: &str) -> Option<&'a Value> {
    let of = |row: &&Value| {
        let at = row["peer"].as_str().and_then(|at| at.parse::<SocketAddr>().ok());
        at.is_some_and(|at| at.ip() == address(peer)) && row["state"] == state
    };
    seen["sockets"].as_array().expect("sockets").iter().find(of)
}

fn kinds(list: &Value) -> Vec<&str> {
    list.as_array().expect("a list").iter().filter_map(|entry| entry["kind"].as_str()).collect()
}

/// Runs the program on a host.
fn run(host: &Host, args: &[&str]) -> Output {
    host.command(PORTCULLIS).args(args).output().expect("it runs")
}

/// `audit --json`: the exit code, the answer, everything that was said.
fn audit(host: &Host, args: &[&str]) -> (Option<i32>, Value, Output) {
    let output = run(host, &[&["audit", "--json"], args].concat());
    let json = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output.status.code(), json, output)
}

in_lab! {
    fn connections_are_told_with_the_gates_opinion() {
        let world = World::new();
        let lazy = listen(&world.server, "[::]:8080");
        let gate = Gate::start(&world.server, "");
        let open = [call(&world, ANNA, 80), call(&world, CARLA, 80), call(&world, MALLORY, 80)];
        // Our program accepts, the visitors hang up, and it does not notice.
        let held: Vec<TcpStream> = (0..10)
            .map(|_| {
                let visitor = call(&world, ANNA, 8080);
                let (held, _) = lazy.accept().expect("a visitor");
                drop(visitor);
                held
            })
            .collect();
        let added = gate.ask(&["bans", "add", MALLORY, "--for", "10m", "--reason", "test"]);
        assert!(added.status.success(), "{}", text(&added));
        world.send(&world.rogues, world.forged(NOBODY, [80; 12]), 200);

        let states = "--state=syn-recv,ESTABLISHED,close_wait";
        let seen = eventually(Duration::from_secs(2), "twelve half-open sockets", || {
            let seen = gate.ask_json(&["connections", states, "--programs"]);
            let piled = seen["states"]["close-wait"] == 10;
            if seen["states"]["syn-recv"] == 12 && piled { Ok(seen) } else { Err(seen.to_string()) }
        });
        assert_eq!(seen["gate"], Value::Null);
        let banned = row(&seen, MALLORY, "established").expect("Mallory");
        assert_eq!((&banned["standing"], &banned["inbound"]), (&"banned".into(), &true.into()));
        for person in [ANNA, CARLA] {
            let clean = row(&seen, person, "established").expect("a person");
            let known = (&clean["standing"], &clean["score"]);
            assert_eq!(known, (&"clean".into(), &0.into()), "{person}");
            assert_eq!(clean["suspicious"], serde_json::json!([]));
        }
        let pid = row(&seen, ANNA, "close-wait").map(|row| row["program"]["pid"].clone());
        assert_eq!(pid, Some(std::process::id().into()));
        let half_open = row(&seen, NOBODY, "syn-recv").expect("nobody");
        assert_eq!(half_open["suspicious"][0], "half-open");
        assert_eq!(kinds(&seen["suspicions"]), ["standing", "half-open", "not-closed"]);

        let screen = text(&gate.ask(&["connections", "--suspicious", states]));
        let banned = "192.0.2.66 is banned for another 9m";
        for part in [banned, "(test)", "192.0.2.200 keeps 12", "to port 8080"] {
            assert!(screen.contains(part), "no {part:?} in\n{screen}");
        }
        assert!(screen.lines().all(|line| line.chars().count() <= 80), "{screen}");
        drop((open, held));

        // Without the gate there are sockets all the same.
        assert_eq!(gate.stop(), Some(0));
        let output = run(&world.server, &["connections", "--state", "listen"]);
        assert_eq!(output.status.code(), Some(0));
        let said = text(&output);
        assert!(said.contains("Standings are not known: portcullis is not running"), "{said}");
        assert!(said.contains("8080"), "{said}");
    }

    fn thousands_of_sockets_are_all_told() {
        let world = World::new();
        let count = 3000;
        let service = listen(&world.server, "127.0.0.1:9000");
        let visits = || {
            for _ in 0..count {
                let visitor = TcpStream::connect("127.0.0.1:9000").expect("a connection");
                drop((visitor, service.accept().expect("a visitor")));
            }
        };
        world.server.run(visits).expect("a host");
        let output = run(&world.server, &["connections", "--json", "--state", "time-wait"]);
        let seen: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(seen["states"]["time-wait"], count);
        assert_eq!(seen["sockets"].as_array().map(Vec::len), Some(count));
    }

    fn a_sound_host_passes_the_audit_and_names_its_services() {
        let world = World::new();
        let (code, seen, output) = audit(&world.server, &["--probe"]);
        assert_eq!(code, Some(0), "{}", text(&output));
        let doors = seen["doors"].as_array().expect("doors").iter();
        let found: Vec<_> =
            doors.map(|door| (door["port"].as_u64(), door["found"].as_str())).collect();
        let expected = [(Some(22), Some("SSH lab")), (Some(80), Some("HTTP HTTP/1.0 200 OK"))];
        assert_eq!(found, expected);
        let own = world.server.v4().expect("an address").to_string();
        assert_eq!(audit(&world.server, &["--probe", &own]).0, Some(0));
        for foreign in [ANNA, CARLA] {
            let (code, _, output) = audit(&world.server, &["--probe", foreign]);
            assert_eq!(code, Some(64), "{}", text(&output));
            let said = text(&output);
            assert!(said.contains("is not an address of this host"), "{said}");
        }
        assert_eq!(audit(&world.server, &["--config", "/run/none.toml"]).0, Some(66));
    }

    fn what_is_off_is_found() {
        let world = World::new();
        let odd = ["0.0.0.0:31337", "[::]:3306", "127.0.0.1:6379", "0.0.0.0:45123"];
        let _odd = odd.map(|at| listen(&world.server, at));
        nft_load(
            &world.server,
            "table ip nat { chain in { type nat hook prerouting priority -100; \
             tcp dport 8080 dnat to 10.0.0.5:80; } }",
        );
        let rule = "-t nat -A PREROUTING -p tcp --dport 8081 -j DNAT --to-destination 10.0.0.6:80";
        let placed = world.server.command("iptables").args(rule.split(' ')).output();
        let placed = placed.expect("iptables runs");
        assert!(placed.status.success(), "{}", text(&placed));

        let told = |args: &[&str]| {
            let (code, seen, output) = audit(&world.server, args);
            assert_eq!(code, Some(1), "{}", text(&output));
            let found = seen["findings"].as_array().expect("findings").iter();
            let word = |finding: &Value, name: &str| finding[name].as_str().map(str::to_owned);
            found
                .filter_map(|it| Some(format!("{} {}", word(it, "kind")?, word(it, "ports")?)))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            told(&[]),
            [
                "exposed 3306",
                "unserved-published 8080",
                "unserved-published 8081",
                "suspicious 31337",
                "unknown-service 45123",
            ]
        );
        fs::write("/run/named.toml", "[ports]\nopen = \"22, 443, 8080\"\n").expect("a file");
        let named = ["--config", "/run/named.toml"];
        assert_eq!(
            told(&named),
            [
                "unserved 80",
                "unheard 443",
                "unserved 3306",
                "unserved-published 8081",
                "suspicious 31337",
                "unserved 45123",
            ]
        );
        let screen = text(&run(&world.server, &[&["audit"][..], &named].concat()));
        assert!(screen.lines().all(|line| line.chars().count() <= 80), "{screen}");
        assert!(screen.contains("to 10.0.0.5:80"), "{screen}");
    }
}
