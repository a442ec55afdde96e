//! What a tally comes to.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use ipnet::IpNet;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::entry::Rank;
use super::sources::Row;
use super::tally::{Lines, Tally};
use super::timeline::Step;

/// The bits of an address that make a network here: what one customer's customers share.
const NETWORK: (u8, u8) = (24, 48);
/// Networks, ports and words of a check that are told.
const ROWS: usize = 200;

/// Everything there is to say. Refusals count every packet that was refused, so attempts that the
/// sender repeated count again.
#[derive(Clone, Debug, Serialize)]
pub struct Review {
    /// The first and the last event.
    pub from: Option<Timestamp>,
    /// See `from`.
    pub until: Option<Timestamp>,
    /// What the lines were.
    pub lines: Lines,
    /// Refusals, those of [`Review::observed`] included.
    pub blocked: u64,
    /// Refusals that only would have been, since the gate observed.
    pub observed: u64,
    /// What the figures below cannot tell.
    pub untold: Untold,
    /// How many sources there were, up to a bound.
    pub source_count: u64,
    /// Standings given.
    pub standings: Standings,
    /// Standings that only would have been given.
    pub observed_standings: Standings,
    /// How often the gate started, stopped, and read its policy.
    pub starts: u64,
    /// See `starts`.
    pub stops: u64,
    /// See `starts`.
    pub reloads: u64,
    /// How many seconds each bar stands for.
    pub step_seconds: i64,
    /// Refusals over time.
    pub timeline: Vec<Bar>,
    /// Refusals by day of the week, from Monday, and hour of the day, in local time; absent if
    /// that is no longer known.
    pub week: Option<[[u64; 24]; 7]>,
    /// Why, the most frequent first.
    pub reasons: Vec<ReasonRow>,
    /// Which ports, the most frequent first.
    pub ports: Vec<PortRow>,
    /// How many different ports there were.
    pub port_count: u64,
    /// Who, the busiest first.
    pub sources: Vec<SourceRow>,
    /// From where: networks of several sources, the busiest first.
    pub networks: Vec<NetworkRow>,
    /// How often alarms were raised.
    pub alarm_count: u64,
    /// Which, the latest first.
    pub alarms: Vec<AlarmRow>,
}

/// Refusals that are counted, but not everywhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Untold {
    /// The log summed them up for many sources at once: they belong to no source.
    pub of_many: u64,
    /// There were more sources than are told apart.
    pub sources: u64,
    /// They were summed up, so their port is not known.
    pub ports: u64,
}

/// How many standings were given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Standings {
    /// Bans.
    pub banned: u64,
    /// Suspicions.
    pub suspect: u64,
    /// Returns to clean.
    pub cleared: u64,
}

/// A span of time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Bar {
    /// Its beginning.
    pub from: Timestamp,
    /// Refusals.
    pub blocked: u64,
    /// Refusals by reason.
    pub by: BTreeMap<String, u64>,
    /// Standings given in it.
    pub suspect: u64,
    /// See `suspect`.
    pub banned: u64,
}

/// A check that refused.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ReasonRow {
    /// Its name.
    pub reason: String,
    /// Refusals.
    pub blocked: u64,
    /// What it saw, where lines tell it, the most frequent first.
    pub saw: Vec<(String, u64)>,
}

/// A port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PortRow {
    /// Its number.
    pub port: u16,
    /// Refusals that were told with their port.
    pub blocked: u64,
}

/// A source: an IPv4 address or an IPv6 /64.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SourceRow {
    /// Which.
    pub source: IpNet,
    /// Refusals.
    pub blocked: u64,
    /// Its first and last event.
    pub first: Timestamp,
    /// See `first`.
    pub last: Timestamp,
    /// Refusals by reason, the most frequent first.
    pub reasons: Vec<(String, u64)>,
    /// Up to eight of the ports it tried, by number.
    pub ports: Vec<u16>,
    /// It tried others too.
    pub more_ports: bool,
    /// The worst standing that it was given: `banned`, `suspect` or `clean`.
    pub standing: &'static str,
    /// How often it was banned.
    pub bans: u32,
}

/// A network with several sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct NetworkRow {
    /// An IPv4 /24 or an IPv6 /48.
    pub network: IpNet,
    /// Sources in it.
    pub sources: u64,
    /// Refusals of them together.
    pub blocked: u64,
}

/// An alarm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AlarmRow {
    /// When it was last raised.
    pub last: Timestamp,
    /// How often.
    pub count: u64,
    /// What it is in one word.
    pub what: String,
    /// What it is in a sentence.
    pub text: String,
}

