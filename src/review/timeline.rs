//! How much happened when.

use std::collections::BTreeMap;

use jiff::civil::date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use super::sources::REASONS;

const MINUTE: i64 = 60;
const HOUR: i64 = 3600;
const DAY: i64 = 86_400;

/// What one bar of a chart stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Step {
    /// The shortest that needs no more bars than this.
    #[default]
    Auto,
    /// An hour.
    Hour,
    /// A day, in local time.
    Day,
}

/// Counts of a span of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Refusals by reason.
    pub(super) reasons: [u64; REASONS],
    /// Standings given.
    pub(super) suspects: u64,
    pub(super) bans: u64,
}

impl Counts {
    pub(super) fn blocked(&self) -> u64 {
        self.reasons.iter().copied().fold(0, u64::saturating_add)
    }

    fn add(&mut self, other: &Self) {
        for (sum, count) in self.reasons.iter_mut().zip(other.reasons) {
            *sum = sum.saturating_add(count);
        }
        self.suspects = self.suspects.saturating_add(other.suspects);
        self.bans = self.bans.saturating_add(other.bans);
    }
}

/// Counts by time. They begin with a minute each; if there are too many, they become wider.
#[derive(Clone, Debug)]
pub(super) struct Timeline {
    bound: usize,
    width: i64,
    bins: BTreeMap<i64, Counts>,
}

/// Counts from a time on, up to the next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Slot {
    pub(super) from: Timestamp,
    pub(super) counts: Counts,
}

impl Timeline {
    pub(super) fn new(bound: usize) -> Self {
        Self { bound, width: MINUTE, bins: BTreeMap::new() }
    }

    /// The counts for a time in seconds since 1970.
    pub(super) fn at(&mut self, at: i64) -> &mut Counts {
        if self.bins.len() >= self.bound && !self.bins.contains_key(&at.div_euclid(self.width)) {
            self.widen();
        }
        self.bins.entry(at.div_euclid(self.width)).or_default()
    }

    /// Makes room.
    fn widen(&mut self) {
        while self.bins.len() >= self.bound {
            // A quarter of an hour fits every time zone.
            let wider = match self.width {
                MINUTE => 15 * MINUTE,
                width if width < HOUR => HOUR,
                width if width < DAY => DAY,
                width => 2 * width,
            };
            let mut bins: BTreeMap<i64, Counts> = BTreeMap::new();
            for (place, counts) in &self.bins {
                bins.entry((place * self.width).div_euclid(wider)).or_default().add(counts);
            }
            (self.width, self.bins) = (wider, bins);
        }
    }

    /// The whole time from the first count to the last, in slots of the same length: the length in
    /// seconds, and the slots. With [`Step::Auto`] there are at most `most`, else at most 10,000.
    pub(super) fn slots(&self, step: Step, most: usize, zone: &TimeZone) -> (i64, Vec<Slot>) {
        let (Some((first, _)), Some((last, _))) =
            (self.bins.first_key_value(), self.bins.last_key_value())
        else {
            return (HOUR, Vec::new());
        };
        let (first, last) = (first * self.width, last * self.width);
        let (shortest, most) = match step {
            Step::Auto => (MINUTE, most.max(1)),
            Step::Hour => (HOUR, 10_000),
            Step::Day => (DAY, 10_000),
        };
        let fits = |length: i64| {
            let grid = Grid::new(length, first, zone);
            length >= shortest.max(self.width) && grid.place(last) - grid.place(first) < most as i64
        };
        const LENGTHS: [i64; 10] = [
            MINUTE,
            5 * MINUTE,
            15 * MINUTE,
            HOUR,
            3 * HOUR,
            6 * HOUR,
            DAY,
            7 * DAY,
            28 * DAY,
            364 * DAY,
        ];
        let longest = std::iter::successors(Some(728 * DAY), |length| length.checked_mul(2));
        let length = LENGTHS.into_iter().chain(longest).find(|l| fits(*l)).unwrap_or(i64::MAX);
        let grid = Grid::new(length, first, zone);
        let mut counts: BTreeMap<i64, Counts> = BTreeMap::new();
        for (place, bin) in &self.bins {
            counts.entry(grid.place(place * self.width)).or_default().add(bin);
        }
        let slot = |place| Slot {
            from: grid.start(place),
            counts: counts.get(&place).copied().unwrap_or_default(),
        };
        (length, (grid.place(first)..=grid.place(last)).map(slot).collect())
    }

    /// Refusals by day of the week, from Monday, and hour of the day; `None` if the counts are too
    /// wide for that.
    pub(super) fn week(&self, zone: &TimeZone) -> Option<[[u64; 24]; 7]> {
        let mut week = [[0_u64; 24]; 7];
        for (place, counts) in &self.bins {
            let local = instant(place * self.width).to_zoned_datetime(zone.clone());
            let day = local.weekday().to_monday_zero_offset();
            let sum = &mut week[day as usize % 7][local.hour() as usize % 24];
            *sum = sum.saturating_add(counts.blocked());
        }
        (self.width <= HOUR).then_some(week)
    }
}

