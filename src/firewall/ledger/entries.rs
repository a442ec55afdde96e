//! The ledger's entries, a million of them: one after the other in memory, so that looking through
//! all of them is quick, and a table of where each is.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Place;

use super::super::entry::{Entry, Whom};
use super::super::store::Line;
use crate::memory::SourceKey;

/// At most one entry about each.
#[derive(Clone, Debug, Default)]
pub(super) struct Entries {
    all: Vec<Entry>,
    /// Indices of `all`.
    places: HashTable<u32>,
    hasher: RandomState,
}

fn hash(hasher: &RandomState, Whom { net, port }: Whom) -> u64 {
    hasher.hash_one((SourceKey::of(net.addr()).bits(), net.prefix_len(), port.unwrap_or(0)))
}

fn is(entry: &Entry, whom: Whom) -> bool {
    entry.net == whom.net && entry.port == whom.port
}

/// There are never more than twice `guard.set_size` entries, which is at most 16,777,216.
fn index(place: usize) -> u32 {
    place as u32
}

impl Entries {
    /// What is left of these lines when the last about the same counts.
    pub(super) fn of(lines: Vec<Line>) -> Self {
        let hasher = RandomState::default();
        let mut places = HashTable::with_capacity(lines.len());
        let whose = |place: &u32| lines[*place as usize].whom();
        let mut all_count = true;
        for (place, line) in (0..).zip(&lines) {
            let Some(whom) = whose(&place) else {
                all_count = false;
                continue;
            };
            let known = places.entry(
                hash(&hasher, whom),
                |other| whose(other) == Some(whom),
                |other| whose(other).map_or(0, |whom| hash(&hasher, whom)),
            );
            match (line, known) {
                (Line::Is(_), Place::Vacant(free)) => drop(free.insert(place)),
                (Line::Is(_), Place::Occupied(mut known)) => {
                    *known.get_mut() = place;
                    all_count = false;
                }
                (Line::Forgotten(_) | Line::Clock(_), known) => {
                    if let Place::Occupied(known) = known {
                        known.remove();
                    }
                    all_count = false;
                }
            }
        }
        if !all_count {
            // Where each will be when those are gone that do not count.
            let mut counts = vec![false; lines.len()];
            places.iter().for_each(|place| counts[*place as usize] = true);
            let mut before = 0;
            let moved: Vec<u32> = counts
                .iter()
                .map(|counts| {
                    before += u32::from(*counts);
                    before - u32::from(*counts)
                })
                .collect();
            places.iter_mut().for_each(|place| *place = moved[*place as usize]);
            let mut counts = counts.into_iter();
            let mut lines = lines;
            lines.retain(|_| counts.next() == Some(true));
            return Self { all: entries(lines), places, hasher };
        }
        Self { all: entries(lines), places, hasher }
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(super) fn iter(&self) -> std::slice::Iter<'_, Entry> {
        self.all.iter()
    }

    pub(super) fn at(&self, place: u32) -> Option<&Entry> {
        self.all.get(place as usize)
    }

    pub(super) fn get(&self, whom: Whom) -> Option<&Entry> {
        let place = self
            .places
            .find(hash(&self.hasher, whom), |place| is(&self.all[*place as usize], whom))?;
        self.all.get(*place as usize)
    }

    /// Puts an entry in the place of the one about the same.
    pub(super) fn insert(&mut self, entry: Entry) {
        let Self { all, places, hasher } = self;
        let whom = entry.whom();
        let known = places.entry(
            hash(hasher, whom),
            |place| is(&all[*place as usize], whom),
            |place| hash(hasher, all[*place as usize].whom()),
        );
        match known {
            Place::Occupied(known) => all[*known.get() as usize] = entry,
            Place::Vacant(free) => {
                free.insert(index(all.len()));
                all.push(entry);
            }
        }
    }

    /// Takes an entry out. The last one takes its place.
    pub(super) fn remove(&mut self, whom: Whom) -> Option<Entry> {
        let Self { all, places, hasher } = self;
        let known =
            places.find_entry(hash(hasher, whom), |place| is(&all[*place as usize], whom)).ok()?;
        let (place, _) = known.remove();
        let last = index(all.len() - 1);
        if place != last {
            let moves = all[last as usize].whom();
            if let Some(of_last) = places.find_mut(hash(hasher, moves), |other| *other == last) {
                *of_last = place;
            }
        }
        Some(all.swap_remove(place as usize))
    }
}

/// The entries of lines, in the memory that these had.
fn entries(lines: Vec<Line>) -> Vec<Entry> {
    let entry = |line| match line {
        Line::Is(entry) => Some(entry),
        Line::Forgotten(_) | Line::Clock(_) => None,
    };
    lines.into_iter().filter_map(entry).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::time::SystemTime;

    use proptest::prelude::*;

    use super::super::super::entry::By;
    use super::*;
    use crate::policy::Standing;

    fn whom(n: u8) -> Whom {
        let net = match n % 3 {
            0 => format!("192.0.2.{}/32", n % 8),
            1 => format!("2001:db8:0:{}::/64", n % 8),
            _ => format!("198.51.{}.0/24", n % 8),
        };
        Whom { net: net.parse().unwrap(), port: (n.is_multiple_of(3) && n > 100).then_some(22) }
    }

    fn entry(n: u8, offences: u32) -> Entry {
        let Whom { net, port } = whom(n);
        let at = SystemTime::UNIX_EPOCH;
        Entry {
            net,
            port,
            standing: Standing::Banned,
            since: at,
            until: at,
            offences,
            last_offence: at,
            reason: "scan".into(),
            by: By::Gate,
            evidence: "".into(),
        }
    }

    fn is_same(entries: &Entries, wanted: &HashMap<Whom, Entry>) {
        assert_eq!((entries.len(), entries.is_empty()), (wanted.len(), wanted.is_empty()));
        assert_eq!(entries.iter().count(), wanted.len());
        assert!(entries.iter().all(|entry| wanted.get(&entry.whom()) == Some(entry)));
        for n in 0..=u8::MAX {
            assert_eq!(entries.get(whom(n)), wanted.get(&whom(n)));
        }
    }

    proptest! {
        /// Beside a plain map.
        #[test]
        fn they_are_a_map(
            lines in prop::collection::vec((any::<u8>(), prop::bool::weighted(0.8)), 0..60),
            then in prop::collection::vec((any::<u8>(), any::<bool>()), 0..60),
        ) {
            let mut wanted = HashMap::new();
            let lines: Vec<Line> = (0..).zip(lines).map(|(step, (n, is))| {
                if is {
                    wanted.insert(whom(n), entry(n, step));
                    Line::Is(entry(n, step))
                } else {
                    wanted.remove(&whom(n));
                    Line::Forgotten(whom(n))
                }
            }).collect();
            let mut entries = Entries::of(lines);
            is_same(&entries, &wanted);
            for (step, (n, is)) in (1000..).zip(then) {
                if is {
                    wanted.insert(whom(n), entry(n, step));
                    entries.insert(entry(n, step));
                } else {
                    assert_eq!(entries.remove(whom(n)), wanted.remove(&whom(n)));
                }
            }
            is_same(&entries, &wanted);
        }
    }
}
