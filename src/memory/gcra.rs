//! The generic cell rate algorithm: a leaky bucket in one number.
//!
//! ITU-T I.371 annex A, in the "virtual scheduling" form: what is stored is the theoretical
//! arrival time (TAT) of the next conforming event. An event conforms if it does not come
//! earlier than TAT − τ, where τ is what the burst allows. Integers only.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Moment;

/// Threads read the time before they wait for each other: one may come with an older time than the
/// last that was charged. Nobody is so late.
const SKEW: u64 = 10_000_000_000;

/// How often something may happen: one event per `interval` in the long run, `burst` at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Nanoseconds between events, at least 1.
    interval: u64,
    /// Events that may come at once, at least 1.
    burst: u32,
}

impl Limit {
    /// `count` events per `per` nanoseconds, `burst` at once. Zeros are read as ones. Rounds the
    /// interval up, so that never more than `count` pass in `per` beyond the burst.
    #[inline]
    pub fn new(count: u32, per: u64, burst: u32) -> Self {
        Self { interval: per.max(1).div_ceil(u64::from(count.max(1))), burst: burst.max(1) }
    }

    /// The new TAT if an event at `now` conforms, or how full the bucket is if not.
    #[inline]
    fn step(self, tat: u64, now: Moment) -> Result<u64, Full> {
        let full = self.interval.saturating_mul(u64::from(self.burst));
        // Fuller than full it can only have become under a narrower limit, of a policy that was
        // replaced: it begins anew, so that a limit that was raised is felt at once.
        let stale = tat > now.0.saturating_add(full).saturating_add(SKEW);
        let start = if stale { now.0 } else { tat.max(now.0) };
        let next = start.saturating_add(self.interval);
        if next - now.0 <= full {
            Ok(next)
        } else {
            Err(Full { seen: self.level(start, now).saturating_add(1), limit: self.burst })
        }
    }

    /// The TAT of a bucket that is full at `now`: the next event conforms an interval later.
    #[inline]
    fn full(self, now: Moment) -> u64 {
        now.0.saturating_add(self.interval.saturating_mul(u64::from(self.burst)))
    }

    /// How many events the bucket holds at `now`.
    #[inline]
    fn level(self, tat: u64, now: Moment) -> u32 {
        u32::try_from(tat.saturating_sub(now.0).div_ceil(self.interval)).unwrap_or(u32::MAX)
    }
}

/// The bucket overflows: the event would have been number `seen` where `limit` may be at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full {
    /// Events in the bucket, with the refused one.
    pub seen: u32,
    /// Events it holds.
    pub limit: u32,
}

/// One bucket of one source. All zero is a full allowance. Buckets are ordered by when they drain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bucket(pub(super) u64);

impl Bucket {
    /// Would an event at `now` conform? Changes nothing.
    ///
    /// # Errors
    /// [`Full`] if it would not.
    #[inline]
    pub fn test(&self, limit: Limit, now: Moment) -> Result<(), Full> {
        limit.step(self.0, now).map(drop)
    }

    /// Counts an event, conforming or not yet tested: the bucket never runs over its burst.
    #[inline]
    pub fn charge(&mut self, limit: Limit, now: Moment) {
        if let Ok(next) = limit.step(self.0, now) {
            self.0 = next;
        }
    }

    /// The bucket, but no fuller than full.
    #[inline]
    pub fn at_most(self, limit: Limit, now: Moment) -> Self {
        Self(self.0.min(limit.full(now)))
    }

    /// How many events it holds at `now`.
    pub fn level(&self, limit: Limit, now: Moment) -> u32 {
        limit.level(self.0, now)
    }
}

/// A bucket that several threads share.
#[derive(Debug, Default)]
pub struct SharedBucket(AtomicU64);

impl SharedBucket {
    /// Another bucket with the same content, to try things out on.
    pub fn copy(&self) -> Self {
        Self(AtomicU64::new(self.0.load(Ordering::Relaxed)))
    }

    /// As [`Bucket::test`].
    ///
    /// # Errors
    /// [`Full`] if the event would not conform.
    #[inline]
    pub fn test(&self, limit: Limit, now: Moment) -> Result<(), Full> {
        limit.step(self.0.load(Ordering::Relaxed), now).map(drop)
    }

    /// As [`Bucket::charge`].
    #[inline]
    pub fn charge(&self, limit: Limit, now: Moment) {
        let _ = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |tat| limit.step(tat, now).ok());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_raised_limit_is_felt_at_once() {
        let minute = 60_000_000_000;
        let mut bucket = Bucket::default();
        let now = Moment(minute);
        let (narrow, wide) = (Limit::new(4, minute, 5), Limit::new(600, minute, 100));
        (0..5).for_each(|_| bucket.charge(narrow, now));
        assert!(bucket.test(narrow, now).is_err());
        // What it owes, 75 s, is more than the wider limit ever lets anybody owe.
        assert_eq!(bucket.test(wide, now), Ok(()));
        (0..100).for_each(|_| bucket.charge(wide, now));
        assert_eq!(bucket.test(wide, now), Err(Full { seen: 101, limit: 100 }));
    }

    #[test]
    fn burst_then_rate() {
        let limit = Limit::new(6, 60 * SECOND, 5);
        let mut bucket = Bucket::default();
        let mut admitted = Vec::new();
        for second in 0..40 {
            let now = Moment(second * SECOND);
            if bucket.test(limit, now).is_ok() {
                bucket.charge(limit, now);
                admitted.push(second);
            }
        }
        // Five at once, then one every ten seconds.
        assert_eq!(admitted, [0, 1, 2, 3, 4, 10, 20, 30]);
        assert_eq!(bucket.test(limit, Moment(31 * SECOND)), Err(Full { seen: 6, limit: 5 }),);
    }

    #[test]
    fn extremes_do_not_overflow() {
        let limit = Limit::new(0, 0, 0);
        let mut bucket = Bucket::default();
        bucket.charge(limit, Moment(u64::MAX));
        assert!(bucket.test(Limit::new(1, u64::MAX, u32::MAX), Moment(0)).is_ok());
    }

    proptest! {
        /// In any stretch of time, at most burst + rate · time events pass.
        #[test]
        fn never_more_than_burst_and_rate(
            count in 1u32..1000, per in 1u64..100 * SECOND, burst in 1u32..50,
            steps in proptest::collection::vec(0u64..SECOND, 1..300),
        ) {
            let limit = Limit::new(count, per, burst);
            let shared = SharedBucket::default();
            let mut bucket = Bucket::default();
            let mut now = 1_000_000u64;
            let mut passed: Vec<u64> = Vec::new();
            for step in steps {
                now += step;
                let verdict = bucket.test(limit, Moment(now));
                prop_assert_eq!(verdict, shared.test(limit, Moment(now)));
                if verdict.is_ok() {
                    bucket.charge(limit, Moment(now));
                    shared.charge(limit, Moment(now));
                    passed.push(now);
                }
            }
            for (i, from) in passed.iter().enumerate() {
                for (j, to) in passed.iter().enumerate().skip(i) {
                    let allowed = u128::from(burst)
                        + u128::from(to - from) * u128::from(count) / u128::from(per) ;
                    prop_assert!((j - i + 1) as u128 <= allowed, "{} in {} ns", j - i + 1, to - from);
                }
            }
        }
    }
}
