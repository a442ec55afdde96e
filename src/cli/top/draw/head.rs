//! The upper part: how the gate is.

use std::time::Duration;

use jiff::Timestamp;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::{BOLD, DIM, Look, PLAIN, ROOMY, cut, rate};
use crate::cli::layout::{clean, wrap};
use crate::cli::status::{alarms, losses, whole_seconds};
use crate::cli::top::model::Model;
use crate::cli::top::now::Now;
use crate::cli::top::series::{Series, bars, highest};
use crate::cli::top::traffic::ByCheck;
use crate::control::protocol::{FloodFacts, StatusReport};
use crate::events::{self, Alarm, Grouped, ports};

/// Alarms are shown for so long.
const ALARMED: Duration = Duration::from_secs(600);
/// The least that the bars of the traffic show.
const SHOWN: Duration = Duration::from_secs(120);
/// What refusals by check take at the right.
const CHECKS: usize = 34;
/// Columns from which on they are shown.
const WIDE: usize = 76;
/// Words in front of the numbers.
const NAME: usize = 13;
/// A rate.
const RATE: usize = 8;

/// All its lines.
pub(super) fn lines(model: &Model, look: &Look, now: Now, area: Rect) -> Vec<Line<'static>> {
    let width = usize::from(area.width);
    let Some(report) = &model.view().status else { return Vec::new() };
    let mut lines =
        vec![title(model, report, look, now, width), trouble(model, report, look, now, width)];
    lines.extend(traffic(model, report, area, look));
    lines.push(queue(report, look, width));
    lines.push(standings(report, width));
    lines
}

/// Who it is and how long it has been up; the time.
fn title(
    model: &Model,
    report: &StatusReport,
    look: &Look,
    now: Now,
    width: usize,
) -> Line<'static> {
    let name = format!("Portcullis {}", clean(&report.version));
    let observes = report.mode == "observe";
    let aside = report.firewall.aside.is_some();
    let mode = match report.mode.as_str() {
        _ if aside => "STANDS ASIDE: nothing is judged",
        "observe" => "observes: nothing is dropped",
        _ => "enforces",
    };
    let up = format!("up {}", events::Span(whole_seconds(report.uptime)));
    let clock = time(now.clock, look);
    let clock = if model.paused() { format!("PAUSED  {clock}") } else { clock };
    let used = name.len() + mode.len() + up.len() + 4;
    let gap = width.saturating_sub(used + clock.len());
    let mode = if observes || aside { Span::styled(mode, look.trouble()) } else { Span::raw(mode) };
    Line::from(vec![
        Span::styled(name, BOLD),
        Span::raw("  "),
        mode,
        Span::raw(format!("  {up}{:gap$}", "")),
        Span::styled(clock, if model.paused() { look.trouble() } else { PLAIN }),
    ])
}

/// What is wrong: the worst, and how much more there is.
fn trouble(
    model: &Model,
    report: &StatusReport,
    look: &Look,
    now: Now,
    width: usize,
) -> Line<'static> {
    let mut troubles = troubles(model, report, look);
    let lately = |at: Timestamp| {
        Duration::try_from(now.clock.duration_since(at)).is_ok_and(|age| age < ALARMED)
    };
    // A notice says that something is over.
    let lasts = |alarm: &&Alarm| alarm.level != "notice" && lately(alarm.at);
    let alarms = report.alarms.iter().filter(lasts);
    troubles.extend(alarms.map(|alarm| {
        let (what, text) = (clean(&alarm.what), clean(&alarm.text));
        format!("ALARM at {}: {what}: {text}", time(alarm.at, look))
    }));
    let Some(first) = troubles.first() else { return Line::styled("no flood, no alarm", DIM) };
    let more = match troubles.len() - 1 {
        0 if first.chars().count() <= width => String::new(),
        0 => "  (a: in full)".to_owned(),
        more => format!("  (a: {more} more)"),
    };
    let first = cut(first, width.saturating_sub(more.len()));
    Line::from(vec![Span::styled(first, look.trouble()), Span::raw(more)])
}

/// All that is wrong and all alarms that the daemon remembers, in full.
pub(super) fn troubles_text(model: &Model, look: &Look) -> String {
    let Some(report) = &model.view().status else { return String::new() };
    let mut text: String =
        troubles(model, report, look).iter().map(|trouble| wrap("", trouble) + "\n").collect();
    text += &alarms(report, &look.zone);
    text
}

/// What is wrong now, the worst first.
fn troubles(model: &Model, report: &StatusReport, look: &Look) -> Vec<String> {
    let mut troubles = Vec::new();
    if let Some((since, text)) = &model.lost {
        troubles.push(format!("NO ANSWER since {}, trying again: {text}", time(*since, look)));
    }
    troubles.extend(report.floods.iter().map(flood));
    if !report.firewall.healthy {
        troubles.push(format!("PROBLEM: {}", clean(&report.firewall.text)));
    }
    troubles
}

fn time(at: Timestamp, look: &Look) -> String {
    at.to_zoned_datetime(look.zone.clone()).strftime("%T").to_string()
}

fn flood(facts: &FloodFacts) -> String {
    let what = if facts.frozen { "forged SYNs" } else { "SYNs of few sources" };
    let frozen = if facts.frozen { "; standings frozen" } else { "" };
    format!(
        "FLOOD of {what} at {} for {}, {} a second{frozen}",
        ports(&facts.ports),
        events::Span(whole_seconds(facts.lasts)),
        Grouped(facts.per_second as u64),
    )
}

