//! The sources against which scores are measured.
//!
//! They are honest sources that the histograms never learn from, so that they are to the model
//! what tomorrow's honest sources are. Of each, all digests are kept, and are scored again when
//! the model changes.

use std::collections::VecDeque;

use super::{Digest, LOOKS, Scorer};

/// The most calibration sources that are kept, the latest. They bound how small a share of honest
/// sources can be told from none: see [`sources_needed`].
pub const CALIBRATORS: usize = 8192;

/// The chance that more honest sources than the budget are called unusual, because the
/// calibration sources happened to be tame.
const RISK: f64 = 0.1;

/// A calibration source: digests of up to eight SYNs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Calibrator {
    pub(super) digests: [Digest; LOOKS as usize],
    pub(super) count: u8,
    /// It was called unusual itself.
    pub(super) unusual: bool,
}

impl Calibrator {
    /// Of digests, at least one. More than eight are left out.
    pub(super) fn of(digests: &[Digest], unusual: bool) -> Option<Self> {
        let mut own = Self { unusual, ..Self::default() };
        for (place, digest) in own.digests.iter_mut().zip(digests) {
            *place = *digest;
            own.count += 1;
        }
        (own.count > 0).then_some(own)
    }

    pub(super) fn digests(&self) -> &[Digest] {
        &self.digests[..usize::from(self.count.min(LOOKS))]
    }

    /// The score of the oddest SYN.
    fn score(&self, scorer: &Scorer) -> f32 {
        self.digests().iter().map(|digest| scorer.score(*digest)).fold(0.0, f32::max)
    }
}

/// The calibration sources, the latest last.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Calibration(pub(super) VecDeque<Calibrator>);

impl Calibration {
    /// Takes a source in; the oldest makes room.
    pub(super) fn push(&mut self, source: Calibrator) {
        if self.0.len() >= CALIBRATORS {
            self.0.pop_front();
        }
        self.0.push_back(source);
    }

    /// Calibrates a scorer so that of honest sources at most the share `rate` are called unusual.
    /// `last` is the limit so far, 0 if there was none.
    ///
    /// Sources that were called unusual count as well, or the limit would creep downwards: each
    /// calibration would lose its own tail. But they count as just beyond the limit and no more, or
    /// a single one of an attacker's could lift it above his others.
    pub(super) fn apply(&self, scorer: Scorer, rate: f64, last: f32) -> Scorer {
        let scores = self.0.iter().map(|source| (source.score(&scorer), source.unusual));
        let mut scores: Vec<(f32, bool)> = scores.collect();
        let usual = scores.iter().filter(|(_, unusual)| !unusual);
        let cap = usual.map(|(score, _)| *score).fold(last, f32::max);
        for (score, _) in scores.iter_mut().filter(|(_, unusual)| *unusual) {
            *score = score.min(cap);
        }
        scorer.calibrated(scores.into_iter().map(|(score, _)| score).collect(), rate)
    }
}

/// How many of `n` calibration sources may score as high as somebody who is called unusual, so
/// that with a chance of nine in ten no more than the share `rate` of honest sources ever are.
/// `None` if `n` are too few to promise that.
///
/// The share above the k-th highest of n scores has the distribution Beta(k, n + 1 − k), whatever
/// the scores are (Vovk, "Conditional validity of inductive conformal predictors", 2012). It is
/// above `rate` with the chance that a binomial count of n trials with that probability is less
/// than k. The usual conformal test promises the mean only.
pub(super) fn spared(n: usize, rate: f64) -> Option<usize> {
    let rate = rate.clamp(0.0, 0.5);
    let mut chance = (n as f64 * (1.0 - rate).ln()).exp();
    let mut sum = chance;
    if sum > RISK || n == 0 {
        return None;
    }
    let mut k = 0;
    loop {
        chance *= (n - k) as f64 / (k + 1) as f64 * rate / (1.0 - rate);
        if sum + chance > RISK || k + 1 >= n {
            return Some(k);
        }
        sum += chance;
        k += 1;
    }
}

/// How many calibration sources it takes to promise that at most the share `rate` of honest
/// sources are called unusual: the risk is (1 − rate)ⁿ then. 230 for 1 %, 2,302 for 0.1 %.
pub fn sources_needed(rate: f64) -> usize {
    let rate = rate.clamp(1e-9, 0.5);
    (RISK.ln() / (1.0 - rate).ln()).ceil() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enough_is_enough() {
        for (rate, needed) in [(0.01, 230), (0.001, 2302), (0.5, 4)] {
            assert_eq!(sources_needed(rate), needed);
            assert_eq!(spared(needed - 1, rate), None);
            assert_eq!(spared(needed, rate), Some(0));
        }
        assert_eq!(spared(0, 0.5), None);
        assert_eq!(spared(1_000, 0.0), None);
        // From tables of the binomial distribution: n = 100, p = 0.05, P(X ≤ 1) = 0.037 and
        // P(X ≤ 2) = 0.118.
        assert_eq!(spared(100, 0.05), Some(1));
    }

    /// The promise itself, over worlds in which scores are uniform: the share above the k-th
    /// highest of n is more than the rate in at most one world of ten.
    #[test]
    fn the_promise_holds() {
        let mut state = 7u64;
        let mut uniform = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as f32 / (1u64 << 31) as f32
        };
        for (n, rate) in [(300, 0.01), (900, 0.01), (200, 0.05)] {
            let spared = spared(n, rate).unwrap();
            let broken = (0..1000).filter(|_| {
                let mut scores: Vec<f32> = (0..n).map(|_| uniform()).collect();
                scores.sort_by(|a, b| b.total_cmp(a));
                f64::from(1.0 - scores[spared]) > rate
            });
            let broken = broken.count();
            assert!((10..130).contains(&broken), "{n} {rate}: {broken} of 1000");
        }
    }

    #[test]
    fn the_unusual_do_not_lift_the_limit() {
        use crate::anomaly::Histogram;
        let mut shipped = Histogram::default();
        (0..1000).for_each(|n| shipped.learn(Digest::from_bits(n % 3)));
        let scorer = || Scorer::new(&shipped, &Histogram::default());
        let mut calibration = Calibration::default();
        (0..300).for_each(|n| {
            calibration.push(Calibrator::of(&[Digest::from_bits(n % 4)], false).unwrap());
        });
        let before = calibration.apply(scorer(), 0.01, 0.0).limit();
        let attack = [Digest::from_bits(u64::MAX)];
        (0..2).for_each(|_| calibration.push(Calibrator::of(&attack, true).unwrap()));
        assert_eq!(calibration.apply(scorer(), 0.01, before).limit(), before);
        calibration.push(Calibrator::of(&attack, false).unwrap());
        assert!(calibration.apply(scorer(), 0.01, before).limit() > before);
    }

    #[test]
    fn the_oldest_makes_room() {
        let mut calibration = Calibration::default();
        for n in 0..CALIBRATORS as u64 + 3 {
            calibration.push(Calibrator::of(&[Digest::from_bits(n)], false).unwrap());
        }
        assert_eq!(calibration.0.len(), CALIBRATORS);
        assert_eq!(calibration.0[0].digests(), [Digest::from_bits(3)]);
    }
}
