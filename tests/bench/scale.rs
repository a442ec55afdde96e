//! What a SYN costs as everything grows: live sources, deny prefixes, standings, queues. And what a
//! source costs in memory.
//!
//!     cargo bench --bench scale [-- MOST]                  (10000000)
//!
//! The judge without a kernel, all checks on, from bytes to decision, sources in no order; then the
//! kernel's set of bans, in a private network: how long it takes to send SYNs of banned sources
//! that it drops. Each row stands beside the one of a hundred thousand, or of a thousand for the
//! lists, and flat is within two times that. MOST bounds the sources and prefixes.

use std::hint::black_box;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use portcullis::lab::{Host, Lab};
use portcullis::memory::{Bounds, Memory};
use portcullis::policy::{Denylist, PrefixSet};

mod enter;
mod generator;
mod judged;

use enter::{Outcome, in_the_lab, numbers};
use generator::Generator;
use judged::{Template, judge_bytes, policy, scatter};

/// SYNs per pass; the quickest of three passes counts, because other programs disturb some.
const SYNS: u32 = 1_000_000;
const PASSES: u32 = 3;

fn main() -> ExitCode {
    in_the_lab(bench)
}

fn bench() -> Outcome<()> {
    let [most] = numbers([10_000_000])?;
    let most = u32::try_from(most)?;
    let steps = |from: u32, most: u32| {
        std::iter::successors(Some(from), |n| n.checked_mul(10)).take_while(move |n| *n <= most)
    };

    let mut table = Table::new("live sources", "100,000");
    for count in steps(1000, most) {
        let Live { known, second, once, twice } = sources(count);
        let remark = format!(
            "{second:>6.0} ns the second time; {once:.0} bytes each, {twice:.0} once all came again"
        );
        table.row(count, known, count == 100_000, &remark);
    }
    table.print();

    let mut table = Table::new("deny prefixes", "1,000");
    for count in steps(10, most) {
        let (each, lookup) = prefixes(count);
        table.row(count, each, count == 1000, &format!("{lookup:>6.0} ns of it in the list"));
    }
    table.print();

    let mut lab = Lab::open()?;
    let load = lab.host("load", &["10.77.0.2/16".parse()?])?;
    lab.ready()?;
    let mut table = Table::new("standings in the kernel's set", "1,000");
    for count in steps(10, most.min(1_000_000)) {
        table.row(count, standings(&load, count)?, count == 1000, "");
    }
    table.print();

    let mut table = Table::new("queues, each with 1,000,000 SYNs", "1");
    let one = queues(1, true);
    table.row(1, one, true, "");
    for (shared, what) in [(false, "each with a memory of its own"), (true, "sharing one memory")] {
        let two = queues(2, shared);
        let times = 2.0 * one / two;
        table.row(2, two, false, &format!("{times:>6.2} times the verdicts, {what}"));
    }
    table.print();
    Ok(())
}

/// One quantity that grows, with a bar for each row.
struct Table {
    what: &'static str,
    beside: &'static str,
    rows: Vec<(u32, f64, String)>,
    base: f64,
}

impl Table {
    fn new(what: &'static str, beside: &'static str) -> Self {
        Self { what, beside, rows: Vec::new(), base: f64::NAN }
    }

    fn row(&mut self, count: u32, nanoseconds: f64, is_base: bool, remark: &str) {
        eprintln!("{} {count}: {nanoseconds:.0} ns", self.what);
        if is_base {
            self.base = nanoseconds;
        }
        self.rows.push((count, nanoseconds, remark.to_owned()));
    }

    fn print(&self) {
        println!("\n{:<34}{:>8}{:>16}", self.what, "ns/SYN", format!("x of {}", self.beside));
        let longest = self.rows.iter().map(|(_, each, _)| *each).fold(0.0, f64::max);
        for (count, each, remark) in &self.rows {
            let bar = "#".repeat((20.0 * each / longest).round() as usize);
            let ratio = format!("{:.2}", each / self.base);
            println!("{:>10}  {bar:<22}{each:>8.0}{ratio:>16}  {remark}", grouped(*count));
        }
    }
}

