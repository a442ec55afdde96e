//! What became of each source.

use std::collections::HashMap;
use std::time::Duration;

use foldhash::quality::RandomState;
use serde::Serialize;

use crate::memory::{Moment, SourceKey};

/// The most sources of a file that are told one by one. More are judged like all others, but only
/// counted together, so that no file can take all memory.
const MOST: usize = 2_000_000;

/// What became of the openings of one source. All numbers of SYNs count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Track {
    /// Who.
    pub source: SourceKey,
    /// Its openings: SYNs and stealth probes, with those that were sent again.
    pub syns: u64,
    /// Those that were let through.
    pub accepted: u64,
    /// Those that were dropped, by the judge or in the kernel.
    pub dropped: u64,
    /// The first that was dropped.
    pub first_drop: Option<u64>,
    /// The one with which it became a suspect.
    pub suspect_at: Option<u64>,
    /// The one with which it was banned.
    pub banned_at: Option<u64>,
    /// The first that was refused for what the source is or does, or that gave it a standing.
    pub flagged_at: Option<u64>,
    /// The first that was judged while a flood lasted.
    pub flood_at: Option<u64>,
    /// The check that flagged it, or else the one that refused it first; a word of the kernel's
    /// (`ceiling`) where it was that.
    pub reason: Option<&'static str>,
    /// What that check saw.
    pub what: &'static str,
    /// When its first opening came.
    pub first_seen: Moment,
    /// When it was flagged.
    pub flagged_when: Option<Moment>,
}

impl Track {
    fn new(source: SourceKey, now: Moment) -> Self {
        Self {
            source,
            syns: 0,
            accepted: 0,
            dropped: 0,
            first_drop: None,
            suspect_at: None,
            banned_at: None,
            flagged_at: None,
            flood_at: None,
            reason: None,
            what: "",
            first_seen: now,
            flagged_when: None,
        }
    }

    /// Takes note that its latest opening was dropped.
    pub(super) fn drop_it(&mut self, reason: &'static str, what: &'static str) {
        self.dropped += 1;
        self.first_drop.get_or_insert(self.syns);
        if self.reason.is_none() {
            (self.reason, self.what) = (Some(reason), what);
        }
    }

    /// Takes note that its latest opening told what it is.
    pub(super) fn flag(&mut self, reason: &'static str, what: &'static str, now: Moment) {
        if self.flagged_at.is_none() {
            self.flagged_at = Some(self.syns);
            self.flagged_when = Some(now);
            (self.reason, self.what) = (Some(reason), what);
        }
    }

    /// From its first opening until it was flagged.
    pub fn detection(&self) -> Option<Duration> {
        self.flagged_when.map(|when| when.since(self.first_seen))
    }

    /// As a line of JSON has it.
    pub fn line<'a>(&self, file: &'a str) -> Line<'a> {
        let Self { source, syns, accepted, dropped, .. } = *self;
        let Self { first_drop, suspect_at, banned_at, flagged_at, flood_at, reason, .. } = *self;
        Line {
            file,
            source: source.to_string(),
            syns,
            accepted,
            dropped,
            first_drop,
            suspect_at,
            banned_at,
            flagged_at,
            reason,
            flood_at,
        }
    }
}

/// One source of one file, for programs: see the fields of [`Track`].
#[derive(Clone, Debug, Serialize)]
pub struct Line<'a> {
    file: &'a str,
    source: String,
    syns: u64,
    accepted: u64,
    dropped: u64,
    first_drop: Option<u64>,
    suspect_at: Option<u64>,
    banned_at: Option<u64>,
    flagged_at: Option<u64>,
    reason: Option<&'static str>,
    flood_at: Option<u64>,
}

/// All sources of a file, in the order of their first openings.
#[derive(Clone, Debug, Default)]
pub struct Tracks {
    rows: Vec<Track>,
    places: HashMap<SourceKey, u32, RandomState>,
    /// Everybody beyond the bound.
    rest: Option<Box<Track>>,
}

impl Tracks {
    /// The row of a source, which has just sent one more opening.
    pub(super) fn opening(&mut self, source: SourceKey, now: Moment) -> &mut Track {
        let row = match self.places.get(&source) {
            Some(place) => &mut self.rows[*place as usize],
            None if self.rows.len() >= MOST => {
                self.rest.get_or_insert_with(|| Box::new(Track::new(source, now)))
            }
            None => {
                self.places.insert(source, self.rows.len() as u32);
                self.rows.push(Track::new(source, now));
                &mut self.rows[self.places.len() - 1]
            }
        };
        row.syns += 1;
        row
    }

    /// The row of a source that sent an opening before.
    pub fn get(&self, source: SourceKey) -> Option<&Track> {
        self.places.get(&source).and_then(|place| self.rows.get(*place as usize))
    }

    /// The rows.
    pub fn rows(&self) -> &[Track] {
        &self.rows
    }

    /// Openings of sources that were too many to tell one by one.
    pub fn untold(&self) -> u64 {
        self.rest.as_ref().map_or(0, |rest| rest.syns)
    }
}
