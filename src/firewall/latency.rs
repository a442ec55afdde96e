//! How long it takes from a decision to the kernel's set: a small histogram.

use std::time::Duration;

/// Counts durations in steps of about 19 % (four per doubling), from 16 µs to 18 minutes.
#[derive(Clone, Debug)]
pub(super) struct Histogram {
    counts: [u64; Self::STEPS],
    sum: Duration,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: [0; Self::STEPS], sum: Duration::ZERO }
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
        self.sum = self.sum.saturating_add(span);
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

    /// The same in fewer steps, each twice as long as the one before, for metrics.
    pub(super) fn spread(&self) -> Spans {
        let octaves = self.counts.chunks(4).enumerate();
        let mut steps: Vec<(Duration, u64)> = octaves
            .map(|(octave, counts)| {
                (Duration::from_micros(Self::top(4 * octave + 3)), counts.iter().sum())
            })
            .collect();
        // What was too long for the last step is in it, so it has no end.
        let endless = steps.pop().map_or(0, |(_, count)| count);
        Spans { steps, endless, sum: self.sum }
    }

    /// The longest span of a step, in microseconds.
    fn top(step: usize) -> u64 {
        let doubled = Self::FLOOR << (step / 4);
        doubled + doubled * [0, 19, 41, 68][step % 4] / 100
    }
}

/// How long many things took.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spans {
    /// The longest span of each step, and how many were at most that long and longer than those
    /// of the step before.
    pub steps: Vec<(Duration, u64)>,
    /// How many were longer than all of these.
    pub endless: u64,
    /// All of them together.
    pub sum: Duration,
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

    #[test]
    fn a_spread_loses_nothing() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.spread().steps.len(), Histogram::STEPS / 4 - 1);
        let spans = [1, 26, 27, 5_000, 5_000_000].map(Duration::from_micros);
        spans.iter().for_each(|span| histogram.record(*span));
        let spread = histogram.spread();
        assert_eq!(spread.sum, spans.iter().sum::<Duration>());
        assert!(spread.steps.is_sorted(), "{spread:?}");
        assert_eq!(
            spread.steps[..2],
            [(Duration::from_micros(26), 2), (Duration::from_micros(53), 1)]
        );
        assert_eq!(spread.steps.iter().map(|(_, count)| count).sum::<u64>(), 5);
        histogram.record(Duration::from_secs(1 << 40));
        assert_eq!(histogram.spread().endless, 1);
    }
}
