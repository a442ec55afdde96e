//! DNS names in the allow list: who they are now, and what becomes of answers that change, fail or
//! vanish.
//!
//! ```text
//!  policy ─names─▶ Book ─questions─▶ Lookups ─ a thread each ─▶ getaddrinfo
//!                   ▲ │                 │
//!          saved ───┘ │◀────answers─────┘
//!                     └─▶ addresses: the judge's allow list and the kernel's set
//! ```
//!
//! The [`Book`] is pure: it holds the last good answer of each name and decides what is asked when.
//! A resolver that fails changes nothing for [`STALE_FOR`]; a name that is gone stays trusted for
//! [`GONE_FOR`], so that a slip in a zone locks nobody out, and then no longer, because its address
//! may be somebody else's by then. [`Lookups`] asks /etc/hosts and then the system as every program
//! does (nsswitch.conf, DNS), but never for the name in a search domain, in threads of their own:
//! nobody waits for them.

mod answer;
mod book;
mod lookup;
mod news;
mod saved;

pub use answer::{Answer, Family, MOST_ADDRESSES};
pub use book::{Book, GONE_FOR, Row, STALE_FOR, State};
pub use lookup::{Answered, LIMIT, Lookups, look_up};
pub use news::{News, Trouble, What};
pub use saved::{Damaged, FILE};