/// With commas between thousands.
fn grouped(count: u32) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The quickest of some passes, in nanoseconds for each of [`SYNS`].
fn quickest(mut pass: impl FnMut()) -> f64 {
    let times = (0..PASSES).map(|_| {
        let begun = Instant::now();
        pass();
        begun.elapsed().as_nanos() as f64 / f64::from(SYNS)
    });
    times.fold(f64::MAX, f64::min)
}

/// What a SYN costs, in nanoseconds, and a source in bytes of resident memory.
struct Live {
    /// Of a source that came more than once before.
    known: f64,
    /// Of one that comes for the second time.
    second: f64,
    /// When all came once.
    once: f64,
    /// When all came again.
    twice: f64,
}

/// What so many live sources cost. Eight of them are in one network on average, as it is where many
/// come from.
fn sources(count: u32) -> Live {
    let policy = policy(0);
    let before = resident();
    // Half of the room is for proven ones; shards fill unevenly, small ones most: by five times the
    // root of how many groups of eight each has. Networks as in the policy as it is shipped.
    let shard = f64::from(count) / 16.0;
    let room = 2 * 16 * (shard + 5.0 * 8.0 * (shard / 8.0).sqrt()) as usize + 2 * 16 * 64;
    let memory = Memory::new(Bounds { sources: room, networks: room / 4 });
    let mut template = Template::v4(80);
    let (mut serial, mut now) = (0, 1_000_000_000);
    let mut one = |n: u32| {
        serial += 1;
        now += 1000;
        let (group, host) = (n / 8, n % 8);
        let bytes = template.from(scatter(group << 3) | host, serial);
        judge_bytes(&policy, &memory, bytes, (false, now));
    };
    (0..count).for_each(&mut one);
    let bytes = || resident().saturating_sub(before) as f64 * 1024.0 / f64::from(count);
    let once = bytes();
    let mut draw = 1;
    // Each of them once: by a number that has no divisor in common with a power of ten.
    let (again, begun) = (count.min(SYNS), Instant::now());
    (0..again).for_each(|n| one((u64::from(n) * 0x9e37_79b1 % u64::from(count)) as u32));
    let second = begun.elapsed().as_nanos() as f64 / f64::from(again);
    (0..count).for_each(&mut one);
    let twice = bytes();
    let known = quickest(|| in_no_order(count, &mut draw, &mut one));
    let kept = memory.len().0;
    assert!(kept as f64 > 0.99 * f64::from(count), "{kept} of {count} are remembered");
    Live { known, second, once, twice }
}

/// Draws [`SYNS`] numbers below `count`.
fn in_no_order(count: u32, draw: &mut u32, mut one: impl FnMut(u32)) {
    for _ in 0..SYNS {
        *draw = draw.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
        one(((u64::from(*draw) * u64::from(count)) >> 32) as u32);
    }
}

/// What a SYN costs beside so many deny prefixes, and how much of that is looking them up.
fn prefixes(count: u32) -> (f64, f64) {
    let nets = (0..count).map(|n| {
        // Neither side by side nor of one length; the sources come from elsewhere.
        let base = 0x6000_0000 + (n.wrapping_mul(0x9e37_79b1) & 0x3fff_ffff);
        (format!("{}/{}", Ipv4Addr::from_bits(base), 28 + n % 5).parse().expect("a prefix"), 0)
    });
    let set = PrefixSet::new(nets.collect());
    let mut draw = 1u32;
    let mut address = || {
        draw = draw.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
        Ipv4Addr::from_bits(0x6000_0000 + (draw >> 2))
    };
    let lookup = quickest(|| {
        for _ in 0..SYNS {
            black_box(set.find(black_box(address().into())));
        }
    });
    let mut policy = policy(0);
    policy.denylist = Denylist { prefixes: set, lists: vec!["policy"] }.into();
    let memory = Memory::new(Bounds { sources: 262_144, networks: 131_072 });
    let mut template = Template::v4(80);
    let (mut serial, mut now) = (0, 1_000_000_000);
    // Half of them are near what is refused, the others live elsewhere; 100,000 of each.
    let each = quickest(|| {
        for n in 0..SYNS {
            serial += 1;
            now += 1000;
            let known = n.wrapping_mul(0x9e37_79b1) % 100_000;
            let source = scatter(known) + if n % 2 == 0 { 0x5000_0000 } else { 0 };
            judge_bytes(&policy, &memory, template.from(source, serial), (false, now));
        }
    });
    (each, lookup)
}

