//! Where a source under suspicion was let in.

use super::glimpse::{packed, unpacked};
use super::{Moment, Target};

/// The one service that a source which has to prove itself was let in to.
///
/// Whoever comes for a service is proven as soon as that answers. Who goes from one service to the
/// next without ever waiting for an answer is looking which of them are there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Visit {
    target: Target,
    /// It has waited for a second service while nothing was held against it.
    pub waited: bool,
    /// Second in which another service may be visited; 0 before the first visit.
    ends: u32,
}

impl Visit {
    /// So long it has to be content with one service, in seconds.
    pub const LASTS: u32 = 30;
    /// Whoever repeats its SYN so often is let in even so: 15 seconds after the first time (RFC 6298,
    /// 2.5: each wait is twice the last). nmap waits ten for a port at most; and somebody in whose
    /// name a forger visits another service is not kept out for ever.
    pub const PERSISTS: u8 = 4;

    /// Is there none but one of an attempt at `now`, so that [`Visit::first`] tells it?
    #[inline]
    pub(super) fn is_first(&self, now: Moment) -> bool {
        self.ends == 0 || self.ends == second(now).saturating_add(Self::LASTS)
    }

    /// The visit that began at the only attempt there was, if any, as a target and two bits.
    #[inline]
    pub(super) fn first(&self) -> (Target, u16) {
        (self.target, packed([self.ends > 0, self.waited]))
    }

    /// The visit of which [`Visit::first`] is this, with an attempt at `now`.
    #[inline]
    pub(super) fn at((target, bits): (Target, u16), now: Moment) -> Self {
        let [visited, waited] = unpacked(bits);
        let ends = if visited { second(now).saturating_add(Self::LASTS) } else { 0 };
        Self { target, waited, ends }
    }

    /// May it visit `target` now? If so, that is where it is.
    #[inline]
    pub fn goes(&mut self, target: Target, now: Moment) -> bool {
        let second = second(now);
        let free = second >= self.ends;
        if free {
            *self = Self { target, ends: second.saturating_add(Self::LASTS), ..*self };
        }
        free || self.target == target
    }
}

fn second(moment: Moment) -> u32 {
    u32::try_from(moment.0 / 1_000_000_000).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_service_at_a_time() {
        let port = |port| Target::of(7, port);
        let mut visit = Visit::default();
        for (second, target, goes) in [
            (0, port(80), true),
            (1, port(80), true),
            (1, port(22), false),
            (29, port(80), true),
            // Neither what is refused nor what is let in prolongs it.
            (30, port(22), true),
            (31, port(80), false),
            (60, port(80), true),
        ] {
            let now = Moment(second * 1_000_000_000 + 5);
            assert_eq!(visit.goes(target, now), goes, "second {second}, {target:?}");
        }
    }
}
