//! How many packets of each source the kernel has stopped. Pure.

use std::collections::HashMap;

use super::entry::Whom;

/// Adds up the kernel's counters, which start anew whenever an element does.
#[derive(Debug, Default)]
pub(super) struct Tally(HashMap<Whom, Count>);

#[derive(Debug, Default)]
struct Count {
    last: u64,
    total: u64,
    /// Packets that have not yet led to a prolonged standing.
    unspent: u64,
}

impl Tally {
    /// Takes a reading. True if `enough` packets came since it was last true.
    pub(super) fn count(&mut self, whom: Whom, packets: u64, enough: u64) -> bool {
        let count = self.0.entry(whom).or_default();
        let new = if packets >= count.last { packets - count.last } else { packets };
        count.last = packets;
        count.total += new;
        count.unspent += new;
        let is_enough = count.unspent >= enough;
        if is_enough {
            count.unspent = 0;
        }
        is_enough
    }

    /// All packets so far.
    pub(super) fn total(&self, whom: Whom) -> u64 {
        self.0.get(&whom).map_or(0, |count| count.total)
    }

    /// The standing has ended.
    pub(super) fn forget(&mut self, whom: Whom) {
        self.0.remove(&whom);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_that_start_anew() {
        let net = Whom::from("192.0.2.1/32".parse::<ipnet::IpNet>().unwrap());
        let mut tally = Tally::default();
        for (reading, enough, total) in [
            (3, false, 3),
            (4, false, 4),
            (9, true, 9),
            (9, false, 9),
            (2, false, 11),
            (7, true, 16),
        ] {
            assert_eq!(tally.count(net, reading, 5), enough, "reading {reading}");
            assert_eq!(tally.total(net), total, "reading {reading}");
        }
        tally.forget(net);
        assert_eq!(tally.total(net), 0);
    }
}
