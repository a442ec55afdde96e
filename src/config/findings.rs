//! What is found while tables are read: mistakes, warnings, and which keys there are.

use std::collections::BTreeSet;
use std::ops::Range;

use super::problem::Problem;
use super::source::{Place, Source};
use super::units::Mistake;
use super::unknown::{Unknown, explain};

/// Everything found while the tables are read.
pub(super) struct Findings<'t> {
    pub(super) sources: &'t [Source],
    /// Places whose meaning is doubtful, because the syntax around them is wrong.
    pub(super) doubtful: Vec<Place>,
    pub(super) errors: Vec<(Place, Problem)>,
    pub(super) warnings: Vec<(Place, Problem)>,
    /// The full path of every key and table that was asked for.
    pub(super) known: BTreeSet<String>,
    unknown: Vec<Unknown>,
}

impl<'t> Findings<'t> {
    pub(super) fn new(sources: &'t [Source], doubtful: Vec<Place>) -> Self {
        let (errors, warnings, unknown) = Default::default();
        Self { sources, doubtful, errors, warnings, known: BTreeSet::new(), unknown }
    }

    pub(super) fn error(&mut self, place: &Place, mistake: Mistake) {
        let doubt =
            |at: &Place| at.file == place.file && (at.start..=at.end).contains(&place.start);
        if !self.doubtful.iter().any(doubt) {
            let problem = self.problem(place, mistake);
            self.errors.push((place.clone(), problem));
        }
    }

    pub(super) fn warn(&mut self, place: &Place, mistake: Mistake) {
        let problem = self.problem(place, mistake);
        self.warnings.push((place.clone(), problem));
    }

    fn problem(&self, place: &Place, Mistake { message, help, part }: Mistake) -> Problem {
        let source = &self.sources[place.file];
        let span = part.and_then(|part| inside(source, place, part));
        source.problem(span.unwrap_or(place.start..place.end), message, help)
    }

    /// Notes an unknown key.
    pub(super) fn unknown(&mut self, unknown: Unknown) {
        self.unknown.push(unknown);
    }

    /// Explains the unknown keys, now that all known ones are known.
    pub(super) fn settle_unknown(&mut self) {
        for unknown in std::mem::take(&mut self.unknown) {
            let mistake = explain(&unknown, &self.known);
            self.error(&unknown.place, mistake);
        }
    }
}

/// The place of a part of a text value, if it is written plainly (`"…"` without escapes).
pub(super) fn inside(source: &Source, place: &Place, part: Range<usize>) -> Option<Range<usize>> {
    let raw = source.text.get(place.start..place.end)?;
    let plain = raw.len() >= 2 && !raw.contains(['\\', '\n']) && !raw.starts_with("\"\"\"");
    let start = place.start + 1;
    (plain && raw.starts_with(['"', '\'']))
        .then(|| start + part.start..start + part.end.max(part.start + 1))
}
