//! The gate's counters over the last minutes.

use std::collections::{BTreeMap, VecDeque};

use super::series::Series;
use crate::control::protocol::StatusReport;
use crate::memory::Moment;

/// Rates by check are taken over so many seconds, as the daemon takes the others.
const SPAN: f32 = 10.0;

/// What the counters said, and what that makes per second.
#[derive(Clone, Debug, Default)]
pub(super) struct Traffic {
    /// Judged, let in, refused (or what would be), stopped by the kernel alone: per second.
    pub(super) judged: Series,
    pub(super) let_in: Series,
    pub(super) refused: Series,
    pub(super) stopped: Series,
    readings: VecDeque<(Moment, Reading)>,
}

#[derive(Clone, Debug)]
struct Reading {
    totals: [u64; 4],
    checks: BTreeMap<String, u64>,
}

/// One check's refusals.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ByCheck<'a> {
    pub(super) check: &'a str,
    pub(super) per_second: f32,
    pub(super) all: u64,
}

impl Traffic {
    /// Notes what the daemon told at `now`.
    pub(super) fn note(&mut self, now: Moment, report: &StatusReport) {
        let counters = &report.counters;
        let mut checks = counters.dropped.clone();
        for (check, count) in &counters.would_drop {
            *checks.entry(check.clone()).or_default() += count;
        }
        let refused = counters.dropped_total() + counters.would_drop_total();
        let stopped = report.firewall.stopped_packets;
        let totals = [counters.received, counters.accepted, refused, stopped];
        if let Some((then, before)) = self.readings.back() {
            let seconds = now.since(*then).as_secs_f32();
            if seconds <= 0.0 {
                return;
            }
            let series = [&mut self.judged, &mut self.let_in, &mut self.refused, &mut self.stopped];
            for (series, (now, before)) in series.into_iter().zip(totals.iter().zip(before.totals))
            {
                series.push(now.saturating_sub(before) as f32 / seconds);
            }
        }
        // One from before the span stays, so that there is always a whole span to look at.
        let old = |(then, _): &(Moment, Reading)| now.since(*then).as_secs_f32() >= SPAN;
        while self.readings.get(1).is_some_and(old) {
            self.readings.pop_front();
        }
        self.readings.push_back((now, Reading { totals, checks }));
    }

    /// Another daemon counts from now on: what it says cannot be compared with what was.
    pub(super) fn begin_anew(&mut self) {
        self.readings.clear();
    }

    /// Each check's refusals, those that refuse most at present first.
    pub(super) fn by_check(&self) -> Vec<ByCheck<'_>> {
        let (Some((then, before)), Some((now, reading))) =
            (self.readings.front(), self.readings.back())
        else {
            return Vec::new();
        };
        let seconds = now.since(*then).as_secs_f32();
        let by = |(check, all): (&String, &u64)| {
            let grown = all.saturating_sub(before.checks.get(check).copied().unwrap_or(0)) as f32;
            if seconds > 0.0 { grown / seconds } else { 0.0 }
        };
        let mut rates: Vec<ByCheck<'_>> = reading
            .checks
            .iter()
            .map(|entry| ByCheck { check: entry.0, per_second: by(entry), all: *entry.1 })
            .collect();
        rates.sort_by(|a, b| b.per_second.total_cmp(&a.per_second).then(b.all.cmp(&a.all)));
        rates
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::cli::status::tests::report;

    fn at(seconds: u64) -> Moment {
        Moment(1) + Duration::from_secs(seconds)
    }

    /// After so many seconds: `rate` refuses twice a second, `ports` refused once, long ago.
    fn told(seconds: u64) -> StatusReport {
        let mut report = report();
        report.counters.received = 5 * seconds;
        report.counters.dropped = [("rate".into(), 2 * seconds), ("ports".into(), 99)].into();
        report.counters.would_drop = [("ports".into(), 1)].into();
        report
    }

    #[test]
    fn rates_by_check_over_ten_seconds() {
        let mut traffic = Traffic::default();
        assert_eq!(traffic.by_check(), []);
        traffic.note(at(0), &told(0));
        let silent = |check, all| ByCheck { check, per_second: 0.0, all };
        assert_eq!(traffic.by_check(), [silent("ports", 100), silent("rate", 0)]);
        (1..=30).for_each(|second| traffic.note(at(second), &told(second)));
        let rate = ByCheck { check: "rate", per_second: 2.0, all: 60 };
        assert_eq!(traffic.by_check(), [rate, silent("ports", 100)]);
        assert!(traffic.readings.len() <= 12, "only what is needed is kept");
        assert_eq!((traffic.judged.mean(99), traffic.refused.mean(99)), (5.0, 2.0));
        // The same moment twice is no division by zero.
        traffic.note(at(30), &told(30));
        assert_eq!(traffic.judged.mean(99), 5.0);
    }

    #[test]
    fn another_daemon_is_not_compared_with_the_one_before() {
        let mut traffic = Traffic::default();
        traffic.note(at(0), &told(1000));
        traffic.note(at(1), &told(1001));
        traffic.begin_anew();
        traffic.note(at(2), &told(0));
        traffic.note(at(3), &told(1));
        assert_eq!((traffic.judged.taken(), traffic.judged.mean(9)), (2, 5.0));
    }
}