/// Seconds since 1970 as an instant; the nearest there is.
fn instant(seconds: i64) -> Timestamp {
    let seconds = seconds.clamp(Timestamp::MIN.as_second(), Timestamp::MAX.as_second());
    Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX)
}

/// Time cut into pieces: days begin at midnight, and shorter pieces are counted from there.
struct Grid<'a> {
    length: i64,
    offset: i64,
    zone: &'a TimeZone,
}

impl<'a> Grid<'a> {
    fn new(length: i64, first: i64, zone: &'a TimeZone) -> Self {
        let offset = i64::from(zone.to_offset(instant(first)).seconds());
        Self { length, offset, zone }
    }

    fn place(&self, seconds: i64) -> i64 {
        // Midnight moves with the clock's change; shorter pieces do not.
        let offset = if self.length < DAY {
            self.offset
        } else {
            i64::from(self.zone.to_offset(instant(seconds)).seconds())
        };
        (seconds + offset).div_euclid(self.length)
    }

    fn start(&self, place: i64) -> Timestamp {
        let local = place.saturating_mul(self.length);
        if self.length < DAY {
            return instant(local - self.offset);
        }
        let day = (local.div_euclid(DAY)).clamp(-700_000, 2_900_000);
        let day = date(1970, 1, 1).checked_add(day.days());
        let start = day.and_then(|day| day.to_zoned_datetime(self.zone.clone()));
        start.map_or_else(|_| instant(local), |start| start.timestamp())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(bound: usize, times: &[i64]) -> Timeline {
        let mut timeline = Timeline::new(bound);
        for at in times {
            timeline.at(*at).reasons[0] += 1;
        }
        timeline
    }

    fn told(timeline: &Timeline, step: Step, most: usize, zone: &TimeZone) -> (i64, Vec<u64>) {
        let (length, slots) = timeline.slots(step, most, zone);
        assert!(slots.is_sorted_by_key(|slot| slot.from));
        (length, slots.iter().map(|slot| slot.counts.blocked()).collect())
    }

    #[test]
    fn slots_fit() {
        let day = filled(1000, &[0, 59, 60, HOUR, 5 * HOUR, DAY - 1]);
        let utc = TimeZone::UTC;
        assert_eq!(told(&day, Step::Auto, 10, &utc), (3 * HOUR, vec![4, 1, 0, 0, 0, 0, 0, 1]));
        assert_eq!(told(&day, Step::Day, 1, &utc), (DAY, vec![6]));
        assert_eq!(told(&day, Step::Hour, 1, &utc).1.len(), 24);
        assert_eq!(told(&day, Step::Auto, 0, &utc), (DAY, vec![6]));
        assert!(told(&Timeline::new(9), Step::Auto, 9, &utc).1.is_empty());
    }

    #[test]
    fn days_are_local() {
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        let (_, slots) = filled(9, &[0, 21 * HOUR, 22 * HOUR]).slots(Step::Day, 9, &zone);
        let told: Vec<_> = slots.iter().map(|s| (s.from.to_string(), s.counts.blocked())).collect();
        let day = |text: &str, count| (text.to_owned(), count);
        assert_eq!(told, [day("1969-12-31T22:00:00Z", 2), day("1970-01-01T22:00:00Z", 1)]);
    }

    #[test]
    fn nothing_is_lost_when_it_gets_wide() {
        for gap in [1, MINUTE, 7 * HOUR, 400 * DAY] {
            let times: Vec<i64> = (0..1000).map(|i| i * gap - 5000).collect();
            let timeline = filled(64, &times);
            assert!(timeline.bins.len() <= 64);
            for step in [Step::Auto, Step::Hour, Step::Day] {
                let (_, counts) = told(&timeline, step, 50, &TimeZone::UTC);
                assert_eq!(counts.iter().sum::<u64>(), 1000, "{gap} {step:?}");
                assert!(counts.len() <= if step == Step::Auto { 50 } else { 10_000 });
            }
        }
        let ends = [Timestamp::MIN.as_second(), 0, Timestamp::MAX.as_second()];
        let (_, counts) = told(&filled(64, &ends), Step::Hour, 50, &TimeZone::UTC);
        assert_eq!(counts.iter().sum::<u64>(), 3);
    }

    #[test]
    fn the_week() {
        // 1970 began on a Thursday.
        let week = filled(9, &[0, 23 * HOUR, 24 * HOUR]).week(&TimeZone::UTC).unwrap();
        assert_eq!((week[3][0], week[3][23], week[4][0]), (1, 1, 1));
        assert!(filled(2, &[0, HOUR, 30 * HOUR, 90 * DAY]).week(&TimeZone::UTC).is_none());
    }
}
