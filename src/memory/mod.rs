//! What is remembered of a source: pure and bounded.

mod key;
mod time;

pub use key::{NetworkKey, SourceKey};
pub use time::Moment;
