//! A start with many standings on record and a long deny list, with the real daemon.
//!
//!     cargo bench --bench start [-- STANDINGS [PREFIXES]]      (1,000,000 each)
//!
//! Everything is measured from the moment before the daemon is executed:
//!
//! - until the gate judges: one rogue is banned, the oldest of all on record, so the last to get into
//!   the kernel's sets, and another is on the deny list. Both connect again and again; until the gate
//!   stands they get in, and from then on never;
//! - until the sets are full (`status --json`), and how long an admin's new bans take meanwhile, from
//!   the command to its answer, which comes when the kernel has been told;
//! - how long an ordinary client takes to connect meanwhile;
//! - the daemon's memory.
//!
//! Beside it the same elements are loaded by plain `nft -f` as text, as a boot script would, into a
//! table of another host.
//!
//! It fails if one of the two rogues gets in once the gate judges, if an element is missing in the
//! end, if a SYN was lost, or if the ordinary client was refused.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::process::{ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use portcullis::lab::Host;
use socket2::{Domain, Socket, Type};

#[allow(dead_code, reason = "other benches use all of it")]
mod connects;
mod enter;
#[allow(dead_code, unused_imports, unused_macros, reason = "the end-to-end tests use all of it")]
#[path = "../e2e/stage/mod.rs"]
mod stage;

use connects::{Sample, connect, micros};
use enter::{Outcome, in_the_lab, numbers};
use stage::{Gate, Recorded, World, standings, write_ledger};

/// Banned on record.
const BANNED: &str = "192.0.2.66";
/// On the deny list.
const DENIED: &str = "192.0.2.77";
/// Who is not answered within this, is refused: the links have no delay.
const ANSWER: Duration = Duration::from_millis(60);
/// For the sets to get full.
const LIMIT: Duration = Duration::from_secs(120);
/// So many elements are loaded, or looked for, by one nft.
const CHUNK: usize = 50_000;

fn main() -> ExitCode {
    in_the_lab(bench)
}

fn bench() -> Outcome<()> {
    let [count, prefixes] = numbers([1_000_000; 2])?;
    let (count, prefixes) = (u32::try_from(count)?, u32::try_from(prefixes)?);
    let mut world = World::new();
    let rival = world.lab.host("rival", &["10.255.0.1/24".parse()?])?;
    let all = standings(BANNED.parse()?, count);
    write_ledger("/run/gate/state", &all)?;
    write_list(prefixes)?;
    println!("{count} standings on record, {prefixes} prefixes on the deny list");
    let policy = format!(
        "[denylist]\nfiles = \"list.txt\"\n[guard]\nset_size = {}\n",
        (2 * count).clamp(1024, 16_777_216)
    );
    start(&world, &policy, &all)?;
    compare(&rival, &all)
}

fn write_list(count: u32) -> Outcome<()> {
    let mut text = String::with_capacity(count as usize * 18);
    for n in 1..count {
        if n % 2 == 0 {
            writeln!(text, "{}/{}", Ipv4Addr::from_bits(0x2000_0000 + n * 512), 24 + n % 8)?;
        } else {
            let bits = (0x2400_u128 << 112) | u128::from(n) << 80;
            writeln!(text, "{}/{}", Ipv6Addr::from_bits(bits), [48, 56, 64][n as usize % 3])?;
        }
    }
    writeln!(text, "{DENIED}")?;
    Ok(fs::write("/run/gate/list.txt", text)?)
}

/// Connects from this address of this thread's host, and resets the connection. False if nobody
/// answers in time.
fn gets_in(from: IpAddr, to: SocketAddr) -> std::io::Result<bool> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
    socket.set_linger(Some(Duration::ZERO))?;
    socket.bind(&SocketAddr::new(from, 0).into())?;
    let answered = socket.connect_timeout(&to.into(), ANSWER).is_ok();
    drop(TcpStream::from(socket));
    Ok(answered)
}

