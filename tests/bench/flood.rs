//! What ordinary clients feel while others knock: the time to connect beside a background of SYNs,
//! and whether anybody gets in during a flood.
//!
//!     cargo bench --bench flood [-- SECONDS [ROUNDS]]      (5 s, 3 rounds)
//!
//! Hosts of their own in a private network; the gate runs the shipped policy, with the rates raised
//! for the one client that makes all the connections of part 1.
//!
//! 1. SYNs of 100,000 forged sources come evenly to a served port, and are dropped right behind the
//!    gate. One client connects elsewhere, again and again, without the gate and with it by turns.
//! 2. SYNs come as fast as they can be sent: from one source to a closed port, which makes it a
//!    suspect, or to the port of a real server, where it is no more than throttled; or from forged
//!    ones. Five clients fetch a page ten times a second each, and give up after three
//!    seconds. Beside the gate: a host with nothing, one with SYN cookies, one with nft meters
//!    written by hand (and SYN cookies). The processors are shared by the flood, the server and the
//!    clients, so the first figures of an idle network stand above them.
//!
//! It fails if a connection fails in part 1, or with the gate in part 2 more than one in a hundred.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use portcullis::lab::visit;

mod arms;
mod connects;
mod enter;
mod generator;
#[allow(dead_code, unused_imports, unused_macros, reason = "the end-to-end tests use all of it")]
#[path = "../e2e/stage/mod.rs"]
mod stage;

use arms::{RAISED, SHIPPED, meters};
use connects::{Sample, connect, median, micros};
use enter::{Outcome, in_the_lab, numbers};
use generator::Generator;
use stage::{Gate, PORTCULLIS, World, nft, nft_load, text};

/// Drops the background behind the gate, so that the server has no work with it.
const BEHIND: &str = "table inet behind { chain unheard { type filter hook prerouting priority 10; \
                      tcp dport 81 drop; }; }";

const BACKGROUNDS: [u32; 4] = [0, 1_000, 10_000, 50_000];
const SOURCES: u32 = 100_000;
const CLIENTS: u8 = 5;
const GIVES_UP: Duration = Duration::from_secs(3);

fn main() -> ExitCode {
    in_the_lab(bench)
}

fn bench() -> Outcome<()> {
    let [seconds, rounds] = numbers([5, 3])?;
    let world = World::new();
    // Forged senders are somewhere in the world, and do not answer. Without this, our router would
    // tell the server that they do not exist, and that would forget them at once.
    let mut ip = std::process::Command::new("ip");
    if !ip.args(["route", "add", "blackhole", "default"]).status()?.success() {
        return Err("the router takes no route".into());
    }
    let seconds = Duration::from_secs(seconds);
    backgrounds(&world, seconds, rounds)?;
    floods(&world, seconds)
}

/// A source of the background: scattered over the address space, none special.
fn stranger(n: u32) -> (Ipv4Addr, u16) {
    let source = 0x0b00_0000 + ((n % SOURCES).wrapping_mul(0x9e37_79b1) >> 6);
    (Ipv4Addr::from_bits(source), 1024 + (n / SOURCES) as u16)
}

/// Sends from the rogues' host until it is told to end.
fn begin(
    world: &World,
    port: u16,
    per_second: u32,
    source: fn(u32) -> (Ipv4Addr, u16),
) -> Outcome<impl FnOnce() -> Outcome<f64>> {
    static SERIAL: AtomicU32 = AtomicU32::new(0);
    let to = SocketAddr::new(world.server.v4().ok_or("an address")?, port);
    let ends = Arc::new(AtomicBool::new(false));
    let ended = Arc::clone(&ends);
    let sending = world.rogues.spawn(move || {
        let serial = SERIAL.fetch_add(100_000_000, Relaxed);
        let mut generator = Generator::open(to)?.beginning(serial);
        let mut sent = 0;
        let took = generator.stream(per_second, source, |count| {
            sent = count;
            ended.load(Relaxed)
        })?;
        std::io::Result::Ok(f64::from(sent) / took.as_secs_f64())
    })?;
    Ok(move || {
        ends.store(true, Relaxed);
        let sent = sending.join().map_err(|_| "the generator has ended badly")??;
        Ok(sent?)
    })
}

