//! Loads that take turns. A machine that others use too is faster in one second and slower in the
//! next, by more than what is to be measured. So all that is compared runs at the same time, each on
//! hosts of its own, and only one of them has its turn: for a quarter of a second the others are
//! stopped (SIGSTOP). The order is another in each round, and what is told is how many times as many
//! connections one made as its neighbour did in the same second, on average over all rounds, and how
//! sure that is.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use portcullis::lab::{Host, Lab, Process};
use rustix::process::Signal;

use super::arms::meters;
use super::connects::median;
use super::enter::Outcome;
use super::rivals::Rival;
use super::stage::{Gate, nft_load, text};
use super::web::Wrk;
use super::{all_judged, answers, raised, web_server};

/// A turn, and how long somebody works before it counts.
const TURN: Duration = Duration::from_millis(250);
const RUN_UP: Duration = Duration::from_millis(60);

const QUEUE: u16 = 7;

/// Who takes turns: what stands between a client and its server.
struct Party<'a> {
    name: &'static str,
    /// A load in which each request is a connection of its own.
    wrk: Process,
    /// The server's counts of TCP.
    counts: String,
    gate: Option<(Gate<'a>, u64)>,
    /// What goes on while it runs.
    _running: Vec<Process>,
    /// Connections a second, by turns.
    seen: Vec<f64>,
}

/// Runs `turns` turns of everybody and tells what came of it.
///
/// # Errors
/// Something did not start, or a request failed, or the gate did not judge each connection.
pub(super) fn load(turns: u64) -> Outcome<()> {
    let mut lab = Lab::open()?;
    let names = ["without", "meters", "loop in C", "gate"];
    let mut hosts = Vec::new();
    for n in 0..names.len() {
        let server = lab.host(&format!("server{n}"), &[format!("198.51.100.1{n}/24").parse()?])?;
        // Behind the server, so that one link joins the two; the server has its first address.
        let addresses = [format!("10.0.{n}.10/24").parse()?];
        let client = lab.host_behind(&server, &format!("client{n}"), &addresses)?;
        hosts.push((server, client));
    }
    lab.ready()?;
    let rival = Rival::in_c(Path::new("/run"), QUEUE);
    let mut parties = Vec::new();
    for (n, (name, (server, client))) in (0..).zip(names.iter().zip(&hosts)) {
        if *name != "loop in C" || rival.is_some() {
            parties.push(Party::start(name, n, server, client, rival.as_ref())?);
        }
    }
    for round in 0..turns as usize {
        let count = parties.len();
        for place in 0..count {
            // Who begins changes from round to round, and the direction as well.
            let at = if round % 2 == 0 { round / 2 + place } else { round / 2 + count - place };
            parties[at % count].take_turn()?;
        }
    }
    report(&parties, turns);
    let failed = parties.into_iter().map(Party::end).collect::<Outcome<Vec<u64>>>()?;
    println!("failed requests: {}\n", failed.iter().sum::<u64>());
    if failed.iter().any(|failed| *failed > 0) { Err("requests failed".into()) } else { Ok(()) }
}

impl<'a> Party<'a> {
    fn start(
        name: &'static str,
        number: u8,
        server: &'a Host,
        client: &Host,
        rival: Option<&Rival>,
    ) -> Outcome<Self> {
        let mut nginx = web_server(server);
        let to = SocketAddr::new(IpAddr::from([10, 0, number, 1]), 80);
        client.run(|| answers(to))??;
        let counts = format!("/proc/{}/net/snmp", nginx.child().id());
        let mut running = vec![nginx];
        let mut gate = None;
        match name {
            "meters" => nft_load(server, &meters(1_000_000, 1_000_000)),
            "gate" => {
                let started = raised(server);
                let judged = started.judged();
                gate = Some((started, judged));
            }
            "loop in C" => {
                let rival = rival.ok_or("no loop in C")?;
                running.push(rival.start(&mut server.command(&rival.program))?.0);
                let mut iptables = server.command("iptables");
                iptables.args(["-w", "-t", "mangle", "-A", "PREROUTING", "-p", "tcp", "--syn"]);
                let output =
                    iptables.args(["-j", "NFQUEUE", "--queue-num", &QUEUE.to_string()]).output()?;
                if !output.status.success() {
                    return Err(text(&output).into());
                }
            }
            _ => {}
        }
        let mut wrk = client.command("wrk");
        // It is stopped and ended by signals, and nothing takes too long while it does not run. (It
        // keeps a count for each millisecond that a request may take.)
        wrk.args(["-t", "1", "-c", "64", "-d", "1h", "--timeout", "1m", "-H", "Connection: close"]);
        let mut wrk = Process::start(wrk.arg(format!("http://{to}/")).stdout(Stdio::piped()))?;
        std::thread::sleep(RUN_UP);
        wrk.signal(Signal::STOP)?;
        Ok(Self { name, wrk, counts, gate, _running: running, seen: Vec::new() })
    }

