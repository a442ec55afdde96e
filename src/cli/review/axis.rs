//! Which times stand under a chart.

use jiff::tz::TimeZone;

use crate::review::Bar;

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

/// Names for some bars, at most so many: `06:00`, `Sep 21`; at round times.
pub(super) fn ticks(bars: &[Bar], step: i64, most: usize, zone: &TimeZone) -> Vec<(usize, String)> {
    const ROUND: [i64; 20] = [
        60,
        5 * 60,
        10 * 60,
        15 * 60,
        30 * 60,
        HOUR,
        2 * HOUR,
        3 * HOUR,
        4 * HOUR,
        6 * HOUR,
        12 * HOUR,
        DAY,
        2 * DAY,
        3 * DAY,
        4 * DAY,
        7 * DAY,
        14 * DAY,
        28 * DAY,
        84 * DAY,
        364 * DAY,
    ];
    let per_tick = bars.len().div_ceil(most.max(1)) as i64 * step;
    let apart = ROUND.into_iter().find(|apart| *apart >= per_tick && apart % step == 0);
    let apart = apart.unwrap_or(per_tick);
    let named = |(place, bar): (usize, &Bar)| {
        let time = bar.from.to_zoned_datetime(zone.clone());
        let local = bar.from.as_second() + i64::from(time.offset().seconds());
        let round = if apart >= DAY && step >= DAY {
            (place as i64 * step) % apart == 0
        } else {
            local.rem_euclid(apart) < step
        };
        let form = match () {
            () if apart >= 84 * DAY => "%b %Y",
            () if apart >= DAY || local.rem_euclid(DAY) < step.min(60) => "%b %-d",
            () => "%H:%M",
        };
        round.then(|| (place, time.strftime(form).to_string()))
    };
    let ticks: Vec<_> = bars.iter().enumerate().filter_map(named).collect();
    if !ticks.is_empty() {
        return ticks;
    }
    let first = bars.first().map(|bar| bar.from.to_zoned_datetime(zone.clone()));
    first.map(|time| (0, time.strftime("%b %-d %H:%M").to_string())).into_iter().collect()
}

/// How long a bar is, in words: `hour`, `15 minutes`.
pub(super) fn step_words(step: i64) -> String {
    let (count, unit) = match step {
        step if step % (7 * DAY) == 0 => (step / (7 * DAY), "week"),
        step if step % DAY == 0 => (step / DAY, "day"),
        step if step % HOUR == 0 => (step / HOUR, "hour"),
        step => (step / 60, "minute"),
    };
    if count == 1 { unit.to_owned() } else { format!("{count} {unit}s") }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::Timestamp;

    use super::*;

    fn bars(first: &str, step: i64, count: i64) -> Vec<Bar> {
        let first: Timestamp = first.parse().unwrap();
        let bar = |n: i64| Bar {
            from: Timestamp::from_second(first.as_second() + n * step).unwrap(),
            blocked: 0,
            by: BTreeMap::new(),
            suspect: 0,
            banned: 0,
        };
        (0..count).map(bar).collect()
    }

    #[test]
    fn round_times() {
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        for (first, step, count, expected) in [
            ("2026-09-21T14:13:00Z", 60, 1, "0:16:13"),
            ("2026-09-21T14:13:00Z", 60, 60, "2:16:15 17:16:30 32:16:45 47:17:00"),
            ("2026-09-21T14:00:00Z", HOUR, 24, "2:18:00 8:Sep 22 14:06:00 20:12:00"),
            ("2026-09-20T22:00:00Z", DAY, 14, "0:Sep 21 4:Sep 25 8:Sep 29 12:Oct 3"),
        ] {
            let ticks = ticks(&bars(first, step, count), step, 4, &zone);
            let told: Vec<_> = ticks.iter().map(|(n, name)| format!("{n}:{name}")).collect();
            assert_eq!(told.join(" "), expected, "{first}");
        }
        assert_eq!(ticks(&[], 60, 4, &zone), []);
        assert_eq!([HOUR, 900, 7 * DAY].map(step_words), ["hour", "15 minutes", "week"]);
    }
}
