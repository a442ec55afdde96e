//! A log of a million lines, through the real reader and the real program: how long it takes, how
//! much memory it needs.
//!
//! ```text
//! cargo bench --bench review [-- COUNT [FOLDER]]
//! ```
//!
//! With a folder, the logs stay there: syslog, the same packed with gzip, and JSON.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{env, io};

use flate2::{Compression, write::GzEncoder};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use portcullis::events::{
    Event, Judged, Level, Line, Notice, Record, StandingChange, Summary, json_line,
};
use portcullis::memory::SourceKey;
use portcullis::packet::Syn;
use portcullis::policy::{CHECKS, CheckId, Decision, Evidence, Ruling, Scope, Standing};
use portcullis::review::{Clock, Input, Step, Tally, Wanted, read};

/// The logs cover so many seconds: nine days.
const SPAN: u64 = 9 * 86_400;

fn main() {
    // Cargo passes `--bench` along.
    let mut words = env::args().skip(1).filter(|word| !word.starts_with("--"));
    let count = words.next().and_then(|word| word.parse().ok()).unwrap_or(1_000_000);
    let folder = tempfile::tempdir().expect("a folder for the logs");
    let folder = words.next().map_or(folder.path().to_owned(), PathBuf::from);
    fs::create_dir_all(&folder).expect("the folder can be made");
    let logs = write_logs(&folder, count).expect("the logs can be written");
    println!(
        "{:<10} {:>9} {:>8} {:>12} {:>8} {:>9}",
        "log", "lines", "MB", "lines/s", "read in", "program"
    );
    for log in &logs {
        // The kernel keeps the highest mark until it is told to begin anew (proc(5), clear_refs).
        fs::write("/proc/self/clear_refs", "5").ok();
        let before = peak();
        let (lines, took) = in_process(log);
        let memory = peak() - before;
        let whole = program(log);
        println!(
            "{:<10} {lines:>9} {:>8.1} {:>12.0} {:>6.2} s {:>7.2} s   (goal: 5 s; memory {memory:.0} MB)",
            log.extension().unwrap_or_default().to_string_lossy(),
            fs::metadata(log).map_or(0, |about| about.len()) as f64 / 1e6,
            lines as f64 / took.as_secs_f64(),
            took.as_secs_f64(),
            whole.as_secs_f64(),
        );
    }
}

/// Reads a log and sums up, as the verb does.
fn in_process(log: &Path) -> (u64, Duration) {
    let started = Instant::now();
    let input = Input::open(log).unwrap_or_else(|error| panic!("{error}"));
    let mut clock = Clock::new(TimeZone::UTC, input.written);
    let mut tally = Tally::new(Wanted::default());
    read(input.into_reader(), &mut clock, |_, told| tally.take(told)).expect("it can be read");
    let review = tally.review(10, Step::Auto, 64, &TimeZone::UTC);
    assert!(review.blocked > review.lines.counted / 2, "sums are added");
    (review.lines.read, started.elapsed())
}

/// The whole program, from its start to its end.
fn program(log: &Path) -> Duration {
    let started = Instant::now();
    let page = log.with_extension("html");
    let status = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(["review", "--html"])
        .args([&page, log])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    assert!(status.is_ok_and(|status| status.success()), "{}", log.display());
    started.elapsed()
}

/// The highest use of memory so far, in MB.
fn peak() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<f64>().ok());
    kilobytes.unwrap_or_default() / 1e3
}

/// Writes the same events in three forms.
fn write_logs(folder: &Path, count: u64) -> io::Result<[PathBuf; 3]> {
    let paths = ["syslog.log", "syslog.gz", "events.json"].map(|name| folder.join(name));
    let [syslog, packed, json] = &paths;
    let mut syslog = BufWriter::new(File::create(syslog)?);
    let mut packed = GzEncoder::new(BufWriter::new(File::create(packed)?), Compression::fast());
    let mut json = BufWriter::new(File::create(json)?);
    let mut world = World(0x9e37_79b9_7f4a_7c15);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let start = now - SPAN;
    for n in 0..count {
        // More by night than by day, and in order.
        let part = n as f64 / count as f64;
        let wave = (part * 9.0 * std::f64::consts::TAU).sin() * 0.016;
        let second = ((part + wave).clamp(0.0, 1.0) * SPAN as f64) as u64;
        let at = UNIX_EPOCH + Duration::from_nanos((start + second) * 1_000_000_000 + n % 1000);
        let time = Timestamp::try_from(at).unwrap_or(Timestamp::MAX);
        let header =
            time.to_zoned_datetime(TimeZone::UTC).strftime("%b %e %H:%M:%S gate").to_string();
        if world.chance(50) {
            let line =
                format!("{header} sshd[77]: Failed password for root from 192.0.2.1 port 4711\n");
            syslog.write_all(line.as_bytes())?;
            packed.write_all(line.as_bytes())?;
            continue;
        }
        let record = world.record(at, n);
        let line = format!("{header} portcullis[812]: {}\n", Line(&record));
        syslog.write_all(line.as_bytes())?;
        packed.write_all(line.as_bytes())?;
        json.write_all(&json_line(&record))?;
    }
    syslog.flush()?;
    packed.finish()?.flush()?;
    json.flush()?;
    Ok(paths)
}

