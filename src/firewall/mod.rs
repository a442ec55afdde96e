//! Standings and the kernel table that enforces them. The ledger is the truth about standings;
//! the kernel's sets are a cache of it.

mod child;
mod kernel_rate;
mod names;
mod nft;
mod phrases;
mod ruleset;
mod sets;
mod text;
mod transaction;

pub use child::ToolError;
pub use names::{COUNTERS, TABLE};
pub use ruleset::{Marks, Path, Ruleset, Spread, Stage, ruleset};