/// The gate, with what is laid over the shipped policy.
fn gate<'a>(world: &'a World, over: &str) -> Outcome<Gate<'a>> {
    std::fs::create_dir_all("/run/gate/conf.d")?;
    std::fs::write("/run/gate/conf.d/raised.toml", over)?;
    Ok(Gate::start(&world.server, SHIPPED))
}

/// Takes the gate away, without leaving anything.
fn leave(world: &World, gate: Gate<'_>) -> Outcome<()> {
    gate.stop();
    let unload = world.server.command(PORTCULLIS).arg("unload").output()?;
    if !unload.status.success() {
        return Err(text(&unload).into());
    }
    nft(&world.server, &["flush", "ruleset"]);
    Ok(())
}

/// Part 1.
fn backgrounds(world: &World, seconds: Duration, rounds: u64) -> Outcome<()> {
    println!(
        "{:<12}{:>10}{:>9}{:>9}{:>9}{:>9}{:>9}{:>9}{:>10}",
        "time to", "without", "", "", "with", "", "", "added", ""
    );
    println!(
        "{:<12}{:>10}{:>9}{:>9}{:>9}{:>9}{:>9}{:>9}{:>10}",
        "connect, us", "median", "p99", "p99.9", "median", "p99", "p99.9", "median", "p99"
    );
    for rate in BACKGROUNDS {
        let mut samples: [Vec<Sample>; 2] = Default::default();
        for round in 0..rounds {
            for with in [round % 2 == 1, round % 2 == 0] {
                let gate = with
                    .then(|| gate(world, &format!("{RAISED}[ports]\nopen = \"80, 81\"\n")))
                    .transpose()?;
                nft_load(&world.server, BEHIND);
                samples[usize::from(with)].push(beside(world, rate, seconds)?);
                match gate {
                    Some(gate) => {
                        if gate.lost() > 0 {
                            return Err(format!("{} SYNs were lost", gate.lost()).into());
                        }
                        leave(world, gate)?;
                    }
                    None => _ = nft(&world.server, &["flush", "ruleset"]),
                }
            }
        }
        // Each quantile of each round by itself, so that one bad round does not make the tail.
        let of = |with: usize, share: f64| {
            median(samples[with].iter().map(|s| micros(s.quantile(share))).collect())
        };
        let [w50, w99, w999] = [0.5, 0.99, 0.999].map(|share| of(0, share));
        let [g50, g99, g999] = [0.5, 0.99, 0.999].map(|share| of(1, share));
        println!(
            "{:<12}{w50:>10.0}{w99:>9.0}{w999:>9.0}{g50:>9.0}{g99:>9.0}{g999:>9.0}{:>9.0}{:>10.0}",
            format!("{rate} SYN/s"),
            g50 - w50,
            g99 - w99
        );
    }
    Ok(())
}

/// Connects again and again, beside a background.
fn beside(world: &World, rate: u32, lasting: Duration) -> Outcome<Sample> {
    let to = SocketAddr::new(world.server.v4().ok_or("an address")?, 80);
    let background = (rate > 0).then(|| begin(world, 81, rate, stranger)).transpose()?;
    let times = world.people.run(|| {
        let begun = Instant::now();
        let mut times = Vec::new();
        // The first ones find nothing in any cache.
        while begun.elapsed() < lasting + Duration::from_millis(500) {
            let time = connect(to)?;
            if begun.elapsed() > Duration::from_millis(500) {
                times.push(time);
            }
        }
        std::io::Result::Ok(times)
    })??;
    if let Some(end) = background {
        let sent = end()?;
        if sent < f64::from(rate) * 0.9 {
            eprintln!("only {sent:.0} SYNs a second were sent, not {rate}");
        }
    }
    Ok(Sample::new(times))
}

/// What stands before the server in part 2.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Arm {
    Nothing,
    Cookies,
    Meters,
    Gate,
}

