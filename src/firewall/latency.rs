//! How long it takes from a decision to the kernel's set: a small histogram.

use std::time::Duration;

/// Counts durations in steps of about 19 % (four per doubling), from 16 µs to 18 minutes.
#[derive(Clone, Debug)]
pub(super) struct Histogram {
    counts: [u64; Self::STEPS],
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: [0; Self::STEPS] }
    }
}

impl Histogram {
    const STEPS: usize = 104;
    const FLOOR: u64 = 16;

    /// Counts one.
    pub(super) fn record(&mut self, span: Duration) {
        let micros = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        let step = (0..Self::STEPS - 1).find(|step| micros <= Self::top(*step));
        self.counts[step.unwrap_or(Self::STEPS - 1)] += 1;
    }

    /// How many were counted.
    pub(super) fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// At most so long did this share (0–1) of them take; `None` if none was counted.
    pub(super) fn quantile(&self, share: f64) -> Option<Duration> {
        let wanted = (self.count() as f64 * share).ceil().max(1.0) as u64;
        let mut seen = 0;
        let step = self.counts.iter().position(|count| {
            seen += count;
            seen >= wanted
        })?;
        Some(Duration::from_micros(Self::top(step)))
    }

    /// The longest span of a step, in microseconds.
    fn top(step: usize) -> u64 {
        let doubled = Self::FLOOR << (step / 4);
        doubled + doubled * [0, 19, 41, 68][step % 4] / 100
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile(0.5), None);
        (1..=100).for_each(|ms| histogram.record(Duration::from_millis(ms)));
        for (share, exact) in [(0.5, 50.0), (0.99, 99.0), (1.0, 100.0)] {
            let told = histogram.quantile(share).unwrap().as_secs_f64() * 1000.0;
            assert!((exact..exact * 1.2).contains(&told), "{share}: {told} ms");
        }
        histogram.record(Duration::from_secs(1 << 40));
        assert_eq!(histogram.count(), 101);
    }
}
