//! Learning, and the guard against being taught nonsense.

use super::calibration::{Calibration, Calibrator};
use super::quarantine::Quarantine;
use super::{CALIBRATORS, Held, Histogram, Scorer, Unusual, sources_needed};

/// One source of so many calibrates instead of teaching.
const CALIBRATES: u64 = 4;
/// Histograms that rest on fewer SYNs than this say nothing of what is usual here.
pub(super) const TAUGHT: f32 = 200.0;
const DAY: u64 = 24 * 3600;
/// What was learnt is worth this much a day later: half of it is gone in a week.
const KEPT: f32 = 0.906;
/// Honest days differ by less than this; see [`Histogram::distance`].
const DRIFT: f32 = 0.15;
/// So many times the budget flagged in a day means that the world has changed, or the model.
const FLAGGED: f64 = 20.0;
/// The span over which sources per day are averaged, in days.
const MEMORY: f64 = 3.0;
/// The largest share of honest sources that may be called unusual, however few there are.
const MOST: f64 = 0.01;

/// A model lasts this many seconds if nothing new was learnt.
const LASTS: u64 = 600;

/// What the admin allows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    /// So many honest sources may be called unusual in a day.
    pub per_day: u32,
    /// Seconds from the beginning of a source's hour until what it sent is learnt.
    pub quarantine: u64,
    /// Learn at all?
    pub learn: bool,
}

/// Why the learner has stopped for a day.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Alarm {
    /// What was learnt departs too far from what was known: it is forgotten again.
    Drift {
        /// How far, from 0 to 1.
        distance: f32,
    },
    /// Many more sources are unusual than the budget foresees.
    Flagged {
        /// In a day, so many…
        flagged: u64,
        /// …of so many that are proven.
        of: u64,
    },
}

/// All that is learnt.
#[derive(Debug, Default)]
pub(super) struct Learner {
    pub(super) quarantine: Quarantine,
    pub(super) learnt: Histogram,
    /// What was learnt when it was last looked after: what the guard goes back to.
    pub(super) anchor: Histogram,
    pub(super) calibration: Calibration,
    /// Proven sources, fading, and the days over which they were counted, fading alike.
    pub(super) sources: f64,
    pub(super) days: f64,
    /// Since the last look: proven sources, and those of them that were flagged.
    begun: u64,
    flagged: u64,
    /// Sources that were called unusual and not told yet.
    pub(super) unusual: Vec<Unusual>,
    /// In seconds of the caller's clock; absent before the first call.
    tended: Option<u64>,
    /// When the model was last made anew.
    finished: Option<u64>,
    checked: Option<u64>,
    paused_until: u64,
    /// The last limit of scores; 0 if there was none.
    limit: f32,
}

impl Learner {
    /// Takes in what has waited long enough and whose sources did not offend. What the detector
    /// called unusual itself may calibrate, but never teaches.
    pub(super) fn admit(&mut self, held: &[(Held, bool)], now: u64) {
        if now < self.paused_until {
            return;
        }
        for (held, unusual) in held {
            if held.lot % CALIBRATES == 0 {
                Calibrator::of(&held.digests, *unusual)
                    .into_iter()
                    .for_each(|own| self.calibration.push(own));
            } else if !unusual {
                held.digests.iter().for_each(|digest| self.learnt.learn(*digest));
            }
        }
    }

    /// Counts sources, and once a day looks after the histograms.
    pub(super) fn tend(
        &mut self,
        now: u64,
        begun: u64,
        flagged: u64,
        budget: Budget,
    ) -> Option<Alarm> {
        let last = self.tended.replace(now).unwrap_or(now);
        let passed = now.saturating_sub(last) as f64 / DAY as f64;
        let fading = (-passed / MEMORY).exp();
        self.sources = self.sources * fading + begun as f64;
        self.days = self.days * fading + passed;
        self.begun += begun;
        self.flagged += flagged;

        // What a day may bring, it may bring at once.
        let distance = match self.anchor.total() >= TAUGHT {
            true => self.learnt.distance(&self.anchor),
            false => 0.0,
        };
        if distance > DRIFT {
            self.learnt = self.anchor.clone();
            self.pause(now);
            return Some(Alarm::Drift { distance });
        }
        let foreseen = self.rate(budget) * self.begun as f64;
        if self.flagged >= 10 && self.flagged as f64 > FLAGGED * foreseen {
            let alarm = Alarm::Flagged { flagged: self.flagged, of: self.begun };
            self.pause(now);
            return Some(alarm);
        }
        if now.saturating_sub(*self.checked.get_or_insert(now)) >= DAY {
            self.learnt.fade(KEPT);
            self.anchor = self.learnt.clone();
            (self.checked, self.begun, self.flagged) = (Some(now), 0, 0);
        }
        None
    }

