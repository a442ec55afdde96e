//! CPU time per verdict and verdicts per second on a real kernel: Portcullis with every check on
//! and 100,000 live sources, beside loops that accept everything behind the same kernel table, in
//! one run: on the same nfq crate, in C on libnetfilter_queue, in Python on NetfilterQueue.
//!
//!     cargo bench --bench gate [-- ROUNDS]
//!
//! A private network namespace; SYNs from a host beside it; what the gate accepts is dropped right
//! behind it, so that nothing but the verdict is paid for. First 60,000 a second, 600,000 a round:
//! the CPU time is what the scheduler counts for all threads of the judging process
//! (/proc/PID/task/*/schedstat). Then as many as the generator makes: how many of them are answered
//! in a second, and what one costs then. Rounds alternate; ratios are taken round by round.
//!
//! The C rival wants `cc` and libnetfilter-queue-dev, the one in Python `pip install
//! NetfilterQueue`; one that cannot be had is named and left out.

use std::io::{BufReader, Lines};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use portcullis::lab::{self, Lab};

mod enter;
mod generator;
mod rivals;

use enter::{Outcome, in_the_lab, numbers, words};
use generator::Generator;
use rivals::Rival;

const SOURCES: u32 = 100_000;
const PACKETS: u32 = 600_000;
const PER_SECOND: u32 = 60_000;
const QUEUE: u16 = 7;
const PORTCULLIS: &str = env!("CARGO_BIN_EXE_portcullis");

/// One program in one round.
#[derive(Clone, Copy)]
struct Score {
    /// Microseconds of CPU per verdict at a steady rate.
    steady: f64,
    /// The same, while more comes than can be answered.
    saturated: f64,
    /// Verdicts a second then.
    per_second: f64,
}

fn main() -> ExitCode {
    if words().next().as_deref() == Some("accept-everything") {
        return match accept_everything() {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        };
    }
    in_the_lab(bench)
}

fn bench() -> Outcome<()> {
    let [rounds] = numbers([5])?;
    let mut lab = Lab::open()?;
    let load = lab.host("load", &["10.77.0.2/16".parse()?])?;
    lab.ready()?;
    // The router, which is this namespace, has the first address of the network.
    let target = Ipv4Addr::new(10, 77, 0, 1);
    nft(
        "table inet behind { chain unheard { type filter hook prerouting priority 10; iifname \"load\" tcp dport 80-81 drop; }; }",
    )?;

    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("portcullis.toml"), policy_text(folder.path()))?;
    let bench = Bench { load: &load, target, folder: folder.path() };

    let rivals = rivals(folder.path())?;
    let names: Vec<&str> =
        rivals.iter().map(|rival| rival.name).chain(["portcullis, every check"]).collect();
    let mut scores: Vec<Vec<Score>> = vec![Vec::new(); names.len()];
    for round in 1..=rounds {
        for (own, rival) in scores.iter_mut().zip(&rivals) {
            own.push(with_noop(&bench, rival)?);
        }
        scores[rivals.len()].push(with_portcullis(&bench)?);
        eprintln!("round {round} of {rounds}: done");
    }
    print(&names, &scores);
    Ok(())
}

