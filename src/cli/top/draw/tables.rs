//! The lower part: one of the tables.

use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};

use super::{BOLD, DIM, Look, PLAIN, cut, put, rate};
use crate::cli::bans::{name, standing, why};
use crate::cli::layout::clean;
use crate::cli::review::services::service;
use crate::cli::top::model::Model;
use crate::cli::top::now::Now;
use crate::cli::top::rows::Row;
use crate::cli::top::series::{Series, bars, highest};
use crate::cli::top::view::{Which, source_standing, source_why};
use crate::control::protocol::{BanRow, BusyPort, BusySource};
use crate::events::{self, Grouped};
use crate::policy::Standing;

/// The least that bars in a table show.
const SHOWN: Duration = Duration::from_secs(60);
/// Bars narrower than this say nothing.
const LEAST_BARS: usize = 6;
/// Words narrower than this say nothing.
const NARROW: usize = 8;
/// Wider than this they say nothing more.
const MOST_BARS: usize = 60;

/// A column.
struct Column {
    title: &'static str,
    width: usize,
    right: bool,
    /// Columns with higher numbers go first where there is little room. 1 gets narrow, and goes only
    /// if it does not fit even so, not to make room for the bars; 0 stays.
    dear: u8,
}

const fn column(title: &'static str, width: usize, right: bool, dear: u8) -> Column {
    Column { title, width, right, dear }
}

/// A row, ready to be laid out.
struct Cells<'a> {
    cells: Vec<(String, Style)>,
    series: &'a Series,
}

/// Draws the table that is chosen.
pub(super) fn draw(frame: &mut Frame<'_>, model: &Model, look: &Look, now: Now, area: Rect) {
    let (view, filter, order, span) =
        (model.view(), model.filter.as_ref(), model.order(), model.span());
    let (columns, rows, all): (_, Vec<Cells<'_>>, usize) = match model.which {
        Which::Sources => {
            let rows = view.shown_sources(filter, order, span);
            let longest = rows.iter().map(|row| name(row.facts.source).len()).max();
            let columns = vec![
                column("SOURCE", longest.unwrap_or(0).clamp(15, 24), false, 0),
                column("TRIES/s", 7, true, 0),
                column("REFUSED/s", 9, true, 1),
                column("TRIES", 9, true, 5),
                column("STANDING", 11, false, 0),
                column("WHY", if area.width < 120 { 11 } else { 30 }, false, 2),
                column("PORT", 5, true, 3),
            ];
            let cells = rows.into_iter().map(|row| source(row, span, look));
            (columns, cells.collect(), view.sources.iter().count())
        }
        Which::Ports => {
            let rows = view.shown_ports(filter, order, span);
            let columns = vec![
                column("PORT", 5, true, 0),
                column("SERVICE", 15, false, 3),
                column("TRIES/s", 7, true, 0),
                column("REFUSED/s", 9, true, 0),
                column("TRIES", 9, true, 4),
                column("SERVED", 6, false, 0),
                column("REFUSED BY", 11, false, 2),
            ];
            let cells = rows.into_iter().map(|row| port(row, span, look));
            (columns, cells.collect(), view.ports.iter().count())
        }
        Which::Standings => {
            let rows = view.shown_standings(filter, order, span);
            let longest = rows.iter().map(|row| name(row.facts.source).len()).max();
            let columns = vec![
                column("SOURCE", longest.unwrap_or(0).clamp(15, 24), false, 0),
                column("STANDING", 11, false, 0),
                column("LEFT", 7, false, 0),
                column("STOPPED/s", 9, true, 3),
                column("STOPPED", 9, true, 4),
                column("WHY", if area.width < 100 { 18 } else { 36 }, false, 1),
            ];
            let span = view.standings.measured().then_some(span);
            let cells = rows.into_iter().map(|row| stood(row, span, look, now));
            (columns, cells.collect(), view.standings.iter().count())
        }
    };
    put(frame, area.y, tabs(model, rows.len(), all, usize::from(area.width)));
    lay(frame, model, area, columns, &rows);
}

