//! What is counted again and again, as rates: one row per source, port or standing.

use std::collections::HashMap;
use std::hash::Hash;

use ipnet::IpNet;

use super::series::Series;
use crate::control::protocol::{BanRow, BusyPort, BusySource};

/// Rows that are kept, at most.
const MOST: usize = 1000;

/// Something that the daemon counts.
pub(super) trait Counted {
    /// Which one.
    type Key: Copy + Eq + Hash;
    /// Is it still of interest when the daemon no longer tells of it?
    const LINGERS: bool;

    fn key(&self) -> Self::Key;
    /// How often it came, and how often it was refused: two counts that grow.
    fn counts(&self) -> [u64; 2];
}

impl Counted for BusySource {
    type Key = IpNet;
    const LINGERS: bool = true;

    fn key(&self) -> IpNet {
        self.source
    }

    fn counts(&self) -> [u64; 2] {
        [self.attempts, self.refused]
    }
}

impl Counted for BusyPort {
    type Key = u16;
    const LINGERS: bool = true;

    fn key(&self) -> u16 {
        self.port
    }

    fn counts(&self) -> [u64; 2] {
        [self.attempts, self.refused]
    }
}

impl Counted for BanRow {
    type Key = (IpNet, Option<u16>);
    const LINGERS: bool = false;

    fn key(&self) -> Self::Key {
        (self.source, self.port)
    }

    fn counts(&self) -> [u64; 2] {
        [self.stopped_packets; 2]
    }
}

/// One of them.
#[derive(Clone, Debug)]
pub(super) struct Row<F> {
    /// What was told last.
    pub(super) facts: F,
    /// How often it came, per second.
    pub(super) tries: Series,
    /// How often it was refused, per second.
    pub(super) refused: Series,
    /// In the order in which they were told.
    pub(super) place: usize,
}

/// All of them.
#[derive(Clone, Debug)]
pub(super) struct Rows<F> {
    rows: Vec<Row<F>>,
    taken: usize,
}

impl<F> Default for Rows<F> {
    fn default() -> Self {
        Self { rows: Vec::new(), taken: 0 }
    }
}

impl<F: Counted> Rows<F> {
    /// Takes what was told now, `seconds` after the last time; `None` if there is nothing to compare
    /// with, so that these counts are where it begins.
    pub(super) fn take(&mut self, told: Vec<F>, seconds: Option<f32>) {
        let places: HashMap<F::Key, usize> =
            self.rows.iter().enumerate().map(|(n, row)| (row.facts.key(), n)).collect();
        let mut silent = vec![true; self.rows.len()];
        for (place, facts) in told.into_iter().enumerate() {
            let known = places.get(&facts.key()).copied();
            let before = known.map_or([0; 2], |n| self.rows[n].facts.counts());
            let now = facts.counts();
            // Counts that went back began anew.
            let grown = |n: usize| now[n].checked_sub(before[n]).unwrap_or(now[n]) as f32;
            let rates = seconds.map(|seconds| [grown(0) / seconds, grown(1) / seconds]);
            let n = match known {
                Some(n) => {
                    (self.rows[n].facts, self.rows[n].place) = (facts, place);
                    n
                }
                None => {
                    let series = Series::since(self.taken);
                    let (tries, refused) = (series.clone(), series);
                    self.rows.push(Row { facts, tries, refused, place });
                    silent.push(false);
                    self.rows.len() - 1
                }
            };
            silent[n] = false;
            if let Some([tries, refused]) = rates {
                self.rows[n].tries.push(tries);
                self.rows[n].refused.push(refused);
            }
        }
        self.taken += usize::from(seconds.is_some());
        for (row, silent) in self.rows.iter_mut().zip(&silent) {
            if *silent && seconds.is_some() {
                row.place = usize::MAX;
                row.tries.push(0.0);
                row.refused.push(0.0);
            }
        }
        let mut silent = silent.into_iter();
        self.rows.retain(|row| {
            let silent = silent.next().unwrap_or(false);
            !silent || (F::LINGERS && !row.tries.is_quiet())
        });
        if self.rows.len() > MOST {
            self.rows.sort_by_key(|row| row.place);
            self.rows.truncate(MOST);
        }
    }

    /// Are there two readings, whose difference is a rate?
    pub(super) fn measured(&self) -> bool {
        self.taken > 0
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Row<F>> {
        self.rows.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(port: u16, attempts: u64, refused: u64) -> BusyPort {
        BusyPort { port, attempts, refused, served: true, check: String::new() }
    }

    fn rates(rows: &Rows<BusyPort>, port: u16) -> Option<(f32, f32)> {
        let row = rows.iter().find(|row| row.facts.port == port)?;
        Some((row.tries.mean(1), row.refused.mean(1)))
    }

    #[test]
    fn rates_are_what_two_answers_differ_by() {
        let mut rows = Rows::default();
        // What was counted before we came is no rate.
        rows.take(vec![port(22, 1000, 500)], None);
        assert_eq!((rates(&rows, 22), rows.measured()), (Some((0.0, 0.0)), false));
        rows.take(vec![port(80, 10, 0), port(22, 1020, 501)], Some(2.0));
        assert_eq!((rates(&rows, 22), rows.measured()), (Some((10.0, 0.5)), true));
        assert_eq!(rates(&rows, 80), Some((5.0, 0.0)), "nobody was there before");
        // The daemon began anew.
        rows.take(vec![port(22, 7, 7)], Some(1.0));
        assert_eq!(rates(&rows, 22), Some((7.0, 7.0)));
        assert_eq!(rates(&rows, 80), Some((0.0, 0.0)), "it stays for a while");
        let places: Vec<_> = rows.iter().map(|row| (row.facts.port, row.place)).collect();
        assert_eq!(places, [(22, 0), (80, usize::MAX)]);
        let lengths = rows.iter().map(|row| row.tries.taken()).collect::<Vec<_>>();
        assert_eq!(lengths, [2, 2], "all begin at the same time");
    }

    #[test]
    fn who_is_long_silent_goes() {
        let mut rows = Rows::default();
        rows.take(vec![], None);
        rows.take(vec![port(22, 1, 1)], Some(1.0));
        for _ in 0..479 {
            rows.take(vec![], Some(1.0));
        }
        assert_eq!(rows.iter().count(), 1);
        rows.take(vec![], Some(1.0));
        assert_eq!(rows.iter().count(), 0);
        // However many strangers there are.
        for round in 0..10 {
            let strangers = (0..500).map(|n| port(round * 500 + n, 1, 1)).collect();
            rows.take(strangers, Some(1.0));
        }
        assert_eq!(rows.iter().count(), MOST);
    }
}
