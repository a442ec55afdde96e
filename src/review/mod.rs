//! Log lines → who was refused, why, when, how often, and at which ports.
//!
//! ```text
//!  file ─ input ─▶ bytes ─ reader ─▶ line ─┬─ header ─▶ time, message ─┬─▶ Entry ─ wanted ─▶ tally ─▶ Review
//!                                          └─ object (JSON) ───────────┘
//! ```
//!
//! It reads what [`events`](crate::events) writes: syslog of both kinds, as local daemons and
//! servers store it, the journal's text, JSON and export forms, the daemon's standard error, and the
//! JSON log. Other programs' lines are passed over. The same event in two logs counts once: it
//! has the same id.
//!
//! Memory is bounded, whatever the logs hold: so many sources, times and events are told apart
//! ([`Review`] says when that was not enough), and the rest is counted.
//!
//! All but [`Input`] is pure: the time zone and the time at which a file was written are arguments.

mod clock;
mod entry;
mod fields;
mod header;
mod input;
mod message;
mod object;
mod reader;
mod report;
#[cfg(test)]
mod roundtrip;
mod sources;
mod tally;
mod timeline;
mod wanted;
mod words;

pub use clock::Clock;
pub use entry::{Changes, Damage, Entry, Given, More, Rank, Refused, Said, What};
pub use input::{Input, OpenError};
pub use reader::{Told, line, read};
pub use report::{
    AlarmRow, Bar, NetworkRow, PortRow, ReasonRow, Review, SourceRow, Standings, Untold,
};
pub use tally::{Lines, Tally};
pub use timeline::Step;
pub use wanted::Wanted;
