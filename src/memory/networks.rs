//! What the sources of one network share: a bucket, and nothing else.

use super::{Bucket, NetworkKey};

const WAYS: usize = 4;

/// A set-associative cache of network buckets: fixed size, one cache line per look-up.
///
/// When a set is full, the bucket that drains first makes room: a drained bucket says nothing
/// that a new one would not say.
#[derive(Debug)]
pub struct Networks {
    sets: Box<[Set]>,
}

#[derive(Clone, Copy, Debug, Default)]
#[repr(align(64))]
struct Set([(NetworkKey, Bucket); WAYS]);

impl Networks {
    /// Room for about `count` networks, 16 bytes each.
    pub fn new(count: usize) -> Self {
        let sets = (count / WAYS).next_power_of_two().max(1);
        Self { sets: vec![Set::default(); sets].into_boxed_slice() }
    }

    /// The bucket of a network; an empty one if the network is not remembered. `hash` says where
    /// to look.
    #[inline]
    pub fn bucket(&mut self, hash: u64, key: NetworkKey) -> &mut Bucket {
        let index = hash as usize & (self.sets.len() - 1);
        let Set(set) = &mut self.sets[index];
        let way = set.iter().position(|(known, _)| *known == key).unwrap_or_else(|| {
            let first_drained = |way: &usize| set[*way].1;
            let way = (0..WAYS).min_by_key(first_drained).unwrap_or(0);
            set[way] = (key, Bucket::default());
            way
        });
        &mut set[way].1
    }

    /// A copy of the bucket, changing nothing.
    pub fn peek(&self, hash: u64, key: NetworkKey) -> Bucket {
        let Set(set) = &self.sets[hash as usize & (self.sets.len() - 1)];
        set.iter().find(|(known, _)| *known == key).map(|(_, bucket)| *bucket).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::{Limit, Moment, SourceKey};

    fn key(n: u8) -> NetworkKey {
        SourceKey::of([10, 0, n, 0].into()).network(24, 48)
    }

    #[test]
    fn the_fullest_buckets_stay() {
        let limit = Limit::new(1, 1_000_000_000, 100);
        let mut networks = Networks::new(1);
        for n in 1..=4u8 {
            for _ in 0..n {
                networks.bucket(0, key(n)).charge(limit, Moment(0));
            }
        }
        networks.bucket(0, key(9)).charge(limit, Moment(0));
        assert_eq!(networks.peek(0, key(1)), Bucket::default(), "drained first, so it made room");
        for n in 2..=4 {
            assert_eq!(networks.peek(0, key(n)).level(limit, Moment(0)), u32::from(n));
        }
    }
}
