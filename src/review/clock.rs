//! Times as logs write them → instants.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};

/// How far a clock may be off, or be set back, before it counts as another year.
const SLACK: SignedDuration = SignedDuration::from_hours(24);

/// A date and time without a zone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Date {
    pub(super) year: i16,
    pub(super) month: i8,
    pub(super) day: i8,
    pub(super) hour: i8,
    pub(super) minute: i8,
    pub(super) second: i8,
}

impl Date {
    /// The same day at `14:13:20`, with or without a fraction.
    pub(super) fn at(self, clock: &str) -> Option<Self> {
        let clock = clock.split_once('.').map_or(clock, |(whole, _)| whole);
        let two = |from: usize| {
            let digits = clock.get(from..from + 2)?;
            digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse::<i8>().ok())?
        };
        let colons = clock.len() == 8 && clock.as_bytes()[2] == b':' && clock.as_bytes()[5] == b':';
        if !colons {
            return None;
        }
        Some(Self { hour: two(0)?, minute: two(3)?, second: two(6)?, ..self })
    }
}

/// A time as it stood in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stamp {
    /// An instant.
    Instant(Timestamp),
    /// Local time.
    Local(Date),
    /// Local time without a year.
    Yearless(Date),
}

/// Finds out when lines were written, one after the other.
///
/// RFC 3164 leaves out the year and the time zone. The zone is taken to be this host's. The
/// year is found from two facts: a log is written in order, so the first year is kept until a
/// line would be more than a day older than the one before it, which begins a new one; and no line
/// is younger than the file. So the first line of a file gets the last year that makes it no younger
/// than the file. That is wrong only for a file whose lines span more than a year.
#[derive(Clone, Debug)]
pub struct Clock {
    zone: TimeZone,
    newest: Timestamp,
    last: Option<(i16, Timestamp)>,
    /// An hour in local time and its beginning: most lines are of the same hour as the one
    /// before, and time zones change at the hour.
    hour: Option<(Date, Timestamp)>,
}

impl Clock {
    /// A clock for a log of which no line is younger than `newest`: the time at which the file was
    /// last written, or now.
    pub fn new(zone: TimeZone, newest: Timestamp) -> Self {
        let newest = newest.checked_add(SLACK).unwrap_or(Timestamp::MAX);
        Self { zone, newest, last: None, hour: None }
    }

    /// When that is. `None`: there is no such time.
    pub(super) fn instant(&mut self, stamp: Stamp) -> Option<Timestamp> {
        match stamp {
            Stamp::Instant(time) => Some(time),
            Stamp::Local(date) => self.local(date),
            Stamp::Yearless(date) => {
                let (year, time) = self.yearless(date)?;
                self.last = Some((year, time));
                Some(time)
            }
        }
    }

    fn yearless(&mut self, date: Date) -> Option<(i16, Timestamp)> {
        let newest = self.newest;
        let at = |clock: &mut Self, year| {
            Some((year, clock.local(Date { year, ..date })?)).filter(|(_, time)| *time <= newest)
        };
        if let Some((year, last)) = self.last {
            let oldest = last.checked_sub(SLACK).unwrap_or(Timestamp::MIN);
            // 29 February comes every four years, or eight.
            for year in year - 1..=year + 8 {
                if let Some(found) = at(self, year).filter(|(_, time)| *time >= oldest) {
                    return Some(found);
                }
            }
        }
        let year = newest.to_zoned_datetime(self.zone.clone()).year();
        (year - 8..=year).rev().find_map(|year| at(self, year))
    }

    fn local(&mut self, date: Date) -> Option<Timestamp> {
        let hour = Date { minute: 0, second: 0, ..date };
        let start = match self.hour {
            Some((known, start)) if known == hour => start,
            _ => {
                let Date { year, month, day, hour: h, .. } = date;
                let civil = DateTime::new(year, month, day, h, 0, 0, 0).ok()?;
                // A repeated hour is taken as the first of the two.
                let start =
                    self.zone.to_ambiguous_zoned_datetime(civil).compatible().ok()?.timestamp();
                self.hour = Some((hour, start));
                start
            }
        };
        // A leap second is the last second of its minute.
        let (minute, second) = (i64::from(date.minute), i64::from(date.second).min(59));
        if minute > 59 || date.second > 60 {
            return None;
        }
        start.checked_add((minute * 60 + second).seconds()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock(newest: &str) -> Clock {
        Clock::new(TimeZone::UTC, newest.parse().unwrap())
    }

    /// The years of these lines, in a file last written at `newest`.
    fn years(newest: &str, lines: &[(i8, i8)]) -> Vec<Option<i16>> {
        let mut clock = clock(newest);
        let year = |(month, day): &(i8, i8)| {
            let date = Date { month: *month, day: *day, hour: 12, ..Date::default() };
            let time = clock.instant(Stamp::Yearless(date))?;
            Some(time.to_zoned_datetime(TimeZone::UTC).year())
        };
        lines.iter().map(year).collect()
    }

    #[test]
    fn the_year_is_found() {
        let newest = "2026-03-01T00:00:00Z";
        for (lines, expected) in [
            (vec![(2, 28)], vec![Some(2026)]),
            // A clock that was ahead by some hours.
            (vec![(3, 1)], vec![Some(2026)]),
            (vec![(3, 3)], vec![Some(2025)]),
            // New year's eve, and a line that came late.
            (
                vec![(11, 3), (12, 31), (1, 1), (12, 31), (1, 1)],
                vec![Some(2025), Some(2025), Some(2026), Some(2025), Some(2026)],
            ),
            // The clock was set back by two days: no reason for a new year, which would be too young.
            (vec![(2, 20), (2, 18)], vec![Some(2026), Some(2026)]),
            (vec![(2, 29), (3, 1)], vec![Some(2024), Some(2024)]),
            (vec![(2, 30), (2, 1)], vec![None, Some(2026)]),
            (vec![(13, 1), (0, 0)], vec![None, None]),
        ] {
            assert_eq!(years(newest, &lines), expected, "{lines:?}");
        }
    }

    #[test]
    fn local_time() {
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        let mut clock = Clock::new(zone, "2026-09-21T20:00:00Z".parse().unwrap());
        let day = Date { year: 2026, month: 9, day: 21, ..Date::default() };
        for (text, expected) in [
            ("16:13:20", Some("2026-09-21T14:13:20Z")),
            ("16:14:20", Some("2026-09-21T14:14:20Z")),
            ("23:59:60", Some("2026-09-21T21:59:59Z")),
            ("24:00:00", None),
            ("16:60:00", None),
            ("16:00:61", None),
            ("1:00:00", None),
            ("-1:00:00", None),
            ("é6:00:0", None),
        ] {
            let time = day.at(text).and_then(|date| clock.instant(Stamp::Local(date)));
            assert_eq!(time, expected.map(|time| time.parse().unwrap()), "{text}");
        }
    }
}
