//! What the sources of one network share: buckets, and nothing else.

use std::hint::black_box;

use super::{Bucket, CLASSES, Full, Limit, Moment, among};

const WAYS: usize = 4;

/// A set-associative cache of network buckets: fixed size, one cache line per look-up.
///
/// A network's proven sources have buckets of their own. Whoever forges addresses of a network
/// can fill those of the others, and so shut out none of its proven sources.
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

/// Which of a network's buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// For attempts at one service class, by its place in the policy; `None` is for all attempts.
    pub class: Option<usize>,
    /// For attempts that were refused and come back.
    pub returned: bool,
}

impl Share {
    /// The hash of this bucket, given that of the network.
    fn of(self, hash: u64, proven: bool) -> u64 {
        let class = self.class.map_or(0, |class| class % CLASSES + 1);
        let which = (class as u64) << 1 | u64::from(self.returned);
        // Multiplied by an odd number, so that the buckets of a network lie far apart.
        let hash = hash ^ which.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        if proven { !hash } else { hash }.max(1)
    }
}

impl Networks {
    /// Room for `count` buckets, 16 bytes each.
    pub fn new(count: usize) -> Self {
        let sets = count.div_ceil(WAYS).max(1);
        Self { sets: vec![Set::default(); sets].into_boxed_slice() }
    }

    /// Where a bucket may be.
    #[inline]
    fn index(&self, hash: u64) -> usize {
        among(self.sets.len(), hash)
    }

    /// Makes room for `count`, if that is another number; then they all begin anew.
    pub(super) fn resize(&mut self, count: usize) {
        let fresh = Self::new(count);
        if fresh.sets.len() != self.sets.len() {
            *self = fresh;
        }
    }

    /// Has the processor fetch where the buckets are on which an attempt at a service class draws,
    /// without waiting for them.
    #[inline]
    pub(super) fn fetch(&self, hash: u64, proven: bool, class: usize) {
        for class in [Some(class), None] {
            let hash = Share { class, returned: false }.of(hash, proven);
            black_box(self.sets[self.index(hash)].0[0]);
        }
    }

    /// A bucket; an empty one if it is not remembered.
    #[inline]
    fn bucket(&mut self, hash: u64) -> &mut Bucket {
        let index = self.index(hash);
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
    #[inline]
    fn peek(&self, hash: u64) -> Bucket {
        let Set(set) = &self.sets[self.index(hash)];
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

/// The buckets of one network, for one judgement.
#[derive(Debug)]
pub struct Neighbours<'a> {
    networks: &'a mut Networks,
    hash: u64,
    proven: bool,
    learns: bool,
}

impl<'a> Neighbours<'a> {
    /// The buckets of a network's proven sources, or of its others. `hash` is the network's, made
    /// with a secret key.
    #[inline]
    pub(super) fn new(networks: &'a mut Networks, hash: u64, proven: bool) -> Self {
        Self { networks, hash, proven, learns: true }
    }

    /// The same, to try things out on: nothing that is charged is remembered.
    pub(super) fn imagined(self) -> Self {
        Self { learns: false, ..self }
    }

    /// As [`Bucket::test`].
    ///
    /// # Errors
    /// [`Full`] if the event would not conform.
    #[inline]
    pub fn test(&self, share: Share, limit: Limit, now: Moment) -> Result<(), Full> {
        self.networks.peek(share.of(self.hash, self.proven)).test(limit, now)
    }

    /// As [`Bucket::charge`].
    #[inline]
    pub fn charge(&mut self, share: Share, limit: Limit, now: Moment) {
        if self.learns {
            self.networks.bucket(share.of(self.hash, self.proven)).charge(limit, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Share = Share { class: None, returned: false };

    fn limit() -> Limit {
        Limit::new(1, 1_000_000_000, 100)
    }

    #[test]
    fn the_fullest_buckets_stay() {
        let mut networks = Networks::new(1);
        assert!(networks.is_empty());
        for n in 1..=4 {
            for _ in 0..n {
                networks.bucket(n).charge(limit(), Moment(0));
            }
        }
        networks.bucket(9).charge(limit(), Moment(0));
        assert_eq!(networks.len(), 4);
        assert_eq!(networks.peek(1), Bucket::default(), "drained first, so it made room");
        for n in 2..=4 {
            assert_eq!(u64::from(networks.peek(n).level(limit(), Moment(0))), n);
        }
    }

    #[test]
    fn no_two_of_a_networks_buckets_are_the_same() {
        let classes = std::iter::once(None).chain((0..CLASSES).map(Some));
        let shares: Vec<Share> = classes
            .flat_map(|class| [false, true].map(|returned| Share { class, returned }))
            .collect();
        for hash in [0, 7, u64::MAX] {
            let mut networks = Networks::new(256);
            for (n, (share, proven)) in
                shares.iter().flat_map(|share| [(*share, false), (*share, true)]).enumerate()
            {
                let mut neighbours = Neighbours::new(&mut networks, hash, proven);
                let tight = Limit::new(1, 1_000_000_000, 1);
                assert!(neighbours.test(share, tight, Moment(0)).is_ok(), "{share:?} {proven}");
                neighbours.charge(share, tight, Moment(0));
                assert!(neighbours.test(share, tight, Moment(0)).is_err(), "{share:?} {proven}");
                assert_eq!(networks.len(), n + 1);
            }
        }
    }

    #[test]
    fn what_is_only_imagined_is_not_charged() {
        let mut networks = Networks::new(64);
        let mut neighbours = Neighbours::new(&mut networks, 7, false).imagined();
        neighbours.charge(ALL, limit(), Moment(0));
        assert!(networks.is_empty());
    }
}
