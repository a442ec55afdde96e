//! Standings that the ledger knows and the kernel's sets do not hold yet: while they are filled
//! after a start, or while nft fails. The judge asks here, so that nobody gets in meanwhile.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{PoisonError, RwLock};
use std::time::SystemTime;

use foldhash::fast::RandomState;

use super::entry::Whom;
use crate::memory::SourceKey;
use crate::policy::Standing;

/// A source and a port; all ports are port 0, at which nobody can be banned alone.
type Key = (SourceKey, u16);

/// The standings that the kernel is owed. Shared by the firewall, which fills and empties it, and
/// the judge. Asking costs one load while nothing is owed.
#[derive(Debug, Default)]
pub struct Owed {
    count: AtomicUsize,
    standings: RwLock<HashMap<Key, (Standing, SystemTime), RandomState>>,
}

fn key(whom: Whom) -> Key {
    (SourceKey::of(whom.net.addr()), whom.port.unwrap_or(0))
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
        let of = |port| standings.get(&(source, port)).copied();
        // Many ask and few are found: the clock is read for those only.
        let found = [of(0), of(port)].into_iter().flatten();
        let live = found.filter(|(_, until)| *until > SystemTime::now());
        live.map(|(standing, _)| standing).max().unwrap_or(Standing::Clean)
    }

    /// Is this one owed?
    pub(super) fn has(&self, whom: Whom) -> bool {
        let standings = || self.standings.read().unwrap_or_else(PoisonError::into_inner);
        !self.is_empty() && standings().contains_key(&key(whom))
    }

    /// Exactly these are owed from now on, at most `most` of them.
    pub(super) fn set(&self, all: impl Iterator<Item = (Whom, Standing, SystemTime)>, most: usize) {
        let room = HashMap::with_capacity_and_hasher(most, RandomState::default());
        let mut owed: HashMap<Key, (Standing, SystemTime), RandomState> = room;
        owed.extend(all.map(|(whom, standing, until)| (key(whom), (standing, until))));
        self.write(|standings| *standings = owed);
    }

    /// These are owed too.
    pub(super) fn owe(&self, more: impl Iterator<Item = (Whom, Standing, SystemTime)>) {
        let more = more.map(|(whom, standing, until)| (key(whom), (standing, until)));
        self.write(|standings| standings.extend(more));
    }

    /// The kernel knows of these, or they have ended.
    pub(super) fn settle(&self, told: impl Iterator<Item = Whom>) {
        if self.is_empty() {
            return;
        }
        self.write(|standings| {
            for whom in told {
                standings.remove(&key(whom));
            }
            if standings.is_empty() {
                // A million of them leave some room behind.
                *standings = HashMap::default();
            }
        });
    }

    fn write(&self, change: impl FnOnce(&mut HashMap<Key, (Standing, SystemTime), RandomState>)) {
        let mut standings = self.standings.write().unwrap_or_else(PoisonError::into_inner);
        change(&mut standings);
        self.count.store(standings.len(), Relaxed);
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
