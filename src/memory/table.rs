//! The bounded table of sources, in shards.

use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use foldhash::quality::SeedableRandomState as RandomState;

use super::sources::Sources;
use super::{
    Attempts, Flood, Moment, Neighbours, NetworkKey, Networks, SharedBucket, Source, SourceKey,
    Target,
};
use crate::anomaly::{Budget, Detector, Held, Tended};

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
    /// The watch for floods.
    pub flood: Flood,
    /// What is usual, learnt from everybody.
    pub anomaly: Detector,
}

const SHARDS: usize = 16;

/// Room for this many attempts in every shard at least, 128 KiB. All attempts of one source are in
/// one shard; who floods in a client's name must not push out the client's own attempt before
/// its retransmission comes. How many are needed is a matter of how fast they come, so a memory for
/// very many sources has no more than one for each two of them.
const ATTEMPTS: usize = 16_384;

/// A sixteenth of the memory.
#[derive(Debug)]
pub struct Shard {
    /// Sources that never completed a connection. Forged addresses end up here, and can push out
    /// nobody but each other and other newcomers.
    newcomers: Sources,
    /// Sources that did.
    proven: Sources,
    networks: Networks,
    /// Attempts of late, of all sources of this shard.
    pub attempts: Attempts,
}

/// What a shard remembers of one source, borrowed for one judgement.
#[derive(Debug)]
pub struct Remembered<'a> {
    /// The source.
    pub source: &'a mut Source,
    /// Where to remember what comes in its name and does not look like it.
    pub shadow: Shadow<'a>,
    /// What its network's proven sources share, or its others.
    pub network: Neighbours<'a>,
    /// Attempts of late.
    pub attempts: &'a mut Attempts,
}

/// A proven source's shadow: attempts in its name that do not look like the connections which it
/// completed. They may be forged, or come from another machine behind the same address; in any
/// case they draw on nothing that is the source's own. Shadows live among the newcomers.
#[derive(Debug)]
pub struct Shadow<'a>(Option<(&'a mut Sources, SourceKey, Moment)>);

impl<'a> Shadow<'a> {
    /// What is remembered of it, made new if nothing is. `None` for a source that is not proven:
    /// of that, nobody can tell what looks like it.
    #[inline]
    pub fn cast(self) -> Option<&'a mut Source> {
        self.0.map(|(newcomers, key, now)| newcomers.recall(key.shadow(), now, Source::default))
    }
}

impl Memory {
    /// An empty memory with the given bounds (each at least one per shard), hashing in a way that
    /// nobody can foresee.
    pub fn new(bounds: Bounds) -> Self {
        Self::with_hasher(bounds, RandomState::random())
    }

    /// The same, hashing alike in every run: for captures and stories, which have to come out the
    /// same each time. Not for a gate that faces strangers.
    pub fn repeatable(bounds: Bounds) -> Self {
        Self::with_hasher(bounds, RandomState::fixed())
    }

    fn with_hasher(bounds: Bounds, hasher: RandomState) -> Self {
        let shard = || {
            let half = half_of_a_shard(bounds);
            Mutex::new(Shard {
                newcomers: Sources::new(half, hasher.clone()),
                proven: Sources::new(half, hasher.clone()),
                networks: Networks::new(bounds.networks / SHARDS),
                attempts: Attempts::new((bounds.sources / 2 / SHARDS).max(ATTEMPTS)),
            })
        };
        Self {
            shards: std::iter::repeat_with(shard).take(SHARDS).collect(),
            hasher,
            total: SharedBucket::default(),
            flood: Flood::default(),
            anomaly: Detector::default(),
        }
    }

    /// The shard that remembers a network and its sources, locked, and the network's hash.
    #[inline]
    pub fn shard(&self, network: NetworkKey) -> (MutexGuard<'_, Shard>, u64) {
        let hash = self.hasher.hash_one(network);
        // The upper half, because the lower half finds the place within the shard.
        let index = (hash >> 32) as usize % SHARDS;
        // A poisoned lock would mean that a judge panicked; what it left is still only counters.
        (self.shards[index].lock().unwrap_or_else(PoisonError::into_inner), hash)
    }

