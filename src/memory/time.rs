//! The one clock of the pure rooms: a number that the caller passes in.

use std::ops::Add;
use std::time::Duration;

/// A point on a monotonic clock, in nanoseconds since some fixed start. Where that start lies
/// does not matter, as long as all moments of one [`Memory`](super::Memory) share it.
/// 2⁶⁴ ns are 584 years.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub u64);

impl Moment {
    /// The time that has passed since `earlier`; zero if that lies ahead.
    #[inline]
    pub fn since(self, earlier: Moment) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// A moment in four bytes, to a fifteenth of a second; they last for nine years.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tick(u32);

impl Tick {
    /// Nanoseconds of one tick, 67 ms, as a power of two.
    const SHIFT: u32 = 26;

    /// The last tick that is not after `moment`.
    #[inline]
    pub fn at(moment: Moment) -> Self {
        // Casting would wrap around; nothing that is remembered lasts until then.
        Self(u32::try_from(moment.0 >> Self::SHIFT).unwrap_or(u32::MAX))
    }

    /// The tick after it.
    #[inline]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// Time since an earlier tick; zero if that lies ahead.
    #[inline]
    pub fn since(self, earlier: Tick) -> Duration {
        Duration::from_nanos(u64::from(self.0.saturating_sub(earlier.0)) << Self::SHIFT)
    }
}

impl Add<Duration> for Moment {
    type Output = Moment;

    #[inline]
    fn add(self, span: Duration) -> Moment {
        Moment(self.0.saturating_add(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)))
    }
}
