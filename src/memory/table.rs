//! The bounded table of sources, in shards.

use std::hash::BuildHasher;
use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

use foldhash::quality::RandomState;
use lru::LruCache;

use super::{Attempts, Network, NetworkKey, SharedBucket, Source, SourceKey};

/// How many sources, networks and attempts are remembered at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Sources; half of them are kept for proven ones.
    pub sources: usize,
    /// Networks.
    pub networks: usize,
}

/// Everything the gate remembers. Several threads may judge at once: a source and its network
/// live in one of 16 shards, each behind its own lock, so that threads rarely meet and still
/// share what is known of a source that reaches them over different queues.
///
/// Hashing is keyed with a seed of this process (foldhash), which nobody outside can observe;
/// the place of an address in the table cannot be chosen by who sends from it.
#[derive(Debug)]
pub struct Memory {
    shards: Box<[Mutex<Shard>]>,
    hasher: RandomState,
    /// Attempts of everybody.
    pub total: SharedBucket,
}

const SHARDS: usize = 16;

/// A sixteenth of the memory.
#[derive(Debug)]
pub struct Shard {
    /// Sources that never completed a connection. Forged addresses end up here, and can push out
    /// nobody but each other and other newcomers.
    newcomers: LruCache<SourceKey, Source, RandomState>,
    /// Sources that did.
    proven: LruCache<SourceKey, Source, RandomState>,
    networks: LruCache<NetworkKey, Network, RandomState>,
    /// Attempts of late, of all sources of this shard.
    pub attempts: Attempts,
}

/// What a shard remembers of one source, borrowed for one judgement.
#[derive(Debug)]
pub struct Remembered<'a> {
    /// The source.
    pub source: &'a mut Source,
    /// Its network.
    pub network: &'a mut Network,
    /// Attempts of late.
    pub attempts: &'a mut Attempts,
}

impl Memory {
    /// An empty memory with the given bounds (each at least one per shard).
    pub fn new(bounds: Bounds) -> Self {
        let hasher = RandomState::default();
        let part = |whole: usize| NonZeroUsize::new(whole / SHARDS).unwrap_or(NonZeroUsize::MIN);
        let shard = || {
            let half = part(bounds.sources / 2);
            Mutex::new(Shard {
                newcomers: LruCache::with_hasher(half, hasher.clone()),
                proven: LruCache::with_hasher(half, hasher.clone()),
                networks: LruCache::with_hasher(part(bounds.networks), hasher.clone()),
                attempts: Attempts::new(bounds.sources * 2 / SHARDS),
            })
        };
        Self {
            shards: std::iter::repeat_with(shard).take(SHARDS).collect(),
            hasher,
            total: SharedBucket::default(),
        }
    }

    /// The shard that remembers a network and its sources, locked.
    #[inline]
    pub fn shard(&self, network: NetworkKey) -> MutexGuard<'_, Shard> {
        let index = self.hasher.hash_one(network) as usize % SHARDS;
        // A poisoned lock would mean that a judge panicked; what it left is still only counters.
        self.shards[index].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A keyed hash of what makes an attempt one attempt.
    #[inline]
    pub fn attempt(&self, source: SourceKey, rest: (u128, u32, u32)) -> u64 {
        self.hasher.hash_one((source.bits(), rest))
    }

    /// How many sources are remembered now: newcomers, proven.
    pub fn len(&self) -> (usize, usize) {
        self.shards.iter().fold((0, 0), |(newcomers, proven), shard| {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            (newcomers + shard.newcomers.len(), proven + shard.proven.len())
        })
    }

    /// Is nothing remembered at all?
    pub fn is_empty(&self) -> bool {
        self.len() == (0, 0)
    }

    /// Changes the bounds; what no longer fits is forgotten, the least recently seen first.
    pub fn resize(&self, bounds: Bounds) {
        let fresh = Memory::new(bounds);
        for (old, new) in self.shards.iter().zip(&fresh.shards) {
            let mut old = old.lock().unwrap_or_else(PoisonError::into_inner);
            let new = new.lock().unwrap_or_else(PoisonError::into_inner);
            old.newcomers.resize(new.newcomers.cap());
            old.proven.resize(new.proven.cap());
            old.networks.resize(new.networks.cap());
        }
    }
}

impl Shard {
    /// What is remembered of a source, made new if it is unknown. A source that has become
    /// proven moves to where forged addresses cannot push it out.
    #[inline]
    pub fn recall(&mut self, key: SourceKey, network: NetworkKey, proven: bool) -> Remembered<'_> {
        let source = if proven {
            let newcomers = &mut self.newcomers;
            self.proven.get_or_insert_mut(key, || newcomers.pop(&key).unwrap_or_default())
        } else {
            let proven = &mut self.proven;
            self.newcomers.get_or_insert_mut(key, || proven.pop(&key).unwrap_or_default())
        };
        Remembered {
            source,
            network: self.networks.get_or_insert_mut(network, Network::default),
            attempts: &mut self.attempts,
        }
    }

    /// A copy of what is remembered, changing nothing, not even the order of forgetting.
    pub fn peek(&self, key: SourceKey, network: NetworkKey) -> (Option<Source>, Option<Network>) {
        (
            self.proven.peek(&key).or_else(|| self.newcomers.peek(&key)).copied(),
            self.networks.peek(&network).copied(),
        )
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn key(n: u32) -> (SourceKey, NetworkKey) {
        let key = SourceKey::of(Ipv4Addr::from_bits(n).into());
        (key, key.network(24, 48))
    }

    #[test]
    fn never_grows_past_its_bound() {
        let bounds = Bounds { sources: 3200, networks: 160 };
        let memory = Memory::new(bounds);
        for n in 0..100_000 {
            let (key, network) = key(n * 77);
            memory.shard(network).recall(key, network, n % 3 == 0);
        }
        let (newcomers, proven) = memory.len();
        assert!(newcomers <= 1600 && proven <= 1600, "{newcomers} {proven}");
        assert!(newcomers > 1500 && proven > 1500, "and it uses its room: {newcomers} {proven}");
    }

    #[test]
    fn forged_newcomers_cannot_push_out_the_proven() {
        let memory = Memory::new(Bounds { sources: 320, networks: 160 });
        let (known, home) = key(0xc000_0201);
        memory.shard(home).recall(known, home, false).source.offences.denied = 3;
        memory.shard(home).recall(known, home, true);
        for n in 0..10_000 {
            let (key, network) = key(n);
            memory.shard(network).recall(key, network, false);
        }
        let (source, _) = memory.shard(home).peek(known, home);
        assert_eq!(source.unwrap().offences.denied, 3, "kept through the move and the flood");
    }

    #[test]
    fn resizing_keeps_the_latest() {
        let memory = Memory::new(Bounds { sources: 32_000, networks: 160 });
        let (k, network) = key(7);
        for n in 0..200 {
            let (key, _) = key(n);
            memory.shard(network).recall(key, network, false);
        }
        memory.shard(network).recall(k, network, false).source.offences.denied = 9;
        memory.resize(Bounds { sources: 320, networks: 16 });
        assert_eq!(memory.len(), (10, 0));
        assert_eq!(memory.shard(network).peek(k, network).0.unwrap().offences.denied, 9);
    }
}