/// The names of the tables, the chosen one in brackets, and how it is looked at.
fn tabs(model: &Model, shown: usize, all: usize, width: usize) -> Line<'static> {
    let mut spans = Vec::new();
    let mut used = 0;
    for which in Which::ALL {
        let (text, style) = match which == model.which {
            true => (format!("[{}]", which.title()), BOLD),
            false => (format!(" {} ", which.title()), PLAIN),
        };
        used += text.len();
        spans.push(Span::styled(text, style));
    }
    let order = model.order().words();
    let right = match &model.filter {
        None => order.to_owned(),
        Some(_) => format!("{shown} of {all} for {:?}, {order}", model.filter_text),
    };
    let room = width.saturating_sub(used + 1);
    let right = cut(&right, room);
    spans.push(Span::raw(" ".repeat(width.saturating_sub(used + right.chars().count()))));
    spans.push(Span::styled(right, if model.filter.is_some() { BOLD } else { DIM }));
    Line::from(spans)
}

fn source<'a>(row: &'a Row<BusySource>, span: usize, look: &Look) -> Cells<'a> {
    let facts = &row.facts;
    let standing = match source_standing(facts) {
        none if none.is_empty() => "-".to_owned(),
        word => word,
    };
    let cells = vec![
        (name(facts.source), PLAIN),
        (rate(row.tries.mean(span)), PLAIN),
        (rate(row.refused.mean(span)), PLAIN),
        (Grouped(facts.attempts).to_string(), PLAIN),
        (standing, of_standing(facts.standing, look)),
        (clean(source_why(facts)), PLAIN),
        (facts.port.to_string(), PLAIN),
    ];
    Cells { cells, series: &row.tries }
}

fn port<'a>(row: &'a Row<BusyPort>, span: usize, look: &Look) -> Cells<'a> {
    let facts = &row.facts;
    let served = if facts.served { ("yes", PLAIN) } else { ("no", look.suspect()) };
    let cells = vec![
        (facts.port.to_string(), PLAIN),
        (service(facts.port).unwrap_or("-").to_owned(), PLAIN),
        (rate(row.tries.mean(span)), PLAIN),
        (rate(row.refused.mean(span)), PLAIN),
        (Grouped(facts.attempts).to_string(), PLAIN),
        (served.0.to_owned(), served.1),
        (clean(&facts.check), PLAIN),
    ];
    Cells { cells, series: &row.tries }
}

fn stood<'a>(row: &'a Row<BanRow>, span: Option<usize>, look: &Look, now: Now) -> Cells<'a> {
    let facts = &row.facts;
    let left = Duration::try_from(facts.until.duration_since(now.clock)).unwrap_or_default();
    let left = Duration::from_secs(left.as_secs());
    let cells = vec![
        (name(facts.source), PLAIN),
        (standing(facts), of_standing(facts.standing, look)),
        (events::Span(left).to_string(), PLAIN),
        (span.map_or_else(|| "-".to_owned(), |span| rate(row.tries.mean(span))), PLAIN),
        (Grouped(facts.stopped_packets).to_string(), PLAIN),
        (why(facts), PLAIN),
    ];
    Cells { cells, series: &row.tries }
}

fn of_standing(standing: Standing, look: &Look) -> Style {
    match standing {
        Standing::Clean => PLAIN,
        Standing::Suspect => look.suspect(),
        Standing::Banned => look.banned(),
    }
}