/// What comes in and what becomes of it, over the last minutes; at the right by check.
fn traffic(model: &Model, report: &StatusReport, area: Rect, look: &Look) -> Vec<Line<'static>> {
    let width = usize::from(area.width);
    let roomy = area.height >= ROOMY;
    let traffic = &model.view().traffic;
    let checks = if width >= WIDE { CHECKS } else { 0 };
    let bar = width - checks - NAME - RATE - 2;
    let step = model.readings(SHOWN).div_ceil(bar);
    let columns = |series: &Series| series.columns(bar, step);
    // Those three are drawn to one height, because they add up.
    let most = highest(&columns(&traffic.judged));
    let observes = report.mode == "observe";
    let rates = report.per_second;
    let refused = rates.dropped + rates.would_drop;
    let stopped = traffic.stopped.mean(model.span());
    let own = highest(&columns(&traffic.stopped));
    let mut rows = vec![
        ("judged", rates.received as f32, &traffic.judged, most),
        ("let in", rates.accepted as f32, &traffic.let_in, most),
        (if observes { "would refuse" } else { "refused" }, refused as f32, &traffic.refused, most),
        ("kernel stops", stopped, &traffic.stopped, own),
    ];
    if !roomy {
        rows.pop();
    }
    let mut left: Vec<Vec<Span<'static>>> = Vec::new();
    if roomy {
        let minutes = model.lasting(bar * step).as_secs().div_ceil(60).max(1);
        let over = if bar >= 14 { format!("LAST {minutes} MIN") } else { String::new() };
        let head = format!("{:NAME$}{:>RATE$}  {:bar$}", "", "PER SEC", cut(&over, bar));
        left.push(vec![Span::styled(head, DIM)]);
    }
    for (name, per_second, series, most) in rows {
        let bars = bars(&columns(series), most);
        let style = if name == "refused" && per_second >= 0.05 { look.banned() } else { PLAIN };
        left.push(vec![
            Span::raw(format!("{name:<NAME$}")),
            Span::styled(format!("{:>RATE$}", rate(per_second)), BOLD),
            Span::raw("  "),
            Span::styled(bars, style),
        ]);
    }
    if checks > 0 {
        let room = left.len().max(usize::from(area.height) / 4);
        beside(&mut left, by_check(&traffic.by_check(), observes, room), width - checks);
    }
    left.into_iter().map(Line::from).collect()
}

/// Lays `right` beside the lines, `at` so many columns.
fn beside(lines: &mut Vec<Vec<Span<'static>>>, right: Vec<Span<'static>>, at: usize) {
    for (n, span) in right.into_iter().enumerate() {
        match lines.get_mut(n) {
            Some(line) => line.push(span),
            None => lines.push(vec![Span::raw(" ".repeat(at)), span]),
        }
    }
}

/// At most `room` lines, with the heading.
fn by_check(checks: &[ByCheck<'_>], observes: bool, room: usize) -> Vec<Span<'static>> {
    let title = if observes { "WOULD REFUSE" } else { "REFUSED BY" };
    let line = |name: &str, per_second: &str, all: &str| {
        format!("  {:<12}{per_second:>8}{all:>12}", cut(name, 12))
    };
    let mut lines = vec![Span::styled(line(title, "PER SEC", "ALL"), DIM)];
    let (shown, hidden) = match checks.len() {
        few if few < room => (few, 0),
        many => (room - 2, many + 2 - room),
    };
    lines.extend(checks[..shown].iter().map(|by| {
        Span::raw(line(&clean(by.check), &rate(by.per_second), &Grouped(by.all).to_string()))
    }));
    if hidden > 0 {
        let all = checks[shown..].iter().map(|by| by.all).sum();
        let per_second = checks[shown..].iter().map(|by| by.per_second).sum();
        let name = format!("{hidden} more");
        lines.push(Span::raw(line(&name, &rate(per_second), &Grouped(all).to_string())));
    }
    if checks.is_empty() {
        lines.push(Span::styled("  nothing so far", DIM));
    }
    lines
}

/// How full the queues are, and what was lost.
fn queue(report: &StatusReport, look: &Look, width: usize) -> Line<'static> {
    const FILL: usize = 10;
    let rows = &report.queues;
    let name = if rows.len() > 1 { "queues" } else { "queue" };
    let room: u64 = rows.iter().map(|row| row.length.min(row.buffer_holds)).sum();
    let waiting: Option<u64> = rows.iter().map(|row| row.waiting).sum();
    let filled = match waiting {
        Some(waiting) => {
            let share = if room == 0 { 0.0 } else { waiting as f64 / room as f64 };
            let full = (share.min(1.0) * FILL as f64).round() as usize;
            let bar = format!("{}{}", "█".repeat(full), "·".repeat(FILL - full));
            format!("{bar}  {} of {} wait", Grouped(waiting), Grouped(room))
        }
        None => format!("room for {}", Grouped(room)),
    };
    let losses = losses(report);
    let style = if losses == "nothing" { PLAIN } else { look.trouble() };
    let left = format!("{name:<NAME$}{filled}; lost: ");
    let losses = cut(&losses, width.saturating_sub(left.chars().count()));
    Line::from(vec![Span::raw(left), Span::styled(losses, style)])
}

fn standings(report: &StatusReport, width: usize) -> Line<'static> {
    let counts = report.standings;
    let memory = report.memory;
    let text = format!(
        "{:<NAME$}{} banned, {} suspect; {} of {} sources remembered",
        "standings",
        Grouped(counts.banned),
        Grouped(counts.suspect),
        Grouped(memory.sources),
        Grouped(memory.sources_bound),
    );
    Line::from(cut(&text, width))
}
