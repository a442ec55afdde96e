//! The time, for the pure parts.

use std::time::Instant;

use jiff::Timestamp;

use crate::memory::Moment;

/// Now, by the clock that only goes forward and by the one on the wall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Now {
    /// For spans.
    pub(super) at: Moment,
    /// For people.
    pub(super) clock: Timestamp,
}

/// Where [`Now`] comes from.
#[derive(Debug)]
pub(super) struct Clock(Instant);

impl Clock {
    pub(super) fn start() -> Self {
        Self(Instant::now())
    }

    pub(super) fn now(&self) -> Now {
        let since = u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX - 1);
        Now { at: Moment(1 + since), clock: Timestamp::now() }
    }
}