    /// A keyed hash of what makes an attempt one attempt: source, destination, both ports, sequence
    /// number.
    #[inline]
    pub fn attempt(&self, source: SourceKey, dst: IpAddr, ports: (u16, u16), seq: u32) -> u64 {
        let ports = u32::from(ports.0) << 16 | u32::from(ports.1);
        self.hasher.hash_one((source.bits(), (bits(dst), ports, seq)))
    }

    /// A keyed hash of a source, to tell sources apart and to draw lots by.
    #[inline]
    pub fn source(&self, key: SourceKey) -> u64 {
        self.hasher.hash_one(key)
    }

    /// A target of connections, as a [`Walk`](super::Walk) knows it.
    #[inline]
    pub fn target(&self, dst: IpAddr, dport: u16) -> Target {
        Target::of(self.host(dst), dport)
    }

    /// A keyed hash of a destination, to tell hosts apart.
    #[inline]
    pub fn host(&self, dst: IpAddr) -> u64 {
        self.hasher.hash_one(bits(dst))
    }

    /// Lets the detector learn what has waited long enough. Takes milliseconds: not for a thread
    /// that gives verdicts. To be called every minute or so.
    pub fn learn(&self, now: Moment, budget: Budget) -> Tended {
        self.anomaly.tend(now.0 / 1_000_000_000, budget, |held| self.character(held))
    }

    /// Was a source that waits to be learnt from called unusual? `None` if it offended, or is not
    /// remembered, so that nobody can tell.
    fn character(&self, held: &Held) -> Option<bool> {
        let (shard, _) = self.shard(NetworkKey::from_bits(held.network));
        let habits = shard.proven.peek(SourceKey::from_bits(held.source))?.habits;
        (!habits.blamed()).then_some(habits.ever_odd())
    }

    /// Is a source remembered as one that completed a connection?
    pub fn is_proven(&self, key: SourceKey, network: NetworkKey) -> bool {
        self.shard(network).0.proven.peek(key).is_some()
    }

    /// How many sources are remembered now: newcomers, proven.
    pub fn len(&self) -> (usize, usize) {
        self.shards.iter().fold((0, 0), |(newcomers, proven), shard| {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            (newcomers + shard.newcomers.len(), proven + shard.proven.len())
        })
    }

    /// How many buckets of networks are remembered now: a network has one for each kind of attempt
    /// that has a limit of its own, and its proven sources have theirs.
    pub fn networks(&self) -> usize {
        let of = |shard: &Mutex<Shard>| {
            shard.lock().unwrap_or_else(PoisonError::into_inner).networks.len()
        };
        self.shards.iter().map(of).sum()
    }

    /// Of how many sources more is remembered than one attempt leaves.
    #[cfg(test)]
    pub(crate) fn rows(&self) -> usize {
        let of = |shard: &Mutex<Shard>| {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.newcomers.rows() + shard.proven.rows()
        };
        self.shards.iter().map(of).sum()
    }

    /// Is nothing remembered at all?
    pub fn is_empty(&self) -> bool {
        self.len() == (0, 0)
    }

    /// Changes the bounds; of what no longer fits, who was not seen for longest is forgotten.
    pub fn resize(&self, bounds: Bounds, now: Moment) {
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.newcomers.resize(half_of_a_shard(bounds), now);
            shard.proven.resize(half_of_a_shard(bounds), now);
            shard.networks.resize(bounds.networks / SHARDS);
        }
    }
}

