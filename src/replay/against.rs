//! What another policy would change.

use serde::Serialize;

use super::track::{Line, Track, Tracks};

/// What can become of a source, from the mildest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Fate {
    /// Some of its openings are dropped.
    Dropped,
    /// It becomes a suspect.
    Suspected,
    /// It is banned.
    Banned,
}

impl Fate {
    /// All of them.
    pub const ALL: [Fate; 3] = [Fate::Dropped, Fate::Suspected, Fate::Banned];

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Fate::Dropped => "dropped",
            Fate::Suspected => "suspected",
            Fate::Banned => "banned",
        }
    }

    /// Does it become of this source?
    pub fn befalls(self, track: &Track) -> bool {
        match self {
            Fate::Dropped => track.dropped > 0,
            Fate::Suspected => track.suspect_at.is_some(),
            Fate::Banned => track.banned_at.is_some(),
        }
    }
}

/// A source that fares otherwise under the new policy.
#[derive(Clone, Debug)]
pub struct Difference<'a> {
    /// What becomes of it that did not.
    pub newly: Vec<Fate>,
    /// What did and no longer does.
    pub no_longer: Vec<Fate>,
    /// How it fared.
    pub old: &'a Track,
    /// How it fares.
    pub new: &'a Track,
}

/// For programs: the names of the lists are the words for people, too.
#[derive(Clone, Debug, Serialize)]
pub struct DifferenceLine<'a> {
    newly: &'a [Fate],
    no_longer: &'a [Fate],
    old: Line<'a>,
    new: Line<'a>,
}

impl Difference<'_> {
    /// As a line of JSON has it.
    pub fn line<'a>(&'a self, file: &'a str) -> DifferenceLine<'a> {
        let Self { newly, no_longer, old, new } = self;
        DifferenceLine { newly, no_longer, old: old.line(file), new: new.line(file) }
    }
}

/// Every source of a capture that fares otherwise, in the order of their first openings. `old`
/// and `new` come from the same capture.
pub fn differences<'a>(old: &'a Tracks, new: &'a Tracks) -> Vec<Difference<'a>> {
    let both = new.rows().iter().filter_map(|new| Some((old.get(new.source)?, new)));
    let differ = both.filter_map(|(old, new)| {
        let fates = |now: &Track, then: &Track| -> Vec<Fate> {
            Fate::ALL.into_iter().filter(|f| f.befalls(now) && !f.befalls(then)).collect()
        };
        let (newly, no_longer) = (fates(new, old), fates(old, new));
        let same = newly.is_empty() && no_longer.is_empty();
        (!same).then_some(Difference { newly, no_longer, old, new })
    });
    differ.collect()
}
