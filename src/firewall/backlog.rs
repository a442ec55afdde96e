//! Standings that the kernel's sets are still to be told of, the newest first: whoever offended a
//! moment ago comes back sooner than who did last week. Pure.

use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

use super::entry::{Entry, Whom};
use super::ledger::Ledger;
use super::names::{Family, is_wide, stem_of};
use super::transaction::Elem;

/// Whom the kernel has not been told of. What about them, the ledger says when it is their turn, so
/// that nobody is put into a set whose standing has changed or ended by then.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    /// The next one is the last; each with the place that it had in the ledger.
    waiting: Vec<(Whom, u32)>,
    /// How many there were.
    all: usize,
    /// So many more find no room in the sets.
    beyond: usize,
}

impl Backlog {
    /// Everybody who has a standing, except prefixes that are wider than a source. Each set has room
    /// for `room`: a smaller size than before leaves the oldest out.
    pub(super) fn of(ledger: &Ledger, now: SystemTime, room: usize) -> Self {
        let since = |entry: &Entry| {
            let since = entry.since.duration_since(UNIX_EPOCH).unwrap_or_default();
            u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
        };
        // Numbers, because a million of them are sooner sorted than what they stand for.
        let standings = ledger.entries().zip(0..).filter(|(entry, _)| is_element(entry, now));
        let mut order: Vec<(u64, u32)> =
            standings.map(|(entry, place)| (since(entry), place)).collect();
        order.sort_unstable();
        let all = order.len();
        let mut waiting: Vec<(Whom, u32)> = order
            .into_iter()
            .filter_map(|(_, place)| Some((ledger.entry_at(place)?.whom(), place)))
            .collect();
        if all > room {
            let mut held: HashMap<(&str, Family), usize> = HashMap::new();
            waiting.reverse();
            waiting.retain(|(whom, _)| {
                let stem = ledger.entry(*whom).and_then(|entry| stem_of(*whom, entry.standing));
                let held = held.entry((stem.unwrap_or(""), Family::of(whom.net.addr())));
                let held = held.or_default();
                *held += 1;
                *held <= room
            });
            waiting.reverse();
        }
        Self { all: waiting.len(), beyond: all - waiting.len(), waiting }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Do all of them find room?
    pub(super) fn fits(&self) -> bool {
        self.beyond == 0
    }

    /// How many there were at the beginning.
    pub(super) fn all(&self) -> usize {
        self.all
    }

    /// Takes the next `most` of them.
    pub(super) fn next(&mut self, ledger: &Ledger, now: SystemTime, most: usize) -> Vec<Elem> {
        let some = self.waiting.drain(self.waiting.len().saturating_sub(most)..);
        let entry = |(whom, place)| {
            // Hardly any has another place by now, and looking there is sooner done than searching.
            let there = ledger.entry_at(place).filter(|entry| entry.whom() == whom);
            there.or_else(|| ledger.entry(whom))
        };
        some.rev().filter_map(|waiting| element(entry(waiting)?, now)).collect()
    }
}

/// The standings that have an element of their own.
pub(super) fn standings(ledger: &Ledger, now: SystemTime) -> impl Iterator<Item = &Entry> {
    ledger.entries().filter(move |entry| is_element(entry, now))
}

fn is_element(entry: &Entry, now: SystemTime) -> bool {
    !is_wide(entry.net) && entry.is_live(now)
}

/// The element of a standing that the kernel surely does not hold; `None` if it has ended.
pub(super) fn element(entry: &Entry, now: SystemTime) -> Option<Elem> {
    let stem = stem_of(entry.whom(), entry.standing).filter(|_| entry.is_live(now))?;
    Some(Elem { stem, whom: entry.whom(), lasts: Some(secs(entry.until, now)), fresh: true })
}

/// Whole seconds until `end`, rounded up; at least one.
pub(super) fn secs(end: SystemTime, now: SystemTime) -> u32 {
    let left = end.duration_since(now).unwrap_or_default();
    u32::try_from(left.as_millis().div_ceil(1000)).unwrap_or(u32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ipnet::IpNet;

    use super::super::ledger::Rules;
    use super::*;
    use crate::config::Config;
    use crate::policy::Standing;

    #[test]
    fn the_newest_come_first_and_as_they_are_then() {
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let at = |secs| start + Duration::from_secs(secs);
        let net = |n: u8| IpNet::from(std::net::IpAddr::from([192, 0, 2, n]));
        let mut ledger = Ledger::new(Rules::new(&Config::default(), &[]));
        let add = |ledger: &mut Ledger, net: IpNet, standing, since| {
            let lasts = Some(Duration::from_secs(100));
            ledger.add(net, standing, lasts, "test".into(), at(since)).unwrap();
        };
        for n in 1..=5 {
            add(&mut ledger, net(n), Standing::Banned, u64::from(n));
        }
        add(&mut ledger, "198.51.100.0/24".parse().unwrap(), Standing::Banned, 9);
        let small = Backlog::of(&ledger, at(10), 3);
        assert_eq!((small.len(), small.fits()), (3, false));
        let whose: Vec<Whom> = small.waiting.iter().map(|(whom, _)| *whom).collect();
        assert_eq!(whose, [net(3), net(4), net(5)].map(Whom::from));
        let mut backlog = Backlog::of(&ledger, at(10), 5);
        assert!(backlog.fits());
        assert_eq!((backlog.len(), backlog.all()), (5, 5), "wide prefixes go another way");
        let firsts = backlog.next(&ledger, at(10), 2);
        let those = |some: &[Elem]| some.iter().map(|e| (e.whom.net, e.lasts)).collect::<Vec<_>>();
        assert_eq!(those(&firsts), [(net(5), Some(95)), (net(4), Some(94))]);
        // Meanwhile one is pardoned, and another's standing is another.
        ledger.remove(net(3));
        add(&mut ledger, net(2), Standing::Suspect, 20);
        let rest = backlog.next(&ledger, at(20), 10);
        assert_eq!(those(&rest), [(net(2), Some(100)), (net(1), Some(81))]);
        assert_eq!(rest[0].stem, "suspect");
        assert!(backlog.is_empty() && backlog.all() == 5);
    }
}
