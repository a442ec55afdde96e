//! Standings and the kernel table that enforces them. The ledger is the truth about standings;
//! the kernel's sets are a cache of it.

mod budget;
mod child;
mod entry;
mod kernel_rate;
mod latency;
mod ledger;
mod lock;
mod names;
mod nft;
mod phrases;
mod redirect;
mod ruleset;
mod sets;
mod store;
mod text;
mod transaction;
mod watch;

pub use child::ToolError;
pub use entry::{By, Entry};
pub use lock::LockError;
pub use store::StoreError;
pub use ledger::{Change, Ledger, Rules, Spared};
pub use names::{COUNTERS, TABLE};
pub use redirect::{RedirectError, iptables_commands};
pub use ruleset::{Marks, Path, Ruleset, Spread, Stage, ruleset};
