//! What the queue threads count.
//!
//! One block of counters per thread, each on cache lines of its own, so that counting costs a
//! few nanoseconds and threads do not slow each other down. All counts are since the start and
//! only ever grow. They are read one by one: a [`Snapshot`] taken in the middle of a verdict may
//! show a packet as received and not yet as accepted.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde::{Deserialize, Serialize};

use crate::packet::Malformed;
use crate::policy::CheckId;

/// The most checks that are told apart; later ones share the last counter.
const CHECKS: usize = 16;

/// One thread's counters. Any thread may add to any block without harm; each should keep to its
/// own, for speed.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Block {
    /// Packets handed over by the kernel.
    pub received: Count,
    /// Packets let through.
    pub accepted: Count,
    /// Attempts seen before (same addresses, ports and sequence number).
    pub retransmissions: Count,
    /// Events that did not fit into the channel and were never told.
    pub events_lost: Count,
    /// Changes of standing that did not fit into the channel and were never made.
    pub orders_lost: Count,
    /// Packets that the kernel numbered but this thread never got: lost on the way.
    pub lost: Count,
    dropped: [Count; CHECKS],
    would_drop: [Count; CHECKS],
    malformed: [Count; Malformed::ALL.len()],
}

/// A number that many threads may add to.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Adds `n`.
    #[inline]
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }

    /// The present value.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

impl Block {
    /// Counts a packet that `check` refused and the gate dropped.
    #[inline]
    pub fn dropped(&self, check: CheckId) {
        self.dropped[usize::from(check.0).min(CHECKS - 1)].add(1);
    }

    /// Counts a packet that `check` refused and the gate let through, because it only observes.
    #[inline]
    pub fn would_drop(&self, check: CheckId) {
        self.would_drop[usize::from(check.0).min(CHECKS - 1)].add(1);
    }

    /// Counts a packet that is no [`Syn`](crate::packet::Syn).
    #[inline]
    pub fn malformed(&self, kind: Malformed) {
        self.malformed[kind.index()].add(1);
    }
}

/// The blocks of all queue threads.
#[derive(Debug)]
pub struct Counters(Box<[Block]>);

impl Counters {
    /// Counters for so many threads; at least one block.
    pub fn new(threads: u16) -> Self {
        Self((0..threads.max(1)).map(|_| Block::default()).collect())
    }

    /// The block of a thread, numbered from 0. Numbers beyond the last share the blocks there are.
    pub fn block(&self, thread: usize) -> &Block {
        &self.0[thread % self.0.len()]
    }

    /// Each block's packets received and lost, for the facts about each queue.
    pub fn queues(&self) -> impl Iterator<Item = (u64, u64)> {
        self.0.iter().map(|block| (block.received.get(), block.lost.get()))
    }

    /// All blocks together.
    pub fn sum(&self) -> Snapshot {
        let mut sum = Snapshot::default();
        for block in &self.0 {
            let Block {
                received,
                accepted,
                retransmissions,
                events_lost,
                orders_lost,
                lost,
                dropped,
                would_drop,
                malformed,
            } = block;
            for (total, count) in [
                (&mut sum.received, received),
                (&mut sum.accepted, accepted),
                (&mut sum.retransmissions, retransmissions),
                (&mut sum.events_lost, events_lost),
                (&mut sum.orders_lost, orders_lost),
                (&mut sum.lost, lost),
            ] {
                *total += count.get();
            }
            add(&mut sum.dropped, dropped, |check| CheckId(check as u8).name());
            add(&mut sum.would_drop, would_drop, |check| CheckId(check as u8).name());
            add(&mut sum.malformed, malformed, |kind| Malformed::ALL[kind].name());
        }
        sum
    }
}

/// Adds the counts that are not zero under their names.
fn add(totals: &mut BTreeMap<String, u64>, counts: &[Count], name: fn(usize) -> &'static str) {
    for (i, count) in counts.iter().map(Count::get).enumerate().filter(|(_, count)| *count > 0) {
        *totals.entry(name(i).to_owned()).or_default() += count;
    }
}

/// All counters at one moment, under the names that JSON and metrics use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Snapshot {
    /// Packets handed over by the kernel.
    pub received: u64,
    /// Packets let through.
    pub accepted: u64,
    /// Packets dropped, by the name of the check that refused them; those without any are absent.
    pub dropped: BTreeMap<String, u64>,
    /// Packets let through only because the gate observes, by the name of the check that refused
    /// them; those without any are absent.
    pub would_drop: BTreeMap<String, u64>,
    /// Packets that could not be read, by kind; those without any are absent.
    pub malformed: BTreeMap<String, u64>,
    /// Attempts seen before.
    pub retransmissions: u64,
    /// Events never told, because the channel was full.
    pub events_lost: u64,
    /// Changes of standing never made, because the channel was full.
    pub orders_lost: u64,
    /// Packets lost between the kernel and the gate.
    pub lost: u64,
}

impl Snapshot {
    /// Packets dropped by all checks together.
    pub fn dropped_total(&self) -> u64 {
        self.dropped.values().sum()
    }

    /// Packets that all checks together would have dropped.
    pub fn would_drop_total(&self) -> u64 {
        self.would_drop.values().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn blocks_add_up() {
        let counters = Counters::new(2);
        for thread in 0..4 {
            let block = counters.block(thread);
            block.received.add(10);
            block.accepted.add(7);
            block.dropped(sample::check("rate"));
            block.would_drop(sample::check("ports"));
            block.malformed(Malformed::Fragment);
        }
        counters.block(1).dropped(sample::check("denylist"));
        counters.block(0).lost.add(3);
        let sum = counters.sum();
        assert_eq!((sum.received, sum.accepted, sum.lost, sum.dropped_total()), (40, 28, 3, 5));
        assert_eq!((sum.dropped["rate"], sum.dropped["denylist"]), (4, 1));
        assert_eq!((sum.would_drop["ports"], sum.would_drop_total()), (4, 4));
        assert_eq!(sum.malformed, BTreeMap::from([("fragment".to_owned(), 4)]));
        assert_eq!(counters.queues().collect::<Vec<_>>(), [(20, 3), (20, 0)]);
        let json = serde_json::to_string(&sum).unwrap();
        assert_eq!(serde_json::from_str::<Snapshot>(&json).unwrap(), sum);
    }

    #[test]
    fn threads_do_not_share_cache_lines() {
        assert!(align_of::<Block>() >= 128 && size_of::<Block>().is_multiple_of(128));
    }
}
