//! The detector as the threads share it: scoring is reading, learning is somebody else's work.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use arc_swap::{ArcSwap, Guard};

use super::learner::{Learner, TAUGHT};
use super::{
    Alarm, Budget, CALIBRATORS, Damaged, Digest, Held, Histogram, Sample, Scorer, genesis, saved,
};

/// The shipped histograms.
static GENESIS: LazyLock<Histogram> = LazyLock::new(genesis::histogram);

/// What is usual, as far as it is known. All methods take `&self`; those that a verdict thread
/// calls ([`Detector::scorer`], [`Detector::begins`], [`Detector::flagged`], [`Detector::offer`])
/// never wait.
#[derive(Debug)]
pub struct Detector {
    scorer: ArcSwap<Scorer>,
    learner: Mutex<Learner>,
    /// Since the last look: proven sources, and those of them that are unusual.
    begun: AtomicU64,
    unusual: AtomicU64,
    /// Since the start: all that are unusual.
    flagged: AtomicU64,
    /// SYNs that could not be offered, because somebody else was at it.
    missed: AtomicU64,
}

/// A source that was called unusual.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Unusual {
    /// Who: a number of the caller's.
    pub source: u64,
    /// The SYN that did it.
    pub digest: Digest,
    /// Its score.
    pub score: f32,
    /// The source is proven.
    pub proven: bool,
}

/// What there is to tell after a look at the learner.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tended {
    /// Learning was stopped.
    pub alarm: Option<Alarm>,
    /// Sources that were called unusual since the last look: the first few.
    pub unusual: Vec<Unusual>,
}

/// So many unusual sources are told between two looks; all are counted.
const TOLD: usize = 16;

/// How the detector is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Report {
    /// It has seen enough to call somebody unusual.
    pub ready: bool,
    /// SYNs that it has learnt, fading.
    pub learnt: f32,
    /// SYNs that have to be learnt first.
    pub learnt_needed: f32,
    /// SYNs in quarantine.
    pub waiting: usize,
    /// Calibration sources…
    pub calibrated: usize,
    /// …and how many it takes for the budget.
    pub needed: usize,
    /// So many can be kept; if not, the budget is too small for this many sources.
    pub possible: bool,
    /// Proven sources a day, on average.
    pub per_day: f64,
    /// Sources that were called unusual since the start.
    pub flagged: u64,
    /// For so many more seconds nothing is learnt, because the guard has stopped it.
    pub paused: u64,
}

impl Default for Detector {
    fn default() -> Self {
        Self::of(Learner::default())
    }
}

impl Detector {
    fn of(learner: Learner) -> Self {
        let scorer = Scorer::new(&GENESIS, &learner.learnt);
        Self {
            scorer: ArcSwap::from_pointee(scorer),
            learner: Mutex::new(learner),
            begun: AtomicU64::new(0),
            unusual: AtomicU64::new(0),
            flagged: AtomicU64::new(0),
            missed: AtomicU64::new(0),
        }
    }

    /// The model of this moment.
    #[inline]
    pub fn scorer(&self) -> Guard<Arc<Scorer>> {
        self.scorer.load()
    }

    /// Counts a proven source whose hour begins.
    #[inline]
    pub fn begins(&self) {
        self.begun.fetch_add(1, Relaxed);
    }

    /// Takes note of a source that was called unusual.
    #[inline]
    pub fn flagged(&self, unusual: Unusual) {
        self.flagged.fetch_add(1, Relaxed);
        self.unusual.fetch_add(u64::from(unusual.proven), Relaxed);
        if let Ok(mut learner) = self.learner.try_lock()
            && learner.unusual.len() < TOLD
        {
            learner.unusual.push(unusual);
        }
    }

    /// Offers a SYN for learning. Lost if another thread is at it: there will be others.
    #[inline]
    pub fn offer(&self, sample: Sample) {
        match self.learner.try_lock() {
            Ok(mut learner) => learner.quarantine.push(sample),
            Err(_) => drop(self.missed.fetch_add(1, Relaxed)),
        }
    }

