//! A deny list of a million prefixes, through the real loader: how long it takes to load, how
//! much memory it needs, how quickly it answers.
//!
//! ```text
//! cargo bench --bench denylist [-- COUNT]
//! ```

use std::fmt::Write as _;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::time::{Duration, Instant};
use std::{env, fs, process};

use portcullis::config;
use portcullis::policy::PrefixSet;

/// Addresses asked per round.
const ASKED: usize = 1_000_000;

/// Rounds per figure; the median counts, because other programs disturb some.
const ROUNDS: usize = 7;

fn main() {
    // Cargo passes `--bench` along.
    let count = env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(1_000_000);
    let folder = tempfile::tempdir().expect("a folder for the list");
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let (v4, v6) = write_list(&folder.path().join("list.txt"), count, &mut random);
    let policy = folder.path().join("policy.toml");
    fs::write(&policy, "[denylist]\nfiles = \"list.txt\"\n").expect("the policy can be written");

    // The kernel keeps the highest mark until it is told to begin anew (proc(5), clear_refs).
    fs::write("/proc/self/clear_refs", "5").ok();
    let before = Memory::now();
    let started = Instant::now();
    let loaded = config::load(&policy).unwrap_or_else(|errors| {
        eprintln!("{errors}");
        process::exit(78)
    });
    let took = started.elapsed();
    let after = Memory::now();
    let set = &loaded.config.policy.denylist.prefixes;
    assert_eq!(set.len(), count, "every line became a prefix");
    println!("prefixes      {count:>9} ({} IPv4, {} IPv6)", v4.len(), v6.len());
    println!("load          {:>9.0} ms (goal: 1000)", took.as_secs_f64() * 1e3);
    println!("memory, kept  {:>9.1} MB", after.resident - before.resident);
    println!("memory, peak  {:>9.1} MB (goal: 100)", after.peak - before.resident);

    let found = |name, asked: &[IpAddr]| {
        let mut rounds: Vec<_> = (0..ROUNDS).map(|_| ask(set, asked)).collect();
        rounds.sort();
        let (time, hits) = rounds[ROUNDS / 2];
        let each = |time: Duration| time.as_secs_f64() * 1e9 / asked.len() as f64;
        let (each, best, found) = (each(time), each(rounds[0].0), 100 * hits / asked.len());
        println!("{name:<13} {each:>9.1} ns (goal: 100; best {best:.1}), {found} % found");
        hits
    };
    let some = |from: &[IpAddr], random: &mut Random| -> Vec<IpAddr> {
        (0..ASKED).map(|_| from[random.next() as usize % from.len()]).collect()
    };
    assert_eq!(found("IPv4, hit", &some(&v4, &mut random)), ASKED);
    let strangers: Vec<_> = (0..ASKED).map(|_| stranger_v4(&mut random)).collect();
    assert!(found("IPv4, miss", &strangers) < ASKED / 20, "few strangers are refused");
    assert_eq!(found("IPv6, hit", &some(&v6, &mut random)), ASKED);
    let strangers: Vec<_> = (0..ASKED).map(|_| stranger_v6(&mut random)).collect();
    assert!(found("IPv6, miss", &strangers) < ASKED / 20, "few strangers are refused");
}

/// Asks for each address in turn.
fn ask(set: &PrefixSet, asked: &[IpAddr]) -> (Duration, usize) {
    let started = Instant::now();
    let mut hits = 0;
    for address in asked {
        hits += usize::from(black_box(set.find(black_box(*address))).is_some());
    }
    (started.elapsed(), hits)
}

/// Writes `count` prefixes, IPv4 and IPv6 in turn; the result is an address of each.
fn write_list(path: &Path, count: usize, random: &mut Random) -> (Vec<IpAddr>, Vec<IpAddr>) {
    let (mut v4, mut v6) = (Vec::new(), Vec::new());
    let mut text = String::new();
    for i in 0..count {
        if i % 2 == 0 {
            let len = 24 + (random.next() % 9) as u32;
            let address = random.next() as u32 & (u32::MAX << (32 - len));
            let address = Ipv4Addr::from_bits(address);
            writeln!(text, "{address}/{len}").expect("text grows");
            v4.push(address.into());
        } else {
            let len = [32, 40, 48, 56, 64, 64, 64, 128][(random.next() % 8) as usize];
            let bits = u128::from(random.next()) << 64 | u128::from(random.next());
            let address = (bits >> 3 | 1 << 125) & (u128::MAX << (128 - len));
            let address = Ipv6Addr::from_bits(address);
            writeln!(text, "{address}/{len}").expect("text grows");
            v6.push(address.into());
        }
    }
    fs::write(path, text).expect("the list can be written");
    (v4, v6)
}

fn stranger_v4(random: &mut Random) -> IpAddr {
    Ipv4Addr::from_bits(random.next() as u32).into()
}

fn stranger_v6(random: &mut Random) -> IpAddr {
    let bits = u128::from(random.next()) << 64 | u128::from(random.next());
    Ipv6Addr::from_bits(bits >> 3 | 1 << 125).into()
}

/// Memory of this process in megabytes, as /proc/self/status tells it.
struct Memory {
    resident: f64,
    peak: f64,
}

impl Memory {
    fn now() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let field = |name: &str| -> f64 {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
            kib.unwrap_or(f64::NAN) / 1000.0 * 1.024
        };
        Self { resident: field("VmRSS:"), peak: field("VmHWM:") }
    }
}

/// Random enough for addresses, and the same in every run (xorshift64*, Vigna 2016).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}
