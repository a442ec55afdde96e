//! The busiest sources and ports, counted only while somebody watches.
//!
//! `portcullis top` asks every second or so. Each question keeps the counting going for some
//! seconds more; when nobody asks, all that is left in the way of a SYN is one comparison, and that
//! comes after its verdict. Each queue thread counts in a table of its own, so that no thread ever
//! waits for another: if a reader is at the table, the attempt is not counted.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError, TryLockError};
use std::time::Duration;

use foldhash::quality::SeedableRandomState as RandomState;

use self::sketch::{Attempt, Sketch, Tally};
use crate::memory::{Moment, SourceKey};
use crate::policy::CheckId;

mod sketch;

/// Nobody has asked for so long: the counting ends.
const UNWATCHED: Duration = Duration::from_secs(30);
/// Sources that each thread has room for, as a power of two: 40 KiB.
const SOURCES: u32 = 10;
/// Ports, likewise: 20 KiB.
const PORTS: u32 = 9;

/// What all queue threads count for whoever watches.
#[derive(Debug)]
#[repr(align(128))]
pub struct Busiest {
    /// Until when it is counted, in nanoseconds as [`Moment`].
    until: AtomicU64,
    threads: Box<[Mutex<Tables>]>,
    since: Mutex<Moment>,
}

#[derive(Debug)]
#[repr(align(128))]
struct Tables {
    sources: Sketch,
    ports: Sketch,
}

impl Busiest {
    /// For so many queue threads; at least one.
    pub fn new(threads: u16) -> Self {
        let hasher = RandomState::random();
        let tables = |n: u16| {
            let seed = u64::from(n) + 0x9e37_79b9_7f4a_7c15;
            Mutex::new(Tables {
                sources: Sketch::new(SOURCES, hasher.clone(), seed),
                ports: Sketch::new(PORTS, hasher.clone(), !seed),
            })
        };
        Self {
            until: AtomicU64::new(0),
            threads: (0..threads.max(1)).map(tables).collect(),
            since: Mutex::default(),
        }
    }

    /// Does somebody watch?
    #[inline]
    pub fn watched(&self, now: Moment) -> bool {
        now.0 < self.until.load(Relaxed)
    }

    /// Counts one attempt: from `src` to `port`, and the check that refused it. `thread` is the
    /// caller's place among the queue threads. Never waits.
    #[inline]
    pub fn note(&self, thread: usize, src: IpAddr, port: u16, refused: Option<CheckId>) {
        let tables = match self.threads[thread % self.threads.len()].try_lock() {
            Ok(tables) => tables,
            Err(TryLockError::Poisoned(tables)) => tables.into_inner(),
            // Somebody reads it at this moment.
            Err(TryLockError::WouldBlock) => return,
        };
        let Tables { sources, ports } = &mut *{ tables };
        let attempt = Attempt { port, refused };
        sources.note(SourceKey::of(src).bits(), attempt);
        ports.note(port.into(), attempt);
    }

    /// The `most` busiest of each, and keeps the counting going. The first question after a while
    /// gets an empty answer: from then on it is counted.
    pub fn read(&self, now: Moment, most: usize) -> Report {
        // One reader at a time decides whether it begins anew.
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        let anew = !self.watched(now);
        if anew {
            *since = now;
        }
        let mut sources = Merged::default();
        let mut ports = Merged::default();
        for tables in &self.threads {
            let mut tables = tables.lock().unwrap_or_else(PoisonError::into_inner);
            if anew {
                tables.sources.clear(now);
                tables.ports.clear(now);
            }
            tables.sources.fade(now);
            tables.ports.fade(now);
            sources.add(&tables.sources);
            ports.add(&tables.ports);
        }
        self.until.store((now + UNWATCHED).0, Relaxed);
        Report {
            watched: now.since(*since),
            sources: sources.most(most, SourceKey::from_bits),
            ports: ports.most(most, |bits| bits as u16),
        }
    }
}

