//! A policy's rate → what nft's `limit` can say.

use std::time::Duration;

use crate::policy::Rate;

/// A rate in the kernel's words: a whole number of packets per second, minute, hour or day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KernelRate {
    pub(super) count: u32,
    pub(super) unit: &'static str,
    pub(super) burst: u32,
}

const UNITS: [(&str, u64); 4] = [("second", 1), ("minute", 60), ("hour", 3600), ("day", 86_400)];

/// The kernel keeps nanoseconds per packet (`net/netfilter/nft_limit.c`), so nothing can be
/// faster than this per second.
const FASTEST: u64 = 1_000_000_000;

impl KernelRate {
    /// The smallest unit that expresses the rate exactly; if none does, the largest unit whose
    /// count fits, rounded up, so that the kernel is never stricter than the policy.
    pub(super) fn of(rate: Rate) -> Self {
        let span = rate.per.as_nanos().max(1);
        let in_unit = |secs: u64| {
            let events = u128::from(rate.count) * u128::from(secs) * 1_000_000_000;
            (events.div_ceil(span).max(1), events.is_multiple_of(span))
        };
        let fits = |secs: u64, count: u128| {
            count <= u128::from(u32::MAX) && count <= u128::from(FASTEST) * u128::from(secs)
        };
        let usable = UNITS.iter().filter_map(|&(unit, secs)| {
            let (count, exact) = in_unit(secs);
            fits(secs, count).then_some((unit, count as u32, exact && rate.count > 0))
        });
        let usable: Vec<_> = usable.collect();
        let (unit, count) = usable
            .iter()
            .find(|(_, _, exact)| *exact)
            .or(usable.last())
            .map_or(("second", FASTEST as u32), |(unit, count, _)| (*unit, *count));
        Self { count, unit, burst: rate.burst.max(1) }
    }

    /// How long a source that used its burst up needs to have all of it again, with a second to
    /// spare: an idle meter may be forgotten after that. From 2 s to 1 day.
    pub(super) fn refill(self) -> Duration {
        let secs = UNITS.iter().find(|(unit, _)| *unit == self.unit).map_or(1, |(_, secs)| *secs);
        let full = (u64::from(self.burst) * secs).div_ceil(u64::from(self.count.max(1)));
        Duration::from_secs((full + 1).clamp(2, 86_400))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_in_the_kernels_words() {
        let ms = Duration::from_millis;
        for (count, per, burst, said, unit, refill) in [
            (200, ms(1000), 400, 200, "second", 3),
            (6, ms(60_000), 5, 6, "minute", 51),
            (300, ms(10_000), 300, 30, "second", 11),
            (10, ms(60_000), 5, 10, "minute", 31),
            (1, ms(7_000), 1, 12_343, "day", 8),
            (3, ms(100), 1, 30, "second", 2),
            (u32::MAX, ms(1), 1, 1_000_000_000, "second", 2),
            (u32::MAX, ms(60_000), 1, u32::MAX, "minute", 2),
            (0, ms(1000), 1, 1, "day", 86_400),
        ] {
            let rate = KernelRate::of(Rate { count, per, burst });
            assert_eq!((rate.count, rate.unit), (said, unit), "{count} per {per:?}");
            assert_eq!(rate.refill(), Duration::from_secs(refill), "{count} per {per:?}");
        }
    }
}
