//! `portcullis review`: what the log says of those who were refused.

mod axis;
mod chart;
mod logs;
mod page;
mod screen;
pub(super) mod services;
mod when;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use ipnet::IpNet;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use self::logs::{Log, Trouble};
use self::when::When;
use super::asked::complain;
use super::layout::wrap;
use crate::events::Grouped;
use crate::policy::CHECKS;
use crate::review::{Clock, Damage, Review, Step, Tally, Told, Wanted, read};

/// EX_IOERR: the answer cannot be written.
const NO_OUTPUT: u8 = 74;
/// EX_CANTCREAT: the page cannot be written.
const CANNOT_CREATE: u8 = 73;

/// Damaged lines that are told one by one.
const DAMAGES_TOLD: u64 = 5;
/// Sources that a page has at least.
const PAGE_SOURCES: usize = 50;
/// Lines between two steps of the progress bar.
const BAR_STEP: u64 = 4096;

/// Read the log: who was refused, why, when, how often, at which ports
#[derive(Clone, Debug, clap::Args)]
#[command(
    after_help = "Attempts that the sender repeats count again, and those that the log summed \
                        up count in full, but their ports are not known. An event that stands in \
                        two logs counts once. Classic syslog lines have no year: it is taken from the time \
                        at which the file was last written, or that gzip noted."
)]
pub struct Args {
    /// Logs: syslog files, also packed with gzip; what journalctl prints; the JSON log. `-` is
    /// standard input [default: the journal of the unit portcullis]
    #[arg(value_name = "LOG")]
    logs: Vec<PathBuf>,
    /// Only from this time on: 2h (ago), today, yesterday, 2026-09-21, "2026-09-21 14:00"
    #[arg(long, value_name = "TIME")]
    since: Option<When>,
    /// Only before this time
    #[arg(long, value_name = "TIME")]
    until: Option<When>,
    /// Only sources in this prefix
    #[arg(long, value_name = "ADDRESS|PREFIX", value_parser = prefix)]
    source: Option<IpNet>,
    /// Only attempts at this port
    #[arg(long)]
    port: Option<u16>,
    /// Only what this check refused: ports, scan, rate, …
    #[arg(long, value_name = "CHECK")]
    reason: Option<String>,
    /// So many sources, ports and networks
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = top)]
    top: usize,
    /// What a column of the chart stands for
    #[arg(long, value_name = "STEP", default_value = "auto")]
    by: By,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
    /// Write a page with charts for a browser too
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum By {
    Auto,
    Hour,
    Day,
}

fn prefix(text: &str) -> Result<IpNet, String> {
    let address = text.parse().map(|address: std::net::IpAddr| address.into());
    address.or_else(|_| text.parse()).map_err(|_| {
        "neither an address nor a prefix; write 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32".to_owned()
    })
}

/// More rows than that are for programs: `--json`.
fn top(text: &str) -> Result<usize, String> {
    let count = text.parse().ok().filter(|count| (1..=100_000).contains(count));
    count.ok_or_else(|| "write a number from 1 to 100000".to_owned())
}

/// Reads the logs and says what is in them. The exit code is 0, or what was wrong with the last log
/// that had something wrong; all others are told all the same.
pub fn run(args: &Args) -> ExitCode {
    let (now, zone) = (Timestamp::now(), TimeZone::system());
    let wanted = wanted(args, now, &zone);
    let logs = match logs::all(&args.logs, &wanted) {
        Ok(logs) => logs,
        Err(trouble) => return failed(&trouble).into(),
    };
    if wanted.without_sums() {
        say("sums (DROP-MORE) name no port, so they are left out");
    }
    let mut tally = Tally::new(wanted);
    let (mut code, mut failures, all) = (0, 0, logs.len());
    let bar = bar(logs.iter().map(Log::length).sum());
    let mut done = 0;
    for log in logs {
        bar.set_message(super::layout::clean(&log.name()));
        let length = log.length();
        if let Err(trouble) = one(log, &mut tally, &zone, &bar, done) {
            code = bar.suspend(|| failed(&trouble));
            failures += 1;
        }
        done += length;
        bar.set_position(done);
    }
    bar.finish_and_clear();
    let lines = tally.lines();
    if failures == all && lines.read == 0 {
        // That nothing is there is not known.
        return code.into();
    }
    if let Some(reason) = args.reason.as_deref().filter(|_| lines.counted == 0) {
        say(&unheard_of(reason));
    }
    let step = match args.by {
        By::Auto => Step::Auto,
        By::Hour => Step::Hour,
        By::Day => Step::Day,
    };
    let review = tally.review(args.top, step, chart::COLUMNS, &zone);
    if let Err(error) = tell(args, &review, &zone) {
        return gone(&error);
    }
    if let Some(path) = &args.html {
        let review = tally.review(args.top.max(PAGE_SOURCES), step, chart::COLUMNS, &zone);
        let page = page::page(&review, now, &zone);
        if let Err(error) = std::fs::write(path, page) {
            complain(&format!("{} cannot be written: {error}", path.display()));
            return CANNOT_CREATE.into();
        }
        say(&format!("{} is written; open it in a browser", path.display()));
    }
    code.into()
}

