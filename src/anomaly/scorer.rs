//! What a SYN's digest is worth: the score, how rare such a score is, and what made it.

use super::calibration::spared;
use super::digest::FEATURES;
use super::projections::{HALF, along, bins, uses};
use super::{BINS, Digest, Histogram, PROJECTIONS};

/// So many shipped SYNs stand in for those that were not learnt yet: with less of its own than
/// this, a host is judged by what is usual elsewhere.
const STAND_IN: f32 = 100.0;

/// What headers weigh beside behaviour: honest systems differ in them more than in how they behave.
const HEADERS: f32 = 0.5;

/// A model that is finished, for reading only. The verdict threads share it.
#[derive(Clone, Debug)]
pub struct Scorer {
    /// −ln p of each bin, halved between the shipped and the learnt histograms, less what is to be
    /// expected of the shipped ones.
    surprise: Box<[[f32; BINS]; PROJECTIONS]>,
    /// The scores of the calibration sources, the highest first.
    calibration: Vec<f32>,
    /// Scores above this are beyond the budget; infinite while nobody can tell.
    limit: f32,
    /// What is usual: for each feature, the levels between which nine of ten SYNs lie.
    usual: [(u8, u8); FEATURES],
}

/// What one feature has to do with a score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    /// The feature, by its place.
    pub feature: u8,
    /// Its level.
    pub level: u8,
    /// Between which levels nine of ten SYNs lie.
    pub usual: (u8, u8),
    /// How much more surprising the projections are that look at it than the others: Student's t
    /// for two samples (Pevný 2016, section 3.3).
    pub weight: f32,
}

impl Scorer {
    /// A scorer that calls nobody unusual yet.
    ///
    /// The two histograms have half a say each, in logarithms: even if one of them thinks that an
    /// attack is the most usual thing of all, half of the surprise is left.
    pub fn new(genesis: &Histogram, learnt: &Histogram) -> Self {
        let mut surprise = Box::new([[0.0; BINS]; PROJECTIONS]);
        let mut usual = [(0, 0); FEATURES];
        for (projection, cells) in surprise.iter_mut().enumerate() {
            let shipped = genesis.shares(projection);
            let own = learnt.shares(projection);
            let trust = learnt.total() / (learnt.total() + STAND_IN);
            let own: [f32; BINS] =
                std::array::from_fn(|bin| trust * own[bin] + (1.0 - trust) * shipped[bin]);
            for (cell, (shipped, own)) in cells.iter_mut().zip(shipped.iter().zip(&own)) {
                *cell = -(shipped.ln() + own.ln()) / 2.0;
            }
            let mixed: [f32; BINS] = std::array::from_fn(|bin| (shipped[bin] + own[bin]) / 2.0);
            // By the shipped histograms alone: what is learnt must not move the measure.
            let expected: f32 = shipped.iter().map(|share| -share * share.ln()).sum();
            cells.iter_mut().for_each(|cell| *cell -= expected);
            if let Some(feature) = (0..FEATURES).find(|feature| along(*feature) == projection) {
                usual[feature] = nine_of_ten(&mixed);
            }
        }
        Self { surprise, calibration: Vec::new(), limit: f32::INFINITY, usual }
    }

    /// The same, calibrated so that of honest sources at most the share `rate` are called unusual.
    /// `scores` are those of calibration sources, of each its oddest SYN's. If they are too few,
    /// nobody is: see [`super::sources_needed`].
    pub fn calibrated(mut self, mut scores: Vec<f32>, rate: f64) -> Self {
        scores.sort_unstable_by(|a, b| b.total_cmp(a));
        let limit = spared(scores.len(), rate).and_then(|spared| scores.get(spared));
        self.limit = limit.copied().unwrap_or(f32::INFINITY);
        self.calibration = scores;
        self
    }

    /// How surprising a SYN is: the mean over the projections of −ln p, less what is to be
    /// expected there. Headers and behaviour have a mean each, and are added as the sides of a
    /// right angle are: a flood is odd in its headers alone, and a guesser not at all, so a mean
    /// over both would hide either. Finite, and at least 0.
    #[inline]
    pub fn score(&self, digest: Digest) -> f32 {
        let bins = bins(digest);
        let half = |range: std::ops::Range<usize>| {
            // Four sums at once: one alone would wait for each addition.
            let mut sums = [0.0; 4];
            let rows = self.surprise[range.clone()].chunks_exact(4);
            for (cells, bins) in rows.zip(bins[range].chunks_exact(4)) {
                sums[0] += cells[0][usize::from(bins[0]) % BINS];
                sums[1] += cells[1][usize::from(bins[1]) % BINS];
                sums[2] += cells[2][usize::from(bins[2]) % BINS];
                sums[3] += cells[3][usize::from(bins[3]) % BINS];
            }
            sums.iter().sum::<f32>()
        };
        let (headers, behaviour) = (half(0..HALF).max(0.0), half(HALF..PROJECTIONS).max(0.0));
        (HEADERS * headers).hypot(behaviour) / HALF as f32
    }

    /// Scores above this are beyond the budget; infinite while nobody can tell.
    #[inline]
    pub fn limit(&self) -> f32 {
        self.limit
    }

    /// Does it know enough to call somebody unusual?
    pub fn is_ready(&self) -> bool {
        self.limit.is_finite()
    }

