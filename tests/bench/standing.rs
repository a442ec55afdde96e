//! From the deciding SYN to the kernel's set, with the real daemon; and whether a burst of
//! standings delays anybody's verdict.
//!
//!     cargo bench --bench standing [-- ROUNDS]             (3 rounds)
//!
//! 1. 200 sources offend, one every 50 ms. The daemon's own measure (`status --json`: from the
//!    decision to the end of the transaction) stands beside one from outside: from the moment
//!    before the SYN is sent to the moment at which `nft monitor` shows the element.
//! 2. 10,000 sources offend within one second: how long until the set holds them all, and how
//!    long an ordinary client takes to connect meanwhile. Beside it the same client on a quiet host,
//!    and during the same burst without any standing (`after` = 1000): what the packets cost by
//!    themselves on these processors.
//!
//! It fails if a source is missing in the kernel's set, if a SYN was lost, or if nobody was let in.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::{ExitCode, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use portcullis::lab::{Forge, Probe, Process};
use serde_json::Value;

mod connects;
mod enter;
#[allow(dead_code, unused_imports, unused_macros, reason = "the end-to-end tests use all of it")]
#[path = "../e2e/stage/mod.rs"]
mod stage;

use connects::{Sample, connect, median, micros};
use enter::{Outcome, in_the_lab, numbers};
use stage::{Gate, World};

const SINGLE: u32 = 200;
const PACE: Duration = Duration::from_millis(50);
const CROWD: u32 = 10_000;
/// A port that nobody serves.
const CLOSED: u16 = 81;
/// How long the burst may take to get into the set before the bench gives up.
const LIMIT: Duration = Duration::from_secs(20);

fn main() -> ExitCode {
    in_the_lab(bench)
}

fn bench() -> Outcome<()> {
    let [rounds] = numbers([3])?;
    let world = World::new();
    one_by_one(&world)?;
    all_at_once(&world, rounds)
}

/// Every refused SYN of a stranger is an offence, after so many.
fn policy(after: u32) -> String {
    format!(
        "[flood]\nsurplus = \"unlimited\"\n[scan]\nsensitivity = \"off\"\n[bans]\nafter = {after}\nevidence = \"any\"\nbudget = 1_000_000\nbudget_network = 1_000_000\n\
         [rate]\nsource = \"unlimited\"\nnetwork = \"unlimited\"\n\
         [rate.class.web]\nrate = \"unlimited\"\n\
         [guard]\nceiling = \"unlimited\"\n"
    )
}

/// The `n`th source: 10.9.0.0 and on.
fn source(n: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(0x0a09_0000 + n)
}

fn server(world: &World) -> Outcome<IpAddr> {
    Ok(world.server.v4().ok_or("the server has no IPv4 address")?)
}

fn offence(world: &World, n: u32) -> Outcome<Probe> {
    let to = SocketAddr::new(server(world)?, CLOSED);
    Ok(Probe::syn(SocketAddr::new(source(n).into(), 40_000), to))
}

/// The daemon's own measure, in milliseconds.
fn told(status: &Value) -> (f64, f64, u64) {
    let facts = &status["kernel_sets"];
    let ms = |name: &str| facts[name].as_f64().unwrap_or(f64::NAN) * 1e3;
    (ms("p50"), ms("p99"), facts["count"].as_u64().unwrap_or(0))
}

fn one_by_one(world: &World) -> Outcome<()> {
    let gate = Gate::start(&world.server, &policy(1));
    let mut monitor = world.server.command("nft");
    let mut monitor =
        Process::start(monitor.args(["monitor", "new", "elements"]).stdout(Stdio::piped()))?;
    let lines = BufReader::new(monitor.child().stdout.take().ok_or("no output")?).lines();
    let seen: Mutex<HashMap<Ipv4Addr, Instant>> = Mutex::default();
    // It has no way to say that it listens.
    std::thread::sleep(Duration::from_millis(500));
    let mut sent = HashMap::new();
    let missing = std::thread::scope(|scope| -> Outcome<usize> {
        scope.spawn(|| {
            for line in lines.map_while(Result::ok) {
                let now = Instant::now();
                let Some((_, element)) = line.split_once("banned4 { ") else { continue };
                let word = element.split([' ', ',']).next().unwrap_or_default();
                if let (Ok(address), Ok(mut seen)) = (word.parse(), seen.lock()) {
                    seen.entry(address).or_insert(now);
                }
            }
        });
        let forge = world.rogues.run(Forge::open)??;
        for n in 0..SINGLE {
            sent.insert(source(n), Instant::now());
            forge.send(&offence(world, n)?)?;
            std::thread::sleep(PACE);
        }
        std::thread::sleep(Duration::from_millis(500));
        let held: Vec<String> = gate.set("banned4");
        // Ends the thread that reads.
        drop(monitor);
        Ok(sent.keys().filter(|address| !held.contains(&address.to_string())).count())
    })?;
    let seen = seen.into_inner().map_err(|_| "the reader failed")?;
    let outside =
        sent.iter().filter_map(|(address, at)| Some(seen.get(address)?.duration_since(*at)));
    let outside = Sample::new(outside.collect());
    let (p50, p99, count) = told(&gate.status());
    println!("{SINGLE} single offences, one every {PACE:?}: {missing} missing in the kernel's set");
    println!("{:<34}{:>10}{:>10}{:>8}", "ms", "p50", "p99", "count");
    println!("{:<34}{p50:>10.1}{p99:>10.1}{count:>8}", "decision to set (status --json)");
    let ms = |share| micros(outside.quantile(share)) / 1e3;
    println!(
        "{:<34}{:>10.1}{:>10.1}{:>8}",
        "SYN sent to nft monitor",
        ms(0.5),
        ms(0.99),
        outside.times().len()
    );
    println!();
    gate.stop();
    if missing > 0 { Err("standings are missing".into()) } else { Ok(()) }
}

