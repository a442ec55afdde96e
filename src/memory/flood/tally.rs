//! What is counted within one interval: fixed size, whatever is sent.

use std::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering::Relaxed};

use super::{Arrival, Fate};
use crate::memory::Target;

/// Targets share so many slots by a keyed hash: a crowded target fills one, a scan spreads evenly.
pub(super) const SLOTS: usize = 256;
/// Whoever knocks at one closed door fifty times at once is no visitor: there, a SYN of a busy
/// flood weighs so much.
pub(super) const CLOSED: u32 = 3;
/// Bits for counting sources: they tell up to some 150,000 apart within a few percent.
const BITS: usize = 32_768;
/// With fewer free bits than this, chance decides.
const TOO_FEW: u32 = 256;
const WORDS: usize = BITS / 64;

/// The counters of the interval that is open.
#[derive(Debug)]
pub(super) struct Tally {
    slots: Box<[Slot]>,
    /// Sources that were let in, and those that were refused at closed ports.
    crowds: [Crowd; 2],
    /// Attempts of proven sources that were let in.
    proven: AtomicU32,
    /// Completions of nobody knows which target.
    completed: AtomicU64,
}

/// Attempts at some targets.
#[derive(Debug, Default)]
struct Slot {
    /// By [`Fate`].
    asked: [AtomicU32; 3],
    completed: AtomicU32,
    /// Of the latest.
    port: AtomicU16,
}

/// A set of sources that can only be counted: linear counting (Whang, Vander-Zanden and Taylor,
/// "A linear-time probabilistic counting algorithm for database applications", 1990).
#[derive(Debug)]
struct Crowd {
    bits: Box<[AtomicU64]>,
    /// How many bits are set…
    set: AtomicU32,
    /// …and were when this was last asked.
    told: AtomicU32,
}

/// The counters of an interval that is closed.
#[derive(Debug, Default)]
pub(super) struct Interval {
    pub(super) slots: Vec<Asked>,
    /// About how many sources were let in that were not since the crowds were forgotten.
    pub(super) let_in: f32,
    /// About how many such were refused at closed ports.
    pub(super) shut_out: f32,
    pub(super) proven: f32,
    pub(super) completed: f32,
}

/// What a slot was asked for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Asked {
    pub(super) let_in: f32,
    pub(super) closed: f32,
    pub(super) throttled: f32,
    pub(super) completed: f32,
    pub(super) port: u16,
}

impl Interval {
    pub(super) fn sum(&self, of: fn(&Asked) -> f32) -> f32 {
        self.slots.iter().map(of).sum()
    }

    /// SYNs that were let in, or refused at closed ports.
    pub(super) fn asked(&self) -> f32 {
        self.sum(|asked| asked.let_in + asked.closed)
    }

    /// The share of them that came from new sources, 0 to 1.
    pub(super) fn distinct(&self) -> f32 {
        ((self.let_in + self.shut_out) / self.asked().max(1.0)).min(1.0)
    }
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            slots: std::iter::repeat_with(Slot::default).take(SLOTS).collect(),
            crowds: [Crowd::default(), Crowd::default()],
            proven: AtomicU32::default(),
            completed: AtomicU64::default(),
        }
    }
}

impl Default for Crowd {
    fn default() -> Self {
        let bits = std::iter::repeat_with(AtomicU64::default).take(WORDS).collect();
        Self { bits, set: AtomicU32::default(), told: AtomicU32::default() }
    }
}

impl Tally {
    /// Counts an attempt. Returns how many sources this interval has that are new, if this one is,
    /// and how many attempts its slot has.
    #[inline]
    pub(super) fn note(&self, arrival: &Arrival) -> [u32; 2] {
        let Arrival { source, target, port, proven, fate } = *arrival;
        if proven {
            if fate == Fate::LetIn {
                self.proven.fetch_add(1, Relaxed);
            }
            return [0, 0];
        }
        let slot = &self.slots[target.slot(SLOTS)];
        let syns = slot.asked[fate as usize].fetch_add(1, Relaxed) + 1;
        if slot.port.load(Relaxed) != port {
            slot.port.store(port, Relaxed);
        }
        match fate {
            Fate::LetIn => [self.crowds[0].note(source), syns],
            Fate::Closed => [self.crowds[1].note(source), syns.saturating_mul(CLOSED)],
            Fate::Throttled => [0, 0],
        }
    }

