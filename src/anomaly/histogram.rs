//! Counts per projection and bin.

use super::{BINS, Digest, PROJECTIONS};
use crate::anomaly::projections::bins;

/// What an empty bin counts as, so that nothing is impossible.
const EMPTY: f32 = 0.1;

/// The histograms of all projections. Counts are fractions, because they fade.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    counts: Vec<[f32; BINS]>,
    total: f32,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![[0.0; BINS]; PROJECTIONS], total: 0.0 }
    }
}

impl Histogram {
    /// Of counts as they were printed or saved. What is not finite or negative is 0.
    pub(super) fn of(counts: impl Iterator<Item = [f32; BINS]>) -> Self {
        let mut all = Self::default();
        for (own, given) in all.counts.iter_mut().zip(counts) {
            *own = given.map(|count| if count.is_finite() { count.max(0.0) } else { 0.0 });
        }
        // Each digest falls into one bin of each projection.
        all.total = all.counts.first().map_or(0.0, |bins| bins.iter().sum());
        all
    }

    /// Learns one SYN.
    pub fn learn(&mut self, digest: Digest) {
        for (counts, bin) in self.counts.iter_mut().zip(bins(digest)) {
            counts[usize::from(bin)] += 1.0;
        }
        self.total += 1.0;
    }

    /// Lets what was learnt fade to this share.
    pub(super) fn fade(&mut self, kept: f32) {
        self.counts.iter_mut().flatten().for_each(|count| *count *= kept);
        self.total *= kept;
    }

    /// How many SYNs it rests on.
    pub fn total(&self) -> f32 {
        self.total
    }

    /// The counts, by projection and bin.
    pub fn counts(&self) -> &[[f32; BINS]] {
        &self.counts
    }

    /// The probability of each bin of a projection. None is 0.
    pub(super) fn shares(&self, projection: usize) -> [f32; BINS] {
        let whole = self.total + EMPTY * BINS as f32;
        self.counts[projection].map(|count| (count + EMPTY) / whole)
    }

    /// How far apart two are: the total variation distance, averaged over the projections.
    /// 0 is alike, 1 has nothing in common.
    pub fn distance(&self, other: &Histogram) -> f32 {
        let apart = |projection| {
            let pairs = self.shares(projection).into_iter().zip(other.shares(projection));
            pairs.map(|(own, other)| (own - other).abs()).sum::<f32>() / 2.0
        };
        (0..PROJECTIONS).map(apart).sum::<f32>() / PROJECTIONS as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(digests: &[u64]) -> Histogram {
        let mut histogram = Histogram::default();
        digests.iter().for_each(|bits| histogram.learn(Digest::from_bits(*bits)));
        histogram
    }

    #[test]
    fn shares_are_probabilities() {
        for histogram in [Histogram::default(), of(&[1, 2, 3, 0xffff_ffff_ffff_ffff])] {
            for projection in 0..PROJECTIONS {
                let shares = histogram.shares(projection);
                assert!((shares.iter().sum::<f32>() - 1.0).abs() < 1e-5);
                assert!(shares.iter().all(|share| *share > 0.0));
            }
        }
    }

    #[test]
    fn distances() {
        let (one, same) = (of(&[0; 900]), of(&[0; 1000]));
        let other = of(&[0xffff_ffff_ffff_ffff; 1000]);
        assert!(one.distance(&same) < 0.01);
        assert!(one.distance(&other) > 0.9);
    }

    #[test]
    fn fading_keeps_the_shape() {
        let mut histogram = of(&[0; 300]);
        histogram.learn(Digest::from_bits(5));
        let before = histogram.clone();
        histogram.fade(0.5);
        assert_eq!(histogram.total(), 150.5);
        assert!(histogram.distance(&before) < 0.1);
        assert_eq!(Histogram::of(histogram.counts().iter().copied()), histogram);
    }
}
