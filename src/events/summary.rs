//! What the throttle held back, told in one line.

use std::time::{Duration, SystemTime};

use super::id::{id, mix};
use super::quantity::{Grouped, Span};
use super::record::{Fields, Record, Value};
use super::{Level, Verb};
use crate::memory::SourceKey;
use crate::policy::CheckId;

/// Events that were not written one by one.
#[derive(Clone, Debug, PartialEq)]
pub enum Summary {
    /// Refusals of one source.
    Source {
        /// Which.
        source: SourceKey,
        /// How many were not written.
        more: u64,
        /// The span in which they came.
        within: Duration,
        /// How many by which check, largest first.
        by: Vec<(CheckId, u64)>,
        /// False in observe mode.
        enforced: bool,
    },
    /// Refusals of many sources, beyond what is written for all of them together.
    Flood {
        /// About how many sources.
        sources: u64,
        /// How many were not written.
        more: u64,
        /// The span in which they came.
        within: Duration,
        /// How many by which check, largest first.
        by: Vec<(CheckId, u64)>,
        /// False in observe mode.
        enforced: bool,
    },
    /// Standing changes.
    Standings(StandingSummary),
}

/// Standing changes that were not written one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StandingSummary {
    /// About how many sources.
    pub sources: u64,
    /// Changes to clean.
    pub clean: u64,
    /// Changes to suspect.
    pub suspect: u64,
    /// Changes to banned.
    pub banned: u64,
    /// The span in which they came.
    pub within: Duration,
}

impl Summary {
    /// The summary in words, like any other event.
    pub fn record(&self, at: SystemTime) -> Record {
        let mut fields = Fields::default();
        let (verb, level, who) = match self {
            Summary::Source { source, more, within, by, enforced } => {
                fields.text("SRC", source.to_string());
                let text = format!("and {} more in {}", Grouped(*more), whole(*within));
                refusals(&mut fields, *more, *within, by, *enforced, text);
                (more_verb(*enforced), level(*enforced), source.bits())
            }
            Summary::Flood { sources, more, within, by, enforced } => {
                fields.count("sources", *sources);
                let text = format!(
                    "and {} more from about {} sources in {}",
                    Grouped(*more),
                    Grouped(*sources),
                    whole(*within)
                );
                refusals(&mut fields, *more, *within, by, *enforced, text);
                (more_verb(*enforced), level(*enforced), 1)
            }
            Summary::Standings(StandingSummary { sources, clean, suspect, banned, within }) => {
                fields.count("sources", *sources);
                for (name, count) in [("banned", banned), ("suspect", suspect), ("clean", clean)] {
                    fields.count(name, *count);
                }
                fields.push("within", Value::Span(seconds(*within)));
                let text = format!(
                    "and {} more changes of standing in {}; see: portcullis bans list",
                    Grouped(clean + suspect + banned),
                    whole(*within)
                );
                fields.text("text", text);
                (Verb::StandingsMore, Level::Warning, 2)
            }
        };
        Record { at, level, verb, fields: fields.0, id: id(at, mix(who)) }
    }
}

fn more_verb(enforced: bool) -> Verb {
    if enforced { Verb::DropMore } else { Verb::WouldDropMore }
}

fn level(enforced: bool) -> Level {
    if enforced { Level::Warning } else { Level::Notice }
}

fn refusals(
    fields: &mut Fields,
    more: u64,
    within: Duration,
    by: &[(CheckId, u64)],
    enforced: bool,
    text: String,
) {
    fields.count("count", more);
    fields.push("within", Value::Span(seconds(within)));
    fields.push("by", Value::Counts(by.iter().map(|(id, count)| (id.name(), *count)).collect()));
    fields.enforced(enforced);
    fields.text("text", text);
}

/// The span in whole seconds, at least one: nobody needs the rest here.
fn seconds(within: Duration) -> Duration {
    Duration::from_secs((within.as_secs_f64().round() as u64).max(1))
}

fn whole(within: Duration) -> String {
    let span = seconds(within);
    if span.as_secs() < 60 { format!("{} s", span.as_secs()) } else { Span(span).to_string() }
}
