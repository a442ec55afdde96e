//! Standings that the ledger knows and the kernel's sets do not hold yet: while they are filled
//! after a start, or while nft fails. The judge asks here, so that nobody gets in meanwhile.

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{PoisonError, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Place;

use super::entry::Whom;
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
        let since = until.duration_since(UNIX_EPOCH).unwrap_or_default();
        let until = since.as_secs() + u64::from(since.subsec_nanos() > 0);
        let until = u32::try_from(until).unwrap_or(u32::MAX);
        Self { source, until, port, standing }
    }

    fn is(&self, key: (SourceKey, u16)) -> bool {
        (self.source, self.port) == key
    }
}

fn key(whom: Whom) -> (SourceKey, u16) {
    (SourceKey::of(whom.net.addr()), whom.port.unwrap_or(0))
}

#[derive(Clone, Debug, Default)]
struct Table {
    debts: HashTable<Debt>,
    hasher: RandomState,
}

impl Table {
    fn hash(hasher: &RandomState, (source, port): (SourceKey, u16)) -> u64 {
        hasher.hash_one((source.bits(), port))
    }

    fn with_room(most: usize) -> Self {
        Self { debts: HashTable::with_capacity(most), hasher: RandomState::default() }
    }

    fn get(&self, source: SourceKey, port: u16) -> Option<&Debt> {
        let key = (source, port);
        self.debts.find(Self::hash(&self.hasher, key), |debt| debt.is(key))
    }

    fn extend(&mut self, all: impl Iterator<Item = (Whom, Standing, SystemTime)>) {
        let Self { debts, hasher } = self;
        for debt in all.map(Debt::of) {
            let hash = |debt: &Debt| Self::hash(hasher, (debt.source, debt.port));
            match debts.entry(hash(&debt), |other| other.is((debt.source, debt.port)), hash) {
                Place::Occupied(mut known) => *known.get_mut() = debt,
                Place::Vacant(free) => drop(free.insert(debt)),
            }
        }
    }

    fn remove(&mut self, whom: Whom) {
        let key = key(whom);
        if let Ok(debt) = self.debts.find_entry(Self::hash(&self.hasher, key), |debt| debt.is(key))
        {
            debt.remove();
        }
    }
}

impl Owed {
    /// How many standings are owed.
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
        // Many ask and few are found: the clock is read for those only.
        let found = [standings.get(source, 0), standings.get(source, port)].into_iter().flatten();
        let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let live = found.filter(|debt| u64::from(debt.until) > now());
        live.map(|debt| debt.standing).max().unwrap_or(Standing::Clean)
    }

    /// Is this one owed?
    pub(super) fn has(&self, whom: Whom) -> bool {
        let standings = || self.standings.read().unwrap_or_else(PoisonError::into_inner);
        let (source, port) = key(whom);
        !self.is_empty() && standings().get(source, port).is_some()
    }

    /// Exactly these are owed from now on, at most `most` of them.
    pub(super) fn set(&self, all: impl Iterator<Item = (Whom, Standing, SystemTime)>, most: usize) {
        let mut owed = Table::with_room(most);
        owed.extend(all);
        self.write(|standings| *standings = owed);
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
            if standings.debts.is_empty() {
                // A million of them leave some room behind.
                *standings = Table::default();
            }
        });
    }

    fn write(&self, change: impl FnOnce(&mut Table)) {
        let mut standings = self.standings.write().unwrap_or_else(PoisonError::into_inner);
        change(&mut standings);
        self.count.store(standings.debts.len(), Relaxed);
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
}