/// Everybody out there.
struct World(u64);

impl World {
    /// What the gate tells next.
    fn record(&mut self, at: SystemTime, n: u64) -> Record {
        let who = self.below(1000);
        if n.is_multiple_of(90_001) {
            let text = "somebody removed our table; it was put in place again".into();
            let notice = Notice { at, level: Level::Warning, what: "flushed", text };
            return Record::of(&Event::Notice(notice), "");
        }
        match who {
            0..30 => self.summary(at),
            30..45 => {
                let banned = self.chance(4);
                let change = StandingChange {
                    at,
                    source: SourceKey::of(self.address()),
                    port: None,
                    standing: if banned { Standing::Banned } else { Standing::Suspect },
                    lasts: Some(Duration::from_secs(600)),
                    reason: "scan".into(),
                    offence: 1,
                    enforced: true,
                };
                Record::of(&Event::Standing(change), "")
            }
            _ => self.refused(at),
        }
    }

    fn summary(&mut self, at: SystemTime) -> Record {
        let more = 1 + self.below(40);
        let by = vec![(check("scan"), more / 2 + 1), (check("rate"), more - more / 2)];
        let summary = Summary::Source {
            source: SourceKey::of(self.address()),
            more: more + 1,
            within: Duration::from_secs(10),
            by,
            enforced: true,
        };
        summary.record(at)
    }

    fn refused(&mut self, at: SystemTime) -> Record {
        const COMMON: [u16; 12] = [22, 23, 23, 3389, 445, 5900, 2323, 6379, 8080, 5432, 1433, 25];
        let (reason, what, dport) = match self.below(100) {
            0..45 => ("scan", "closed", self.below(65_535) as u16 + 1),
            45..65 => ("ports", "unserved", COMMON[self.below(12) as usize]),
            65..80 => ("rate", "login", 22),
            80..87 => ("fingerprint", "mirai", 23),
            87..93 => ("fingerprint", "masscan", COMMON[self.below(12) as usize]),
            93..96 => ("fingerprint", "zmap", 443),
            96..98 => ("quirks", "SYN+FIN", 80),
            _ => ("denylist", "drop-list", 443),
        };
        let judged = Judged {
            at,
            interface: 2,
            syn: syn(self.address(), self.below(60_000) as u16, dport, self.next() as u32),
            decision: Decision {
                ruling: Ruling::Drop,
                check: check(reason),
                evidence: Evidence { what, seen: 5.0, limit: 4.25 },
                retransmission: false,
                earned: Standing::Clean,
                scope: Scope::All,
                renew: false,
            },
            enforced: true,
        };
        Record::of(&Event::Judged(judged), "eth0")
    }

    /// A few come often, many come rarely.
    fn address(&mut self) -> IpAddr {
        let rank = self.below(1000);
        let number = self.below(1 + rank * rank / 8) as u32;
        if self.chance(20) {
            let bits = 0x2001_0db8 << 96 | u128::from(number % 5000) << 64 | 7;
            return Ipv6Addr::from_bits(bits).into();
        }
        Ipv4Addr::from_bits(0xcb00_7100 ^ number.wrapping_mul(0x0101_0107)).into()
    }

    fn chance(&mut self, one_in: u64) -> bool {
        self.below(one_in) == 0
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    /// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

fn check(name: &str) -> CheckId {
    let place = CHECKS.iter().position(|check| check.name == name);
    CheckId(place.map_or(u8::MAX, |place| place as u8))
}

fn syn(src: IpAddr, sport: u16, dport: u16, seq: u32) -> Syn {
    let (from, to) = (SocketAddr::new(src, sport), SocketAddr::from(([198, 51, 100, 2], dport)));
    Syn { seq, ttl: 57, ip_id: 4242, ..Syn::linux(from, to) }
}