/// The table, and each figure as a bar; ratios to each rival, round by round.
fn print(names: &[&str], scores: &[Vec<Score>]) {
    println!("{:<28}{:>16}{:>16}{:>14}", "", "us per verdict", "when saturated", "verdicts/s");
    let of = |own: &[Score], figure: fn(&Score) -> f64| median(own.iter().map(figure).collect());
    for (name, own) in names.iter().zip(scores) {
        println!(
            "{name:<28}{:>16.2}{:>16.2}{:>14.0}",
            of(own, |score| score.steady),
            of(own, |score| score.saturated),
            of(own, |score| score.per_second),
        );
    }
    println!("\nCPU per verdict at {PER_SECOND} SYNs a second");
    let longest = scores.iter().map(|own| of(own, |score| score.steady)).fold(0.0, f64::max);
    for (name, own) in names.iter().zip(scores) {
        let steady = of(own, |score| score.steady);
        println!("{name:<28}{} {steady:.2}", "#".repeat((40.0 * steady / longest) as usize));
    }
    let Some((ours, rivals)) = scores.split_last() else { return };
    println!(
        "\n{:<28}{:>22}{:>22}{:>22}",
        "portcullis beside", "CPU", "CPU saturated", "verdicts/s"
    );
    for (name, own) in names.iter().zip(rivals) {
        let ratio = |figure: fn(&Score) -> f64| {
            let mut ratios: Vec<f64> =
                ours.iter().zip(own).map(|(ours, own)| figure(ours) / figure(own)).collect();
            ratios.sort_by(f64::total_cmp);
            let (min, max) = (ratios[0], ratios[ratios.len() - 1]);
            format!("{:.2} ({min:.2}-{max:.2})", median(ratios))
        };
        println!(
            "{name:<28}{:>22}{:>22}{:>22}",
            ratio(|score| score.steady),
            ratio(|score| score.saturated),
            ratio(|score| score.per_second)
        );
    }
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Those that can be had on this machine.
fn rivals(folder: &Path) -> Outcome<Vec<Rival>> {
    let crate_loop = Rival {
        name: "no-op, nfq crate",
        program: std::env::current_exe()?,
        args: vec!["accept-everything".into()],
    };
    let others = [Rival::in_c(folder, QUEUE), Rival::in_python(QUEUE)];
    Ok(std::iter::once(crate_loop).chain(others.into_iter().flatten()).collect())
}

/// The rival: what the nfq crate's documentation shows. A SYN to port 81 makes it say how many it
/// has answered.
fn accept_everything() -> Outcome<()> {
    let mut queue = nfq::Queue::open()?;
    queue.bind(QUEUE)?;
    println!("0");
    let mut answered = 0u64;
    loop {
        let mut message = queue.recv()?;
        let asked = message.get_payload().get(22..24) == Some(&81u16.to_be_bytes());
        message.set_verdict(nfq::Verdict::Accept);
        queue.verdict(message)?;
        answered += 1;
        if asked {
            println!("{answered}");
        }
    }
}

/// The rival behind the same kernel table: the daemon is killed, its table stays, and the loop
/// takes its place at the queue.
fn with_noop(bench: &Bench<'_>, rival: &Rival) -> Outcome<Score> {
    let mut daemon = bench.daemon()?;
    daemon.0.kill()?;
    daemon.0.wait()?;
    let (child, mut lines) = rival.start(&mut Command::new(&rival.program))?;
    bench.measure(child.id(), || bench.asked(&mut lines))
}

fn with_portcullis(bench: &Bench<'_>) -> Outcome<Score> {
    let mut daemon = bench.daemon()?;
    let id = daemon.0.id();
    let score = bench.measure(id, || {
        let status = bench.status().ok_or("no status")?;
        status["counters"]["received"].as_u64().ok_or_else(|| "no counter".into())
    })?;
    let pid = rustix::process::Pid::from_child(&daemon.0);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
    daemon.0.wait()?;
    Ok(score)
}

struct Bench<'a> {
    load: &'a lab::Host,
    target: Ipv4Addr,
    folder: &'a Path,
}

