//! Who comes most often, in bounded memory.
//!
//! Space-Saving (Metwally, Agrawal, El Abbadi, ICDT 2005) keeps so many rows and gives a newcomer
//! the row of the rarest one. A flood of forged addresses, each seen once, would push everybody out
//! that way. So a newcomer has to be lucky: it gets the row of one who weighs `w` once in `w + 1`
//! times (RAP: Ben Basat, Einziger, Friedman, Kassner, INFOCOM 2017). Those who come again and again
//! get in soon, strangers that come once hardly ever do. A key may only be in the few rows that its
//! hash names (the paper's d-way variant), so that looking it up touches five cache lines side by
//! side and follows no pointer.

use std::time::Duration;

use foldhash::quality::SeedableRandomState as RandomState;

use crate::memory::Moment;
use crate::policy::CheckId;

/// Rows in which a key may be.
const WAYS: usize = 8;
/// Half of what somebody weighs is forgotten in this time.
const HALF_LIFE: Duration = Duration::from_secs(30);
/// Whoever weighs less is forgotten: one attempt after a minute.
const FORGOTTEN: f32 = 0.25;

/// One attempt, as far as it is counted here.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt {
    /// The port it was for.
    pub(super) port: u16,
    /// The check that refused it.
    pub(super) refused: Option<CheckId>,
}

/// What was counted of a key since it has its row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) attempts: u64,
    pub(super) refused: u64,
    /// The port it asked for last.
    pub(super) port: u16,
    /// The check that refused it last.
    pub(super) check: Option<CheckId>,
}

impl Tally {
    #[inline]
    fn add(&mut self, attempt: Attempt) {
        self.attempts += 1;
        self.port = attempt.port;
        if attempt.refused.is_some() {
            self.refused += 1;
            self.check = attempt.refused;
        }
    }