/// A rogue that connects until all is over: since when it is refused, and how often it got in after
/// that.
fn knock(host: &Host, from: &str, to: SocketAddr, over: &AtomicBool) -> Outcome<(Instant, usize)> {
    let from: IpAddr = from.parse()?;
    Ok(host.run(|| -> std::io::Result<_> {
        let (mut refused, mut slipped) = (None, 0);
        while !over.load(Ordering::Relaxed) {
            let begun = Instant::now();
            match (gets_in(from, to)?, refused) {
                (false, None) => refused = Some(begun),
                (true, Some(_)) => slipped += 1,
                _ => {}
            }
            std::thread::sleep(Duration::from_millis(3));
        }
        Ok((refused.ok_or_else(|| std::io::Error::other("was never refused"))?, slipped))
    })??)
}

fn start(world: &World, policy: &str, all: &[Recorded]) -> Outcome<()> {
    let web = SocketAddr::new(world.server.v4().ok_or("the server has no IPv4 address")?, 80);
    let over = AtomicBool::new(false);
    let said = |result: Outcome<(Instant, usize)>| result.map_err(|error| error.to_string());
    std::thread::scope(|scope| -> Outcome<()> {
        let banned = scope.spawn(|| said(knock(&world.rogues, BANNED, web, &over)));
        let denied = scope.spawn(|| said(knock(&world.rogues, DENIED, web, &over)));
        let begun = Instant::now();
        // Whatever becomes of it, the others are to end.
        let gate = Gate::try_start(&world.server, "gate", policy);
        let ready = begun.elapsed();
        let done = gate
            .map_err(|refused| format!("the gate does not start: {refused:?}").into())
            .and_then(|gate| {
                let filled = fill(world, &gate, web, begun);
                let held = if filled.is_ok() { missing(&world.server, all) } else { Ok(0) };
                Ok((filled?, held?, gate.lost(), memory(&gate), gate))
            });
        over.store(true, Ordering::Relaxed);
        let banned = banned.join().map_err(|_| "a rogue failed")??;
        let denied = denied.join().map_err(|_| "a rogue failed")??;
        let (filled, missing, lost, (resident, peak), gate): (
            Filled,
            usize,
            u64,
            (u64, u64),
            Gate,
        ) = done.map_err(|error: Box<dyn std::error::Error>| error)?;
        let ms = |time: Duration| format!("{:.0} ms", time.as_secs_f64() * 1e3);
        let row = |name: &str, value: String| println!("  {name:<44}{value:>12}");
        row("judging: on the deny list, refused from", ms(denied.0.duration_since(begun)));
        row("judging: banned on record, refused from", ms(banned.0.duration_since(begun)));
        row("told its service manager that it is ready", ms(ready));
        row("all sets full", ms(filled.full));
        let bans = Sample::new(filled.bans);
        if !bans.times().is_empty() {
            row("a new ban meanwhile, median", ms(bans.quantile(0.5)));
            row(
                &format!("a new ban meanwhile, longest of {}", bans.times().len()),
                ms(bans.quantile(1.0)),
            );
        }
        let us = |share| format!("{:.0} µs", micros(filled.client.quantile(share)));
        row(&format!("ordinary client, {} connects: median", filled.client.times().len()), us(0.5));
        row("ordinary client, 99 of 100", us(0.99));
        row("ordinary client, longest", us(1.0));
        row("memory when full", format!("{} MB", resident / 1000));
        row("memory, highest", format!("{} MB", peak / 1000));
        let slipped = banned.1 + denied.1;
        let stopped = Instant::now();
        gate.stop();
        row("stop", ms(stopped.elapsed()));
        if missing + slipped > 0 || lost > 0 {
            return Err(format!(
                "{missing} elements are missing, {lost} SYNs were lost, and the rogues got in \
                 {slipped} times"
            )
            .into());
        }
        Ok(())
    })
}

/// What was seen until the sets were full.
struct Filled {
    full: Duration,
    bans: Vec<Duration>,
    client: Sample,
}

