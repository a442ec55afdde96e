//! A real web server behind the gate: real fetches, a load of new connections, and what the gate
//! adds to the time to connect.
//!
//!     cargo bench --bench web [-- TURNS]        (240)
//!
//! nginx on one host, its clients on another, joined by a veth pair, in namespaces of their own.
//! The gate runs the shipped policy, with the rates raised by an overlay as an admin would raise
//! them; every check stays on. "Without" is the same host without any rule of ours; "table" is what
//! a clean stop leaves, the kernel table without the redirect.
//!
//! 1. `curl` fetches, one after the other, through the gate.
//! 2. Plain connects, one at a time, in blocks by turns.
//! 3. `wrk`, each request a connection of its own, in TURNS turns of a quarter of a second; beside it
//!    a host with nft meters as they are written by hand, generous ones too, and one where a loop in
//!    C accepts everything, for what any program costs that SYNs are handed to. See [`turns`].
//!
//! It fails if a single fetch, request or connect fails.

use std::net::{IpAddr, SocketAddr};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use portcullis::lab::{Host, Lab, Process};

mod arms;
mod connects;
mod enter;
mod rivals;
#[allow(dead_code, unused_imports, unused_macros, reason = "the end-to-end tests use all of it")]
#[path = "../e2e/stage/mod.rs"]
mod stage;
mod turns;
#[path = "../e2e/range/web.rs"]
mod web;

use arms::{RAISED, SHIPPED};
use connects::{Sample, connect, median, micros};
use enter::{Outcome, in_the_lab, numbers};
use stage::{Gate, PORTCULLIS, is_there, nft, text};
use web::nginx;

const FETCHES: usize = 1000;
const BLOCKS: usize = 12;
const BLOCK: usize = 500;
const WARM_UP: usize = 50;

fn main() -> ExitCode {
    in_the_lab(bench)
}

fn bench() -> Outcome<()> {
    let [turns] = numbers([240])?;
    tools()?;
    {
        let street = Street::build()?;
        street.fetches()?;
        street.connects()?;
    }
    turns::load(turns)
}

/// Names the programs that this bench needs besides the lab's.
fn tools() -> Outcome<()> {
    let wanted = [("nginx", "nginx-light"), ("wrk", "wrk"), ("curl", "curl")];
    let missing: Vec<&str> = wanted
        .iter()
        .filter(|(program, _)| !is_there(program))
        .map(|(_, package)| *package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages = missing.join(" ");
    Err(format!("not measured, because programs are missing; install them with:\n    sudo apt-get install -y {packages}").into())
}

/// What stands between the client and nginx.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Arm {
    /// Nothing.
    Without,
    /// The kernel table, as a clean stop leaves it.
    Table,
    /// The gate.
    With,
}

const ARMS: usize = 3;

/// The server, its neighbour, and what they talk about.
struct Street {
    server: Host,
    client: Host,
    to: SocketAddr,
    _nginx: Process,
    _lab: Lab,
}

impl Street {
    fn build() -> Outcome<Self> {
        let mut lab = Lab::open()?;
        let server = lab.host("server", &["198.51.100.10/24".parse()?])?;
        // Behind the server, so that one link joins the two; the server has its first address.
        let client = lab.host_behind(&server, "client", &["203.0.113.10/24".parse()?])?;
        let to = SocketAddr::new(IpAddr::from([203, 0, 113, 1]), 80);
        lab.ready()?;
        let nginx = web_server(&server);
        client.run(|| answers(to))??;
        Ok(Self { server, client, to, _nginx: nginx, _lab: lab })
    }

    /// Does `work` on the client's host, which makes so many connections as it says; with the
    /// gate, each of them must have been judged and none refused or lost.
    fn on<T: Send>(&self, arm: Arm, work: impl FnOnce() -> Outcome<(T, u64)> + Send) -> Outcome<T> {
        let work = || work().map_err(|error| error.to_string());
        if arm == Arm::Without {
            return Ok(self.client.run(work)??.0);
        }
        let gate = raised(&self.server);
        let done = if arm == Arm::With {
            let before = gate.judged();
            let (done, connections) = self.client.run(work)??;
            all_judged(&gate, before, connections)?;
            gate.stop();
            done
        } else {
            gate.stop();
            self.client.run(work)??.0
        };
        let unload = self.server.command(PORTCULLIS).arg("unload").output()?;
        if !unload.status.success() {
            return Err(text(&unload).into());
        }
        // Empty chains of iptables stay; "without" means without them too.
        nft(&self.server, &["flush", "ruleset"]);
        Ok(done)
    }