    fn pause(&mut self, now: u64) {
        self.quarantine.clear();
        self.paused_until = now + DAY;
        (self.checked, self.begun, self.flagged) = (Some(now), 0, 0);
    }

    /// How many seconds learning stands still yet.
    pub(super) fn paused(&self, now: u64) -> u64 {
        self.paused_until.saturating_sub(now)
    }

    /// Proven sources in a day. At least one; the first hours of a new gate are not taken for a
    /// whole day.
    pub(super) fn per_day(&self) -> f64 {
        (self.sources / self.days.max(1.0)).max(1.0)
    }

    /// The share of honest sources that may be called unusual.
    pub(super) fn rate(&self, budget: Budget) -> f64 {
        (f64::from(budget.per_day) / self.per_day()).min(MOST)
    }

    /// How many calibration sources it takes to keep to the budget, and whether so many can be kept.
    pub(super) fn needed(&self, budget: Budget) -> (usize, bool) {
        let needed = sources_needed(self.rate(budget));
        (needed, needed <= CALIBRATORS)
    }

    /// Is it time to make the model anew? `learnt` if something was learnt just now.
    pub(super) fn is_due(&mut self, now: u64, learnt: bool) -> bool {
        let due = learnt || self.finished.is_none_or(|at| now.saturating_sub(at) >= LASTS);
        if due {
            self.finished = Some(now);
        }
        due
    }

    /// The finished model.
    pub(super) fn scorer(&mut self, genesis: &Histogram, budget: Budget) -> Scorer {
        let scorer = Scorer::new(genesis, &self.learnt);
        let rate = if self.learnt.total() >= TAUGHT { self.rate(budget) } else { 0.0 };
        let scorer = self.calibration.apply(scorer, rate, self.limit);
        self.limit = if scorer.is_ready() { scorer.limit() } else { 0.0 };
        scorer
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::anomaly::Digest;

    const BUDGET: Budget = Budget { per_day: 1, quarantine: 3600, learn: true };

    fn held(source: u64, bits: u64) -> (Held, bool) {
        let digests = vec![Digest::from_bits(bits); 8];
        (Held { source, network: source, lot: source, began: 0, digests }, false)
    }

    /// A week of honest days, 800 sources each.
    fn taught() -> (Learner, u64) {
        let mut learner = Learner::default();
        let mut now = 0;
        for day in 0..7u64 {
            for hour in 0..24 {
                now = (day * 24 + hour) * 3600;
                let sources = (0..34).map(|n| held(n, 0x4444_0000 + n % 3)).collect::<Vec<_>>();
                learner.admit(&sources, now);
                assert_eq!(learner.tend(now, 34, 0, BUDGET), None);
            }
        }
        (learner, now)
    }

    #[test]
    fn a_quarter_calibrates_and_the_rate_is_the_budget_by_the_day() {
        let (learner, _) = taught();
        assert_eq!(learner.calibration.0.len(), 7 * 24 * 9);
        assert!((700.0..900.0).contains(&learner.per_day()), "{}", learner.per_day());
        assert!((0.001..0.0015).contains(&learner.rate(BUDGET)));
        let (needed, possible) = learner.needed(BUDGET);
        assert!((1500..2100).contains(&needed) && possible, "{needed}");
        let generous = Budget { per_day: 1000, ..BUDGET };
        assert_eq!((learner.rate(generous), learner.needed(generous).0), (0.01, 230));
    }

    #[test]
    fn a_sudden_lesson_is_forgotten_again() {
        let (mut learner, now) = taught();
        let before = learner.learnt.clone();
        let attack: Vec<_> = (0..3000).map(|n| held(4 * n + 1, 0xeeee_eeee_eeee_eeee)).collect();
        learner.admit(&attack, now);
        assert!(matches!(learner.tend(now, 0, 0, BUDGET), Some(Alarm::Drift { .. })));
        assert!(learner.learnt.distance(&before) < DRIFT);
        let rolled_back = learner.learnt.clone();
        learner.admit(&attack, now + 3600);
        assert_eq!(learner.learnt, rolled_back, "and for a day it learns nothing");
        assert!(learner.paused(now + 3600) > 0 && learner.paused(now + DAY) == 0);
    }

    #[test]
    fn when_many_are_unusual_it_stops() {
        let (mut learner, now) = taught();
        let alarm = learner.tend(now + 60, 100, 60, BUDGET);
        assert!(matches!(alarm, Some(Alarm::Flagged { flagged: 60, .. })), "{alarm:?}");
        assert!(learner.paused(now + 60) > 0);
    }

    #[test]
    fn the_unusual_never_teach() {
        let mut learner = Learner::default();
        let (held, _) = held(1, 5);
        learner.admit(&[(held.clone(), true)], 0);
        assert_eq!(learner.learnt.total(), 0.0);
        learner.admit(&[(Held { lot: 4, ..held }, true)], 0);
        assert_eq!(learner.calibration.0.len(), 1);
    }
}