fn wanted(args: &Args, now: Timestamp, zone: &TimeZone) -> Wanted {
    Wanted {
        since: args.since.map(|when| when.instant(now, zone)),
        until: args.until.map(|when| when.instant(now, zone)),
        source: args.source,
        port: args.port,
        reason: args.reason.clone(),
    }
}

/// Nobody was refused for that reason. An admin's reason may be any word; the checks are known.
fn unheard_of(reason: &str) -> String {
    let reason = super::layout::clean(reason);
    let checks: Vec<&str> = CHECKS.iter().map(|check| check.name).collect();
    if checks.contains(&reason.as_str()) {
        return format!("the check {reason} has refused nobody here");
    }
    format!("nothing here has the reason {reason}. The checks are: {}", checks.join(", "))
}

/// Reads one log to its end.
fn one(
    log: Log,
    tally: &mut Tally,
    zone: &TimeZone,
    bar: &ProgressBar,
    before: u64,
) -> Result<(), Trouble> {
    let name = super::layout::clean(&log.name());
    let mut damaged = 0;
    let read = log.read(|input| {
        let progress = input.progress();
        let mut clock = Clock::new(zone.clone(), input.written);
        read(input.into_reader(), &mut clock, |line, told| {
            if let Told::Damaged(damage) = &told {
                damaged += 1;
                if damaged <= DAMAGES_TOLD {
                    bar.suspend(|| damage_told(&name, line, *damage));
                }
            }
            if line % BAR_STEP == 0 {
                bar.set_position(before + progress.get());
            }
            tally.take(told);
        })
    });
    if damaged > DAMAGES_TOLD {
        let more = Grouped(damaged - DAMAGES_TOLD);
        bar.suspend(|| say(&format!("{name}: {more} more lines of Portcullis cannot be read")));
    }
    read
}

fn damage_told(name: &str, line: u64, damage: Damage) {
    say(&format!("{name}:{line}: this line is left out: {damage}"));
}

/// The answer, on standard output.
fn tell(args: &Args, review: &Review, zone: &TimeZone) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if args.json {
        serde_json::to_writer_pretty(&mut out, review)?;
        out.write_all(b"\n")?;
    } else {
        let look = screen::Look { zone, unicode: unicode(), top: args.top };
        out.write_all(screen::screen(review, &look).as_bytes())?;
    }
    out.flush()
}

/// Can this terminal show more than ASCII? The first of these that is set decides (locale(7)).
fn unicode() -> bool {
    let set = ["LC_ALL", "LC_CTYPE", "LANG"]
        .iter()
        .filter_map(|name| std::env::var(name).ok())
        .find(|value| !value.is_empty());
    set.is_some_and(|value| {
        let value = value.to_ascii_lowercase();
        value.contains("utf-8") || value.contains("utf8")
    })
}

/// On a terminal only; a small log is done before it would be drawn.
fn bar(length: u64) -> ProgressBar {
    let bar = ProgressBar::new(length);
    let template = "{wide_msg} {bar:30} {percent:>3} % {eta:>4}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    if length == 0 {
        // Nobody knows how long a pipe is.
        if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg} {bytes} read") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
    }
    bar
}

/// Says what went wrong with a log, and how bad that is.
fn failed(trouble: &Trouble) -> u8 {
    complain(&trouble.to_string());
    trouble.code()
}

/// Something good to know, on standard error.
fn say(text: &str) {
    // Nobody there to read it: no harm.
    let _ = io::stderr().write_all(wrap("note: ", text).as_bytes());
}

/// Standard output does not take it.
fn gone(error: &io::Error) -> ExitCode {
    // The reader has seen enough: `portcullis review … | head`.
    if error.kind() == io::ErrorKind::BrokenPipe {
        return ExitCode::SUCCESS;
    }
    complain(&format!("cannot write the answer: {error}"));
    NO_OUTPUT.into()
}

/// The name of a file for people.
fn shown(path: &Path) -> String {
    if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() }
}
