//! CPU time per verdict on a real kernel: Portcullis with every check on and 100,000 live
//! sources, beside a loop that accepts everything on the same nfq crate and behind the same kernel
//! table, in one run.
//!
//!     cargo bench --bench gate [-- ROUNDS]
//!
//! A private network namespace; SYNs from a host beside it, 60,000 a second, 600,000 a round;
//! what the gate accepts is dropped right behind it, so that nothing but the verdict is paid for.
//! The CPU time is what the scheduler counts for all threads of the judging process
//! (/proc/PID/task/*/schedstat). Rounds alternate; the ratio is taken pair by pair.

use std::error::Error;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use portcullis::lab::{self, Lab, Probe};
use socket2::{Domain, Protocol, Socket, Type};

const SOURCES: u32 = 100_000;
const PACKETS: u32 = 600_000;
const PER_SECOND: u32 = 60_000;
const QUEUE: u16 = 7;
const PORTCULLIS: &str = env!("CARGO_BIN_EXE_portcullis");

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    if args.first().map(String::as_str) == Some("accept-everything") {
        return accept_everything();
    }
    if !lab::is_inside() {
        return Err(lab::enter().into());
    }
    let rounds: usize = args.first().map_or(Ok(5), |text| text.parse())?;
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

    println!("{:<8}{:>16}{:>16}{:>10}", "round", "no-op, us", "portcullis, us", "ratio");
    let mut ratios = Vec::new();
    for round in 1..=rounds {
        let noop = with_noop(&bench)?;
        let ours = with_portcullis(&bench)?;
        ratios.push(ours / noop);
        println!("{round:<8}{noop:>16.3}{ours:>16.3}{:>10.3}", ours / noop);
    }
    ratios.sort_by(f64::total_cmp);
    println!(
        "ratio: min {:.3}, median {:.3}, max {:.3}",
        ratios[0],
        ratios[ratios.len() / 2],
        ratios[ratios.len() - 1]
    );
    Ok(())
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
fn with_noop(bench: &Bench<'_>) -> Outcome<f64> {
    let mut daemon = bench.daemon()?;
    daemon.0.kill()?;
    daemon.0.wait()?;
    let child = Command::new(std::env::current_exe()?)
        .arg("accept-everything")
        .stdout(Stdio::piped())
        .spawn()?;
    let mut child = Guarded(child);
    let mut lines = BufReader::new(child.0.stdout.take().ok_or("no output")?).lines();
    lines.next().ok_or("the no-op loop did not start")??;
    let answered = || -> Outcome<u64> {
        bench.load.run(|| send(bench.target, 81, 1))??;
        Ok(lines.next().ok_or("the no-op loop has ended")??.parse()?)
    };
    bench.measure(child.0.id(), answered)
}

fn with_portcullis(bench: &Bench<'_>) -> Outcome<f64> {
    let mut daemon = bench.daemon()?;
    let id = daemon.0.id();
    let cpu = bench.measure(id, || {
        let status = bench.status().ok_or("no status")?;
        status["counters"]["received"].as_u64().ok_or_else(|| "no counter".into())
    })?;
    let pid = rustix::process::Pid::from_child(&daemon.0);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
    daemon.0.wait()?;
    Ok(cpu)
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

    /// Microseconds of CPU per answered packet of process `id`, after a warm-up that makes the
    /// sources known.
    fn measure(&self, id: u32, mut answered: impl FnMut() -> Outcome<u64>) -> Outcome<f64> {
        self.load.run(|| send(self.target, 80, SOURCES))??;
        let before = (answered()?, cpu(id)?);
        self.load.run(|| send(self.target, 80, PACKETS))??;
        let (after, spent) = (answered()?, cpu(id)? - before.1);
        let packets = after - before.0;
        if packets < u64::from(PACKETS) / 2 {
            return Err(format!("only {packets} of {PACKETS} SYNs were answered").into());
        }
        Ok(spent.as_secs_f64() * 1e6 / packets as f64)
    }
}

/// Sends SYNs from forged sources, in small bursts that keep to the rate.
fn send(target: Ipv4Addr, port: u16, count: u32) -> std::io::Result<()> {
    let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(255)))?;
    let to = SocketAddr::new(target.into(), port);
    let template = Probe::syn("192.0.2.1:1024".parse().map_err(std::io::Error::other)?, to);
    let mut bytes = template.bytes().ok_or(std::io::ErrorKind::InvalidInput)?;
    let begun = Instant::now();
    for n in 0..count {
        if n % 64 == 0 {
            let due = Duration::from_secs_f64(f64::from(n) / f64::from(PER_SECOND));
            std::thread::sleep(due.saturating_sub(begun.elapsed()));
        }
        // Scattered over the address space, each in a network of its own, none special.
        let source = 0x0b00_0000 + ((n % SOURCES).wrapping_mul(0x9e37_79b1) >> 6);
        bytes[12..16].copy_from_slice(&source.to_be_bytes());
        bytes[20..22].copy_from_slice(&(1024 + (n / SOURCES) as u16).to_be_bytes());
        bytes[24..28].copy_from_slice(&n.to_be_bytes());
        socket.send_to(&bytes, &SocketAddr::new(to.ip(), 0).into())?;
    }
    std::thread::sleep(Duration::from_millis(200));
    Ok(())
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
