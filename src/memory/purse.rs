//! A source's buckets: as many as are filled, in 32 bytes.

use super::{Bucket, CLASSES, Full, Limit, Moment};

/// Which bucket of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Draw {
    /// Of all its attempts.
    All,
    /// Of those at a service class, by its place in the policy.
    Class(usize),
    /// Of those at a service class that were refused for their rate and came back.
    Returned(usize),
}

impl Draw {
    /// 1 to 15.
    fn tag(self) -> u64 {
        match self {
            Draw::All => 1,
            Draw::Class(class) => 2 + (class % CLASSES) as u64,
            Draw::Returned(class) => (2 + CLASSES + class % CLASSES) as u64,
        }
    }

    const FIRST_RETURNED: u64 = 2 + CLASSES as u64;
}

/// Up to four buckets. A source could have fifteen, but a drained one says nothing that a new one
/// would not say, and hardly anybody fills more than three at a time.
///
/// Who does fill a fifth one is treated as Space-Saving treats what it has no counter for (Metwally,
/// Agrawal, El Abbadi 2005): the new bucket takes the place of the one that drains first and is as
/// full as that was, as far as its limit goes. So going from class to class gains nobody anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Purse([Slot; 4]);

/// Tag in the upper four bits, below them when the bucket is drained, in units of 16 ns, rounded
/// down: any moment has room, also one of a capture, which counts from 1970. All zero is an empty
/// place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Slot(u64);

const TIME: u32 = 60;
const UNIT: u32 = u64::BITS - TIME;

impl Slot {
    fn new(tag: u64, Bucket(drained): Bucket) -> Self {
        Self(tag << TIME | drained >> UNIT)
    }

    fn tag(self) -> u64 {
        self.0 >> TIME
    }

    fn bucket(self) -> Bucket {
        Bucket(self.0 << UNIT)
    }
}

impl Purse {
    /// Are there no more than two, in the first places?
    #[inline]
    pub(super) fn are_two(&self) -> bool {
        self.0[2] == Slot::default() && self.0[3] == Slot::default()
    }

    /// The buckets after one attempt: two at most.
    #[inline]
    pub(super) fn first_two(&self) -> [Slot; 2] {
        [self.0[0], self.0[1]]
    }

    /// The purse that has these two.
    #[inline]
    pub(super) fn with([first, second]: [Slot; 2]) -> Self {
        Self([first, second, Slot::default(), Slot::default()])
    }

    /// Would an event at `now` conform? Changes nothing.
    ///
    /// # Errors
    /// [`Full`] if it would not.
    #[inline]
    pub fn test(&self, draw: Draw, limit: Limit, now: Moment) -> Result<(), Full> {
        self.find(draw, limit, now).1.test(limit, now)
    }

    /// Counts an event, conforming or not yet tested: a bucket never runs over its burst.
    #[inline]
    pub fn charge(&mut self, draw: Draw, limit: Limit, now: Moment) {
        let (place, mut bucket) = self.find(draw, limit, now);
        bucket.charge(limit, now);
        self.0[place] = Slot::new(draw.tag(), bucket);
    }

    /// Empties all buckets but those of attempts that came back.
    pub fn empty(&mut self) {
        for slot in &mut self.0 {
            if slot.tag() < Draw::FIRST_RETURNED {
                *slot = Slot::default();
            }
        }
    }

