//! Every fault that is declared, forced for real, repeatedly and at random moments under load, in a
//! private network on this machine; and what it did to those who came meanwhile.
//!
//!     cargo bench --bench faults [-- OPTIONS]
//!
//!     --tries N        so often each (5)
//!     --only WORD      only faults in whose name it stands
//!     --seed N         chance can be repeated
//!     --reloads N      so many in each try of "many reloads" (20); of 1,000 and more, each tenth part is
//!                      told, with the memory and the descriptors that the gate holds by then
//!     --markdown       the table as Markdown
//!     --soak MINUTES   everything at once for so long, with faults drawn at random
//!
//! Judged: connections never pause, nor pass unjudged, for longer than is declared; no standing is
//! lost that was acknowledged, none outlasts its time, and none comes back that was taken back; nobody
//! is refused who is honest; afterwards the kernel's sets are complete and no descriptor is left open.
//! Exit status 1 if any of it is broken. The gate is confined, as users have it.
//!
//! As root or as an ordinary user; what needs real root is named and left out otherwise. It wants
//! `cc`, as Rust itself does. Nothing of the machine is changed, least of all its clock: a small
//! library stands between the daemon and its C library where only the daemon may see a fault.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use portcullis::lab;

mod campaign;
#[allow(dead_code, unused_imports, unused_macros, reason = "the end-to-end tests use all of it")]
#[path = "../e2e/stage/mod.rs"]
mod stage;

use campaign::chance::Chance;
use campaign::ground::Ground;
use campaign::report::{self, Row};
use campaign::{attempt, faults, soak, world};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let Some(options) = Options::read(&args) else {
        eprintln!(
            "options: --tries N, --only WORD, --seed N, --reloads N, --markdown, --soak MINUTES"
        );
        return ExitCode::from(64);
    };
    if !lab::is_inside() {
        eprintln!("{}", lab::enter());
        return ExitCode::FAILURE;
    }
    let begun = Instant::now();
    let world = world();
    let mut ground = Ground::new(&world, Chance::new(options.seed));
    ground.reloads = options.reloads;
    println!("seed {}", options.seed);
    let broken = match options.soak {
        Some(minutes) => soaked(&mut ground, minutes),
        None => tried(&mut ground, &options),
    };
    println!("{:.0?} in all.", begun.elapsed());
    if broken { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn tried(ground: &mut Ground<'_>, options: &Options) -> bool {
    let mut rows = Vec::new();
    for fault in faults::all().filter(|fault| fault.name.contains(&options.only)) {
        if let Some(why) = (fault.skip)(ground) {
            println!("LEFT OUT: {}: {why}", fault.name);
            continue;
        }
        let mut tries = Vec::new();
        for n in 0..options.tries {
            ground.share = Some((n, options.tries));
            let seen = attempt(ground, &fault);
            eprintln!(
                "{}, try {}: pause {}, unjudged {}, mended after {}{}",
                fault.name,
                n + 1,
                report::span(seen.held),
                report::span(seen.open),
                report::span(seen.mended),
                seen.broken.iter().map(|what| format!("\n  BROKEN: {what}")).collect::<String>()
            );
            tries.push(seen);
            if !ground.runs() {
                break;
            }
        }
        rows.push(Row { fault, tries });
        if !ground.runs() {
            println!("There is no gate any more to try the rest with.");
            break;
        }
    }
    println!();
    if options.markdown {
        report::print_markdown(&rows)
    } else {
        report::print(&rows)
    }
    report::print_broken(&rows)
}

fn soaked(ground: &mut Ground<'_>, minutes: u64) -> bool {
    let soaked = soak::soak(ground, Duration::from_secs(minutes * 60));
    soaked.print_chart();
    println!();
    report::print(&soaked.rows);
    let broken = report::print_broken(&soaked.rows);
    for what in soaked.broken() {
        println!("BROKEN: {what}");
    }
    broken || !soaked.broken().is_empty()
}

struct Options {
    tries: usize,
    only: String,
    seed: u64,
    reloads: u32,
    markdown: bool,
    soak: Option<u64>,
}

impl Options {
    /// `None` for what makes no sense.
    fn read(args: &[String]) -> Option<Self> {
        let seed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).ok()?;
        let mut options = Self {
            tries: 5,
            only: String::new(),
            seed: seed.as_secs(),
            reloads: 20,
            markdown: false,
            soak: None,
        };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--markdown" => options.markdown = true,
                "--tries" => options.tries = args.next()?.parse().ok()?,
                "--only" => options.only = args.next()?.clone(),
                "--seed" => options.seed = args.next()?.parse().ok()?,
                "--reloads" => options.reloads = args.next()?.parse().ok()?,
                "--soak" => options.soak = Some(args.next()?.parse().ok()?),
                _ => return None,
            }
        }
        Some(options)
    }
}
