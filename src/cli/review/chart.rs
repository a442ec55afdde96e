//! Bars over time, in a terminal.

use std::fmt::Write as _;

use jiff::tz::TimeZone;

use super::axis::{step_words, ticks};
use crate::cli::layout::WIDTH;
use crate::events::Grouped;
use crate::review::Bar;

/// Lines of the chart.
const HEIGHT: u64 = 8;
/// The widest column: room for its name under it.
const WIDEST: usize = 10;

/// The most columns there are room for, whatever the numbers beside them.
pub(super) const COLUMNS: usize = 64;

/// A column for each bar, upright; the last ones, if there are more than there is room for.
pub(super) fn chart(bars: &[Bar], step: i64, zone: &TimeZone, unicode: bool) -> String {
    let left_out = bars.len().saturating_sub(COLUMNS);
    let bars = &bars[left_out..];
    let most = bars.iter().map(|bar| bar.blocked).max().unwrap_or_default();
    if most == 0 {
        return String::new();
    }
    let mut text = format!("Blocked over time, one column for each {}", step_words(step));
    if left_out > 0 {
        let all = left_out + bars.len();
        let _ = write!(text, " (the last {} of {all})", bars.len());
    }
    text.push('\n');
    let top = Grouped(most).to_string();
    let margin = top.chars().count().max(3) + 2;
    let wide = ((WIDTH - margin - 2) / bars.len()).clamp(1, WIDEST);
    let (bar, corner, line) = if unicode { ('┤', '└', "─") } else { ('|', '+', "-") };
    for row in (0..HEIGHT).rev() {
        let label = match row {
            row if row == HEIGHT - 1 => &*top,
            row if row == HEIGHT / 2 - 1 && most > 1 => &Grouped(most.div_ceil(2)).to_string(),
            _ => "",
        };
        let mut drawn =
            format!("{label:>margin$} {}", if unicode && label.is_empty() { '│' } else { bar });
        for count in bars.iter().map(|bar| bar.blocked) {
            let cell = cell(count, most, row, unicode);
            // Wide columns have a gap between them.
            let filled = if wide > 2 { wide - 1 } else { wide };
            drawn.extend(std::iter::repeat_n(cell, filled));
            drawn.extend(std::iter::repeat_n(' ', wide - filled));
        }
        text.push_str(drawn.trim_end());
        text.push('\n');
    }
    let _ = writeln!(text, "{:>margin$} {corner}{}", 0, line.repeat(bars.len() * wide));
    text.push_str(&names(bars, step, wide, margin + 2, zone));
    text
}

/// What a column shows in a row, from the bottom. What is not nothing is seen.
fn cell(count: u64, most: u64, row: u64, unicode: bool) -> char {
    const BLOCKS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    const ASCII: [char; 9] = [' ', '.', '.', '.', ':', ':', ':', '#', '#'];
    let eighths = (u128::from(count) * u128::from(HEIGHT) * 8).div_ceil(u128::from(most)) as u64;
    let here = eighths.saturating_sub(row * 8).min(8) as usize;
    if unicode { BLOCKS[here] } else { ASCII[here] }
}

/// The times under the columns.
fn names(bars: &[Bar], step: i64, wide: usize, margin: usize, zone: &TimeZone) -> String {
    let mut line = String::new();
    for (place, name) in ticks(bars, step, bars.len() * wide / 9, zone) {
        let column = margin + place * wide;
        let end = line.chars().count();
        // A name must not touch the one before it.
        if column + name.len() <= WIDTH && (end == 0 || column > end + 1) {
            line.extend(std::iter::repeat_n(' ', column - end));
            line.push_str(&name);
        }
    }
    line + "\n"
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::Timestamp;

    use super::*;

    fn bars(counts: &[u64]) -> Vec<Bar> {
        let bar = |(n, blocked): (i64, &u64)| Bar {
            from: Timestamp::from_second(1_790_000_000 / 3600 * 3600 + n * 3600).unwrap(),
            blocked: *blocked,
            by: BTreeMap::new(),
            suspect: 0,
            banned: 0,
        };
        (0..).zip(counts).map(bar).collect()
    }

    #[test]
    fn heights() {
        for (count, seen) in [(0, "        "), (1, "▁       "), (50, "████    "), (100, "████████")]
        {
            let column: String = (0..HEIGHT).map(|row| cell(count, 100, row, true)).collect();
            assert_eq!(column, seen);
        }
        assert_eq!(cell(u64::MAX, u64::MAX, 7, true), '█');
    }

    #[test]
    fn never_too_wide() {
        for count in [1, 2, 7, 30, COLUMNS, 1000] {
            for unicode in [true, false] {
                let counts: Vec<u64> = (0..count as u64).map(|n| n * 1_000_003).collect();
                let text = chart(&bars(&counts), 3600, &TimeZone::UTC, unicode);
                assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
                assert!(unicode || text.is_ascii());
            }
        }
        assert_eq!(chart(&bars(&[0, 0]), 3600, &TimeZone::UTC, true), "");
    }
}
