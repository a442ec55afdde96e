//! Interval by interval: which floods begin, last and end.

use std::time::Duration;

use super::sight::{Eyes, Sight};
use super::sums::Sum;
use super::tally::Interval;
use super::{FloodKind, FloodReport, FloodRule, INTERVAL};
use crate::memory::Moment;

/// A flood is over when nothing of it was seen for so long: floods come in waves.
const HOLD: Duration = Duration::from_secs(3);
/// A flood lasts on half of what it took to begin: half the drift, half the bar.
const LASTS: f32 = 0.5;
/// After so many intervals in which nothing came, nothing is left to be forgotten.
const FORGET: u32 = 100;

/// The state between intervals.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// When the last interval was closed; 0 before the first.
    closed: Moment,
    eyes: Eyes,
    lasting: Vec<Lasting>,
    /// SYNs per second.
    surplus: f32,
}

#[derive(Debug)]
struct Lasting {
    report: FloodReport,
    /// As the sum that it began with, with less drift.
    sum: Sum,
    seen: Moment,
}

impl Watch {
    /// When the last interval was closed.
    pub(super) fn closed(&self) -> Moment {
        self.closed
    }

    /// The kinds of floods that last.
    pub(super) fn kinds(&self) -> impl Iterator<Item = FloodKind> {
        self.lasting.iter().map(|flood| flood.report.kind)
    }

    /// The floods that last.
    pub(super) fn lasting(&self) -> Vec<FloodReport> {
        self.lasting.iter().map(|flood| flood.report.clone()).collect()
    }

    /// The surplus of the last interval, SYNs per second.
    pub(super) fn surplus(&self) -> f32 {
        self.surplus
    }

    /// So many sources, or SYNs at one target, may be a flood before the interval is over.
    pub(super) fn hot(&self, rule: FloodRule) -> [u32; 2] {
        let lasts = |kind| self.kinds().any(|lasting| lasting == kind);
        let [sources, syns] = self.eyes.hot(rule);
        match (lasts(FloodKind::Forged), lasts(FloodKind::Busy)) {
            (true, _) => [u32::MAX; 2],
            (false, true) => [sources, u32::MAX],
            (false, false) => [sources, syns],
        }
    }

    /// Closes an interval that was over 100 ms after the last, and those without anything that
    /// have followed it. Returns what began and ended.
    pub(super) fn close_due(
        &mut self,
        rule: FloodRule,
        interval: &Interval,
        now: Moment,
    ) -> Vec<FloodReport> {
        if self.closed == Moment::default() {
            self.closed = now;
            return Vec::new();
        }
        let mut changed = self.close(rule, interval, self.closed + INTERVAL);
        let nothing = Interval::default();
        let idle = now.since(self.closed).as_nanos() / INTERVAL.as_nanos();
        let all = u32::try_from(idle).unwrap_or(u32::MAX).min(FORGET);
        for n in 0..all {
            // Nothing can begin any more.
            if self.lasting.is_empty() && self.eyes.at_rest() {
                self.eyes.rest(all - n, INTERVAL.as_secs_f32());
                (self.surplus, self.closed) = (0.0, self.closed + INTERVAL * (all - n));
                break;
            }
            changed.extend(self.close(rule, &nothing, self.closed + INTERVAL));
        }
        if all == FORGET {
            self.closed = now;
        }
        changed
    }

    /// Closes an interval here and now.
    pub(super) fn close_now(
        &mut self,
        rule: FloodRule,
        interval: &Interval,
        now: Moment,
    ) -> Vec<FloodReport> {
        if self.closed == Moment::default() {
            self.closed = now;
        }
        self.close(rule, interval, now)
    }

    /// Ends everything.
    pub(super) fn rest(&mut self, now: Moment) -> Vec<FloodReport> {
        let ended = std::mem::take(self).lasting.into_iter();
        self.closed = now;
        ended.map(|flood| FloodReport { until: Some(now), ..flood.report }).collect()
    }