    /// The share of honest sources that score as high as this: the conformal p-value
    /// (Vovk, Gammerman and Shafer, "Algorithmic Learning in a Random World", 2005). It cannot
    /// be less than 1/(n + 1) with n calibration sources; 1 without any.
    pub fn p_value(&self, score: f32) -> f32 {
        let as_high = self.calibration.partition_point(|known| *known >= score);
        (as_high + 1) as f32 / (self.calibration.len() + 1) as f32
    }

    /// What made the score of a SYN: every feature, the weightiest first.
    pub fn shares(&self, digest: Digest) -> [Share; FEATURES] {
        let surprises: [f32; PROJECTIONS] = {
            let bins = bins(digest);
            std::array::from_fn(|projection| {
                self.surprise[projection][usize::from(bins[projection])]
            })
        };
        let mut shares: [Share; FEATURES] = std::array::from_fn(|feature| Share {
            feature: feature as u8,
            level: digest.level(feature),
            usual: self.usual[feature],
            weight: weight(&surprises, feature),
        });
        shares.sort_unstable_by(|a, b| b.weight.total_cmp(&a.weight));
        shares
    }
}

/// Student's t for two samples: the surprises of the projections that look at a feature, and of
/// those that do not.
fn weight(surprises: &[f32; PROJECTIONS], feature: usize) -> f32 {
    let moments = |with: bool| {
        let mut sums = (0.0f32, 0.0f32, 0.0f32);
        for (projection, surprise) in surprises.iter().enumerate() {
            if uses(projection, feature) == with {
                sums = (sums.0 + 1.0, sums.1 + surprise, sums.2 + surprise * surprise);
            }
        }
        let (count, sum, squares) = sums;
        let mean = sum / count;
        (mean, (squares / count - mean * mean).max(0.0) / count)
    };
    let ((with, spread_with), (without, spread_without)) = (moments(true), moments(false));
    (with - without) / (spread_with + spread_without + 1e-6).sqrt()
}

/// Of a projection along one feature, the levels between which nine of ten SYNs lie.
fn nine_of_ten(shares: &[f32; BINS]) -> (u8, u8) {
    let level = |below: f32| {
        let mut sum = 0.0;
        let reached = |share: &f32| {
            sum += share;
            sum > below
        };
        let bin = shares.iter().position(reached).unwrap_or(BINS - 1);
        (bin * FEATURES / BINS) as u8
    };
    (level(0.05), level(0.95))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(digests: impl IntoIterator<Item = [u32; FEATURES]>) -> Histogram {
        let mut histogram = Histogram::default();
        digests.into_iter().for_each(|levels| histogram.learn(Digest::from_levels(levels)));
        histogram
    }

    fn usual() -> Histogram {
        of((0..1000).map(|n| std::array::from_fn(|at| 3 + (n + at as u32) % 3)))
    }

    #[test]
    fn what_sticks_out_is_named() {
        let scorer = Scorer::new(&usual(), &Histogram::default());
        for feature in 0..FEATURES {
            let odd = std::array::from_fn(|at| if at == feature { 15 } else { 4 });
            let top = scorer.shares(Digest::from_levels(odd))[0];
            assert_eq!((usize::from(top.feature), top.level), (feature, 15), "{top:?}");
            assert_eq!(top.usual, (3, 5), "{top:?}");
        }
    }

    #[test]
    fn p_values() {
        let scores = vec![1.0, 5.0, 3.0, 3.0];
        let scorer = Scorer::new(&usual(), &usual()).calibrated(scores, 0.5);
        assert_eq!(scorer.limit(), 5.0);
        for (score, p) in [(9.0, 0.2), (5.0, 0.4), (4.0, 0.4), (3.0, 0.8), (0.0, 1.0)] {
            assert_eq!(scorer.p_value(score), p, "{score}");
        }
        assert!(!Scorer::new(&usual(), &usual()).calibrated(vec![1.0], 0.5).is_ready());
        assert_eq!(Scorer::new(&usual(), &usual()).p_value(3.0), 1.0);
    }

    #[test]
    fn the_shipped_half_cannot_be_taught() {
        let attack = Digest::from_levels([14; FEATURES]);
        let before = Scorer::new(&usual(), &Histogram::default()).score(attack);
        let poisoned = of((0..100_000).map(|_| [14; FEATURES]));
        let after = Scorer::new(&usual(), &poisoned).score(attack);
        assert!(after > 0.4 * before, "{before} {after}");
    }

    proptest! {
        #[test]
        fn scores_are_finite_and_positive(bits: u64, learnt in prop::collection::vec(any::<u64>(), 0..50)) {
            let mut histogram = Histogram::default();
            learnt.iter().for_each(|bits| histogram.learn(Digest::from_bits(*bits)));
            for scorer in [
                Scorer::new(&histogram, &Histogram::default()),
                Scorer::new(&Histogram::default(), &histogram),
            ] {
                let score = scorer.score(Digest::from_bits(bits));
                prop_assert!(score.is_finite() && score >= 0.0, "{}", score);
            }
        }

        /// What was seen more often is never odder for it.
        #[test]
        fn the_rarer_the_odder(bits: u64, other: u64, times in 1usize..50) {
            let scorer = |times| {
                let mut histogram = usual();
                histogram.learn(Digest::from_bits(other));
                (0..times).for_each(|_| histogram.learn(Digest::from_bits(bits)));
                Scorer::new(&usual(), &histogram)
            };
            let digest = Digest::from_bits(bits);
            prop_assert!(scorer(times).score(digest) <= scorer(times - 1).score(digest) + 1e-4);
        }
    }
}
