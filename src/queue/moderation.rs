//! How long to wait so that packets come together: what network cards call interrupt moderation.
//!
//! A reader that is woken for each packet spends more on waking, reading and answering than on
//! anything else. Where packets come one hard upon the other, it pays to look away for an instant
//! and then take what has gathered: one call to read, one to answer, one wake-up for all of them. A
//! packet that comes alone is never kept waiting.

use std::time::Duration;

/// The reader looks away for so long at most. A connection takes that much longer to be made while
/// tens of thousands are asked for each second, and no longer at other times.
const PAUSE: Duration = Duration::from_micros(50);

/// So many packets have to be expected meanwhile. Sleeping costs about as much as one call.
const WORTH: u32 = 3;

/// Keeps an eye on how fast packets come. Pure: it is told the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moderation {
    /// When the last packets were taken, in nanoseconds of the caller's clock.
    last: u64,
    /// Nanoseconds between two packets, on average of late.
    gap: u64,
}

/// No gap counts for more, so that after a silence the average soon finds its way back.
const LONGEST: u64 = 2 * PAUSE.as_nanos() as u64;

impl Default for Moderation {
    fn default() -> Self {
        Self { last: 0, gap: LONGEST }
    }
}

impl Moderation {
    /// Takes note that `count` packets were taken at `now`, in nanoseconds, and says how long to
    /// look away before the next are taken; `None` is not at all.
    #[inline]
    pub fn pause(&mut self, count: usize, now: u64) -> Option<Duration> {
        let gap = now.saturating_sub(self.last).min(LONGEST) / (count as u64).max(1);
        self.last = now;
        self.gap = u64::midpoint(self.gap, gap);
        let expected = PAUSE.as_nanos() as u64 / self.gap.max(1);
        (expected >= u64::from(WORTH)).then_some(PAUSE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of these takes are followed by a pause: each is (nanoseconds since the last, how
    /// many packets came).
    fn pauses(takes: impl IntoIterator<Item = (u64, usize)>) -> Vec<bool> {
        let (mut moderation, mut now) = (Moderation::default(), 1_000_000_000);
        let one = |(later, count)| {
            now += later;
            moderation.pause(count, now).is_some()
        };
        takes.into_iter().map(one).collect()
    }

    fn count(pauses: &[bool]) -> usize {
        pauses.iter().filter(|pause| **pause).count()
    }

    #[test]
    fn who_comes_alone_is_not_kept_waiting() {
        // 10,000 a second, evenly; and one every second.
        assert_eq!(count(&pauses(std::iter::repeat_n((100_000, 1), 1000))), 0);
        assert_eq!(count(&pauses(std::iter::repeat_n((1_000_000_000, 1), 10))), 0);
        // The fourth of four that come together, at most.
        let four = [(10_000_000, 1), (5_000, 1), (5_000, 1), (5_000, 1)];
        assert!(count(&pauses(four)) <= 1);
    }

    #[test]
    fn a_stream_is_taken_in_handfuls() {
        // 60,000 a second: a pause after each take but the first few…
        let pauses = pauses(std::iter::repeat_n((16_000, 1), 1000));
        assert!(count(&pauses) > 990);
        // …and none once it has run dry.
        let mut moderation = Moderation::default();
        let stream = (0..100).map(|n| moderation.pause(3, 50_000 * n)).last().flatten();
        assert_eq!(stream, Some(PAUSE));
        assert_eq!(moderation.pause(1, 6_000_000), None);
    }

    #[test]
    fn clocks_that_stand_still_or_go_back_do_no_harm() {
        let mut moderation = Moderation::default();
        for now in [5_000, 5_000, 5_000, 1_000, 0, u64::MAX] {
            moderation.pause(0, now);
            moderation.pause(32, now);
        }
    }
}