    fn learner(&self) -> MutexGuard<'_, Learner> {
        // Whoever panicked with it left counts only.
        self.learner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Learns what has waited long enough, and makes a new model of it. To be called every minute
    /// or so, from a thread that may take some milliseconds. `now` is in seconds.
    ///
    /// `character` tells of a source and its network whether the source was called unusual in
    /// the hour that began then; `None` if it offended or is not remembered: what it sent is not
    /// learnt.
    pub fn tend(
        &self,
        now: u64,
        budget: Budget,
        character: impl Fn(&Held) -> Option<bool>,
    ) -> Tended {
        let ripe = self.learner().quarantine.ripe(now, budget.quarantine);
        // Not under the lock: the verdict threads offer meanwhile.
        let fit = |held: Held| character(&held).map(|unusual| (held, unusual));
        let ripe: Vec<(Held, bool)> = ripe.into_iter().filter_map(fit).collect();

        let mut learner = self.learner();
        if budget.learn {
            learner.admit(&ripe, now);
        }
        let (begun, unusual) = (self.begun.swap(0, Relaxed), self.unusual.swap(0, Relaxed));
        let alarm = learner.tend(now, begun, unusual, budget);
        if learner.is_due(now, !ripe.is_empty() || alarm.is_some()) {
            self.scorer.store(Arc::new(learner.scorer(&GENESIS, budget)));
        }
        Tended { alarm, unusual: std::mem::take(&mut learner.unusual) }
    }

    /// How the detector is. `now` is in seconds.
    pub fn report(&self, now: u64, budget: Budget) -> Report {
        let learner = self.learner();
        let (needed, possible) = learner.needed(budget);
        Report {
            ready: self.scorer.load().is_ready(),
            learnt: learner.learnt.total(),
            learnt_needed: TAUGHT,
            waiting: learner.quarantine.len(),
            calibrated: learner.calibration.0.len(),
            needed: needed.min(CALIBRATORS),
            possible,
            per_day: learner.per_day(),
            flagged: self.flagged.load(Relaxed),
            paused: learner.paused(now),
        }
    }

    /// What was learnt, as bytes to keep.
    pub fn save(&self) -> Vec<u8> {
        saved::write(&self.learner())
    }

    /// Goes on from what was kept. What waits in quarantine is forgotten.
    ///
    /// # Errors
    /// [`Damaged`]; then nothing changes.
    pub fn restore(&self, bytes: &[u8], budget: Budget) -> Result<(), Damaged> {
        let restored = saved::read(bytes)?;
        let mut learner = self.learner();
        *learner = restored;
        self.scorer.store(Arc::new(learner.scorer(&GENESIS, budget)));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::anomaly::Digest;

    const BUDGET: Budget = Budget { per_day: 10, quarantine: 3600, learn: true };

    /// Detector that lived through honest days: sources of 1000 networks, eight SYNs each.
    fn lived() -> Detector {
        let detector = Detector::default();
        for day in 0..2u32 {
            for source in 0..1000u64 {
                detector.begins();
                for n in 0..8 {
                    detector.offer(sample(source, day * 86_400, source % 5 + n % 2));
                }
            }
            for hour in 0..24 {
                let now = u64::from(day) * 86_400 + hour * 3600;
                assert_eq!(detector.tend(now, BUDGET, |_| Some(false)), Tended::default());
            }
        }
        detector
    }

    fn sample(source: u64, began: u32, bits: u64) -> Sample {
        Sample { source, network: source, lot: source, began, digest: Digest::from_bits(bits) }
    }

    #[test]
    fn it_says_nothing_until_it_has_seen_enough() {
        let detector = Detector::default();
        assert!(!detector.scorer().is_ready());
        detector.tend(0, BUDGET, |_| Some(false));
        assert!(!detector.scorer().is_ready());
        let detector = lived();
        assert!(detector.scorer().is_ready(), "{:?}", detector.report(172_800, BUDGET));
        let usual = detector.scorer().score(Digest::from_bits(1));
        let odd = detector.scorer().score(Digest::from_bits(0xffff_0000_ffff_0000));
        assert!(usual <= detector.scorer().limit() && odd > detector.scorer().limit());
    }

    #[test]
    fn who_offended_or_is_forgotten_teaches_nothing() {
        let detector = Detector::default();
        (1..4).for_each(|source| detector.offer(sample(source, 0, 1)));
        detector.tend(4000, BUDGET, |held| (held.source == 2).then_some(false));
        assert_eq!(detector.report(4000, BUDGET).learnt, 1.0);
        // And nobody does where the admin does not want it.
        detector.offer(sample(5, 5000, 1));
        detector.tend(9000, Budget { learn: false, ..BUDGET }, |_| Some(false));
        assert_eq!(detector.report(9000, BUDGET).learnt, 1.0);
    }

    #[test]
    fn it_survives_a_restart() {
        let detector = lived();
        let second = Detector::default();
        second.restore(&detector.save(), BUDGET).unwrap();
        assert_eq!(second.save(), detector.save());
        assert!(second.scorer().is_ready());
        assert_eq!(second.scorer().limit(), detector.scorer().limit());
        assert!(Detector::default().restore(b"nonsense", BUDGET).is_err());
    }
}
