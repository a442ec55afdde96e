//! Events → counts, in bounded memory.

use std::collections::HashSet;

use jiff::Timestamp;
use serde::Serialize;

use super::entry::{Entry, Given, More, Rank, Refused, Said, What};
use super::reader::Told;
use super::sources::{REASONS, Sources};
use super::timeline::Timeline;
use super::wanted::Wanted;
use super::words::{Words, tame};
use crate::events::Verb;
use crate::memory::SourceKey;

/// Sources that are told apart, at about 100 bytes each. The hash table behind them is full here,
/// and would double for one more.
const SOURCES: usize = 917_504;
/// Events that are recognised when they are read again.
const IDS: usize = 3_670_016;
/// Counts by time.
const TIMES: usize = 65_536;
/// What checks saw, for one check.
const DETAILS: usize = 32;
/// Different alarms that are told.
const ALARMS: usize = 40;
/// Characters of an alarm that are told.
const LONGEST_ALARM: usize = 600;

/// What the lines of all logs were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Lines {
    /// All of them; of the journal's export form, entries.
    pub read: u64,
    /// Events that were counted.
    pub counted: u64,
    /// Events that were not asked for.
    pub unwanted: u64,
    /// Events that another line had told before.
    pub repeated: u64,
    /// Of other programs, and what is no event.
    pub foreign: u64,
    /// Ours, but they could not be used.
    pub damaged: u64,
}

/// An alarm, and how often it was raised.
#[derive(Clone, Debug)]
pub(super) struct Raised {
    pub(super) what: String,
    pub(super) text: String,
    pub(super) count: u64,
    pub(super) last: Timestamp,
}

/// Everything that is counted.
#[derive(Clone, Debug)]
pub struct Tally {
    pub(super) wanted: Wanted,
    pub(super) lines: Lines,
    ids: HashSet<u64, foldhash::fast::FixedState>,
    pub(super) period: Option<(Timestamp, Timestamp)>,
    pub(super) blocked: u64,
    /// Of these, so many only would have been.
    pub(super) observed: u64,
    /// Of these, so many were summed up for many sources at once.
    pub(super) of_many: u64,
    /// Of these, so many were told with their port.
    pub(super) with_port: u64,
    /// What each check saw.
    pub(super) reasons: Words<Words<u64>>,
    /// Refusals by the same places.
    pub(super) by_reason: [u64; REASONS],
    pub(super) ports: Vec<u64>,
    pub(super) sources: Sources,
    pub(super) timeline: Timeline,
    /// Standings by [`Rank`], given and those that only would have been.
    pub(super) standings: [[u64; 3]; 2],
    pub(super) alarms: Vec<Raised>,
    pub(super) alarms_raised: u64,
    /// Starts, stops and reloads.
    pub(super) life: [u64; 3],
}

impl Default for Words<Words<u64>> {
    fn default() -> Self {
        Self::new(REASONS - 1)
    }
}

impl Default for Words<u64> {
    fn default() -> Self {
        Self::new(DETAILS)
    }
}

impl Tally {
    /// Nothing yet, of what is `wanted`.
    pub fn new(wanted: Wanted) -> Self {
        Self::bounded(wanted, SOURCES)
    }

    pub(super) fn bounded(wanted: Wanted, sources: usize) -> Self {
        Self {
            wanted,
            lines: Lines::default(),
            ids: HashSet::default(),
            period: None,
            blocked: 0,
            observed: 0,
            of_many: 0,
            with_port: 0,
            reasons: Words::default(),
            by_reason: [0; REASONS],
            ports: vec![0; 65_536],
            sources: Sources::new(sources),
            timeline: Timeline::new(TIMES),
            standings: [[0; 3]; 2],
            alarms: Vec::new(),
            alarms_raised: 0,
            life: [0; 3],
        }
    }

    /// What the lines so far were.
    pub fn lines(&self) -> Lines {
        self.lines
    }

    /// Takes what a line tells.
    pub fn take(&mut self, told: Told<'_>) {
        self.lines.read += 1;
        match told {
            Told::Foreign => self.lines.foreign += 1,
            Told::Damaged(_) => self.lines.damaged += 1,
            Told::Event(entry) => match self.wanted.part(entry) {
                None => self.lines.unwanted += 1,
                Some(entry) if self.known(entry.id) => self.lines.repeated += 1,
                Some(entry) => self.count(&entry),
            },
        }
    }

    /// Was this event told before? Beyond so many it is not noticed.
    fn known(&mut self, id: u64) -> bool {
        if self.ids.len() < IDS { !self.ids.insert(id) } else { self.ids.contains(&id) }
    }