fn fill(world: &World, gate: &Gate<'_>, web: SocketAddr, begun: Instant) -> Outcome<Filled> {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let client = scope.spawn(|| {
            world.people.run(|| -> std::io::Result<Vec<Duration>> {
                let mut times = Vec::new();
                while !over.load(Ordering::Relaxed) {
                    times.push(connect(web)?);
                    std::thread::sleep(Duration::from_millis(5));
                }
                Ok(times)
            })
        });
        let outcome = (|| -> Outcome<_> {
            let mut bans = Vec::new();
            for n in 0_u32.. {
                let status = gate.status();
                let full = begun.elapsed();
                if status["firewall"]["filling"].is_null() {
                    return Ok((full, bans));
                }
                if full > LIMIT {
                    return Err(format!("not full after {full:?}: {status}").into());
                }
                let new = Ipv4Addr::from_bits(0xc612_0000 + n).to_string();
                let asked = Instant::now();
                let answer = gate.ask(&["bans", "add", &new, "--for", "1h"]);
                bans.push(asked.elapsed());
                if !answer.status.success() {
                    return Err(stage::text(&answer).into());
                }
                std::thread::sleep(Duration::from_millis(100));
            }
            Err("never full".into())
        })();
        over.store(true, Ordering::Relaxed);
        let client = client.join().map_err(|_| "the client failed")???;
        let (full, bans) = outcome?;
        Ok(Filled { full, bans, client: Sample::new(client) })
    })
}

/// Resident memory of the daemon now and at most, in kB.
fn memory(gate: &Gate<'_>) -> (u64, u64) {
    let status = fs::read_to_string(format!("/proc/{}/status", gate.status()["pid"]));
    let status = status.unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
    };
    (field("VmRSS:"), field("VmHWM:"))
}

/// How many chunks have an element that is not in its set. Listing so large a set would take
/// minutes; that it could be deleted is quickly asked (`nft -c`).
fn missing(host: &Host, all: &[Recorded]) -> Outcome<usize> {
    let mut missing = 0;
    for_each_chunk(all, |set, some| {
        let elements: Vec<String> = some.iter().map(IpAddr::to_string).collect();
        let text = format!("delete element inet portcullis {set} {{ {} }}\n", elements.join(", "));
        missing += usize::from(!nft(host, &["-c", "-f", "-"], &text)?);
        Ok(())
    })?;
    Ok(missing)
}

fn for_each_chunk(
    all: &[Recorded],
    mut then: impl FnMut(&str, &[IpAddr]) -> Outcome<()>,
) -> Outcome<()> {
    for set in ["banned4", "banned6", "suspect4", "suspect6"] {
        let of_set = all.iter().filter(|standing| standing.set() == set);
        let of_set: Vec<IpAddr> = of_set.map(|standing| standing.address).collect();
        of_set.chunks(CHUNK).try_for_each(|some| then(set, some))?;
    }
    Ok(())
}

fn nft(host: &Host, args: &[&str], text: &str) -> Outcome<bool> {
    let mut command = host.command("nft");
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn()?;
    let written = child.stdin.take().ok_or("no input")?.write_all(text.as_bytes());
    let ended = child.wait()?;
    Ok(ended.success() && written.is_ok())
}

/// What plain nft takes for the same elements.
fn compare(rival: &Host, all: &[Recorded]) -> Outcome<()> {
    let mut table = String::from("table inet rival {\n");
    for (set, kind) in
        [("banned4", "ipv4"), ("banned6", "ipv6"), ("suspect4", "ipv4"), ("suspect6", "ipv6")]
    {
        let size = 2 * all.len();
        writeln!(table, "set {set} {{ type {kind}_addr; size {size}; flags timeout; }}")?;
    }
    table += "}\n";
    let mut texts = Vec::new();
    for_each_chunk(all, |set, some| {
        let elements: Vec<String> =
            some.iter().map(|address| format!("{address} timeout 7200s")).collect();
        texts.push(format!("add element inet rival {set} {{ {} }}\n", elements.join(", ")));
        Ok(())
    })?;
    let begun = Instant::now();
    if !nft(rival, &["-f", "-"], &table)? {
        return Err("nft does not make the rival's table".into());
    }
    for text in &texts {
        if !nft(rival, &["-f", "-"], text)? {
            return Err("nft does not take the rival's elements".into());
        }
    }
    let took = begun.elapsed().as_secs_f64();
    println!("  {:<44}{:>9.0} ms", "rival: the same elements by nft -f, as text", took * 1e3);
    Ok(())
}