    fn close(&mut self, rule: FloodRule, interval: &Interval, now: Moment) -> Vec<FloodReport> {
        let seconds = now.since(self.closed).as_secs_f32();
        if seconds <= 0.0 {
            return Vec::new();
        }
        self.closed = now;
        let sights = self.eyes.look(rule, interval, seconds, self.lasting.is_empty());
        let [forged, busy] = &sights;
        self.surplus = match self.kinds().max() {
            Some(FloodKind::Busy) => busy.asked / seconds,
            _ => forged.evidence.max(0.0) / seconds,
        };
        let share = interval.distinct();
        sights.into_iter().filter_map(|sight| self.follow(sight, share, seconds)).collect()
    }

    /// What begins or ends with an interval. `share` is that of distinct sources.
    fn follow(&mut self, sight: Sight, share: f32, seconds: f32) -> Option<FloodReport> {
        let Sight { kind, over, bar, drift, evidence, asked, so_far, ports } = sight;
        let now = self.closed;
        let Some(place) = self.lasting.iter().position(|flood| flood.report.kind == kind) else {
            // While everything is frozen already, there is no more to say.
            let frozen = || self.kinds().any(|kind| kind == FloodKind::Forged);
            if !over || frozen() {
                return None;
            }
            let rate = so_far.rate();
            let report = FloodReport {
                kind,
                since: now,
                until: None,
                ports,
                rate,
                peak: rate,
                syns: so_far.syns as u64,
                share,
            };
            let sum = Sum { value: bar, ..Sum::default() };
            self.lasting.push(Lasting { report: report.clone(), sum, seen: now });
            return Some(report);
        };
        let flood = &mut self.lasting[place];
        flood.report.syns += asked as u64;
        // A part of an interval says little of the rate.
        if seconds >= INTERVAL.as_secs_f32() / 2.0 {
            flood.report.rate = asked / seconds;
            flood.report.peak = flood.report.peak.max(flood.report.rate);
        }
        let drift = drift * LASTS;
        // What stays away counts for as long as the flood is kept in mind. Otherwise a few SYNs now
        // and then would be enough to keep everything frozen.
        let floor = -drift / seconds * HOLD.as_secs_f32();
        flood.sum.add(evidence, drift, (floor, bar), (asked, seconds));
        if evidence > drift && flood.sum.value >= bar * LASTS {
            flood.seen = now;
        }
        (now.since(flood.seen) >= HOLD).then(|| {
            let flood = self.lasting.swap_remove(place);
            FloodReport { until: Some(flood.seen), ..flood.report }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::flood::tally::{Asked, SLOTS};

    /// An interval in which a port was asked for so often, and so many connections completed.
    fn interval(syns: f32, completed: f32) -> Interval {
        let mut slots = vec![Asked::default(); SLOTS];
        slots[3] = Asked { let_in: syns, completed, port: 80, ..Asked::default() };
        Interval { slots, let_in: syns / 2.0, completed: 1.0, ..Interval::default() }
    }

    #[test]
    fn a_silence_is_passed_over_at_once_as_it_would_be_step_by_step() {
        let rule = FloodRule::new(200.0);
        for (syns, completed) in [(5.0, 5.0), (400.0, 0.0), (40.0, 10.0), (10_000.0, 1.0)] {
            for silence in [0, 1, 2, 30, 50, 98] {
                let mut watches = [Watch::default(), Watch::default()];
                let mut now = Moment::default() + Duration::from_secs(5);
                for watch in &mut watches {
                    assert_eq!(watch.close_due(rule, &interval(1.0, 1.0), now), vec![]);
                }
                let [at_once, by_steps] = &mut watches;
                now = now + INTERVAL * (silence + 1);
                let mut told =
                    by_steps.close(rule, &interval(syns, completed), by_steps.closed + INTERVAL);
                for _ in 0..silence {
                    told.extend(by_steps.close(
                        rule,
                        &Interval::default(),
                        by_steps.closed + INTERVAL,
                    ));
                }
                assert_eq!(at_once.close_due(rule, &interval(syns, completed), now), told);
                assert_eq!(format!("{at_once:?}"), format!("{by_steps:?}"), "{syns} {silence}");
            }
        }
    }
}
