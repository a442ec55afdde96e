//! Whose time comes first. Pure.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{SystemTime, UNIX_EPOCH};

use super::super::entry::Whom;

/// So many outdated ones are nothing to clear away for.
const SPARE: usize = 1024;

/// A queue by time. Nobody is taken out of it whose time has changed: such a one is outdated, and
/// noticed when it comes to the front. A million can so be put in order as they are needed, which is
/// much sooner done than all at once.
#[derive(Clone, Debug, Default)]
pub(super) struct Times(BinaryHeap<Reverse<(Time, Whom)>>);

/// Nanoseconds since 1970; what is beyond the year 2554 is then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Time(u64);

impl Time {
    fn of(at: SystemTime) -> Self {
        let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
    }
}

impl Times {
    /// All of these.
    pub(super) fn of(all: impl Iterator<Item = (SystemTime, Whom)>, most: usize) -> Self {
        let mut times = Vec::with_capacity(most);
        times.extend(all.map(|(at, whom)| Reverse((Time::of(at), whom))));
        Self(times.into())
    }

    pub(super) fn push(&mut self, at: SystemTime, whom: Whom) {
        self.0.push(Reverse((Time::of(at), whom)));
    }

    /// The first, by what is so now: `time_of` tells everybody's time, or that there is none.
    pub(super) fn first(
        &mut self,
        time_of: impl Fn(Whom) -> Option<SystemTime>,
    ) -> Option<(SystemTime, Whom)> {
        while let Some(Reverse((time, whom))) = self.0.peek() {
            match time_of(*whom).filter(|at| Time::of(*at) == *time) {
                Some(at) => return Some((at, *whom)),
                None => drop(self.0.pop()),
            }
        }
        None
    }

    /// When the first time comes, if it is not outdated; then it is no later.
    pub(super) fn earliest(&self) -> Option<SystemTime> {
        let Reverse((Time(nanos), _)) = self.0.peek()?;
        Some(UNIX_EPOCH + std::time::Duration::from_nanos(*nanos))
    }

    /// Are most of them outdated, where `count` are not?
    pub(super) fn is_bloated(&self, count: usize) -> bool {
        self.0.len() > 2 * count + SPARE
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::time::Duration;

    use super::*;

    fn whom(n: u8) -> Whom {
        Whom::from(ipnet::IpNet::from(std::net::IpAddr::from([192, 0, 2, n])))
    }

    #[test]
    fn the_first_is_by_what_is_so_now() {
        let at = |secs| UNIX_EPOCH + Duration::from_secs(secs);
        let mut now: HashMap<Whom, SystemTime> =
            [(1, 30), (2, 10), (3, 20)].map(|(n, secs)| (whom(n), at(secs))).into();
        let mut times = Times::of(now.iter().map(|(whom, at)| (*at, *whom)), 3);
        assert_eq!(times.first(|whom| now.get(&whom).copied()), Some((at(10), whom(2))));
        // One has more time, another is gone, and a third is new.
        now.insert(whom(2), at(25));
        times.push(at(25), whom(2));
        now.remove(&whom(3));
        now.insert(whom(4), at(40));
        times.push(at(40), whom(4));
        assert_eq!(times.earliest(), Some(at(10)), "outdated, but no later than the first");
        for (secs, n) in [(25, 2), (30, 1), (40, 4)] {
            assert_eq!(times.first(|whom| now.get(&whom).copied()), Some((at(secs), whom(n))));
            now.remove(&whom(n));
        }
        assert_eq!(times.first(|_| None), None);
        assert_eq!(times.earliest(), None);
    }

    #[test]
    fn far_times_are_times() {
        let far = UNIX_EPOCH + Duration::from_secs(10_000 * 366 * 24 * 3600);
        let mut times = Times::of([(far, whom(1))].into_iter(), 1);
        assert_eq!(times.first(|_| Some(far)), Some((far, whom(1))));
        assert!(times.earliest().is_some_and(|at| at < far));
    }

    #[test]
    fn what_is_outdated_is_cleared_away_in_time() {
        let mut times = Times::default();
        for secs in 0..SPARE as u64 + 3 {
            assert!(!times.is_bloated(1));
            times.push(UNIX_EPOCH + Duration::from_secs(secs), whom(1));
        }
        assert!(times.is_bloated(1));
    }
}
