//! A real web server behind the gate: real fetches, a load of new connections, and what the gate
//! adds to the time to connect.
//!
//!     cargo bench --bench web [-- SECONDS [ROUNDS]]        (30 s, 3 rounds)
//!
//! nginx on one host, its clients on another, joined by a veth pair, in namespaces of their own.
//! The gate runs the shipped policy, with the rates raised by an overlay as an admin would raise
//! them; every check stays on. "Without" is the same host without any rule of ours; "table" is what
//! a clean stop leaves, the kernel table without the redirect.
//!
//! 1. `curl` fetches, one after the other, through the gate.
//! 2. `wrk`, each request a connection of its own, SECONDS for each arm of a round, by turns; beside
//!    it a host with nft meters as they are written by hand, generous ones too, and one where a loop
//!    in C accepts everything, for what any program costs that SYNs are handed to.
//! 3. Plain connects, one at a time, in blocks by turns.
//!
//! It fails if a single fetch, request or connect fails.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use portcullis::lab::{Host, Lab, Process};

mod arms;
mod connects;
mod enter;
mod rivals;
#[allow(dead_code, unused_imports, unused_macros, reason = "the end-to-end tests use all of it")]
#[path = "../e2e/stage/mod.rs"]
mod stage;

use arms::{RAISED, SHIPPED, meters};
use connects::{Sample, connect, median, micros};
use enter::{Outcome, in_the_lab, numbers};
use rivals::Rival;
use stage::{Gate, PORTCULLIS, is_there, nft, nft_load, text};

const NGINX: &str = r#"
daemon off;
master_process off;
pid /run/nginx.pid;
events { worker_connections 4096; }
http {
    access_log off;
    client_body_temp_path /run/nginx.body;
    proxy_temp_path /run/nginx.proxy;
    fastcgi_temp_path /run/nginx.fastcgi;
    uwsgi_temp_path /run/nginx.uwsgi;
    scgi_temp_path /run/nginx.scgi;
    server {
        listen 80 backlog=4096;
        location / { return 200 "welcome\n"; }
    }
}
"#;

const FETCHES: usize = 1000;
const BLOCKS: usize = 12;
const BLOCK: usize = 500;
const WARM_UP: usize = 50;

fn main() -> ExitCode {
    in_the_lab(bench)
}

fn bench() -> Outcome<()> {
    let [seconds, rounds] = numbers([30, 3])?;
    tools()?;
    let street = Street::build()?;
    street.fetches()?;
    street.load(seconds, rounds)?;
    street.connects()
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
    /// Rules for nft, written by hand, that meter each source.
    Meters,
    /// A loop that accepts everything.
    Loop,
    /// The gate.
    With,
}

const ARMS: usize = 5;
const QUEUE: u16 = 7;