    fn fetches(&self) -> Outcome<()> {
        let url = format!("http://{}/", self.to.ip());
        let (begun, failed) = (Instant::now(), |n: &usize| !fetch(&url, *n));
        let failures =
            self.on(Arm::With, || Ok(((0..FETCHES).filter(failed).count(), FETCHES as u64)))?;
        println!(
            "curl: {FETCHES} fetches in {:.1} s, {failures} failed\n",
            begun.elapsed().as_secs_f64()
        );
        if failures > 0 { Err("fetches failed".into()) } else { Ok(()) }
    }

    fn connects(&self) -> Outcome<()> {
        let mut samples: [Vec<Sample>; ARMS] = Default::default();
        for block in 0..BLOCKS {
            let mut arms = [Arm::Without, Arm::Table, Arm::With];
            arms.rotate_left(block % 3);
            for arm in arms {
                samples[arm as usize].push(self.on(arm, || {
                    connect_often(self.to, WARM_UP)?;
                    Ok((connect_often(self.to, BLOCK)?, (WARM_UP + BLOCK) as u64))
                })?);
            }
        }
        let pooled = samples.each_ref().map(|blocks| pooled(blocks));
        println!(
            "time to connect: {} connects each, in {BLOCKS} blocks by turns",
            pooled[0].times().len()
        );
        println!(
            "{:<8}{:>12}{:>12}{:>12}{:>12}{:>8}",
            "us", "without", "table", "with", "added", "ratio"
        );
        for (name, share) in [("median", 0.5), ("p99", 0.99), ("p99.9", 0.999)] {
            let [without, table, with] = pooled.each_ref().map(|s| micros(s.quantile(share)));
            println!(
                "{name:<8}{without:>12.0}{table:>12.0}{with:>12.0}{:>12.0}{:>8.2}",
                with - without,
                with / without
            );
        }
        for (name, share) in [("median", 0.5), ("p99", 0.99)] {
            let [without, _, with] = &samples;
            let ratio = |(with, without): (&Sample, &Sample)| {
                micros(with.quantile(share)) / micros(without.quantile(share))
            };
            let ratios: Vec<f64> = with.iter().zip(without).map(ratio).collect();
            println!("block by block, {name}: ratio {:.2} (median of {BLOCKS})", median(ratios));
        }
        Ok(())
    }
}

/// nginx on this host, with room for everybody who comes at once.
fn web_server(host: &Host) -> Process {
    nginx(host, "listen 80 backlog=4096;")
}

/// Waits until somebody takes connections there.
fn answers(to: SocketAddr) -> Result<(), String> {
    let begun = Instant::now();
    while let Err(error) = connect(to) {
        if begun.elapsed() > Duration::from_secs(5) {
            return Err(format!("nginx does not answer: {error}"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// The gate with the shipped policy and raised rates.
fn raised(server: &Host) -> Gate<'_> {
    std::fs::create_dir_all("/run/gate/conf.d").expect("a directory");
    std::fs::write("/run/gate/conf.d/raised.toml", RAISED).expect("a file");
    Gate::start(server, SHIPPED)
}

/// Since it had judged `before`, so many connections were made: was each judged, and none refused?
fn all_judged(gate: &Gate<'_>, before: u64, connections: u64) -> Outcome<()> {
    let status = gate.status();
    let judged = gate.judged() - before;
    let dropped = status["counters"]["dropped"].as_object().is_some_and(|d| !d.is_empty());
    if judged < connections || dropped || gate.lost() > 0 {
        return Err(format!("{judged} of {connections} were judged: {status}").into());
    }
    Ok(())
}

/// Connects one by one.
fn connect_often(to: SocketAddr, count: usize) -> Outcome<Sample> {
    let times: std::io::Result<Vec<Duration>> = (0..count).map(|_| connect(to)).collect();
    Ok(Sample::new(times?))
}

/// Several samples as one.
fn pooled(samples: &[Sample]) -> Sample {
    Sample::new(samples.iter().flat_map(Sample::times).copied().collect())
}

/// One fetch by a program of its own; what goes wrong is told.
fn fetch(url: &str, n: usize) -> bool {
    let mut curl = Command::new("curl");
    curl.args(["-sS", "--fail", "--max-time", "10", "-o", "/dev/null", url]);
    match curl.output() {
        Ok(output) if output.status.success() => true,
        Ok(output) => {
            eprintln!("fetch {n}: {}", text(&output));
            false
        }
        Err(error) => {
            eprintln!("fetch {n}: {error}");
            false
        }
    }
}
