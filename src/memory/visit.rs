//! Where a source under suspicion was let in.

use super::{Moment, Target};

/// The one service that a source which has to prove itself was let in to.
///
/// Whoever comes for a service is proven as soon as that answers. Who goes from one service to the
/// next without ever waiting for an answer is looking which of them are there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Visit {
    target: Target,
    /// Second in which another service may be visited; 0 before the first visit.
    ends: u32,
}

impl Visit {
    /// So long it has to be content with one service, in seconds. A forger who has made a suspect
    /// of somebody and is let in where that one did not want to go keeps him out for so long.
    pub const LASTS: u32 = 30;

    /// May it visit `target` now? If so, that is where it is.
    #[inline]
    pub fn goes(&mut self, target: Target, now: Moment) -> bool {
        let second = u32::try_from(now.0 / 1_000_000_000).unwrap_or(u32::MAX);
        if self.target != target && second < self.ends {
            return false;
        }
        *self = Self { target, ends: second.saturating_add(Self::LASTS) };
        true
    }
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
            (30, port(22), false),
            (30, port(80), true),
            (59, port(22), false),
            (60, port(22), true),
            (61, port(80), false),
            // What is refused does not prolong it.
            (90, port(80), true),
        ] {
            let now = Moment(second * 1_000_000_000 + 5);
            assert_eq!(visit.goes(target, now), goes, "second {second}, {target:?}");
        }
    }
}
