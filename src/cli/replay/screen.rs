//! The answer as people read it, in 80 columns, or 100 where numbers and words stand together.

use std::cmp::Reverse;
use std::fmt::{self, Write as _};
use std::time::Duration;

use crate::cli::layout::{Align, Table, clean, wrap};
use crate::events::{Grouped, Span, ports};
use crate::memory::{FloodReport, Moment};
use crate::replay::against::{Difference, Fate};
use crate::replay::{Report, Scores, Track};

/// Rows of one file that are shown; `--json` has all of them.
const ROWS: usize = 20;

/// Columns of the tables of sources.
const WIDTH: usize = 100;

/// A file in one line.
fn heading(name: &str, report: &Report) -> String {
    let sources = report.tracks.rows().len();
    format!(
        "{}: {} packets in {}, {} SYNs of {} {}\n",
        clean(name),
        Grouped(report.packets),
        Span(report.span),
        Grouped(report.openings),
        Grouped(sources as u64),
        if sources == 1 { "source" } else { "sources" },
    )
}

/// A flood in one sentence: what, where, when by the clock of the capture, how much.
pub(super) fn flood(report: &Report, flood: &FloodReport) -> String {
    let since = |at: Moment| Span(at.since(report.begun).max(Duration::from_millis(1)));
    let until = match flood.until {
        Some(until) => format!("until {}", since(until)),
        None => "and longer than the capture".to_owned(),
    };
    format!(
        "flood ({}) at {} from {} {until} after the beginning: {} SYNs, up to {} a second, {} % of \
         them from new sources",
        flood.kind.word(),
        ports(&flood.ports),
        since(flood.since),
        Grouped(flood.syns),
        Grouped(flood.peak as u64),
        (flood.share * 100.0).round(),
    )
}

fn floods(report: &Report) -> String {
    report.floods.iter().map(|one| wrap("  ", &flood(report, one))).collect()
}

/// Every source of a file, those that were flagged first.
pub(super) fn sources(name: &str, report: &Report) -> String {
    let mut text = heading(name, report) + &floods(report);
    let mut rows: Vec<&Track> = report.tracks.rows().iter().collect();
    if rows.is_empty() {
        return text + "\n";
    }
    rows.sort_by_key(|row| (row.flagged_at.is_none(), Reverse(row.dropped)));
    let columns = [
        ("SOURCE", Align::Left),
        ("SYNS", Align::Right),
        ("ACCEPTED", Align::Right),
        ("DROPPED", Align::Right),
        ("FIRST", Align::Right),
        ("SUSPECT", Align::Right),
        ("BANNED", Align::Right),
        ("FLAGGED", Align::Right),
        ("REASON", Align::Left),
    ];
    let mut table = Table::new(2, &columns).within(WIDTH);
    let number = |n: Option<u64>| n.map_or("-".to_owned(), |n| Grouped(n).to_string());
    for row in rows.iter().take(ROWS) {
        table.row([
            row.source.to_string(),
            number(Some(row.syns)),
            number(Some(row.accepted)),
            number(Some(row.dropped)),
            number(row.first_drop),
            number(row.suspect_at),
            number(row.banned_at),
            number(row.flagged_at),
            reason(row),
        ]);
    }
    text.push_str(&table.text());
    text.push_str(&left_out(rows.len(), rows.iter().skip(ROWS).copied()));
    text.push('\n');
    text
}

/// Why, in a word or two.
fn reason(row: &Track) -> String {
    match row.reason {
        None => "-".into(),
        Some(check) if row.what.is_empty() => check.into(),
        Some(check) => format!("{check}: {}", row.what),
    }
}

fn left_out<'a>(all: usize, rest: impl Iterator<Item = &'a Track>) -> String {
    if all <= ROWS {
        return String::new();
    }
    let flagged = rest.filter(|row| row.flagged_at.is_some()).count() as u64;
    format!(
        "  and {} more sources, {} of them flagged; --json tells all\n",
        Grouped((all - ROWS) as u64),
        if flagged == 0 { "none".into() } else { Grouped(flagged).to_string() },
    )
}

