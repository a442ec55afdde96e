//! How many instructions the judge takes for a SYN, held against what it took when that was last
//! looked at: a slowdown shows on any machine, however busy.
//!
//! ```text
//! cargo run --release --example instructions [-- --renew]
//! ```
//!
//! Valgrind counts (the package `valgrind`), twice for each kind of SYN, once for so many and once
//! for twice as many: the difference is without the start. More than five percent above
//! `tests/bench/instructions.baseline` fails; `--renew` writes the file anew, to be committed with the
//! reason. Another compiler makes another program, so beside one of those differences are told, and
//! fail nothing.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use portcullis::memory::{Bounds, Memory};

mod judged;

use judged::{Template, judge_bytes, listed, policy, scatter};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// SYNs of the shorter of two runs.
const SYNS: u32 = 20_000;

/// More than this share above the baseline fails.
const TOLERANCE: f64 = 0.05;

/// Which source the `n`th SYN is of, which attempt it is, and whether the source is proven.
type Course = fn(u32) -> (u32, u32, bool);

/// What kinds of SYNs there are.
const KINDS: [Kind; 7] = [
    Kind("first SYN of a source", || Template::v4(80), |n| (scatter(n), n, false)),
    Kind("known source, looked at", || Template::v4(80), |n| (scatter(n / 8), n, n % 8 > 0)),
    Kind("known source, in steady use", || Template::v4(80), |n| (scatter(n % 16), n, n >= 16)),
    Kind("retransmission", || Template::v4(80), |n| (scatter(n / 8), n / 8, false)),
    Kind("unserved port", || Template::v4(23), |n| (scatter(n % 512), n, false)),
    Kind("deny list of 100,000", || Template::v4(80), |n| (listed(n % 50_000), n, false)),
    Kind("IPv6, in steady use", || Template::v6(80), |n| (n % 16, n, n >= 16)),
];

/// Its name, what its SYNs look like, and their course.
struct Kind(&'static str, fn() -> Template, Course);

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let outcome = match args[..] {
        ["run", kind, count] => count.parse().map_err(Into::into).and_then(|count| {
            let kind = KINDS.iter().find(|of| of.0 == kind).ok_or("no such kind")?;
            run(kind.1(), kind.2, count);
            Ok(true)
        }),
        [] => compare(false),
        ["--renew"] => compare(true),
        _ => Err("usage: instructions [--renew]".into()),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Counts, and prints the counts beside the baseline; true if none is too high.
fn compare(renew: bool) -> Outcome<bool> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bench/instructions.baseline");
    let baseline = std::fs::read_to_string(&file).unwrap_or_default();
    let mut known: BTreeMap<&str, &str> =
        baseline.lines().filter_map(|line| line.split_once(" = ")).collect();
    let own = compiler()?;
    let other = known.remove("compiler").filter(|compiler| *compiler != own);
    let mut text = format!("compiler = {own}\n");
    let mut good = true;
    println!("{:<32}{:>10}{:>10}{:>10}", "instructions per SYN", "now", "baseline", "change");
    for Kind(kind, ..) in KINDS {
        let each = (count(kind, 2 * SYNS)? - count(kind, SYNS)?) / u64::from(SYNS);
        text += &format!("{kind} = {each}\n");
        let before: Option<f64> = known.remove(kind).and_then(|count| count.parse().ok());
        let change = before.map(|before| each as f64 / before - 1.0);
        let told = change.map_or("new".into(), |change| format!("{:+.1} %", 100.0 * change));
        println!("{kind:<32}{each:>10}{:>10}{told:>10}", before.unwrap_or_default());
        good &= change.is_some_and(|change| change <= TOLERANCE);
    }
    if renew {
        std::fs::write(&file, text)?;
        println!("\nThis is the baseline from now on; commit it with the reason.");
        return Ok(true);
    }
    if let Some(other) = other {
        println!("\nThe baseline is of another compiler ({other}; this is {own}): no verdict.");
        return Ok(true);
    }
    if !good {
        println!(
            "\nMore than {:.0} % above the baseline. If that is worth it: --renew, and say why.",
            100.0 * TOLERANCE
        );
    }
    Ok(good)
}

/// How many instructions a run takes.
fn count(kind: &str, syns: u32) -> Outcome<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"])
        .arg(std::env::current_exe()?)
        .args(["run", kind, &syns.to_string()])
        .output()
        .map_err(|error| format!("valgrind: {error}; sudo apt-get install -y valgrind"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    // "==812== I   refs:      1,234,567", and without the spaces in newer versions.
    let line = said.lines().find(|line| line.contains("refs:"));
    let digits: String = line
        .and_then(|line| line.rsplit_once("refs:"))
        .map(|(_, count)| count.chars().filter(char::is_ascii_digit).collect())
        .unwrap_or_default();
    digits.parse().map_err(|_| format!("valgrind says something else: {said}").into())
}

/// The compiler, in its own words.
fn compiler() -> Outcome<String> {
    let rustc = std::env::var_os("RUSTC").map_or_else(|| PathBuf::from("rustc"), PathBuf::from);
    let output = Command::new(rustc).arg("--version").output()?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

fn run(mut template: Template, of: Course, count: u32) {
    let policy = policy(100_000);
    let memory = Memory::repeatable(Bounds { sources: 131_072, networks: 65_536 });
    for n in 0..count {
        let (source, serial, proven) = of(n);
        let now = 1_000_000_000 + u64::from(n) * 20_000;
        judge_bytes(&policy, &memory, template.from(source, serial), (proven, now));
    }
}