impl Bench<'_> {
    /// Starts the real program, and waits until it judges.
    fn daemon(&self) -> Outcome<Guarded> {
        let log = std::fs::File::create(self.folder.join("log"))?;
        let child = Command::new(PORTCULLIS)
            .args(["run", "--config"])
            .arg(self.folder.join("portcullis.toml"))
            .stderr(log)
            .stdout(Stdio::null())
            .spawn()?;
        let mut child = Guarded(child);
        let begun = Instant::now();
        while self.status().is_none() {
            if begun.elapsed() > Duration::from_secs(10) || child.0.try_wait()?.is_some() {
                return Err(std::fs::read_to_string(self.folder.join("log"))?.into());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(child)
    }

    fn status(&self) -> Option<serde_json::Value> {
        let socket = self.folder.join("control.sock");
        let asked =
            Command::new(PORTCULLIS).args(["status", "--json", "--socket"]).arg(socket).output();
        serde_json::from_slice(&asked.ok()?.stdout).ok()
    }

    /// How many a rival has answered. What it is asked with may be lost where too much comes.
    fn asked(&self, lines: &mut Lines<BufReader<ChildStdout>>) -> Outcome<u64> {
        self.load.run(|| send(self.target, 81, 1, PER_SECOND))??;
        Ok(lines.next().ok_or("the no-op loop has ended")??.parse()?)
    }

    /// What process `id` is worth, after a warm-up that makes the sources known.
    fn measure(&self, id: u32, mut answered: impl FnMut() -> Outcome<u64>) -> Outcome<Score> {
        self.load.run(|| send(self.target, 80, SOURCES, PER_SECOND))??;
        let mut spell = |per_second: u32| -> Outcome<(f64, f64, Duration)> {
            let before = (answered()?, cpu(id)?);
            let took = self.load.run(|| send(self.target, 80, PACKETS, per_second))??;
            let (after, spent) = (answered()?, cpu(id)? - before.1);
            Ok(((after - before.0) as f64, spent.as_secs_f64() * 1e6, took))
        };
        let (packets, spent, _) = spell(PER_SECOND)?;
        if packets < f64::from(PACKETS) / 2.0 {
            return Err(format!("only {packets} of {PACKETS} SYNs were answered").into());
        }
        let steady = spent / packets;
        let (packets, spent, took) = spell(u32::MAX)?;
        Ok(Score { steady, saturated: spent / packets, per_second: packets / took.as_secs_f64() })
    }
}

/// Sends SYNs from forged sources; says how long it took.
fn send(target: Ipv4Addr, port: u16, count: u32, per_second: u32) -> std::io::Result<Duration> {
    static SERIAL: AtomicU32 = AtomicU32::new(0);
    let serial = SERIAL.fetch_add(count + 64, Relaxed);
    let mut generator = Generator::open((target, port).into())?.beginning(serial);
    let source = |n: u32| {
        // Scattered over the address space, each in a network of its own, none special.
        let source = 0x0b00_0000 + ((n % SOURCES).wrapping_mul(0x9e37_79b1) >> 6);
        (Ipv4Addr::from_bits(source), 1024 + (n / SOURCES) as u16)
    };
    let took = generator.stream(per_second, source, |sent| sent >= count)?;
    // What waits still gets its answer.
    std::thread::sleep(Duration::from_millis(200));
    Ok(took)
}

/// CPU time of all threads of a process (Documentation/scheduler/sched-stats.rst).
fn cpu(id: u32) -> Outcome<Duration> {
    let mut sum = 0;
    for task in std::fs::read_dir(format!("/proc/{id}/task"))? {
        let text = std::fs::read_to_string(task?.path().join("schedstat"))?;
        sum += text.split_whitespace().next().ok_or("empty schedstat")?.parse::<u64>()?;
    }
    Ok(Duration::from_nanos(sum))
}

/// Every check is on and has something to look at; nothing is refused.
fn policy_text(folder: &Path) -> String {
    let mut denied = String::new();
    for n in 0..10_000u32 {
        denied += &format!("{}\n", Ipv4Addr::from_bits(0xc000_0000 + n * 977));
    }
    // A list that cannot be written shows as a policy that cannot be read.
    let _ = std::fs::write(folder.join("denied.txt"), denied);
    let rate = "\"1000000000/s\"";
    format!(
        r#"
[guard]
ceiling = "unlimited"
[queue]
number = {QUEUE}
max_rate = "unlimited"
[memory]
sources = 300000
networks = 150000
[allowlist]
from = ["loopback", "198.51.100.0/24"]
[denylist]
files = ["{folder}/denied.txt"]
[ports]
open = "80, 81"
[ports.only_from]
"22" = ["198.51.100.0/24"]
[rate]
source = {rate}
network = {rate}
total = {rate}
[rate.class.web]
rate = {rate}
[bans]
state_dir = "{folder}/state"
[control]
socket = "{folder}/control.sock"
"#,
        folder = folder.display()
    )
}

fn nft(text: &str) -> Outcome<()> {
    run(Command::new("nft").arg(text))
}

fn run(command: &mut Command) -> Outcome<()> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)).into())
}

/// A child that does not outlive the benchmark.
struct Guarded(Child);

impl Drop for Guarded {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
