//! How many per second, over the last ten seconds.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::counters::Snapshot;
use crate::memory::Moment;

/// The span over which rates are taken.
const SPAN: Duration = Duration::from_secs(10);
/// Readings are at least so far apart, so that their number is bounded.
const STEP: Duration = Duration::from_millis(500);

/// Packets per second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PerSecond {
    /// Handed over by the kernel.
    pub received: f64,
    /// Let through.
    pub accepted: f64,
    /// Dropped.
    pub dropped: f64,
    /// Let through only because the gate observes.
    pub would_drop: f64,
}

/// Readings of the counters in the last ten seconds.
#[derive(Debug, Default)]
pub struct Rates {
    readings: VecDeque<(Moment, [u64; 4])>,
}

impl Rates {
    /// Notes a reading. To be called about once a second.
    pub fn note(&mut self, now: Moment, counters: &Snapshot) {
        if self.readings.back().is_some_and(|(last, _)| now.since(*last) < STEP) {
            return;
        }
        // One reading from before the span stays, so that there is always a whole span to look at.
        while self.readings.get(1).is_some_and(|(second, _)| now.since(*second) >= SPAN) {
            self.readings.pop_front();
        }
        self.readings.push_back((now, totals(counters)));
    }

    /// The rates between the oldest reading and now; zero before the first reading.
    pub fn per_second(&self, now: Moment, counters: &Snapshot) -> PerSecond {
        let Some((start, then)) = self.readings.front() else { return PerSecond::default() };
        let seconds = now.since(*start).as_secs_f64();
        if seconds <= 0.0 {
            return PerSecond::default();
        }
        let now = totals(counters);
        let [received, accepted, dropped, would_drop] =
            std::array::from_fn(|i| now[i].saturating_sub(then[i]) as f64 / seconds);
        PerSecond { received, accepted, dropped, would_drop }
    }
}

fn totals(counters: &Snapshot) -> [u64; 4] {
    [counters.received, counters.accepted, counters.dropped_total(), counters.would_drop_total()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn over_ten_seconds() {
        let at = |secs: u64| Moment(secs * 1_000_000_000);
        let counters = |n: u64| Snapshot { received: n, accepted: n / 2, ..Snapshot::default() };
        let mut rates = Rates::default();
        assert_eq!(rates.per_second(at(1), &counters(1000)), PerSecond::default());
        // A quiet minute, then 100 a second for 60 seconds.
        for secs in 0..60 {
            rates.note(at(secs), &counters(0));
        }
        for secs in 60..120 {
            rates.note(at(secs), &counters((secs - 59) * 100));
            rates.note(at(secs), &counters(0)); // too soon after the last: ignored
        }
        let rate = rates.per_second(at(120), &counters(6100));
        assert_eq!((rate.received, rate.accepted, rate.dropped), (100.0, 50.0, 0.0));
        assert!(rates.readings.len() <= 12);
    }
}