    /// A bucket, and its place or the one that it would take.
    #[inline]
    fn find(&self, draw: Draw, limit: Limit, now: Moment) -> (usize, Bucket) {
        if let Some(place) = self.0.iter().position(|slot| slot.tag() == draw.tag()) {
            return (place, self.0[place].bucket());
        }
        let mut first = 0;
        for place in 1..self.0.len() {
            if self.0[place].bucket() < self.0[first].bucket() {
                first = place;
            }
        }
        (first, self.0[first].bucket().at_most(limit, now))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn draws() -> impl Iterator<Item = Draw> {
        let of = |make: fn(usize) -> Draw| (0..CLASSES).map(make);
        std::iter::once(Draw::All).chain(of(Draw::Class)).chain(of(Draw::Returned))
    }

    #[test]
    fn no_two_are_the_same() {
        let limit = Limit::new(1, SECOND, 1);
        for draw in draws() {
            let mut purse = Purse::default();
            purse.charge(draw, limit, Moment(5));
            for other in draws() {
                let is_full = purse.test(other, limit, Moment(5)).is_err();
                assert_eq!(is_full, other == draw, "{draw:?} {other:?}");
            }
        }
        assert_eq!(size_of::<Purse>(), 32);
    }

    #[test]
    fn any_clock_will_do() {
        let limit = Limit::new(4, 60 * SECOND, 5);
        for now in [0, 1, 3600 * SECOND, 1_800_000_000 * SECOND, u64::MAX / 2] {
            let mut purse = Purse::default();
            for _ in 0..5 {
                assert!(purse.test(Draw::Class(0), limit, Moment(now)).is_ok(), "{now}");
                purse.charge(Draw::Class(0), limit, Moment(now));
            }
            assert!(purse.test(Draw::Class(0), limit, Moment(now)).is_err(), "{now}");
        }
    }

    #[test]
    fn drained_buckets_make_room() {
        let limit = Limit::new(1, SECOND, 5);
        let mut purse = Purse::default();
        for (second, draw) in draws().enumerate() {
            // Each is drained when the fourth after it comes.
            let now = Moment(second as u64 * SECOND);
            (0..4).for_each(|_| purse.charge(draw, limit, now));
            assert_eq!(purse.test(draw, Limit::new(1, SECOND, 4), now).unwrap_err().seen, 5);
        }
    }

    /// A guesser who fills other buckets in between to have that of the logins forgotten.
    #[test]
    fn who_goes_round_gains_nothing() {
        let login = Limit::new(4, 60 * SECOND, 5);
        let (web, data) = (Limit::new(300, 10 * SECOND, 3000), Limit::new(30, 60 * SECOND, 40));
        let mut purse = Purse::default();
        let now = Moment(SECOND);
        let mut guesses = 0;
        for _ in 0..10 {
            while purse.test(Draw::Class(0), login, now).is_ok() {
                purse.charge(Draw::Class(0), login, now);
                guesses += 1;
            }
            for draw in [Draw::All, Draw::Class(2), Draw::Class(3), Draw::Returned(2)] {
                (0..3000).for_each(|_| purse.charge(draw, web, now));
            }
            (0..40).for_each(|_| purse.charge(Draw::Class(1), data, now));
        }
        assert_eq!(guesses, 5);
    }

    #[test]
    fn emptying_spares_what_came_back() {
        let limit = Limit::new(1, SECOND, 1);
        let mut purse = Purse::default();
        for draw in [Draw::All, Draw::Class(6), Draw::Returned(0)] {
            purse.charge(draw, limit, Moment(0));
        }
        purse.empty();
        let full = |draw| purse.test(draw, limit, Moment(0)).is_err();
        assert_eq!([Draw::All, Draw::Class(6), Draw::Returned(0)].map(full), [false, false, true]);
    }

    proptest! {
        /// Four buckets or fewer are kept as if each stood alone.
        #[test]
        fn four_are_exact(steps in proptest::collection::vec((0..4_usize, 0..2 * SECOND), 0..200)) {
            let limits = [1, 3, 10, 100].map(|burst| Limit::new(2, SECOND, burst));
            let of = [Draw::All, Draw::Class(0), Draw::Class(6), Draw::Returned(6)];
            let (mut purse, mut alone) = (Purse::default(), [Bucket::default(); 4]);
            let mut now = Moment(1);
            for (which, later) in steps {
                now = Moment(now.0 + later);
                let limit = limits[which];
                prop_assert_eq!(purse.test(of[which], limit, now), alone[which].test(limit, now));
                purse.charge(of[which], limit, now);
                alone[which].charge(limit, now);
            }
        }

        /// However many there are, none runs over its burst, and a drained purse is as new.
        #[test]
        fn bursts_are_kept(steps in proptest::collection::vec(0..15_usize, 0..300)) {
            let limit = Limit::new(1, SECOND, 7);
            let mut purse = Purse::default();
            let draws: Vec<Draw> = draws().collect();
            for which in &steps {
                purse.charge(draws[*which], limit, Moment(SECOND));
            }
            for draw in draws {
                if let Err(full) = purse.test(draw, limit, Moment(SECOND)) {
                    prop_assert_eq!((full.seen, full.limit), (8, 7));
                }
                let later = Moment(9 * SECOND);
                prop_assert!(purse.test(draw, Limit::new(1, SECOND, 1), later).is_ok());
            }
        }
    }
}
