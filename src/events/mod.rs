//! Decision → words and numbers for people.

mod event;

pub use event::{Event, Judged, Level, Notice, StandingChange};
