//! Decision → words and numbers for people.

mod counters;
mod distinct;
mod event;
mod id;
mod json;
mod line;
mod quantity;
mod rates;
mod record;
#[cfg(test)]
mod sample;
mod summary;
mod throttle;

pub use counters::{Block, Count, Counters, Snapshot};
pub use event::{Event, Judged, Level, Notice, StandingChange};
pub use json::json_line;
pub use line::{Line, Measured};
pub use quantity::{Grouped, Span};
pub use rates::{PerSecond, Rates};
pub use record::{Field, Record, Value};
pub use summary::{StandingSummary, Summary};
pub use throttle::Throttle;
