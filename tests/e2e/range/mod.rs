//! A firing range: real servers on one host, scanning and guessing tools of other people on hosts of
//! their own, and ordinary clients beside them. Each tool attacks from an address of its own.

mod attack;
mod flag;
mod learnt;
mod ordinary;
mod servers;
mod sniffer;
mod web;

use std::fs;
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::{Duration, Instant};

use portcullis::lab::{Host, Lab, Process, Visit, visit};
use rustix::process::Signal;

use crate::stage::{Gate, PATIENCE, PORTCULLIS, address, eventually, nft, text};

pub(crate) use attack::{Attack, Reads, tool};
pub(crate) use flag::Flag;
pub(crate) use ordinary::Curl;
use servers::Servers;
use sniffer::Sniffer;
pub(crate) use web::Wrk;

/// Where the servers are.
pub(crate) const SERVER: &str = "198.51.100.10";
/// What is open there.
pub(crate) const OPEN: [u16; 3] = [22, 80, 8080];
/// An ordinary client, who fetches a page again and again.
pub(crate) const READER: &str = "203.0.113.10";
/// An ordinary client who was never there before.
pub(crate) const NEWCOMER: &str = "203.0.113.20";

/// The policy as it is shipped.
const SHIPPED: &str = include_str!("../../../config/portcullis.toml");
/// What is laid over it: the log tells each refusal, so that the first one can be found in it.
const TALKATIVE: &str = "[events]\nlines = 1000\n";
/// The ordinary clients are there so much earlier than the attacker.
const HEAD_START: Duration = Duration::from_millis(1000);
/// How long a tool may take to end after it was told to.
const GRACE: Duration = Duration::from_secs(5);

/// The hosts and servers.
pub(crate) struct Range {
    server: Host,
    people: Host,
    office: Host,
    rogues: Vec<Host>,
    servers: Servers,
    _lab: Lab,
}

/// What came of one attack.
#[derive(Debug)]
pub(crate) struct Seen {
    /// The address that attacked.
    pub(crate) attacker: String,
    /// Open ports that the tool reported.
    pub(crate) learnt: Vec<u16>,
    /// Passwords of the attacker that the server looked at.
    pub(crate) guesses: usize,
    /// Packets that the attacker's host sent.
    pub(crate) sent: u64,
    /// How long the tool ran.
    pub(crate) took: Duration,
    /// When the gate knew, if it did.
    pub(crate) flag: Option<Flag>,
    /// The attacker's standing at the end.
    pub(crate) standing: Option<String>,
    /// The standing of [`NEWCOMER`] at the end.
    pub(crate) newcomers_standing: Option<String>,
    /// The first visit of [`NEWCOMER`], after the attack.
    pub(crate) newcomer: Visit,
    /// The fetches of [`READER`] during the attack.
    pub(crate) curl: Curl,
    /// A load on connections that were open before, in the first seconds of the attack.
    pub(crate) wrk: Option<Wrk>,
    /// What the gate said of itself.
    pub(crate) said: String,
    /// What the tool said.
    pub(crate) tool_said: String,
}

impl Range {
    /// Builds it, with room for so many attackers.
    pub(crate) fn new(attackers: u8) -> Self {
        let mut lab = Lab::open().expect("a lab");
        let net = |text: &str| text.parse().expect("a network");
        let mut host = |name: &str, addresses: &[&str]| {
            let addresses: Vec<_> = addresses.iter().map(|address| net(address)).collect();
            lab.host(name, &addresses).expect("a host")
        };
        let server = host("server", &[&format!("{SERVER}/24")]);
        let people = host("people", &[&format!("{READER}/24"), &format!("{NEWCOMER}/24")]);
        let office = host("office", &["203.0.114.10/24"]);
        let rogue = |n: u8| host(&format!("rogue{n}"), &[&format!("192.0.2.{}/29", 8 * n + 2)]);
        let rogues: Vec<Host> = (0..attackers).map(rogue).collect();
        lab.ready().expect("links");
        let servers = Servers::start(&server);
        attack::write_words();
        let range = Self { server, people, office, rogues, servers, _lab: lab };
        for port in OPEN {
            eventually(GRACE, "server", || match range.visit(&range.people, READER, port) {
                met if met.is_served() => Ok(()),
                met => Err(format!("port {port}: {met:?}\n{}", range.servers.said())),
            });
        }
        // Hosts find their neighbours with the first packet, which can cost a second.
        for host in [&range.office].into_iter().chain(&range.rogues) {
            let from = host.v4().expect("an address").to_string();
            assert!(range.visit(host, &from, 80).is_served(), "{from} gets nowhere");
        }
        range
    }

    /// Is there an sshd to attack?
    pub(crate) fn has_sshd(&self) -> bool {
        self.servers.has_sshd()
    }

