//! Standings and the kernel table that enforces them. The ledger is the truth about standings;
//! the kernel's sets are a cache of it.
//!
//! ```text
//! Order ─▶ worker ─▶ ledger ─▶ store (disk)
//!            ▲          └────▶ transaction ─▶ nft ─▶ kernel
//!            └── watch ◀──────────── somebody else's changes
//! ```
//!
//! [`ruleset()`], the ledger, the clock and the transactions are pure; `boot`, `dump`,
//! `generation`, `kernel`, `nft`, `redirect`, `store` and `watch` do the I/O; `worker` is the thread that
//! owns them all.

mod additions;
mod aside;
mod backlog;
mod boot;
mod budget;
mod child;
mod clock;
mod dump;
mod entry;
mod generation;
mod inspect;
mod kernel;
mod kernel_rate;
mod latency;
mod ledger;
mod lifecycle;
mod live;
mod lock;
mod names;
mod nft;
#[cfg(test)]
mod no_text;
mod orders;
mod owed;
mod phrases;
mod placed;
mod programs;
mod published;
mod read_ahead;
mod redirect;
mod ruleset;
mod sets;
mod store;
mod tally;
mod teller;
mod text;
mod transaction;
mod unload;
mod watch;
mod worker;

pub use aside::{aside_since, marker, settle, step_aside, step_back};
pub use child::ToolError;
pub use clock::{Clock, Jump, Look};
pub use entry::{By, Entry, Whom};
pub use inspect::{
    LiveSet, kernel_takes_queue, list_ruleset, live_sets, save_iptables, set_of, tool_version,
};
pub use latency::Spans;
pub use ledger::{Change, Ledger, Moved, Rules, Spared, as_counted};
pub use lifecycle::{Firewall, OrderError, StartError};
pub use live::{LiveTable, live_table};
pub use lock::{Lock, LockError, holder};
pub use names::{COUNTERS, TABLE};
pub use orders::{Counters, Filling, Gone, Offence, Opened, Order, Orders, Told};
pub use owed::Owed;
pub use programs::{Programs, programs};
pub use published::{Published, PublishedPorts, published_ports};
pub use read_ahead::ReadAhead;
pub use redirect::{RedirectError, iptables_commands};
pub use ruleset::{EARLY_AT, Marks, Path, Ruleset, Spread, Stage, ruleset, tracks};
pub(crate) use store::put_in_place;
pub use store::{Damage, Line, Loaded, Peek, Store, StoreError, peek};
pub use unload::{Removal, remove_all, unload};