/// Lays rows out in columns, bars behind them, the selected one marked.
fn lay(frame: &mut Frame<'_>, model: &Model, area: Rect, columns: Vec<Column>, rows: &[Cells<'_>]) {
    let width = usize::from(area.width);
    let (kept, bar) = fitting(&columns, width);
    let step = model.readings(SHOWN).div_ceil(bar.max(1));
    let mut head = " ".to_owned();
    for &(n, width) in &kept {
        let Column { title, right, .. } = columns[n];
        head += &if right { format!(" {title:>width$} ") } else { format!(" {title:<width$} ") };
    }
    if bar > 0 {
        let seconds = model.lasting(bar * step);
        let long = format!("LAST {}", events::Span(Duration::from_secs(seconds.as_secs())));
        head += &format!(" {}", if long.len() <= bar { long } else { "TREND".to_owned() });
    }
    put(frame, area.y + 1, Line::styled(head, DIM));

    let ids = model.ids();
    let selected = model.selected(&ids);
    let room = usize::from(area.height.saturating_sub(2));
    let first = selected.map_or(0, |at| (at + 1).saturating_sub(room));
    for (n, row) in rows.iter().enumerate().skip(first).take(room) {
        let chosen = selected == Some(n);
        let mut spans = vec![Span::raw(if chosen { ">" } else { " " })];
        for &(n, width) in &kept {
            let right = columns[n].right;
            let (text, style) = &row.cells[n];
            let text = cut(text, width);
            let cell =
                if right { format!(" {text:>width$} ") } else { format!(" {text:<width$} ") };
            spans.push(Span::styled(cell, *style));
        }
        if bar > 0 {
            let columns = row.series.columns(bar, step);
            spans.push(Span::raw(format!(" {}", bars(&columns, highest(&columns)))));
        }
        let used: usize = spans.iter().map(|span| span.content.chars().count()).sum();
        spans.push(Span::raw(" ".repeat(width.saturating_sub(used))));
        let style = if chosen { PLAIN.add_modifier(Modifier::REVERSED) } else { PLAIN };
        put(frame, area.y + 2 + (n - first) as u16, Line::from(spans).patch_style(style));
    }
    if rows.is_empty() {
        put(frame, area.y + 2, Line::styled(format!("  {}", nobody(model)), DIM));
    }
}

/// Why the table is empty.
fn nobody(model: &Model) -> &'static str {
    match model.which {
        _ if model.filter.is_some() => "nothing like that; Esc shows everything",
        Which::Sources => "nobody has tried to connect since top was started",
        Which::Ports => "no port was asked for since top was started",
        Which::Standings => "nobody is suspect or banned",
    }
}

/// Which columns fit into `width`, how wide each is, and how wide the bars behind them can be; 0 if
/// there is no room.
fn fitting(columns: &[Column], width: usize) -> (Vec<(usize, usize)>, usize) {
    let mut kept: Vec<(usize, usize)> =
        columns.iter().enumerate().map(|(n, column)| (n, column.width)).collect();
    let dear = |n: usize| columns[n].dear;
    loop {
        // Each has a space before and behind it; before all stands the mark.
        let used = 1 + kept.iter().map(|(_, width)| width + 2).sum::<usize>();
        let bars = width.saturating_sub(used + 1);
        if bars >= LEAST_BARS {
            return (kept, bars.min(MOST_BARS));
        }
        // The space behind the last one may be missing.
        let over = used.saturating_sub(width + 1);
        let dearest = kept.iter_mut().filter(|(n, _)| dear(*n) > 0).max_by_key(|(n, _)| dear(*n));
        match dearest {
            Some((n, _)) if dear(*n) > 1 => {
                let n = *n;
                kept.retain(|(other, _)| *other != n);
            }
            Some((_, width)) if over > 0 && *width >= NARROW + over => *width -= over,
            Some((n, _)) if over > 0 => {
                let n = *n;
                kept.retain(|(other, _)| *other != n);
            }
            _ => return (kept, 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits() {
        let columns = [
            column("A", 10, false, 0),
            column("B", 10, true, 2),
            column("C", 10, true, 3),
            column("WHY", 20, false, 1),
        ];
        let fits = |width| {
            let (kept, bars) = fitting(&columns, width);
            (kept.into_iter().map(|(n, width)| (columns[n].title, width)).collect::<Vec<_>>(), bars)
        };
        let all = vec![("A", 10), ("B", 10), ("C", 10), ("WHY", 20)];
        assert_eq!(fits(200), (all.clone(), MOST_BARS));
        assert_eq!(fits(66), (all, 6));
        assert_eq!(fits(65), (vec![("A", 10), ("B", 10), ("WHY", 20)], 17));
        assert_eq!(fits(53), (vec![("A", 10), ("WHY", 20)], 17));
        // Why is better than when.
        assert_eq!(fits(40), (vec![("A", 10), ("WHY", 20)], 0));
        assert_eq!(fits(30), (vec![("A", 10), ("WHY", 16)], 0));
        assert_eq!(fits(21), (vec![("A", 10)], 7));
    }
}