/// The server, its neighbour, and what they talk about.
struct Street {
    server: Host,
    client: Host,
    to: SocketAddr,
    /// The loop in C, if it can be had.
    rival: Option<Rival>,
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
        std::fs::write("/run/nginx.conf", NGINX)?;
        let mut nginx = server.command("nginx");
        nginx.args(["-c", "/run/nginx.conf", "-e", "/run/nginx.error"]).stderr(Stdio::null());
        let nginx = Process::start(&mut nginx)?;
        let begun = Instant::now();
        while client.run(|| connect(to))?.is_err() {
            if begun.elapsed() > Duration::from_secs(5) {
                let said = std::fs::read_to_string("/run/nginx.error").unwrap_or_default();
                return Err(format!("nginx does not start: {said}").into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let rival = Rival::in_c(Path::new("/run"), QUEUE);
        Ok(Self { server, client, to, rival, _nginx: nginx, _lab: lab })
    }

    /// Does `work` on the client's host, which makes so many connections as it says; with the
    /// gate, each of them must have been judged and none refused or lost.
    fn on<T: Send>(&self, arm: Arm, work: impl FnOnce() -> Outcome<(T, u64)> + Send) -> Outcome<T> {
        let work = || work().map_err(|error| error.to_string());
        if arm == Arm::Without {
            return Ok(self.client.run(work)??.0);
        }
        if arm == Arm::Meters {
            nft_load(&self.server, &meters(1_000_000, 1_000_000));
            let done = self.client.run(work)??.0;
            nft(&self.server, &["flush", "ruleset"]);
            return Ok(done);
        }
        if arm == Arm::Loop {
            let rival = self.rival.as_ref().ok_or("no loop in C")?;
            let iptables = |what| -> Outcome<()> {
                let mut iptables = self.server.command("iptables");
                iptables.args(["-w", "-t", "mangle", what, "PREROUTING", "-p", "tcp", "--syn"]);
                iptables.args(["-j", "NFQUEUE", "--queue-num", &QUEUE.to_string()]);
                let output = iptables.output()?;
                if output.status.success() { Ok(()) } else { Err(text(&output).into()) }
            };
            let (_running, _) = rival.start(&mut self.server.command(&rival.program))?;
            iptables("-A")?;
            let done = self.client.run(work);
            iptables("-D")?;
            nft(&self.server, &["flush", "ruleset"]);
            return Ok(done??.0);
        }
        std::fs::create_dir_all("/run/gate/conf.d")?;
        std::fs::write("/run/gate/conf.d/raised.toml", RAISED)?;
        let gate = Gate::start(&self.server, SHIPPED);
        let done = if arm == Arm::With {
            let before = gate.judged();
            let (done, connections) = self.client.run(work)??;
            let status = gate.status();
            let judged = gate.judged() - before;
            let dropped = status["counters"]["dropped"].as_object().is_some_and(|d| !d.is_empty());
            if judged < connections || dropped || gate.lost() > 0 {
                return Err(format!("{judged} of {connections} were judged: {status}").into());
            }
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

    fn load(&self, seconds: u64, rounds: u64) -> Outcome<()> {
        println!("wrk: new connections per second, {seconds} s each");
        println!(
            "{:<6}{:>9}{:>9}{:>9}{:>9}{:>11}{:>10}{:>8}{:>8}",
            "round",
            "without",
            "meters",
            "loop",
            "with",
            "x without",
            "x meters",
            "x loop",
            "failed"
        );
        let url = format!("http://{}/", self.to.ip());
        let beside = [Arm::Without, Arm::Meters, Arm::Loop];
        let (mut ratios, mut failures) = ([const { Vec::new() }; 3], 0);
        for round in 1..=rounds {
            // Who begins changes from round to round.
            let mut arms = [Arm::Without, Arm::Meters, Arm::Loop, Arm::With];
            arms.rotate_left(round as usize % 4);
            let mut seen = [Load::default(); ARMS];
            for arm in arms {
                if arm == Arm::Loop && self.rival.is_none() {
                    continue;
                }
                seen[arm as usize] = self.on(arm, || {
                    let load = wrk(&url, seconds)?;
                    Ok((load, load.requests))
                })?;
            }
            let with = seen[Arm::With as usize];
            let others = beside.map(|arm| seen[arm as usize].per_second);
            let times = others.map(|other| with.per_second / other);
            times.iter().zip(&mut ratios).for_each(|(ratio, all)| all.push(*ratio));
            failures += with.failed;
            println!(
                "{round:<6}{:>9.0}{:>9.0}{:>9.0}{:>9.0}{:>11.3}{:>10.3}{:>8.3}{:>8}",
                others[0],
                others[1],
                others[2],
                with.per_second,
                times[0],
                times[1],
                times[2],
                with.failed
            );
        }
        let [without, meters, accepting] = ratios.map(median);
        println!(
            "median: {without:.3} x without, {meters:.3} x meters, {accepting:.3} x the loop in C\n"
        );
        if failures > 0 { Err(format!("{failures} requests failed").into()) } else { Ok(()) }
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
            let [without, table, .., with] = pooled.each_ref().map(|s| micros(s.quantile(share)));
            println!(
                "{name:<8}{without:>12.0}{table:>12.0}{with:>12.0}{:>12.0}{:>8.2}",
                with - without,
                with / without
            );
        }
        for (name, share) in [("median", 0.5), ("p99", 0.99)] {
            let [without, .., with] = &samples;
            let ratio = |(with, without): (&Sample, &Sample)| {
                micros(with.quantile(share)) / micros(without.quantile(share))
            };
            let ratios: Vec<f64> = with.iter().zip(without).map(ratio).collect();
            println!("block by block, {name}: ratio {:.2} (median of {BLOCKS})", median(ratios));
        }
        Ok(())
    }
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

/// What wrk saw.
#[derive(Clone, Copy, Debug, Default)]
struct Load {
    requests: u64,
    per_second: f64,
    failed: u64,
}

/// A load in which each request is a connection of its own.
fn wrk(url: &str, seconds: u64) -> Outcome<Load> {
    let lasting = format!("{seconds}s");
    let mut wrk = Command::new("wrk");
    wrk.args(["-t", "1", "-c", "64", "-d", &lasting, "-H", "Connection: close", url]);
    let said = text(&wrk.output()?);
    Load::read(&said).ok_or_else(|| format!("wrk said something else: {said}").into())
}

impl Load {
    /// Reads wrk's report. It mentions errors only if there are some.
    fn read(said: &str) -> Option<Self> {
        let mut load = Self::default();
        for line in said.lines().map(str::trim) {
            if let Some(rate) = line.strip_prefix("Requests/sec:") {
                load.per_second = rate.trim().parse().ok()?;
            } else if let Some((count, _)) = line.split_once(" requests in ") {
                load.requests = count.parse().ok()?;
            } else if line.starts_with("Socket errors:") || line.starts_with("Non-2xx") {
                let numbers = line.split(|c: char| !c.is_ascii_digit());
                // "Non-2xx or 3xx responses: 7" begins with digits that count nothing.
                let counts = numbers.filter_map(|word| word.parse::<u64>().ok());
                load.failed +=
                    counts.skip(if line.starts_with("Non") { 2 } else { 0 }).sum::<u64>();
            }
        }
        (load.requests > 0).then_some(load)
    }
}
