//! What is remembered of a source: pure and bounded.
//!
//! [`Memory`] is the one table; [`Source`] is what a row costs. Nothing here knows what is good
//! or bad: that is [`crate::policy`]'s work.

mod attempts;
mod flood;
mod gcra;
mod glimpse;
mod index;
mod key;
mod networks;
mod pool;
mod purse;
mod source;
mod sources;
mod table;
mod time;
mod visit;
mod walk;

use key::among;

pub use attempts::{Attempts, Place, Seen};
pub use flood::{Arrival, Fate, Flood, FloodKind, FloodReport, FloodRule};
pub use gcra::{Bucket, Full, Limit, SharedBucket};
pub use key::{NetworkKey, SourceKey};
pub use networks::{Neighbours, Networks, Share};
pub use purse::{Draw, Purse};
pub use source::{CLASSES, Offences, Signature, Source, Stack};
pub use table::{Bounds, Memory, Remembered, Shadow, Shard, Subject};
pub use time::{Moment, Tick};
pub use visit::Visit;
pub use walk::{Steps, Target, Walk};
