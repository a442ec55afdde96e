//! Where SYNs wait before they are learnt, and how many a network may send in.

use std::collections::HashMap;

use foldhash::quality::RandomState;

use super::{Digest, LOOKS};

/// The most SYNs that wait. More are not learnt.
const MOST: usize = 16_384;
/// What one network may teach in a day, in SYNs: eight sources, eight each.
const PER_NETWORK: u16 = 64;
/// The most networks that are counted. When they are full, no further network teaches on that day.
const NETWORKS: usize = 16_384;
const DAY: u64 = 24 * 3600;

/// One SYN that could be learnt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Who sent it: a number of the caller's.
    pub source: u64,
    /// Its network: a number of the caller's.
    pub network: u64,
    /// A keyed hash of the source: which sources calibrate is drawn by it.
    pub lot: u64,
    /// When the source's hour began, in seconds.
    pub began: u32,
    /// The SYN.
    pub digest: Digest,
}

/// All that one source sent in an hour, its quarantine over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Who: [`Sample::source`].
    pub source: u64,
    /// Its network: [`Sample::network`].
    pub network: u64,
    /// [`Sample::lot`].
    pub lot: u64,
    /// When its hour began, in seconds.
    pub began: u32,
    /// Its SYNs.
    pub digests: Vec<Digest>,
}

/// SYNs that wait. Kept in memory only: after a restart the waiting starts anew.
#[derive(Debug, Default)]
pub(super) struct Quarantine {
    waiting: Vec<Sample>,
    /// What each network has sent in today.
    networks: HashMap<u64, u16, RandomState>,
    day: u64,
    /// SYNs that found no room.
    pub(super) refused: u64,
}

impl Quarantine {
    /// Takes a SYN in if there is room and its network has not had its share.
    pub(super) fn push(&mut self, sample: Sample) {
        let day = u64::from(sample.began) / DAY;
        if day > self.day {
            self.networks.clear();
            self.day = day;
        }
        let full = self.networks.len() >= NETWORKS && !self.networks.contains_key(&sample.network);
        if self.waiting.len() >= MOST || full {
            self.refused += 1;
            return;
        }
        let sent = self.networks.entry(sample.network).or_default();
        if *sent >= PER_NETWORK {
            self.refused += 1;
            return;
        }
        *sent += 1;
        self.waiting.push(sample);
    }

    /// Takes out what has waited for `wait` seconds since its source's hour began, by source.
    pub(super) fn ripe(&mut self, now: u64, wait: u64) -> Vec<Held> {
        let is_ripe = |sample: &Sample| u64::from(sample.began) + wait <= now;
        let mut ripe: Vec<Sample> = self.waiting.iter().copied().filter(is_ripe).collect();
        if ripe.is_empty() {
            return Vec::new();
        }
        self.waiting.retain(|sample| !is_ripe(sample));
        // Stable: the SYNs of a source stay in order.
        ripe.sort_by_key(|sample| (sample.source, sample.began));
        let mut held: Vec<Held> = Vec::new();
        for Sample { source, network, lot, began, digest } in ripe {
            match held.last_mut() {
                Some(last) if (last.source, last.began) == (source, began) => {
                    if last.digests.len() < usize::from(LOOKS) {
                        last.digests.push(digest);
                    }
                }
                _ => held.push(Held { source, network, lot, began, digests: vec![digest] }),
            }
        }
        held
    }

    /// Forgets all that waits.
    pub(super) fn clear(&mut self) {
        self.waiting.clear();
    }

    /// How many SYNs wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(source: u64, network: u64, began: u32) -> Sample {
        Sample { source, network, lot: 0, began, digest: Digest::from_bits(source) }
    }

    #[test]
    fn what_waits_comes_out_by_source_when_its_time_has_come() {
        let mut quarantine = Quarantine::default();
        for (source, began) in [(1, 100), (2, 150), (1, 100), (3, 900)] {
            quarantine.push(sample(source, source, began));
        }
        assert_eq!(quarantine.ripe(3_699, 3_600), []);
        let held = quarantine.ripe(3_750, 3_600);
        let told: Vec<_> = held.iter().map(|held| (held.source, held.digests.len())).collect();
        assert_eq!((told, quarantine.len()), (vec![(1, 2), (2, 1)], 1));
        assert_eq!(quarantine.ripe(3_750, 3_600), []);
    }

    #[test]
    fn one_network_teaches_so_much_a_day_and_one_source_eight() {
        let mut quarantine = Quarantine::default();
        (0..500).for_each(|n| quarantine.push(sample(n, 7, 0)));
        (0..20).for_each(|_| quarantine.push(sample(1000, 8, 0)));
        assert_eq!((quarantine.len(), quarantine.refused), (64 + 20, 500 - 64));
        let held = quarantine.ripe(10_000, 3_600);
        assert_eq!(held.last().map(|held| (held.source, held.digests.len())), Some((1000, 8)));
        // The next day it may again.
        quarantine.push(sample(3, 7, 86_400));
        assert_eq!(quarantine.len(), 1);
    }

    #[test]
    fn it_never_grows_past_its_bounds() {
        let mut quarantine = Quarantine::default();
        (0..100_000).for_each(|n| quarantine.push(sample(n, n, 0)));
        assert_eq!((quarantine.len(), quarantine.networks.len()), (MOST, NETWORKS));
    }
}