    /// The same key's tally in another sketch, which may have seen it later.
    pub(super) fn join(&mut self, other: &Tally) {
        self.attempts += other.attempts;
        self.refused += other.refused;
        self.port = other.port;
        self.check = other.check.or(self.check);
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Row {
    key: u64,
    /// Attempts, fading; a newcomer inherits what the one before it weighed. 0 is an empty row.
    weight: f32,
    tally: Tally,
}

/// So many rows, and who is in them.
#[derive(Debug)]
pub(super) struct Sketch {
    rows: Box<[Row]>,
    hasher: RandomState,
    /// Of the generator that decides who gets in (xorshift64*: Vigna 2016).
    luck: u64,
    faded: Moment,
}

impl Sketch {
    /// Room for `1 << bits` keys, 3 ≤ `bits` ≤ 20. `seed` is for the luck of newcomers.
    pub(super) fn new(bits: u32, hasher: RandomState, seed: u64) -> Self {
        Self {
            rows: vec![Row::default(); 1 << bits.clamp(3, 20)].into(),
            hasher,
            luck: seed | 1,
            faded: Moment::default(),
        }
    }

    /// Forgets everybody.
    pub(super) fn clear(&mut self, now: Moment) {
        self.rows.fill(Row::default());
        self.faded = now;
    }

    /// Counts one attempt of `key`.
    #[inline]
    pub(super) fn note(&mut self, key: u64, attempt: Attempt) {
        use std::hash::BuildHasher;
        let place = self.hasher.hash_one(key) as usize % (self.rows.len() / WAYS) * WAYS;
        let rows = &mut self.rows[place..place + WAYS];
        let mut least = 0;
        for n in 0..WAYS {
            if rows[n].key == key && rows[n].weight > 0.0 {
                rows[n].weight += 1.0;
                rows[n].tally.add(attempt);
                return;
            }
            if rows[n].weight < rows[least].weight {
                least = n;
            }
        }
        let row = &mut rows[least];
        let weight = row.weight + 1.0;
        if lucky(&mut self.luck) * weight < 1.0 {
            *row = Row { key, weight, tally: Tally::default() };
            row.tally.add(attempt);
        }
    }

    /// Lets what was counted fade up to `now`.
    pub(super) fn fade(&mut self, now: Moment) {
        let left = (-now.since(self.faded).as_secs_f32() / HALF_LIFE.as_secs_f32()).exp2();
        self.faded = self.faded.max(now);
        for row in &mut self.rows {
            row.weight *= left;
            if row.weight < FORGOTTEN {
                *row = Row::default();
            }
        }
    }

    /// Everybody in it: the key, what it weighs, what was counted.
    pub(super) fn rows(&self) -> impl Iterator<Item = (u64, f32, Tally)> {
        let taken = self.rows.iter().filter(|row| row.weight > 0.0);
        taken.map(|row| (row.key, row.weight, row.tally))
    }
}

/// A number from 0 up to 1.
#[inline]
fn lucky(state: &mut u64) -> f32 {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 40) as f32 / (1 << 24) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sketch() -> Sketch {
        Sketch::new(10, RandomState::fixed(), 7)
    }

    const LET_IN: Attempt = Attempt { port: 80, refused: None };
    const REFUSED: Attempt = Attempt { port: 23, refused: Some(CheckId(3)) };

    fn of(sketch: &Sketch, key: u64) -> Option<Tally> {
        sketch.rows().find(|(other, ..)| *other == key).map(|(.., tally)| tally)
    }

    fn at(seconds: f64) -> Moment {
        Moment((seconds * 1e9) as u64)
    }

    #[test]
    fn few_are_counted_exactly() {
        let mut sketch = sketch();
        for key in 0..100u64 {
            for n in 0..=key {
                sketch.note(key, if n == 0 { REFUSED } else { LET_IN });
            }
        }
        for key in 1..100u64 {
            let tally = Tally { attempts: key + 1, refused: 1, port: 80, check: Some(CheckId(3)) };
            assert_eq!(of(&sketch, key), Some(tally));
        }
        assert_eq!(sketch.rows().count(), 100);
    }

    /// 100,000 SYNs a second from ever new addresses do not hide who tries ten times a second.
    #[test]
    fn those_who_come_again_outlast_a_forged_flood() {
        let mut sketch = sketch();
        let mut forged = 1_000_000u64;
        let steady: Vec<u64> = (0..20).collect();
        for tick in 0..600 {
            let now = at(f64::from(tick) / 10.0);
            sketch.fade(now);
            for _ in 0..10_000 {
                forged += 1;
                sketch.note(forged, LET_IN);
            }
            for key in &steady {
                sketch.note(*key, REFUSED);
            }
        }
        for key in steady {
            let tally = of(&sketch, key).unwrap_or_else(|| panic!("{key} was pushed out"));
            assert!(tally.refused > 300, "{key}: {tally:?} of 600");
        }
        assert!(sketch.rows().count() <= 1024);
    }

    /// The rows that the documentation of [`Busiest`](super::super::Busiest) reckons with.
    #[test]
    fn rows_are_small() {
        assert_eq!(size_of::<Row>(), 40);
    }

    #[test]
    fn what_is_over_is_forgotten() {
        let mut sketch = sketch();
        sketch.clear(at(100.0));
        sketch.note(1, LET_IN);
        (0..1000).for_each(|_| sketch.note(2, LET_IN));
        sketch.fade(at(130.0));
        let weight = |sketch: &Sketch, key: u64| {
            sketch.rows().find(|(other, ..)| *other == key).map(|(_, weight, _)| weight)
        };
        assert_eq!((weight(&sketch, 1), weight(&sketch, 2)), (Some(0.5), Some(500.0)));
        sketch.fade(at(161.0));
        assert_eq!(weight(&sketch, 1), None);
        // The count stays exact while the weight fades.
        assert_eq!(of(&sketch, 2).map(|tally| tally.attempts), Some(1000));
        sketch.fade(at(1000.0));
        assert_eq!(sketch.rows().count(), 0);
        // Clocks do not go back here, but nothing breaks if two readers overtake each other.
        sketch.note(3, LET_IN);
        sketch.fade(at(999.0));
        assert_eq!(weight(&sketch, 3), Some(1.0));
    }
}
