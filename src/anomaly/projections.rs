//! The directions in which the detector looks.
//!
//! Pevný draws each projection at random: ⌊√d⌋ features of d, with weights from N(0, 1). So are
//! most of these, in two halves: one looks at headers alone, one at behaviour, with headers beside
//! it. Each half begins with a projection along each of its features: they catch what is odd in one
//! thing alone, and say what is usual there when a score is put into words.
//!
//! All of it is fixed, because the shipped histograms belong to these very directions.

use std::sync::LazyLock;

use super::digest::feature;
use super::{Digest, FEATURES};

/// How many projections there are.
pub const PROJECTIONS: usize = 64;
/// How many of them look at headers alone; the others look at behaviour.
pub(super) const HALF: usize = PROJECTIONS / 2;
/// Bins of each histogram.
pub const BINS: usize = 32;

/// The features from this one on are the source's behaviour.
const BEHAVIOUR: usize = feature::RATE;
/// Features that a random projection mixes: ⌊√16⌋.
const MIXED: usize = 4;
/// A projection's values are spread over 0…2¹⁴, so that sums fit into 16 bits; the upper five of
/// these bits are the bin.
const SPAN: i32 = 1 << 14;
const BIN_SHIFT: u32 = 9;

pub(super) struct Projections {
    /// By feature, then by projection: this way the compiler adds eight of them at once.
    weights: [[i16; PROJECTIONS]; FEATURES],
    offsets: [i16; PROJECTIONS],
    /// Which features a projection looks at, one bit each.
    uses: [u16; PROJECTIONS],
}

/// Made when first used.
static ALL: LazyLock<Projections> = LazyLock::new(Projections::new);

/// The bin of each projection that a digest falls into.
#[inline]
pub(super) fn bins(digest: Digest) -> [u8; PROJECTIONS] {
    ALL.bins(digest)
}

/// Does this projection look at that feature?
pub(super) fn uses(projection: usize, feature: usize) -> bool {
    ALL.uses[projection] & 1 << feature != 0
}

/// The projection along a feature.
pub(super) fn along(feature: usize) -> usize {
    if feature < BEHAVIOUR { feature } else { HALF + feature - BEHAVIOUR }
}

impl Projections {
    #[inline(never)]
    fn bins(&self, digest: Digest) -> [u8; PROJECTIONS] {
        let mut sums = self.offsets;
        for (feature, weights) in self.weights.iter().enumerate() {
            let level = i16::from(digest.level(feature));
            for (sum, weight) in sums.iter_mut().zip(weights) {
                // Within 0…SPAN at the end; on the way it may pass the ends.
                *sum = sum.wrapping_add(weight.wrapping_mul(level));
            }
        }
        sums.map(|sum| ((sum as u16) >> BIN_SHIFT) as u8 & (BINS - 1) as u8)
    }

    fn new() -> Self {
        let mut all = Self {
            weights: [[0; PROJECTIONS]; FEATURES],
            offsets: [0; PROJECTIONS],
            uses: [0; PROJECTIONS],
        };
        let mut random = Random(0x706f_7274_6375_6c6c);
        let mut projection = 0;
        while projection < PROJECTIONS {
            let mut drawn = [0i32; FEATURES];
            let (axis, first, end) = match projection < HALF {
                true => (projection, 0, BEHAVIOUR),
                false => (projection - HALF + BEHAVIOUR, BEHAVIOUR, FEATURES),
            };
            if axis < end {
                drawn[axis] = 1 << 12;
            } else {
                let mut count = 0;
                while count < MIXED {
                    // Of behaviour, two; the other two are of any kind.
                    let anywhere = projection >= HALF && count >= MIXED / 2;
                    let (first, end) = if anywhere { (0, FEATURES) } else { (first, end) };
                    let feature = first + random.next() as usize % (end - first);
                    if drawn[feature] == 0 {
                        drawn[feature] = random.normal();
                        // A weight of 0 would be drawn again.
                        count += (drawn[feature] != 0) as usize;
                    }
                }
            }
            all.set(projection, &drawn);
            projection += 1;
        }
        all
    }

    /// Scales weights so that the whole range of values fills the span.
    fn set(&mut self, projection: usize, drawn: &[i32; FEATURES]) {
        let mut total = 0;
        let mut feature = 0;
        while feature < FEATURES {
            total += drawn[feature].abs();
            feature += 1;
        }
        feature = 0;
        while feature < FEATURES {
            if drawn[feature] != 0 {
                let weight = match drawn[feature] == total {
                    // Along an axis, each level has a bin of its own: every second one.
                    true => (SPAN / FEATURES as i32) as i64,
                    false => drawn[feature] as i64 * (SPAN - 1) as i64 / (15 * total as i64),
                };
                self.weights[feature][projection] = weight as i16;
                self.uses[projection] |= 1 << feature;
                if weight < 0 {
                    self.offsets[projection] -= 15 * weight as i16;
                }
            }
            feature += 1;
        }
    }
}

/// SplitMix64 (Steele, Lea and Flood, 2014): the same numbers in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ z >> 31) >> 32) as u32
    }

    /// About normal: the sum of twelve uniform numbers, in units of 1/4096 standard deviations.
    fn normal(&mut self) -> i32 {
        let mut sum = -6 * 4096;
        let mut n = 0;
        while n < 12 {
            sum += (self.next() >> 20) as i32;
            n += 1;
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn along_the_axes_levels_are_bins() {
        let levels: [u32; FEATURES] = std::array::from_fn(|at| at as u32);
        let bins = bins(Digest::from_levels(levels));
        for feature in 0..FEATURES {
            assert_eq!(usize::from(bins[along(feature)]), 2 * feature);
            assert_eq!((0..FEATURES).filter(|f| uses(along(feature), *f)).count(), 1);
        }
    }

    #[test]
    fn the_others_mix_four() {
        let axes: Vec<usize> = (0..FEATURES).map(along).collect();
        for projection in (0..PROJECTIONS).filter(|projection| !axes.contains(projection)) {
            let used: Vec<usize> = (0..FEATURES).filter(|f| uses(projection, *f)).collect();
            assert_eq!(used.len(), MIXED);
            let behaviour = used.iter().filter(|feature| **feature >= BEHAVIOUR).count();
            assert!(if projection < HALF { behaviour == 0 } else { behaviour >= 2 });
        }
        let together = |f| (0..PROJECTIONS).filter(|p| uses(*p, f)).count();
        assert!((0..FEATURES).all(|feature| together(feature) >= 5), "each is looked at often");
    }

    proptest! {
        /// Whatever the levels, the sum stays within the span: the plain sum in wider numbers.
        #[test]
        fn sums_never_leave_the_span(levels in prop::array::uniform16(0u32..16)) {
            for projection in 0..PROJECTIONS {
                let sum = |sum, feature: usize| {
                    sum + i32::from(ALL.weights[feature][projection]) * levels[feature] as i32
                };
                let value = (0..FEATURES).fold(i32::from(ALL.offsets[projection]), sum);
                prop_assert!((0..SPAN).contains(&value));
                let bin = bins(Digest::from_levels(levels))[projection];
                prop_assert_eq!(i32::from(bin), value >> BIN_SHIFT);
            }
        }
    }
}
