//! The one clock of the pure rooms: a number that the caller passes in.

use std::ops::Add;
use std::time::Duration;

/// A point on a monotonic clock, in nanoseconds since some fixed start. Where that start lies
/// does not matter, as long as all moments of one [`Memory`](super::Memory) share it.
/// 2⁶⁴ ns are 584 years.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub u64);

impl Moment {
    /// In whole milliseconds, as [`crate::anomaly`] counts.
    #[inline]
    pub fn milliseconds(self) -> u64 {
        self.0 / 1_000_000
    }

    /// The time that has passed since `earlier`; zero if that lies ahead.
    #[inline]
    pub fn since(self, earlier: Moment) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// A moment in four bytes, to a fifteenth of a second. They wrap around after nine years, so only
/// moments that are less than half of that apart can be compared. The default is never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tick(u32);

impl Tick {
    /// Nanoseconds of one tick, 67 ms, as a power of two.
    const SHIFT: u32 = 26;

    /// The last tick that is not after `moment`.
    #[inline]
    pub fn at(moment: Moment) -> Self {
        Self(((moment.0 >> Self::SHIFT) as u32).max(1))
    }

    /// The tick after it.
    #[inline]
    pub fn next(self) -> Self {
        Self(self.0.wrapping_add(1).max(1))
    }

    /// Does it lie before `end`? Nothing lies before never.
    #[inline]
    pub fn is_before(self, end: Tick) -> bool {
        end != Tick::default() && (end.0.wrapping_sub(self.0) as i32) > 0
    }

    /// Time since an earlier tick: zero if that lies ahead, and for ever since never.
    #[inline]
    pub fn since(self, earlier: Tick) -> Duration {
        match self.0.wrapping_sub(earlier.0) as i32 {
            _ if earlier == Tick::default() => Duration::MAX,
            ..=0 => Duration::ZERO,
            ticks => Duration::from_nanos(u64::from(ticks.unsigned_abs()) << Self::SHIFT),
        }
    }
}

impl Add<Duration> for Moment {
    type Output = Moment;

    #[inline]
    fn add(self, span: Duration) -> Moment {
        Moment(self.0.saturating_add(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_wrap_around_and_never_is_never() {
        let second = |n: u64| Moment(n * 1_000_000_000);
        // As a daemon counts, as a capture does, and where they wrap.
        for start in [0, 1_800_000_000, (1 << 32) * 67_108_864 / 1_000_000_000 - 1] {
            let (now, later) = (Tick::at(second(start)), Tick::at(second(start + 3)));
            assert!(now.is_before(later) && !later.is_before(now) && !now.is_before(now));
            assert!(now.is_before(now.next()));
            let apart = later.since(now).as_secs_f32();
            assert!((2.85..3.1).contains(&apart), "{start}: {apart}");
            assert_eq!(now.since(later), Duration::ZERO);
            assert!(!now.is_before(Tick::default()));
            assert_eq!(now.since(Tick::default()), Duration::MAX);
        }
    }
}