    fn take_turn(&mut self) -> Outcome<()> {
        self.wrk.signal(Signal::CONT)?;
        std::thread::sleep(RUN_UP);
        let (before, begun) = (self.connections()?, Instant::now());
        std::thread::sleep(TURN);
        let made = self.connections()? - before;
        if made == 0 {
            return Err(format!("{}: no connection was made in a turn", self.name).into());
        }
        self.seen.push(made as f64 / begun.elapsed().as_secs_f64());
        self.wrk.signal(Signal::STOP)?;
        // What is under way comes to rest.
        std::thread::sleep(Duration::from_millis(20));
        Ok(())
    }

    /// How many connections the server has been asked for and has made (RFC 1213,
    /// tcpPassiveOpens).
    fn connections(&self) -> Outcome<u64> {
        let counts = std::fs::read_to_string(&self.counts)?;
        let mut tcp = counts.lines().filter_map(|line| line.strip_prefix("Tcp: "));
        let (names, numbers) = tcp.next().zip(tcp.next()).ok_or("no counts of TCP")?;
        let mut both = names.split(' ').zip(numbers.split(' '));
        let (_, number) = both.find(|(name, _)| *name == "PassiveOpens").ok_or("no such count")?;
        Ok(number.parse()?)
    }

    /// Ends it; returns how many requests failed.
    fn end(mut self) -> Outcome<u64> {
        self.wrk.signal(Signal::CONT)?;
        self.wrk.signal(Signal::INT)?;
        let output = self.wrk.child().stdout.take().ok_or("no output")?;
        let said = std::io::read_to_string(output)?;
        let Wrk { requests, failed } =
            Wrk::read(&said).ok_or_else(|| format!("wrk said something else: {said}"))?;
        if let Some((gate, before)) = self.gate.take() {
            all_judged(&gate, before, requests)?;
            gate.stop();
        }
        Ok(failed)
    }
}

/// A table, everybody against the first.
fn report(parties: &[Party<'_>], turns: u64) {
    println!("wrk: new connections, {turns} turns of {} ms each", TURN.as_millis());
    println!("{:<12}{:>12}{:>12}{:>12}", "", "median/s", "x without", "within +-");
    for party in parties {
        let (times, unsure) = against(&party.seen, &parties[0].seen);
        let median = median(party.seen.clone());
        println!("{:<12}{median:>12.0}{times:>12.3}{unsure:>12.3}", party.name);
    }
}

/// How many times as much one has made as the other, turn by turn: the geometric mean, which favours
/// neither of them; and how far from it the truth may be (twice the standard error).
fn against(one: &[f64], other: &[f64]) -> (f64, f64) {
    let logs: Vec<f64> = one.iter().zip(other).map(|(one, other)| (one / other).ln()).collect();
    let count = logs.len() as f64;
    let mean = logs.iter().sum::<f64>() / count;
    let variance =
        logs.iter().map(|log| (log - mean).powi(2)).sum::<f64>() / (count - 1.0).max(1.0);
    let times = mean.exp();
    (times, times * 2.0 * (variance / count).sqrt())
}
