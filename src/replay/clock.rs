//! The time of a capture, made to run forwards.

use crate::memory::Moment;

/// A step back of up to five seconds is disorder: packets of several interfaces or queues are
/// rarely written in order. More is a clock that was set.
const DISORDER: u64 = 5_000_000_000;

/// Turns the stamps of packets into moments that never go back.
///
/// While stamps are out of order, time stands still. Where they jump far back (the clock was
/// set, or captures were joined), time goes on from where it was.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Clock {
    now: u64,
    /// What is added to a stamp, wrapping.
    offset: u64,
}

impl Clock {
    /// The moment of a packet with this stamp, in nanoseconds. Never 0, which means "never".
    pub(super) fn at(&mut self, stamp: u64) -> Moment {
        let shifted = stamp.wrapping_add(self.offset).max(1);
        if shifted >= self.now {
            self.now = shifted;
        } else if self.now - shifted > DISORDER {
            self.offset = self.now.wrapping_sub(stamp);
        }
        Moment(self.now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_back() {
        const S: u64 = 1_000_000_000;
        let mut clock = Clock::default();
        for (stamp, moment) in [
            (0, 1),
            (100 * S, 100 * S),
            (99 * S, 100 * S),
            (101 * S, 101 * S),
            // Set back by a minute: goes on from here.
            (41 * S, 101 * S),
            (42 * S, 102 * S),
        ] {
            assert_eq!(clock.at(stamp), Moment(moment), "{stamp}");
        }
        let mut clock = Clock::default();
        assert_eq!(clock.at(u64::MAX), Moment(u64::MAX));
        assert_eq!(clock.at(5), Moment(u64::MAX), "and nothing overflows");
        assert!(clock.at(6) <= clock.at(7));
    }
}