/// Part 2.
fn floods(world: &World, lasting: Duration) -> Outcome<()> {
    let lone = |n: u32| (Ipv4Addr::new(192, 0, 2, 66), 1024 + (n % 60_000) as u16);
    let forged = |n: u32| {
        let source = 0x1400_0000 + (n.wrapping_mul(0x9e37_79b1) & 0x3fff_ffff);
        (Ipv4Addr::from_bits(source), 1024 + (n >> 16) as u16)
    };
    type Sources = fn(u32) -> (Ipv4Addr, u16);
    let floods: [(&str, u16, Option<Sources>); 4] = [
        ("no flood", 80, None),
        ("one, closed port", 9, Some(lone)),
        ("one source", 80, Some(lone)),
        ("forged sources", 80, Some(forged)),
    ];
    println!(
        "\n{:<17}{:<13}{:>10}{:>9}{:>10}{:>10}{:>10}{:>10}",
        "flood of", "behind", "SYN/s", "fetches", "done, %", "median ms", "p99 ms", "CPU, %"
    );
    for n in 0..CLIENTS {
        let mut ip = world.people.command("ip");
        let address = format!("{}/24", client(n));
        if !ip.args(["addr", "replace", &address, "dev", "eth0"]).status()?.success() {
            return Err(format!("the clients' host does not take {address}").into());
        }
    }
    let mut worst: f64 = 100.0;
    for (name, port, source) in floods {
        for (arm, behind) in [
            (Arm::Nothing, "nothing"),
            (Arm::Cookies, "SYN cookies"),
            (Arm::Meters, "nft meters"),
            (Arm::Gate, "portcullis"),
        ] {
            let cookies = if arm == Arm::Nothing { "0" } else { "1" };
            world.server.run(|| std::fs::write("/proc/sys/net/ipv4/tcp_syncookies", cookies))??;
            let gate = (arm == Arm::Gate).then(|| gate(world, "")).transpose()?;
            if arm == Arm::Meters {
                nft_load(&world.server, &meters(200, 400));
            }
            let flood = source.map(|source| begin(world, port, u32::MAX, source)).transpose()?;
            // Time for the source to be known, and for tables to fill.
            std::thread::sleep(Duration::from_secs(1));
            let cpu = || gate.as_ref().map_or(Ok(Duration::ZERO), Gate::cpu);
            let (before, begun) = (cpu()?, Instant::now());
            let fetches = fetch(world, lasting)?;
            let share = (cpu()? - before).as_secs_f64() / begun.elapsed().as_secs_f64();
            let sent = flood.map_or(Ok(0.0), |end| end())?;
            match gate {
                Some(gate) => leave(world, gate)?,
                None => _ = nft(&world.server, &["flush", "ruleset"]),
            }
            let done: Vec<Duration> = fetches.iter().filter_map(|time| *time).collect();
            let percent = 100.0 * done.len() as f64 / fetches.len() as f64;
            let sample = Sample::new(done);
            let at = |share| micros(sample.quantile(share)) / 1000.0;
            let share =
                if arm == Arm::Gate { format!("{:.1}", 100.0 * share) } else { String::new() };
            println!(
                "{name:<17}{behind:<13}{sent:>10.0}{:>9}{percent:>10.1}{:>10.2}{:>10.2}{share:>10}",
                fetches.len(),
                at(0.5),
                at(0.99)
            );
            if arm == Arm::Gate {
                worst = worst.min(percent);
            }
            // What waits in the server's queues is gone before the next begins.
            std::thread::sleep(Duration::from_secs(2));
        }
    }
    if worst < 99.0 { Err("ordinary clients were kept out".into()) } else { Ok(()) }
}

fn client(n: u8) -> IpAddr {
    IpAddr::from([203, 0, 113, 100 + n])
}

/// Fetches pages from several addresses: how long each connection took to make, if it was.
fn fetch(world: &World, lasting: Duration) -> Outcome<Vec<Option<Duration>>> {
    let to = SocketAddr::new(world.server.v4().ok_or("an address")?, 80);
    let clients: Vec<_> = (0..CLIENTS)
        .map(|n| {
            let from = client(n);
            world.people.spawn(move || {
                let begun = Instant::now();
                let mut fetches = Vec::new();
                for n in 0.. {
                    let due = Duration::from_millis(100) * n;
                    if due.max(begun.elapsed()) > lasting {
                        break;
                    }
                    std::thread::sleep(due.saturating_sub(begun.elapsed()));
                    let visit = visit(from, to, GIVES_UP);
                    fetches.push(visit.is_served().then(|| visit.connected()).flatten());
                }
                fetches
            })
        })
        .collect::<Result<_, _>>()?;
    let mut all = Vec::new();
    for client in clients {
        all.extend(client.join().map_err(|_| "a client has ended badly")??);
    }
    Ok(all)
}
