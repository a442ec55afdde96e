//! When a failing nft is tried again. Pure.

use std::time::{Duration, Instant};

/// After this, then after twice as long, and so on, to a limit: whatever was wrong, the kernel is in
/// step again after as long as it was wrong at the latest, and after half a minute.
const RETRY: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(30));

/// nft fails.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failing {
    pause: Duration,
    again: Instant,
}

impl Failing {
    /// It failed for the first time. Others who find it failing after that (a reload, an iptables
    /// rule) change nothing: the more often somebody asks, the later it would be tried.
    pub(super) fn since(now: Instant) -> Self {
        Self { pause: RETRY.0, again: now + RETRY.0 }
    }

    /// It was tried again, and failed again.
    pub(super) fn tried(&mut self, now: Instant) {
        self.pause = (self.pause * 2).min(RETRY.1);
        self.again = now + self.pause;
    }

    /// It did something else that it was asked: there is nothing to wait for.
    pub(super) fn works(&mut self, now: Instant) {
        self.again = self.again.min(now);
    }

    /// How long until it is to be tried again.
    pub(super) fn left(&self, now: Instant) -> Duration {
        self.again.saturating_duration_since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_tried_again_after_as_long_as_it_failed() {
        let begun = Instant::now();
        let mut failing = Failing::since(begun);
        let mut now = begun;
        let mut pauses = Vec::new();
        for _ in 0..10 {
            let left = failing.left(now);
            assert!(left <= now - begun + RETRY.0 && left <= RETRY.1, "{left:?}");
            pauses.push(left.as_millis());
            now += left;
            assert!(failing.left(now).is_zero());
            failing.tried(now);
        }
        assert_eq!(pauses, [250, 500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
        failing.works(now);
        assert!(failing.left(now).is_zero());
    }
}