    pub(super) fn completed(&self, count: u64, target: Option<Target>) {
        match target {
            Some(target) => {
                let count = u32::try_from(count).unwrap_or(u32::MAX);
                self.slots[target.slot(SLOTS)].completed.fetch_add(count, Relaxed);
            }
            None => {
                self.completed.fetch_add(count, Relaxed);
            }
        }
    }

    /// Every source is new again. In between, one that comes back counts for nothing.
    pub(super) fn forget_crowds(&self) {
        self.crowds.iter().for_each(Crowd::forget);
    }

    /// What was counted; begins anew.
    pub(super) fn take(&self) -> Interval {
        let slots = self.slots.iter().map(|slot| {
            let [let_in, closed, throttled] =
                [0, 1, 2].map(|fate: usize| slot.asked[fate].swap(0, Relaxed) as f32);
            let completed = slot.completed.swap(0, Relaxed) as f32;
            Asked { let_in, closed, throttled, completed, port: slot.port.load(Relaxed) }
        });
        let slots: Vec<Asked> = slots.collect();
        let sum = |of: fn(&Asked) -> f32| slots.iter().map(of).sum::<f32>();
        Interval {
            let_in: self.crowds[0].take().min(sum(|asked| asked.let_in)),
            shut_out: self.crowds[1].take().min(sum(|asked| asked.closed)),
            slots,
            proven: self.proven.swap(0, Relaxed) as f32,
            completed: self.completed.swap(0, Relaxed) as f32,
        }
    }
}

impl Crowd {
    /// Notes a source; how many are new since this was last asked if it is new, or else 0.
    #[inline]
    fn note(&self, source: u64) -> u32 {
        let place = source as usize % BITS;
        let (word, bit) = (&self.bits[place / 64], 1 << (place % 64));
        if word.load(Relaxed) & bit != 0 || word.fetch_or(bit, Relaxed) & bit != 0 {
            return 0;
        }
        (self.set.fetch_add(1, Relaxed) + 1).saturating_sub(self.told.load(Relaxed))
    }

    /// About how many sources are new since this was last asked. Infinite if they were too many
    /// to tell.
    fn take(&self) -> f32 {
        let free = |set: u32| (BITS as u32).saturating_sub(set);
        let set = self.set.load(Relaxed);
        let (before, after) = (free(self.told.swap(set, Relaxed)), free(set));
        if after < TOO_FEW {
            f32::INFINITY
        } else {
            BITS as f32 * (before as f32 / after as f32).ln()
        }
    }

    fn forget(&self) {
        self.bits.iter().for_each(|word| word.store(0, Relaxed));
        self.set.store(0, Relaxed);
        self.told.store(0, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::scattered;
    use super::*;

    #[test]
    fn sources_are_counted_within_a_few_percent() {
        for count in [0u64, 1, 40, 1000, 8000, 100_000] {
            let crowd = Crowd::default();
            // Each twice, and half of them before.
            (0..count / 2).for_each(|n| {
                crowd.note(scattered(n));
            });
            let before = crowd.take();
            (0..2 * count).for_each(|n| {
                crowd.note(scattered(n % count));
            });
            let told = before + crowd.take();
            let off = (told - count as f32).abs();
            assert!(off <= 0.05 * count as f32 + 0.5, "{told} for {count}");
            assert_eq!(crowd.take(), 0.0, "none is new");
        }
    }

    #[test]
    fn too_many_are_as_many_as_there_are_syns() {
        let tally = Tally::default();
        for n in 0..400_000 {
            let (source, target) = (scattered(n), Target::of(0, 80));
            let arrival = Arrival { source, target, port: 80, proven: false, fate: Fate::LetIn };
            tally.note(&arrival);
        }
        assert_eq!(tally.take().let_in, 400_000.0);
    }
}