    fn visit(&self, host: &Host, from: &str, port: u16) -> Visit {
        let (from, to) = (address(from), SocketAddr::new(address(SERVER), port));
        host.run(|| visit(from, to, PATIENCE)).expect("a host")
    }

    /// One attack by attacker number `n`, with or without the gate; `wrk` adds that load.
    pub(crate) fn attack(&self, n: usize, attack: &Attack, gated: bool, wrk: bool) -> Seen {
        let home = format!("gate{n}");
        let gate = gated.then(|| {
            let overlays = format!("/run/{home}/conf.d");
            fs::create_dir_all(&overlays).expect("a directory");
            fs::write(format!("{overlays}/talkative.toml"), TALKATIVE).expect("a file");
            Gate::try_start(&self.server, &home, SHIPPED).expect("the gate starts")
        });
        let seen = self.watched(&self.rogues[n], attack, gate.as_ref(), wrk);
        if let Some(gate) = gate {
            gate.stop();
            let unload = self.server.command(PORTCULLIS).arg("unload").output().expect("it runs");
            assert!(unload.status.success(), "{}", text(&unload));
            // Empty chains of iptables stay; "without" means without them too.
            nft(&self.server, &["flush", "ruleset"]);
        }
        seen
    }

    fn watched(&self, rogue: &Host, attack: &Attack, gate: Option<&Gate>, wrk: bool) -> Seen {
        let attacker = rogue.v4().expect("an address");
        let curl = Curl::start(&self.people, READER);
        let sniffer = Sniffer::start(&self.server, attacker);
        std::thread::sleep(HEAD_START);
        let (sent_before, guesses_before) = (sent(rogue), self.servers.guesses(attacker));
        let wrk = wrk.then(|| ordinary::load(&self.office));
        let (begun, output) = (Instant::now(), run(rogue, attack));
        let took = begun.elapsed();
        // The attack is over; what it does to newcomers may not be.
        let newcomer = self.visit(&self.people, NEWCOMER, 80);
        let curl = curl.stop();
        let packets = sniffer.stop();
        let standing = |who: &str| gate.and_then(|gate| gate.standing(who));
        Seen {
            learnt: learnt::ports(attack.reads, &output),
            guesses: self.servers.guesses(attacker) - guesses_before,
            sent: sent(rogue) - sent_before,
            took,
            flag: gate.and_then(|gate| Flag::find(&gate.events(), attacker, &packets)),
            standing: standing(&attacker.to_string()),
            newcomers_standing: standing(NEWCOMER),
            newcomer,
            curl,
            wrk: wrk.map(|wrk| wrk.join().expect("wrk is heard")),
            said: gate.map(Gate::said).unwrap_or_default(),
            tool_said: output,
            attacker: attacker.to_string(),
        }
    }
}

/// Runs a tool on its host until it ends or its time is up; returns what it printed.
fn run(rogue: &Host, attack: &Attack) -> String {
    let file = format!("/run/{}.out", rogue.name());
    let output = fs::File::create(&file).expect("a file");
    let mut command = rogue.command(&attack.program);
    let gateway = gateway(rogue);
    let args = attack.args.iter().map(|arg| if arg == "GATEWAY" { &gateway } else { arg });
    command.args(args).current_dir("/run").stdin(Stdio::null());
    command.stdout(output.try_clone().expect("a file")).stderr(output);
    let mut process = Process::start(&mut command).expect("nsenter starts");
    if process.wait(attack.lasts).expect("a child can be waited for").is_none() {
        process.signal(Signal::INT).expect("it can be signalled");
        let _ = process.wait(GRACE);
    }
    drop(process);
    fs::read_to_string(&file).unwrap_or_default()
}

/// The link address of a host's only neighbour, its router, whom it has met.
fn gateway(host: &Host) -> String {
    let output = host.command("ip").args(["neigh", "show", "dev", "eth0"]).output();
    let said = text(&output.expect("ip runs"));
    let mac = said.split_once("lladdr ").and_then(|(_, rest)| rest.split_whitespace().next());
    mac.unwrap_or_else(|| panic!("no neighbour: {said}")).to_owned()
}

/// Packets that left a host so far.
fn sent(host: &Host) -> u64 {
    let table = host.run(|| fs::read_to_string("/proc/thread-self/net/dev")).expect("a host");
    let table = table.expect("the kernel's table of interfaces");
    let row = table.lines().find_map(|line| line.trim().strip_prefix("eth0:"));
    // Eight columns of what came in, then bytes and packets that went out (proc(5)).
    let packets = row.and_then(|row| row.split_whitespace().nth(9)?.parse().ok());
    packets.expect("a count of packets")
}
