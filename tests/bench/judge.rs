//! The judge alone, without a kernel: nanoseconds per SYN, from bytes to decision.
//!
//!     cargo bench --bench judge
//!
//! Each row judges packets that were built beforehand, all checks on, with 100,000 live sources
//! where the row does not say otherwise. Mean of the fastest of five passes, then percentiles of
//! single calls (which include about 20 ns for reading the clock), and allocations per SYN.

#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use portcullis::events::Busiest;
use portcullis::memory::{Bounds, Memory, Moment};
use portcullis::packet::parse;
use portcullis::policy::{Policy, judge};

mod judged;

use judged::{Template, judge_bytes, listed, policy, scatter};

struct Counting;
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: forwards to the system allocator and counts.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: same contract as ours.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: same contract as ours.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Judges `count` packets, made from one template by writing a source, a source port and a
/// sequence number into it: like a packet that the kernel has just copied, it is in the cache.
fn row(
    name: &str,
    (policy, memory): (&Policy, &Memory),
    (count, dport): (u32, u16),
    source: impl Fn(u32) -> u32,
    clock: &mut u64,
) {
    let mut template = Template::v4(dport);
    let mut serial = 0u32;
    let mut one = |n: u32| {
        serial += 1;
        *clock += 1000;
        judge_bytes(policy, memory, template.from(source(n), serial), (false, *clock));
    };
    (0..count).for_each(&mut one);
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    let mut best = f64::MAX;
    for _ in 0..5 {
        let begin = Instant::now();
        (0..count).for_each(&mut one);
        best = best.min(begin.elapsed().as_nanos() as f64 / f64::from(count));
    }
    let allocations = ALLOCATIONS.load(Ordering::Relaxed) - before;
    let mut samples = Vec::with_capacity(count as usize);
    for n in 0..count {
        let begin = Instant::now();
        one(n);
        samples.push(begin.elapsed().as_nanos() as u64);
    }
    samples.sort_unstable();
    let at = |share: f64| samples[((samples.len() - 1) as f64 * share) as usize];
    println!(
        "{name:<34}{best:>8.0}{:>8}{:>8}{:>9}{:>14.3}",
        at(0.5),
        at(0.99),
        at(0.999),
        allocations as f64 / f64::from(5 * count)
    );
}

fn main() {
    let count = 400_000;
    let policy = policy(100_000);
    let mut clock = 1_000_000_000;
    println!(
        "{:<34}{:>8}{:>8}{:>8}{:>9}{:>14}",
        "ns per SYN", "mean", "p50", "p99", "p99.9", "allocs/SYN"
    );
    let memory = Memory::new(Bounds { sources: 262_144, networks: 131_072 });
    let gate = (&policy, &memory);
    // Neighbouring packets do not come from neighbouring memory.
    let live = |n: u32| scatter((n.wrapping_mul(0x9e37_79b1) >> 5) % 100_000);
    row("accept, 100,000 known sources", gate, (count, 80), live, &mut clock);
    row("accept, one known source", gate, (count, 80), |_| scatter(7), &mut clock);
    row("deny, unserved port", gate, (count, 23), live, &mut clock);
    row("deny, denylist", gate, (count, 80), |n| listed(n % 50_000), &mut clock);

    // The table is full, and every source was pushed out since it was last seen.
    let memory = Memory::new(Bounds { sources: 65_536, networks: 16_384 });
    let stranger = |n: u32| 0x1400_0000 + n * 641;
    row("unknown source, table full", (&policy, &memory), (count, 80), stranger, &mut clock);

    let memory = Memory::new(Bounds { sources: 65_536, networks: 16_384 });
    let flooded = Policy { flood: Default::default(), ..policy.clone() };
    row("unknown source, forged flood", (&flooded, &memory), (count, 80), stranger, &mut clock);

    counted();
    forged(&policy);
}

/// What `portcullis top` costs behind the verdict.
fn counted() {
    let count = 1_000_000u32;
    println!("\n{:<34}{:>8}", "ns per SYN, behind its verdict", "mean");
    let busiest = Busiest::new(1);
    let row = |name: &str, source: &dyn Fn(u32) -> u32| {
        let mut best = f64::MAX;
        for pass in 0..5 {
            let begin = Instant::now();
            for n in 0..count {
                let src = Ipv4Addr::from_bits(source(pass * count + n)).into();
                if busiest.watched(black_box(Moment(1))) {
                    busiest.note(0, black_box(src), (n % 50) as u16, None);
                }
            }
            best = best.min(begin.elapsed().as_nanos() as f64 / f64::from(count));
        }
        println!("{name:<34}{best:>8.1}");
    };
    row("nobody watches", &|n| n);
    busiest.read(Moment(1), 0);
    row("watched, 500 sources", &|n| scatter(n % 500));
    row("watched, 100,000 sources", &|n| scatter((n.wrapping_mul(0x9e37_79b1) >> 5) % 100_000));
    row("watched, forged flood", &scatter);
}

/// Ten million forged sources: memory stays at its bound.
fn forged(policy: &Policy) {
    let memory = Memory::new(Bounds { sources: 131_072, networks: 32_768 });
    let template = parse(Template::v4(80).from(1, 0)).expect("a SYN");
    println!("\n{:<34}{:>12}{:>14}", "forged sources", "remembered", "resident KiB");
    for n in 1..=10_000_000u32 {
        let src = Ipv4Addr::from_bits(n.wrapping_mul(0x9e37_79b1)).into();
        let syn = portcullis::packet::Syn { src, seq: n, ..template };
        black_box(judge(policy, &memory, &syn, Moment(u64::from(n) * 1000)));
        if n.is_power_of_two() && n >= 1 << 17 || n == 10_000_000 || n == 1 {
            println!("{:<34}{:>12}{:>14}", n, memory.len().0 + memory.len().1, resident());
        }
    }
}

/// VmRSS of this process in KiB (proc_pid_status(5)).
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
