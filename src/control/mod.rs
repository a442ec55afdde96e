//! The unix socket that the command line talks to: one JSON request per line, one JSON response
//! per line.
//!
//! [`protocol`] says what can be asked and answered, [`Server`] is the daemon's end and
//! [`ask`] the command line's.

mod client;
mod doorman;
mod group;
mod peer;
pub mod protocol;

mod server;
mod timed;

pub use client::{AskError, Streamed, ask, ask_within, follow};
pub(crate) use doorman::{Doorman, Host};
pub use protocol::{
    AnomalyFacts, BanRow, BusiestFacts, BusyPort, BusySource, CaptureRow, CaptureWish, CheckRow,
    ConfinedFacts, Done, ExplainReport, FillingFacts, FindingWord, FirewallFacts, FloodFacts,
    HabitFacts, Latency, MOST_PEERS, MemoryFacts, NameRow, PeerRow, QueueRow, Refusal, Request,
    Response, SourceFacts, SparedRow, StandingCounts, StatusReport, TrialFacts, TrialState,
    Trouble,
};
pub use server::{Handler, Piecewise, Reply, Rest, Server, StartError, prepare};
pub(crate) use timed::Timed;
