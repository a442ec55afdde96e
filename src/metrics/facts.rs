//! What there is to tell.

use std::time::{Duration, SystemTime};

use crate::control::{FloodFacts, MemoryFacts, QueueRow};
use crate::events::Snapshot;
use crate::firewall;

/// The gate at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// Of the program.
    pub version: &'static str,
    /// False in observe mode.
    pub enforcing: bool,
    /// When the daemon started.
    pub started: SystemTime,
    /// How long it has been running.
    pub uptime: Duration,
    /// When the policy in force was read.
    pub loaded: SystemTime,
    /// How often another one was read.
    pub reloads: Reloads,
    /// What the queue threads counted.
    pub counters: Snapshot,
    /// How long the slowest of the queue threads has been at its present packet.
    pub busy: Duration,
    /// The queues.
    pub queues: Vec<QueueRow>,
    /// How full the memory is.
    pub memory: MemoryFacts,
    /// The floods that last.
    pub floods: Vec<FloodFacts>,
    /// Lines that syslog or a file did not take.
    pub lines_lost: u64,
    /// Refused packets that were to be captured.
    pub captured: Captured,
    /// The firewall's own numbers; `None` while nft keeps its thread waiting.
    pub firewall: Option<firewall::Counters>,
    /// The most standings there can be.
    pub standings_limit: u64,
}

/// How often a policy was read while the daemon ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reloads {
    /// It is in force, or was.
    pub done: u64,
    /// It had mistakes or the kernel did not take it, and the old one stayed.
    pub failed: u64,
}

/// What became of refused packets that were to be captured; all zero if none are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Captured {
    /// They are in a file.
    pub written: u64,
    /// They were over the rate.
    pub passed_over: u64,
    /// There was no room for them.
    pub lost: u64,
}
