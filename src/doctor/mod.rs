//! Is the gate well, and does it stand where it should? Pure: facts about this machine → what is
//! off, why it matters, and the command that mends it. Whoever collects the facts is elsewhere
//! (`cli/doctor`); what could not be looked at is a fact, too.
//!
//! ```text
//! /proc, nft, iptables-save, the daemon ─▶ Facts ─▶ judge ─▶ Finding…
//! ```

mod chains;
mod facts;
mod finding;
mod journald;
mod judge;
mod mangle;

pub use chains::{BaseChain, Refuser, Setter, base_chains, mark_setters, owner, refusers};
pub use facts::{
    Clock, Daemon, Facts, Journal, LedgerFacts, LogFacts, Proof, Seen, Standing, Tools, moment,
};
pub use finding::{Finding, FindingKind};
pub use journald::{RateLimit, rate_limit};
pub use judge::judge;
pub use mangle::{Handed, Mangle, mangle, untracked};