impl Tally {
    /// Sums up: the `top` busiest sources, and bars of `step`, at most `bars` if that is
    /// [`Step::Auto`]; days and hours as they are in `zone`.
    pub fn review(&self, top: usize, step: Step, bars: usize, zone: &TimeZone) -> Review {
        let (step_seconds, timeline) = self.bars(step, bars, zone);
        let [starts, stops, reloads] = self.life;
        let [given, observed] =
            self.standings.map(|[cleared, suspect, banned]| Standings { banned, suspect, cleared });
        let mut alarms: Vec<AlarmRow> = Vec::with_capacity(self.alarms.len());
        alarms.extend(self.alarms.iter().map(|alarm| AlarmRow {
            last: alarm.last,
            count: alarm.count,
            what: alarm.what.clone(),
            text: alarm.text.clone(),
        }));
        alarms.sort_by_key(|alarm| Reverse(alarm.last));
        Review {
            from: self.period.map(|(from, _)| from),
            until: self.period.map(|(_, until)| until),
            lines: self.lines,
            blocked: self.blocked,
            observed: self.observed,
            untold: Untold {
                of_many: self.of_many,
                sources: self.sources.untold,
                ports: self.blocked.saturating_sub(self.with_port),
            },
            source_count: self.sources.rows().len() as u64,
            standings: given,
            observed_standings: observed,
            starts,
            stops,
            reloads,
            step_seconds,
            timeline,
            week: self.timeline.week(zone),
            reasons: self.reasons(),
            ports: self.ports(),
            port_count: self.ports.iter().filter(|count| **count > 0).count() as u64,
            sources: self.busiest(top),
            networks: self.networks(),
            alarm_count: self.alarms_raised,
            alarms,
        }
    }

    fn bars(&self, step: Step, bars: usize, zone: &TimeZone) -> (i64, Vec<Bar>) {
        let (length, slots) = self.timeline.slots(step, bars, zone);
        let bar = |slot: &super::timeline::Slot| Bar {
            from: slot.from,
            blocked: slot.counts.blocked(),
            by: self.named(slot.counts.reasons).into_iter().collect(),
            suspect: slot.counts.suspects,
            banned: slot.counts.bans,
        };
        (length, slots.iter().map(bar).collect())
    }

    /// Counts by the names of their reasons, the largest first, without those that are zero.
    fn named<N: Copy + Into<u64>>(
        &self,
        counts: impl IntoIterator<Item = N>,
    ) -> Vec<(String, u64)> {
        let names = self.reasons.rows().iter().map(|(name, _)| name.clone());
        let mut named: Vec<(String, u64)> =
            names.zip(counts.into_iter().map(Into::into)).filter(|(_, count)| *count > 0).collect();
        named.sort_by_key(|(_, count)| Reverse(*count));
        named
    }

    fn reasons(&self) -> Vec<ReasonRow> {
        let rows = self.reasons.rows().iter().zip(self.by_reason);
        let mut rows: Vec<ReasonRow> = rows
            .filter(|(_, blocked)| *blocked > 0)
            .map(|((reason, saw), blocked)| {
                let mut saw: Vec<(String, u64)> = saw.rows().to_vec();
                saw.sort_by_key(|(_, count)| Reverse(*count));
                ReasonRow { reason: reason.clone(), blocked, saw }
            })
            .collect();
        rows.sort_by_key(|row| Reverse(row.blocked));
        rows
    }

    fn ports(&self) -> Vec<PortRow> {
        let rows = (0..=u16::MAX).zip(&self.ports).filter(|(_, count)| **count > 0);
        let mut rows: Vec<PortRow> =
            rows.map(|(port, count)| PortRow { port, blocked: *count }).collect();
        rows.sort_by_key(|row| Reverse(row.blocked));
        rows.truncate(ROWS);
        rows
    }

    fn busiest(&self, top: usize) -> Vec<SourceRow> {
        let mut rows: Vec<&Row> = self.sources.rows().iter().collect();
        let order = |row: &&Row| (Reverse(row.blocked), Reverse(row.rank), row.first, row.key);
        if rows.len() > top && top > 0 {
            rows.select_nth_unstable_by_key(top - 1, order);
        }
        rows.truncate(top);
        rows.sort_by_key(order);
        rows.iter().map(|row| self.source(row)).collect()
    }

    fn source(&self, row: &Row) -> SourceRow {
        let at = |seconds| Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX);
        SourceRow {
            source: row.key.prefix(),
            blocked: row.blocked,
            first: at(row.first),
            last: at(row.last),
            reasons: self.named(row.reasons),
            ports: row.ports(),
            more_ports: row.more_ports,
            standing: match row.rank {
                Rank::Clean => "clean",
                Rank::Suspect => "suspect",
                Rank::Banned => "banned",
            },
            bans: row.bans,
        }
    }

    fn networks(&self) -> Vec<NetworkRow> {
        let mut networks: HashMap<IpNet, NetworkRow> = HashMap::new();
        for row in self.sources.rows() {
            let length = if row.key.is_v4() { NETWORK.0 } else { NETWORK.1 };
            let Ok(network) = IpNet::new(row.key.base(), length) else { continue };
            let network = network.trunc();
            let sum =
                networks.entry(network).or_insert(NetworkRow { network, sources: 0, blocked: 0 });
            sum.sources += 1;
            sum.blocked = sum.blocked.saturating_add(row.blocked);
        }
        let mut rows: Vec<NetworkRow> =
            networks.into_values().filter(|row| row.sources > 1 && row.blocked > 0).collect();
        rows.sort_by_key(|row| (Reverse(row.blocked), row.network));
        rows.truncate(ROWS);
        rows
    }
}