fn half_of_a_shard(bounds: Bounds) -> usize {
    bounds.sources / 2 / SHARDS
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_bits().into(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// What a judgement is about, as far as the memory is concerned.
#[derive(Clone, Copy, Debug)]
pub struct Subject {
    /// The source.
    pub key: SourceKey,
    /// It is proven.
    pub proven: bool,
    /// The hash of its network, as [`Memory::shard`] gave it.
    pub network: u64,
    /// The hash of the attempt, as [`Memory::attempt`] gave it.
    pub attempt: u64,
    /// The service class that it is at, by its place in the policy.
    pub class: usize,
}

impl Shard {
    /// Has the processor fetch from memory what a judgement will look at. One after the other, each
    /// would be waited for: with a hundred thousand sources nearly nothing is in a cache, and the
    /// judge would spend most of its time waiting.
    #[inline]
    pub fn fetch(&self, of: Subject) {
        let home = if of.proven { &self.proven } else { &self.newcomers };
        home.fetch(of.key);
        self.attempts.fetch(of.attempt);
        self.networks.fetch(of.network, of.proven, of.class);
    }

    /// What is remembered of a source, made new if it is unknown. A source that has become
    /// proven moves to where forged addresses cannot push it out.
    #[inline]
    pub fn recall(&mut self, of: Subject, now: Moment) -> Remembered<'_> {
        let Subject { key, proven, network: hash, .. } = of;
        let (home, elsewhere) = if proven {
            (&mut self.proven, &mut self.newcomers)
        } else {
            (&mut self.newcomers, &mut self.proven)
        };
        Remembered {
            source: home.recall(key, now, || elsewhere.take(key).unwrap_or_default()),
            shadow: Shadow(proven.then_some((elsewhere, key, now))),
            network: Neighbours::new(&mut self.networks, hash, proven),
            attempts: &mut self.attempts,
        }
    }

    /// A copy of what is remembered of a source, changing nothing, not even the order of
    /// forgetting.
    pub fn peek(&self, key: SourceKey) -> Option<Source> {
        self.proven.peek(key).or_else(|| self.newcomers.peek(key))
    }

    /// What a network's proven sources share, or its others, to try things out on. `hash` is the
    /// network's.
    pub fn imagined(&mut self, hash: u64, proven: bool) -> Neighbours<'_> {
        Neighbours::new(&mut self.networks, hash, proven).imagined()
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

    /// Sees a source once, in second `n`, and may change what is remembered of it.
    fn see(memory: &Memory, n: u32, proven: bool, change: impl FnOnce(&mut Source)) {
        see_at(memory, n.into(), n, proven, change);
    }

    fn see_at(
        memory: &Memory,
        second: u64,
        n: u32,
        proven: bool,
        change: impl FnOnce(&mut Source),
    ) {
        let (key, network) = key(n);
        let (mut shard, hash) = memory.shard(network);
        let of = Subject { key, proven, network: hash, attempt: 0, class: 0 };
        change(shard.recall(of, Moment(second * 1_000_000_000)).source);
    }

    fn denied(memory: &Memory, n: u32) -> Option<u16> {
        let (key, network) = key(n);
        memory.shard(network).0.peek(key).map(|source| source.offences.denied)
    }

    #[test]
    fn never_grows_past_its_bound() {
        let memory = Memory::new(Bounds { sources: 3200, networks: 160 });
        for n in 0..100_000 {
            see(&memory, n * 77, n % 3 == 0, |_| ());
        }
        let (newcomers, proven) = memory.len();
        assert!(newcomers <= 1600 && proven <= 1600, "{newcomers} {proven}");
        assert!(newcomers > 1500 && proven > 1500, "and it uses its room: {newcomers} {proven}");
    }

    #[test]
    fn forged_newcomers_cannot_push_out_the_proven() {
        let memory = Memory::new(Bounds { sources: 320, networks: 160 });
        see(&memory, 0xc000_0201, false, |source| source.offences.denied = 3);
        see(&memory, 0xc000_0201, true, |_| ());
        (0..10_000).for_each(|n| see(&memory, n, false, |_| ()));
        assert_eq!(denied(&memory, 0xc000_0201), Some(3), "kept through the move and the flood");
    }

    #[test]
    fn the_least_recently_seen_makes_room() {
        let memory = Memory::new(Bounds { sources: 320, networks: 16 });
        // One network, so one shard with room for ten newcomers.
        (0..10).for_each(|n| see(&memory, n, false, |source| source.offences.denied = 1));
        see_at(&memory, 20, 0, false, |_| ());
        see_at(&memory, 21, 10, false, |_| ());
        assert_eq!((denied(&memory, 0), denied(&memory, 1)), (Some(1), None));
    }

    #[test]
    fn resizing_keeps_the_latest() {
        let memory = Memory::new(Bounds { sources: 32_000, networks: 160 });
        (0..200).for_each(|n| see(&memory, n, false, |source| source.offences.denied = n as u16));
        memory.resize(Bounds { sources: 320, networks: 16 }, Moment(200_000_000_000));
        assert_eq!(memory.len(), (10, 0));
        assert_eq!((denied(&memory, 199), denied(&memory, 189)), (Some(199), None));
    }
}
