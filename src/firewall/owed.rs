//! Standings that the ledger knows and the kernel's sets do not hold yet: while they are filled
//! after a start, or while nft fails. The judge asks here, so that nobody gets in meanwhile.

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{PoisonError, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Place;
use ipnet::IpNet;

use super::entry::Whom;
use super::names::is_wide;
use crate::memory::SourceKey;
use crate::policy::Standing;

/// The standings that the kernel is owed. Shared by the firewall, which fills and empties it, and
/// the judge. Asking costs one load while nothing is owed.
#[derive(Debug, Default)]
pub struct Owed {
    count: AtomicUsize,
    standings: RwLock<Table>,
}

/// A standing in 16 bytes: after a start there are as many as are on record.
#[derive(Clone, Copy, Debug)]
struct Debt {
    source: SourceKey,
    /// As the kernel counts, in whole seconds, rounded up; since 1970, at most until 2106.
    until: u32,
    /// All ports are port 0, at which nobody can be banned alone.
    port: u16,
    standing: Standing,
}

impl Debt {
    fn of((whom, standing, until): (Whom, Standing, SystemTime)) -> Self {
        let (source, port) = key(whom);
        Self { source, until: as_seconds(until), port, standing }
    }

    fn is(&self, key: (SourceKey, u16)) -> bool {
        (self.source, self.port) == key
    }
}

fn as_seconds(until: SystemTime) -> u32 {
    let since = until.duration_since(UNIX_EPOCH).unwrap_or_default();
    let until = since.as_secs() + u64::from(since.subsec_nanos() > 0);
    u32::try_from(until).unwrap_or(u32::MAX)
}

fn key(whom: Whom) -> (SourceKey, u16) {
    (SourceKey::of(whom.net.addr()), whom.port.unwrap_or(0))
}

/// In so many parts that each of a million's stays in the processor's cache while it is filled:
/// filled as one, a table of them would have the memory keep it waiting at each.
const PARTS: usize = 64;

#[derive(Clone, Debug)]
struct Table {
    parts: [HashTable<Debt>; PARTS],
    hasher: RandomState,
    /// Banned prefixes that are wider than a source, and until when: a thousand at most, so each is
    /// compared.
    wide: Vec<(IpNet, u32)>,
}

impl Default for Table {
    fn default() -> Self {
        let parts = std::array::from_fn(|_| HashTable::new());
        Self { parts, hasher: RandomState::default(), wide: Vec::new() }
    }
}

/// Which part: by bits that the part itself does not go by.
fn part(hash: u64) -> usize {
    (hash >> 40) as usize % PARTS
}

impl Table {
    fn hash(hasher: &RandomState, (source, port): (SourceKey, u16)) -> u64 {
        hasher.hash_one((source.bits(), port))
    }

    /// All of these, about `most`.
    fn of(all: impl Iterator<Item = (Whom, Standing, SystemTime)>, most: usize) -> Self {
        let mut table = Self::default();
        // A part gets more than its share by chance.
        let share = most / PARTS + most / PARTS / 16;
        let mut piles: [Vec<Debt>; PARTS] = std::array::from_fn(|_| Vec::with_capacity(share));
        for debt in all.map(Debt::of) {
            piles[part(Self::hash(&table.hasher, (debt.source, debt.port)))].push(debt);
        }
        for (part, pile) in table.parts.iter_mut().zip(piles) {
            part.reserve(pile.len(), |debt| Self::hash(&table.hasher, (debt.source, debt.port)));
            pile.into_iter().for_each(|debt| Self::put(part, &table.hasher, debt));
        }
        table
    }

    fn put(part: &mut HashTable<Debt>, hasher: &RandomState, debt: Debt) {
        let hash = |debt: &Debt| Self::hash(hasher, (debt.source, debt.port));
        match part.entry(hash(&debt), |other| other.is((debt.source, debt.port)), hash) {
            Place::Occupied(mut known) => *known.get_mut() = debt,
            Place::Vacant(free) => drop(free.insert(debt)),
        }
    }

    /// How many are owed that are no wider than a source.
    fn sources(&self) -> usize {
        self.parts.iter().map(HashTable::len).sum()
    }

    fn get(&self, source: SourceKey, port: u16) -> Option<&Debt> {
        let key = (source, port);
        let hash = Self::hash(&self.hasher, key);
        self.parts[part(hash)].find(hash, |debt| debt.is(key))
    }

    fn extend(&mut self, all: impl Iterator<Item = (Whom, Standing, SystemTime)>) {
        for debt in all.map(Debt::of) {
            let hash = Self::hash(&self.hasher, (debt.source, debt.port));
            Self::put(&mut self.parts[part(hash)], &self.hasher, debt);
        }
    }

    fn remove(&mut self, whom: Whom) {
        let key = key(whom);
        let hash = Self::hash(&self.hasher, key);
        if let Ok(debt) = self.parts[part(hash)].find_entry(hash, |debt| debt.is(key)) {
            debt.remove();
        }
    }
}

impl Owed {
    /// How many standings are owed, of sources and of wider prefixes.
    pub fn len(&self) -> usize {
        self.count.load(Relaxed)
    }

    /// Does the kernel hold all?
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The standing of a source that wants to a port, as far as the kernel does not know it.
    #[inline]
    pub fn standing(&self, source: SourceKey, port: u16) -> Standing {
        if self.is_empty() { Standing::Clean } else { self.look_up(source, port) }
    }

    #[cold]
    fn look_up(&self, source: SourceKey, port: u16) -> Standing {
        let standings = self.standings.read().unwrap_or_else(PoisonError::into_inner);
        let of_source = [standings.get(source, 0), standings.get(source, port)];
        let of_source = of_source.into_iter().flatten().map(|debt| (debt.standing, debt.until));
        let address = source.base();
        let over = standings.wide.iter().filter(|(net, _)| net.contains(&address));
        let over = over.map(|(_, until)| (Standing::Banned, *until));
        // Many ask and few are found: the clock is read for those only.
        let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let live = of_source.chain(over).filter(|(_, until)| u64::from(*until) > now());
        live.map(|(standing, _)| standing).max().unwrap_or(Standing::Clean)
    }

    /// Is this one owed?
    pub(super) fn has(&self, whom: Whom) -> bool {
        if self.is_empty() {
            return false;
        }
        let standings = self.standings.read().unwrap_or_else(PoisonError::into_inner);
        let (source, port) = key(whom);
        if is_wide(whom.net) {
            standings.wide.iter().any(|(net, _)| *net == whom.net)
        } else {
            standings.get(source, port).is_some()
        }
    }

    /// Of sources, exactly these are owed from now on, at most `most` of them.
    pub(super) fn set(&self, all: impl Iterator<Item = (Whom, Standing, SystemTime)>, most: usize) {
        let owed = Table::of(all, most);
        self.write(|standings| {
            (standings.parts, standings.hasher) = (owed.parts, owed.hasher);
        });
    }

    /// Of prefixes wider than a source, exactly these are owed from now on.
    pub(super) fn set_wide(&self, all: impl Iterator<Item = (IpNet, SystemTime)>) {
        let wide = all.map(|(net, until)| (net, as_seconds(until))).collect();
        self.write(|standings| standings.wide = wide);
    }

    /// These are owed too.
    pub(super) fn owe(&self, more: impl Iterator<Item = (Whom, Standing, SystemTime)>) {
        self.write(|standings| standings.extend(more));
    }

    /// The kernel knows of these, or they have ended.
    pub(super) fn settle(&self, told: impl Iterator<Item = Whom>) {
        if self.is_empty() {
            return;
        }
        self.write(|standings| {
            told.for_each(|whom| standings.remove(whom));
            if standings.sources() == 0 {
                // A million of them leave some room behind.
                standings.parts = Table::default().parts;
            }
        });
    }

    fn write(&self, change: impl FnOnce(&mut Table)) {
        let mut standings = self.standings.write().unwrap_or_else(PoisonError::into_inner);
        change(&mut standings);
        self.count.store(standings.sources() + standings.wide.len(), Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_owed_is_known_until_it_is_settled_or_ends() {
        let whom = |net: &str, port| Whom { net: net.parse().unwrap(), port };
        let source = |address: &str| SourceKey::of(address.parse().unwrap());
        let now = SystemTime::now();
        let (later, before) = (now + Duration::from_secs(60), now - Duration::from_secs(1));
        let owed = Owed::default();
        assert_eq!(owed.standing(source("192.0.2.1"), 22), Standing::Clean);
        owed.set(
            [
                (whom("192.0.2.1/32", None), Standing::Suspect, later),
                (whom("192.0.2.1/32", Some(22)), Standing::Banned, later),
                (whom("2001:db8:0:7::/64", None), Standing::Banned, later),
                (whom("192.0.2.3/32", None), Standing::Banned, before),
            ]
            .into_iter(),
            4,
        );
        for (address, port, standing) in [
            ("192.0.2.1", 22, Standing::Banned),
            ("192.0.2.1", 80, Standing::Suspect),
            ("2001:db8:0:7::99", 80, Standing::Banned),
            ("192.0.2.2", 22, Standing::Clean),
            ("192.0.2.3", 22, Standing::Clean),
        ] {
            assert_eq!(owed.standing(source(address), port), standing, "{address} at {port}");
        }
        owed.owe([(whom("192.0.2.2/32", None), Standing::Banned, later)].into_iter());
        assert!(owed.len() == 5 && owed.has(whom("192.0.2.2/32", None)));
        owed.settle([whom("192.0.2.2/32", None), whom("192.0.2.9/32", None)].into_iter());
        assert_eq!((owed.len(), owed.standing(source("192.0.2.2"), 1)), (4, Standing::Clean));
        owed.set(std::iter::empty(), 0);
        assert!(owed.is_empty());
    }

    #[test]
    fn wide_prefixes_are_owed_beside_sources() {
        let net = |net: &str| net.parse::<IpNet>().unwrap();
        let source = |address: &str| SourceKey::of(address.parse().unwrap());
        let now = SystemTime::now();
        let (later, before) = (now + Duration::from_secs(60), now - Duration::from_secs(1));
        let owed = Owed::default();
        let wide = ["192.0.2.0/24", "2001:db8::/32"].map(|n| (net(n), later));
        owed.set_wide(wide.into_iter().chain([(net("198.51.100.0/24"), before)]));
        let suspect = Whom::from(net("192.0.2.7/32"));
        owed.owe([(suspect, Standing::Suspect, later)].into_iter());
        let check = |told: &[(&str, Standing)]| {
            for (address, standing) in told {
                assert_eq!(owed.standing(source(address), 22), *standing, "{address}");
            }
        };
        let both = [
            ("192.0.2.7", Standing::Banned),
            ("192.0.2.8", Standing::Banned),
            ("2001:db8:7::1", Standing::Banned),
            ("2001:db9::1", Standing::Clean),
            ("192.0.3.1", Standing::Clean),
            ("198.51.100.1", Standing::Clean),
        ];
        check(&both);
        assert!(owed.has(net("192.0.2.0/24").into()) && !owed.has(net("192.0.2.0/25").into()));
        // The one does not settle the other.
        owed.settle([suspect].into_iter());
        owed.set([(suspect, Standing::Suspect, later)].into_iter(), 1);
        check(&both);
        owed.set_wide(std::iter::empty());
        check(&[("192.0.2.7", Standing::Suspect), ("192.0.2.8", Standing::Clean)]);
        assert_eq!(owed.len(), 1);
    }
}
