//! A source that came once, in half the bytes.

use super::purse::Slot;
use super::visit::Visit;
use super::{Moment, Offences, Purse, Source, SourceKey, Stack, Target, Tick, Walk};
use crate::anomaly::FirstLook;

/// What one attempt leaves of a source: 64 bytes instead of the 128 of a row, one
/// cache line.
///
/// Most of all sources that ever come are here once: forged ones, and those that look for one open
/// port in the whole Internet. Of such a source much is empty, and most of what is a time is the
/// time of its attempt.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(super) struct Glimpse {
    pub(super) key: SourceKey,
    /// When it came.
    now: Moment,
    buckets: [Slot; 2],
    habits: FirstLook,
    stack: Stack,
    suspect_until: Tick,
    /// What it tried, for the scan test.
    target: Target,
    /// Where it was let in.
    visited: Target,
    denied: u8,
    score: u8,
    /// From the lower end: four bits of the walk, two of the visit, four of the offences, and
    /// whether it was relieved.
    bits: u16,
}

const VISIT: u32 = 4;
const OFFENCES: u32 = VISIT + 2;
const RELIEVED: u32 = OFFENCES + 4;

impl Glimpse {
    /// A source that nothing is known of yet.
    pub(super) fn blank(key: SourceKey, now: Moment) -> Self {
        Self::sketch(key, &Source::default(), now)
    }

    /// A source that came at `now`, and not before; `None` if there is more to tell.
    #[inline]
    pub(super) fn of(key: SourceKey, source: &Source, now: Moment) -> Option<Self> {
        let is_all = source.buckets.are_two()
            && source.offences.are_first(now)
            && source.walk.is_first_step()
            && source.visit.is_first(now)
            && FirstLook::tells(&source.habits, now.milliseconds());
        let glimpse = Self::sketch(key, source, now);
        debug_assert!(!is_all || glimpse.source() == *source, "{source:?}");
        is_all.then_some(glimpse)
    }

    #[inline]
    fn sketch(key: SourceKey, source: &Source, now: Moment) -> Self {
        let (target, walk) = source.walk.first_step();
        let (visited, visit) = source.visit.first();
        let (denied, score, offences) = source.offences.first();
        Self {
            key,
            now,
            buckets: source.buckets.first_two(),
            habits: FirstLook::of(&source.habits),
            stack: source.stack,
            suspect_until: source.suspect_until,
            target,
            visited,
            denied,
            score,
            bits: walk
                | visit << VISIT
                | offences << OFFENCES
                | u16::from(source.relieved) << RELIEVED,
        }
    }

    /// When it came.
    pub(super) fn now(&self) -> Moment {
        self.now
    }

    /// All that is known of it.
    #[inline]
    pub(super) fn source(&self) -> Source {
        let now = self.now;
        let below = |bits: u16, count: u32| bits & ((1 << count) - 1);
        let visit = below(self.bits >> VISIT, OFFENCES - VISIT);
        let offences = below(self.bits >> OFFENCES, RELIEVED - OFFENCES);
        Source {
            buckets: Purse::with(self.buckets),
            offences: Offences::at((self.denied, self.score, offences), now),
            walk: Walk::after((self.target, below(self.bits, VISIT))),
            stack: self.stack,
            visit: Visit::at((self.visited, visit), now),
            habits: self.habits.habits(now.milliseconds()),
            suspect_until: self.suspect_until,
            relieved: self.bits >> RELIEVED == 1,
        }
    }
}

/// Yes and no as bits, the first of them the lowest.
pub(super) fn packed<const N: usize>(all: [bool; N]) -> u16 {
    all.iter().rev().fold(0, |bits, is| bits << 1 | u16::from(*is))
}

/// What was [`packed`].
pub(super) fn unpacked<const N: usize>(bits: u16) -> [bool; N] {
    std::array::from_fn(|place| bits >> place & 1 == 1)
}
