//! Decision → words and numbers for people.

mod event;
mod id;
mod json;
mod line;
mod quantity;
mod record;
#[cfg(test)]
mod sample;

pub use event::{Event, Judged, Level, Notice, StandingChange};
pub use json::json_line;
pub use line::{Line, Measured};
pub use quantity::{Grouped, Span};
pub use record::{Field, Record, Value};
