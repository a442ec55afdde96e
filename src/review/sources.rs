//! What is counted of each source.

use std::collections::HashMap;

use super::entry::Rank;
use crate::memory::SourceKey;

/// Reasons that are told apart, with one place for all others.
pub(super) const REASONS: usize = 12;
/// Different ports of one source that are told.
const PORTS: usize = 8;

/// One source.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) key: SourceKey,
    /// Refusals.
    pub(super) blocked: u64,
    /// Seconds since 1970 of its first and last event.
    pub(super) first: i64,
    pub(super) last: i64,
    /// Refusals by reason.
    pub(super) reasons: [u32; REASONS],
    /// The worst standing it was given.
    pub(super) rank: Rank,
    /// How often it was banned.
    pub(super) bans: u32,
    ports: [u16; PORTS],
    known_ports: u8,
    /// It tried further ports.
    pub(super) more_ports: bool,
}

impl Row {
    fn new(key: SourceKey, at: i64) -> Self {
        Self {
            key,
            blocked: 0,
            first: at,
            last: at,
            reasons: [0; REASONS],
            rank: Rank::Clean,
            bans: 0,
            ports: [0; PORTS],
            known_ports: 0,
            more_ports: false,
        }
    }

    /// Adds refusals.
    pub(super) fn refused(&mut self, reason: usize, count: u64) {
        if let Some(sum) = self.reasons.get_mut(reason) {
            *sum = sum.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
        }
    }

    /// Notes a port.
    pub(super) fn port(&mut self, port: u16) {
        let known = usize::from(self.known_ports);
        if self.ports[..known].contains(&port) {
            return;
        }
        match self.ports.get_mut(known) {
            Some(free) => (*free, self.known_ports) = (port, self.known_ports + 1),
            None => self.more_ports = true,
        }
    }

    /// The first ports it tried, in the order of their numbers.
    pub(super) fn ports(&self) -> Vec<u16> {
        let mut ports = self.ports[..usize::from(self.known_ports)].to_vec();
        ports.sort_unstable();
        ports
    }
}

/// The first sources that came, up to a bound.
#[derive(Clone, Debug)]
pub(super) struct Sources {
    bound: usize,
    places: HashMap<SourceKey, u32, foldhash::fast::FixedState>,
    rows: Vec<Row>,
    /// Refusals of sources beyond the bound.
    pub(super) untold: u64,
}

impl Sources {
    pub(super) fn new(bound: usize) -> Self {
        Self { bound, places: HashMap::default(), rows: Vec::new(), untold: 0 }
    }

    /// The row of a source that did something; `None` beyond the bound.
    pub(super) fn of(&mut self, key: SourceKey, at: i64) -> Option<&mut Row> {
        let place = match self.places.get(&key) {
            Some(place) => *place as usize,
            None if self.rows.len() >= self.bound => return None,
            None => {
                self.places.insert(key, self.rows.len() as u32);
                self.rows.push(Row::new(key, at));
                self.rows.len() - 1
            }
        };
        let row = self.rows.get_mut(place)?;
        (row.first, row.last) = (row.first.min(at), row.last.max(at));
        Some(row)
    }

    pub(super) fn rows(&self) -> &[Row] {
        &self.rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> SourceKey {
        SourceKey::of(text.parse().unwrap())
    }

    #[test]
    fn bounded_and_in_any_order() {
        let mut sources = Sources::new(2);
        for (text, at, there) in [
            ("192.0.2.1", 50, true),
            ("2001:db8::1", 60, true),
            ("192.0.2.2", 70, false),
            ("192.0.2.1", 40, true),
            ("2001:db8::2", 90, true),
        ] {
            assert_eq!(sources.of(key(text), at).is_some(), there, "{text}");
        }
        let times: Vec<_> = sources.rows().iter().map(|row| (row.first, row.last)).collect();
        assert_eq!(times, [(40, 50), (60, 90)]);
    }

    #[test]
    fn ports_up_to_eight() {
        let mut row = Row::new(key("192.0.2.1"), 0);
        for port in [443, 22, 443, 1, 2, 3, 4, 5, 6] {
            row.port(port);
        }
        assert_eq!((row.ports(), row.more_ports), (vec![1, 2, 3, 4, 5, 6, 22, 443], false));
        row.port(22);
        assert!(!row.more_ports);
        row.port(7);
        assert!(row.more_ports);
        row.refused(99, 1);
        row.refused(3, u64::MAX);
        assert_eq!(row.reasons[3], u32::MAX);
    }
}