/// What it takes to send a SYN of a banned source, and for the kernel to drop it, with so many
/// in its set.
fn standings(load: &Host, count: u32) -> Outcome<f64> {
    const SENT: u32 = 320_000;
    let banned = |n: u32| Ipv4Addr::from_bits(scatter(n % count));
    let mut text = format!(
        "table inet scale; delete table inet scale;\n\
         table inet scale {{ set banned {{ type ipv4_addr; flags timeout; size {}; }}\n\
         chain early {{ type filter hook prerouting priority raw; iif lo accept;\n\
         tcp flags & (syn|ack) == syn ip saddr @banned counter drop; }}; }}\n",
        count + 1
    );
    for start in (0..count).step_by(1000) {
        let elements: Vec<String> =
            (start..count.min(start + 1000)).map(|n| format!("{} timeout 1d", banned(n))).collect();
        text += &format!("add element inet scale banned {{ {} }}\n", elements.join(","));
    }
    let mut nft = Command::new("nft").args(["-f", "-"]).stdin(Stdio::piped()).spawn()?;
    nft.stdin.take().ok_or("no input")?.write_all(text.as_bytes())?;
    if !nft.wait()?.success() {
        return Err("nft does not take the set".into());
    }
    let to = SocketAddr::from(([10, 77, 0, 1], 80));
    let times = (0..PASSES).map(|pass| {
        load.run(|| {
            let mut generator = Generator::open(to)?;
            let source = |n: u32| (banned((n + pass * SENT).wrapping_mul(747_796_405) >> 8), 1024);
            generator.stream(u32::MAX, source, |sent| sent >= SENT)
        })
    });
    let times: Vec<Duration> = times.map(|time| Ok(time??)).collect::<Outcome<_>>()?;
    let counted = Command::new("nft").args(["list", "chain", "inet", "scale", "early"]).output()?;
    let counted = String::from_utf8_lossy(&counted.stdout).into_owned();
    let expected = format!("packets {}", SENT * PASSES);
    if !counted.contains(&expected) {
        return Err(format!("not all were dropped by the set: {counted}").into());
    }
    let quickest = times.into_iter().min().unwrap_or_default();
    Ok(quickest.as_nanos() as f64 / f64::from(SENT))
}

/// What a SYN costs where so many threads judge at once, with one memory of 100,000 sources, any
/// of which may come to any of them, or with one for each: what the processors could do. In wall
/// time of one thread.
fn queues(threads: u32, shared: bool) -> f64 {
    let policy = policy(0);
    let memories: Vec<Memory> =
        (0..threads).map(|_| Memory::new(Bounds { sources: 262_144, networks: 131_072 })).collect();
    let pass = |begin: u32| {
        std::thread::scope(|scope| {
            for thread in 0..threads {
                let memory = &memories[if shared { 0 } else { thread as usize }];
                let policy = &policy;
                scope.spawn(move || {
                    let mut template = Template::v4(80);
                    for n in begin..begin + SYNS {
                        let serial = n * threads + thread;
                        let known = serial.wrapping_mul(0x9e37_79b1) % 100_000;
                        let now = 1_000_000_000 + u64::from(n) * 1000;
                        let bytes = template.from(scatter(known), serial);
                        judge_bytes(policy, memory, bytes, (false, now));
                    }
                });
            }
        });
    };
    pass(0);
    let mut begin = 0;
    quickest(|| {
        begin += SYNS;
        pass(begin);
    })
}

/// VmRSS of this process in KiB (proc_pid_status(5)).
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