/// Who was busiest lately, the busiest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// For how long it has been counted.
    pub watched: Duration,
    /// Sources.
    pub sources: Vec<Busy<SourceKey>>,
    /// Ports.
    pub ports: Vec<Busy<u16>>,
}

/// A busy source or port. All counts only grow while it is watched, unless somebody else had its
/// row meanwhile: then they begin anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy<K> {
    /// Which one.
    pub key: K,
    /// Packets judged, retransmissions among them.
    pub attempts: u64,
    /// Packets refused.
    pub refused: u64,
    /// The port that was asked for last.
    pub port: u16,
    /// The check that refused last.
    pub check: Option<CheckId>,
}

/// The tables of all threads together.
#[derive(Default)]
struct Merged(HashMap<u64, (f32, Tally)>);

impl Merged {
    fn add(&mut self, sketch: &Sketch) {
        for (key, weight, tally) in sketch.rows() {
            let (sum, joined) = self.0.entry(key).or_default();
            *sum += weight;
            joined.join(&tally);
        }
    }

    fn most<K>(self, most: usize, key: fn(u64) -> K) -> Vec<Busy<K>> {
        let mut rows: Vec<(u64, (f32, Tally))> = self.0.into_iter().collect();
        rows.sort_by(|(a, (x, _)), (b, (y, _))| y.total_cmp(x).then(a.cmp(b)));
        rows.truncate(most);
        let busy = |(bits, (_, tally)): (u64, (f32, Tally))| {
            let Tally { attempts, refused, port, check } = tally;
            Busy { key: key(bits), attempts, refused, port, check }
        };
        rows.into_iter().map(busy).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment(seconds * 1_000_000_000)
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn all_threads_together_the_busiest_first() {
        let busiest = Busiest::new(2);
        let now = at(5);
        assert!(!busiest.watched(now));
        assert_eq!(busiest.read(now, 9).sources, []);
        assert!(busiest.watched(now));
        let rate = sample::check("rate");
        for n in 0..10 {
            busiest.note(n % 2, address("192.0.2.1"), 80, None);
            // One /64 is one source.
            busiest.note(n, address(&format!("2001:db8::{n}")), 22, Some(rate));
            busiest.note(n, address("2001:db8::9"), 22, Some(rate));
        }
        busiest.note(0, address("192.0.2.3"), 22, None);
        let Report { watched, sources, ports } = busiest.read(at(7), 2);
        assert_eq!(watched, Duration::from_secs(2));
        let key = SourceKey::of(address("2001:db8::"));
        let mallory = Busy { key, attempts: 20, refused: 20, port: 22, check: Some(rate) };
        let anna = Busy {
            key: SourceKey::of(address("192.0.2.1")),
            attempts: 10,
            refused: 0,
            port: 80,
            check: None,
        };
        assert_eq!(sources, [mallory, anna]);
        let of = |n: usize| (ports[n].key, ports[n].attempts, ports[n].refused);
        assert_eq!((of(0), of(1), ports.len()), ((22, 21, 20), (80, 10, 0), 2));
    }

    #[test]
    fn it_ends_when_nobody_asks_and_begins_anew() {
        let busiest = Busiest::new(1);
        busiest.read(at(5), 9);
        assert!(busiest.watched(at(34)) && !busiest.watched(at(35)));
        busiest.note(0, address("192.0.2.1"), 80, None);
        // Each question prolongs it.
        assert_eq!(busiest.read(at(20), 9).sources.len(), 1);
        assert!(busiest.watched(at(49)));
        let report = busiest.read(at(50), 9);
        assert_eq!((report.watched, report.sources), (Duration::ZERO, vec![]));
    }

    #[test]
    fn a_reader_at_the_table_keeps_nobody_waiting() {
        let busiest = Busiest::new(1);
        busiest.read(at(5), 9);
        let reading = busiest.threads[0].lock().unwrap();
        busiest.note(0, address("192.0.2.1"), 80, None);
        drop(reading);
        busiest.note(0, address("192.0.2.1"), 80, None);
        assert_eq!(busiest.read(at(6), 9).sources[0].attempts, 1);
    }
}