    fn count(&mut self, entry: &Entry<'_>) {
        let at = entry.at;
        self.lines.counted += 1;
        self.period = Some(match self.period {
            None => (at, at),
            Some((first, last)) => (first.min(at), last.max(at)),
        });
        match &entry.what {
            What::Refused(refused) => self.refused(at, refused),
            What::More(more) => self.more(at, more),
            What::Standing(given) => self.standing(at, given),
            What::Standings(changes) if changes.told => {}
            What::Standings(changes) => {
                for (rank, count) in [
                    (Rank::Clean, changes.clean),
                    (Rank::Suspect, changes.suspect),
                    (Rank::Banned, changes.banned),
                ] {
                    self.given(at, rank, count, true);
                }
            }
            What::Notice(said) => self.said(at, said),
        }
    }

    fn refused(&mut self, at: Timestamp, refused: &Refused<'_>) {
        let Refused { src, port, reason, what, enforced } = refused;
        let place = self.reasons.place(reason);
        if !what.is_empty() {
            *self.reasons.of(reason).of(what) += 1;
        }
        self.ports[usize::from(*port)] += 1;
        self.with_port += 1;
        self.blocked(at, Some(SourceKey::of(*src)), 1, *enforced);
        self.because(at, Some(SourceKey::of(*src)), place, 1);
        if let Some(row) = self.sources.of(SourceKey::of(*src), at.as_second()) {
            row.port(*port);
        }
    }

    fn more(&mut self, at: Timestamp, more: &More<'_>) {
        let More { source, count, by, enforced } = more;
        self.blocked(at, *source, *count, *enforced);
        if source.is_none() {
            self.of_many = self.of_many.saturating_add(*count);
        }
        let mut rest = *count;
        for (reason, part) in by {
            let place = self.reasons.place(reason);
            let part = rest.min(*part);
            self.because(at, *source, place, part);
            rest -= part;
        }
        if rest > 0 {
            let place = self.reasons.place(super::words::OTHERS);
            self.because(at, *source, place, rest);
        }
    }

    fn blocked(&mut self, at: Timestamp, source: Option<SourceKey>, count: u64, enforced: bool) {
        self.blocked = self.blocked.saturating_add(count);
        if !enforced {
            self.observed = self.observed.saturating_add(count);
        }
        let Some(source) = source else { return };
        match self.sources.of(source, at.as_second()) {
            Some(row) => row.blocked = row.blocked.saturating_add(count),
            None => self.sources.untold = self.sources.untold.saturating_add(count),
        }
    }

    fn because(&mut self, at: Timestamp, source: Option<SourceKey>, reason: usize, count: u64) {
        let at = at.as_second();
        let place = reason.min(REASONS - 1);
        for sum in [&mut self.by_reason[place], &mut self.timeline.at(at).reasons[place]] {
            *sum = sum.saturating_add(count);
        }
        if let Some(row) = source.and_then(|source| self.sources.of(source, at)) {
            row.refused(reason, count);
        }
    }

    fn standing(&mut self, at: Timestamp, given: &Given<'_>) {
        let Given { source, rank, reason: _, enforced } = given;
        self.given(at, *rank, 1, *enforced);
        if let Some(row) = self.sources.of(*source, at.as_second()) {
            row.rank = row.rank.max(*rank);
            row.bans += u32::from(*rank == Rank::Banned);
        }
    }

    fn given(&mut self, at: Timestamp, rank: Rank, count: u64, enforced: bool) {
        let sum = &mut self.standings[usize::from(!enforced)][rank as usize];
        *sum = sum.saturating_add(count);
        let counts = self.timeline.at(at.as_second());
        match rank {
            Rank::Clean => {}
            Rank::Suspect => counts.suspects = counts.suspects.saturating_add(count),
            Rank::Banned => counts.bans = counts.bans.saturating_add(count),
        }
    }

    fn said(&mut self, at: Timestamp, said: &Said<'_>) {
        match said.verb {
            Verb::Start => self.life[0] += 1,
            Verb::Stop => self.life[1] += 1,
            Verb::Reload => self.life[2] += 1,
            Verb::Alarm => self.alarm(at, said),
            _ => {}
        }
    }

    fn alarm(&mut self, at: Timestamp, said: &Said<'_>) {
        self.alarms_raised += 1;
        let (what, text) = (tame(&said.what, 40), tame(&said.text, LONGEST_ALARM));
        let same = |alarm: &&mut Raised| alarm.what == what && alarm.text == text;
        if let Some(alarm) = self.alarms.iter_mut().find(same) {
            alarm.count += 1;
            alarm.last = alarm.last.max(at);
            return;
        }
        if self.alarms.len() == ALARMS {
            // The newest matter most.
            let oldest = self.alarms.iter().enumerate().min_by_key(|(_, alarm)| alarm.last);
            match oldest.map(|(place, alarm)| (place, alarm.last)) {
                Some((place, last)) if last < at => _ = self.alarms.swap_remove(place),
                _ => return,
            }
        }
        self.alarms.push(Raised { what, text, count: 1, last: at });
    }
}