/// How well sources were told apart.
pub(super) fn scores(scores: &Scores) -> String {
    let columns = [
        ("CLASS", Align::Left),
        ("FILES", Align::Right),
        ("CAUGHT", Align::Right),
        ("MISSED", Align::Right),
        ("WRONGED", Align::Right),
        ("SPARED", Align::Right),
        ("DETECTED", Align::Right),
        ("FALSE", Align::Right),
    ];
    let mut matrix = Table::new(2, &columns);
    let columns = [
        ("CLASS", Align::Left),
        ("MEDIAN SYNS", Align::Right),
        ("WORST", Align::Right),
        ("MEDIAN TIME", Align::Right),
        ("WORST", Align::Right),
        ("WRONGLY BANNED", Align::Right),
    ];
    let mut speed = Table::new(2, &columns);
    let grouped = |n: u64| Grouped(n).to_string();
    let dash = || "-".to_owned();
    for (class, score) in scores.rows() {
        matrix.row([
            clean(class),
            grouped(score.files),
            grouped(score.caught),
            grouped(score.missed),
            grouped(score.wronged),
            grouped(score.spared),
            score.detection_rate().map_or_else(dash, percent),
            score.false_positive_rate().map_or_else(dash, percent),
        ]);
        let time = |time: Duration| Span(time).to_string();
        let (syns, times) = (score.syns(), score.times());
        speed.row([
            clean(class),
            syns.map_or_else(dash, |(median, _)| grouped(median)),
            syns.map_or_else(dash, |(_, worst)| grouped(worst)),
            times.map_or_else(dash, |(median, _)| time(median)),
            times.map_or_else(dash, |(_, worst)| time(worst)),
            grouped(score.wrongly_banned),
        ]);
    }
    format!(
        "Attackers that were flagged (caught) or not (missed), and others that were (wronged) or\n\
         not (spared); the detection rate and the false-positive rate:\n{}\n\
         SYNs and time from an attacker's first SYN until it was flagged, and bans of others:\n{}",
        matrix.text(),
        speed.text()
    )
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// What would change for the sources of a file.
pub(super) fn changes(name: &str, report: &Report, found: &[Difference<'_>]) -> String {
    let mut text = heading(name, report);
    if found.is_empty() {
        return text + "  nothing would change\n\n";
    }
    let columns = [
        ("SOURCE", Align::Left),
        ("SYNS", Align::Right),
        ("DROPPED", Align::Right),
        ("NOW", Align::Right),
        ("CHANGE", Align::Left),
    ];
    let mut table = Table::new(2, &columns).within(WIDTH);
    for change in found.iter().take(ROWS) {
        let Difference { newly, no_longer, old, new } = change;
        let words = |fates: &[Fate]| fates.iter().map(|f| f.word()).collect::<Vec<_>>().join(", ");
        let mut told = Vec::new();
        if !newly.is_empty() {
            told.push(format!("newly {} ({})", words(newly), reason(new)));
        }
        if !no_longer.is_empty() {
            told.push(format!("no longer {} ({})", words(no_longer), reason(old)));
        }
        let numbers = [new.syns, old.dropped, new.dropped].map(|n| Grouped(n).to_string());
        let cells = std::iter::once(new.source.to_string()).chain(numbers);
        table.row(cells.chain([told.join("; ")]));
    }
    text.push_str(&table.text());
    if found.len() > ROWS {
        let more = Grouped((found.len() - ROWS) as u64);
        let _ = writeln!(text, "  and {more} more sources; --json tells all");
    }
    text.push('\n');
    text
}

/// How many sources fare otherwise, over all files.
#[derive(Debug, Default)]
pub(super) struct Changes {
    newly: [u64; 3],
    no_longer: [u64; 3],
}

impl Changes {
    pub(super) fn add(&mut self, found: &[Difference<'_>]) {
        for (place, fate) in Fate::ALL.iter().enumerate() {
            let count = |which: fn(&Difference<'_>) -> Vec<Fate>| {
                found.iter().filter(|change| which(change).contains(fate)).count() as u64
            };
            self.newly[place] += count(|change| change.newly.clone());
            self.no_longer[place] += count(|change| change.no_longer.clone());
        }
    }
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |counts: &[u64; 3]| {
            let told = Fate::ALL.iter().zip(counts);
            let told: Vec<String> =
                told.map(|(fate, n)| format!("{} {}", Grouped(*n), fate.word())).collect();
            told.join(", ")
        };
        writeln!(f, "Sources newly: {}", list(&self.newly))?;
        writeln!(f, "No longer:     {}", list(&self.no_longer))
    }
}