/// What a burst did.
struct Burst {
    before: Sample,
    during: Sample,
    sent: Duration,
    all_in: Option<Duration>,
    told: (f64, f64, u64),
}

fn all_at_once(world: &World, rounds: u64) -> Outcome<()> {
    println!("{CROWD} sources offend within a second");
    println!(
        "{:<22}{:>9}{:>9}{:>9}{:>11}{:>11}{:>11}{:>9}",
        "ms", "sent in", "all in", "set p99", "connects", "median", "p99", "max"
    );
    let (mut quiet, mut free, mut burdened) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=rounds {
        for after in [1000, 1] {
            let burst = burst(world, after)?;
            let row = |name: &str, facts: [String; 3], sample: &Sample| {
                let ms = |share| micros(sample.quantile(share)) / 1e3;
                let [sent, all, p99] = facts;
                println!(
                    "{name:<22}{sent:>9}{all:>9}{p99:>9}{:>11}{:>11.2}{:>11.2}{:>9.1}",
                    sample.times().len(),
                    ms(0.5),
                    ms(0.99),
                    ms(1.0)
                );
            };
            let whole = |time: Duration| format!("{:.0}", micros(time) / 1e3);
            row(&format!("{round} quiet"), Default::default(), &burst.before);
            let sent = whole(burst.sent);
            match burst.all_in {
                None => row(
                    &format!("{round} no standings"),
                    [sent, String::new(), String::new()],
                    &burst.during,
                ),
                Some(all) => {
                    let p99 = format!("{:.0}", burst.told.1);
                    row(
                        &format!("{round} {CROWD} standings"),
                        [sent, whole(all), p99],
                        &burst.during,
                    );
                }
            }
            quiet.push(micros(burst.before.quantile(0.99)));
            let list = if after == 1 { &mut burdened } else { &mut free };
            list.push(micros(burst.during.quantile(0.99)));
        }
    }
    let [quiet, free, burdened] = [quiet, free, burdened].map(|list| median(list) / 1e3);
    println!(
        "p99 to connect, median of the rounds: quiet {quiet:.2} ms, burst without standings \
         {free:.2} ms, burst with standings {burdened:.2} ms"
    );
    Ok(())
}

/// An ordinary client connects, a while in quiet, then during a burst until all is over.
fn burst(world: &World, after: u32) -> Outcome<Burst> {
    let _ = std::fs::remove_dir_all("/run/gate/state");
    let gate = Gate::start(&world.server, &policy(after));
    let web = SocketAddr::new(server(world)?, 80);
    let before = visits(world, web, || false, 400)?;
    let crowd: Vec<Probe> = (0..CROWD).map(|n| offence(world, n)).collect::<Outcome<_>>()?;
    let over = AtomicBool::new(false);
    let (during, sent, all_in) = std::thread::scope(|scope| -> Outcome<_> {
        let visitor = scope.spawn(|| {
            let over = || over.load(Ordering::Relaxed);
            visits(world, web, over, usize::MAX).map_err(|error| error.to_string())
        });
        let outcome = (|| -> Outcome<_> {
            let begun = Instant::now();
            world.rogues.run(|| Forge::open()?.flood(crowd, CROWD))??;
            let sent = begun.elapsed();
            let all_in = if after == 1 { Some(all_in(&gate, begun)?) } else { None };
            Ok((sent, all_in))
        })();
        over.store(true, Ordering::Relaxed);
        let during = visitor.join().map_err(|_| "the client failed")??;
        let (sent, all_in) = outcome?;
        Ok((during, sent, all_in))
    })?;
    let held = gate.set("banned4").len();
    let wanted = if after == 1 { CROWD as usize } else { 0 };
    if held != wanted || gate.lost() > 0 {
        return Err(
            format!("{held} of {wanted} standings are in the set: {}", gate.status()).into()
        );
    }
    let told = told(&gate.status());
    gate.stop();
    clean(world)?;
    Ok(Burst { before, during, sent, all_in, told })
}

/// Waits until the daemon has put all standings into the kernel's set; how long it took.
fn all_in(gate: &Gate<'_>, begun: Instant) -> Outcome<Duration> {
    loop {
        let status = gate.status();
        let took = begun.elapsed();
        if told(&status).2 >= u64::from(CROWD) {
            return Ok(took);
        }
        if took > LIMIT {
            return Err(format!("not all in the set after {took:?}: {status}").into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Connects every few milliseconds, until it is enough.
fn visits(
    world: &World,
    to: SocketAddr,
    enough: impl Fn() -> bool + Send,
    most: usize,
) -> Outcome<Sample> {
    let times = world.people.run(move || {
        let mut times = Vec::new();
        while times.len() < most && !enough() {
            times.push(connect(to)?);
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok::<_, std::io::Error>(times)
    })??;
    if times.is_empty() { Err("nobody was let in".into()) } else { Ok(Sample::new(times)) }
}

/// The next gate shall find nothing.
fn clean(world: &World) -> Outcome<()> {
    let unload = world.server.command(stage::PORTCULLIS).arg("unload").output()?;
    if unload.status.success() { Ok(()) } else { Err(stage::text(&unload).into()) }
}
