//! What the sources of one network share: a bucket, and nothing else.

use super::Bucket;

const WAYS: usize = 4;

/// A set-associative cache of network buckets: fixed size, one cache line per look-up.
///
/// A network has two buckets: one for its proven sources and one for the others. Whoever forges
/// addresses of a network can fill the second, and so shut out none of its proven sources.
///
/// Buckets are known by a keyed 64-bit hash. When a set is full, the bucket that drains first makes
/// room: a drained bucket says nothing that a new one would not say.
#[derive(Debug)]
pub struct Networks {
    sets: Box<[Set]>,
}

/// Hash and bucket; hash 0 is an empty place.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(64))]
struct Set([(u64, Bucket); WAYS]);

/// The hash of the bucket of a network's proven sources, or of its others.
fn half(hash: u64, proven: bool) -> u64 {
    if proven { !hash } else { hash }.max(1)
}

impl Networks {
    /// Room for about `count` buckets, 16 bytes each.
    pub fn new(count: usize) -> Self {
        let sets = (count / WAYS).next_power_of_two().max(1);
        Self { sets: vec![Set::default(); sets].into_boxed_slice() }
    }

    /// The bucket of a network's proven sources, or of its others; an empty one if it is not
    /// remembered. `hash` is the network's, made with a secret key.
    #[inline]
    pub fn bucket(&mut self, hash: u64, proven: bool) -> &mut Bucket {
        let hash = half(hash, proven);
        let index = hash as usize & (self.sets.len() - 1);
        let Set(set) = &mut self.sets[index];
        let way = set.iter().position(|(known, _)| *known == hash).unwrap_or_else(|| {
            let first_drained = |way: &usize| set[*way].1;
            let way = (0..WAYS).min_by_key(first_drained).unwrap_or(0);
            set[way] = (hash, Bucket::default());
            way
        });
        &mut set[way].1
    }

    /// A copy of the bucket, changing nothing.
    pub fn peek(&self, hash: u64, proven: bool) -> Bucket {
        let hash = half(hash, proven);
        let Set(set) = &self.sets[hash as usize & (self.sets.len() - 1)];
        set.iter().find(|(known, _)| *known == hash).map(|(_, bucket)| *bucket).unwrap_or_default()
    }

    /// How many buckets are remembered, drained ones among them.
    pub fn len(&self) -> usize {
        self.sets.iter().flat_map(|Set(set)| set).filter(|(hash, _)| *hash != 0).count()
    }

    /// Is none remembered?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::{Limit, Moment};

    const LIMIT: (u32, u64, u32) = (1, 1_000_000_000, 100);

    fn limit() -> Limit {
        Limit::new(LIMIT.0, LIMIT.1, LIMIT.2)
    }

    #[test]
    fn the_fullest_buckets_stay() {
        let mut networks = Networks::new(1);
        assert!(networks.is_empty());
        for n in 1..=4 {
            for _ in 0..n {
                networks.bucket(n, false).charge(limit(), Moment(0));
            }
        }
        networks.bucket(9, false).charge(limit(), Moment(0));
        assert_eq!(networks.len(), 4);
        assert_eq!(networks.peek(1, false), Bucket::default(), "drained first, so it made room");
        for n in 2..=4 {
            assert_eq!(u64::from(networks.peek(n, false).level(limit(), Moment(0))), n);
        }
    }

    #[test]
    fn proven_and_other_sources_of_a_network_do_not_share() {
        for hash in [0, 7, u64::MAX] {
            let mut networks = Networks::new(64);
            networks.bucket(hash, false).charge(limit(), Moment(0));
            assert_eq!(networks.peek(hash, true), Bucket::default());
            assert_eq!(networks.peek(hash, false).level(limit(), Moment(0)), 1);
        }
    }
}
