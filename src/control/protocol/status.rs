//! How the gate is.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{CaptureRow, NameRow, seconds};
use crate::events::{Alarm, PerSecond, Snapshot};

/// How the gate is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StatusReport {
    /// Of the program.
    pub version: String,
    /// Of the daemon's process.
    pub pid: u32,
    /// `enforce` or `observe`.
    pub mode: String,
    /// How packets come to the gate, in words: `by nft's queue statement`.
    pub redirect: String,
    /// When the daemon started.
    pub started: Timestamp,
    /// How long it has been running.
    #[serde(with = "seconds")]
    pub uptime: Duration,
    /// Seconds by which the clock has been set since the daemon started; negative if it was set back.
    #[serde(default)]
    pub clock_moved: f64,
    /// The policy file.
    pub config: String,
    /// When the policy was last read.
    pub config_loaded: Timestamp,
    /// The state folder that it uses, whatever the policy names for the next start; empty if it is
    /// not told.
    #[serde(default)]
    pub state_dir: PathBuf,
    /// The queues.
    pub queues: Vec<QueueRow>,
    /// What becomes of packets that find a queue full: `accept` or `drop`; empty if it is not told.
    #[serde(default)]
    pub when_full: String,
    /// All counters since the start.
    pub counters: Snapshot,
    /// Over the last ten seconds.
    pub per_second: PerSecond,
    /// Log lines that syslog or a file did not take.
    pub lines_lost: u64,
    /// What is remembered.
    pub memory: MemoryFacts,
    /// How many sources have which standing.
    pub standings: StandingCounts,
    /// What the anomaly detector knows; absent if it is off.
    #[serde(default)]
    pub anomaly: Option<AnomalyFacts>,
    /// From the decision to the kernel's set; absent until it has been measured.
    pub kernel_sets: Option<Latency>,
    /// The kernel table.
    pub firewall: FirewallFacts,
    /// The ports that are served at this moment, as a policy file writes them; `any`.
    pub served: String,
    /// The last alarms, the newest first.
    pub alarms: Vec<Alarm>,
    /// The floods that last.
    #[serde(default)]
    pub floods: Vec<FloodFacts>,
    /// The captures that last.
    #[serde(default)]
    pub captures: Vec<CaptureRow>,
    /// The allow list's names.
    #[serde(default)]
    pub names: Vec<NameRow>,
    /// Whether a policy, or the gate itself, is on trial.
    #[serde(default)]
    pub trial: TrialFacts,
    /// Who is spared because of an SSH session.
    #[serde(default)]
    pub spared: Vec<SparedRow>,
    /// What the daemon's process has given up.
    #[serde(default)]
    pub confined: ConfinedFacts,
}

/// What the daemon's process can do, whoever runs in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfinedFacts {
    /// What holds, in words that follow "it"; none if nothing is told.
    pub held: Vec<String>,
    /// What does not, and why.
    pub open: Vec<String>,
}

/// What is in force until somebody confirms it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrialFacts {
    /// How it stands, or how the last one ended.
    pub state: TrialState,
    /// How long there is to confirm it.
    #[serde(default, with = "seconds::optional")]
    pub left: Option<Duration>,
    /// It is the gate itself that is on trial, and not only a policy.
    #[serde(default)]
    pub start: bool,
}

/// How a trial stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrialState {
    /// There was none.
    #[default]
    Never,
    /// It lasts.
    Waiting,
    /// It was confirmed.
    Confirmed,
    /// It was not.
    Undone,
}

/// Somebody who is spared because of an SSH session: never banned, and at the session's port the
/// deny list and the port policy do not keep it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SparedRow {
    /// Who.
    pub address: IpAddr,
    /// The port of this host.
    pub port: u16,
    /// The session is open. If not, it ended lately.
    pub open: bool,
}

/// A flood of SYNs that lasts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FloodFacts {
    /// `forged` (from ever new addresses) or `busy` (from few sources).
    pub kind: String,
    /// How long it has lasted.
    #[serde(with = "seconds")]
    pub lasts: Duration,
    /// The ports that got most of it when it began; none if it is spread.
    pub ports: Vec<u16>,
    /// SYNs a second, now.
    pub per_second: f32,
    /// SYNs a second, at worst.
    pub peak: f32,
    /// SYNs so far.
    pub syns: u64,
    /// Of the SYNs with which it began, the share that came from new sources, 0 to 1.
    pub new_sources: f32,
    /// Nobody earns a standing and nothing is learnt while it lasts.
    pub frozen: bool,
}

/// One queue between the kernel and the gate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueRow {
    /// Its number.
    pub number: u16,
    /// Packets that wait in it now; `None` if the kernel does not say.
    pub waiting: Option<u64>,
    /// Packets that may wait in it.
    pub length: u64,
    /// SYNs that its socket buffer has room for.
    pub buffer_holds: u64,
    /// Packets received.
    pub received: u64,
    /// Packets that the kernel could not hand over, and those lost on the way.
    pub lost: u64,
}

/// How full the memory is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryFacts {
    /// Sources remembered.
    pub sources: u64,
    /// Sources that can be remembered.
    pub sources_bound: u64,
    /// Networks remembered. One with proven and other sources counts twice, and again for each
    /// service class with a network rate.
    pub networks: u64,
    /// Networks that can be remembered.
    pub networks_bound: u64,
}

/// How many sources have which standing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandingCounts {
    /// Suspects.
    pub suspect: u64,
    /// Banned.
    pub banned: u64,
}

/// What the anomaly detector knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AnomalyFacts {
    /// Has it seen enough to call a source unusual?
    pub ready: bool,
    /// Attempts that it has learnt, fading with time…
    pub learnt: u64,
    /// …and how many it needs.
    pub learnt_needed: u64,
    /// Attempts in quarantine.
    pub waiting: u64,
    /// Honest sources that scores are measured against…
    pub measures: u64,
    /// …and how many it needs to keep to its budget.
    pub measures_needed: u64,
    /// Can so many be kept? If not, the budget is too small for this many visitors.
    pub possible: bool,
    /// Proven sources a day.
    pub sources_per_day: f64,
    /// Sources that were called unusual since the start.
    pub flagged: u64,
    /// Seconds until it learns again, after it was stopped.
    pub paused: u64,
}

/// How long something takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latency {
    /// Half of all took at most this.
    #[serde(with = "seconds")]
    pub p50: Duration,
    /// 99 of 100 took at most this.
    #[serde(with = "seconds")]
    pub p99: Duration,
    /// How many were measured.
    pub count: u64,
}

/// The kernel table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirewallFacts {
    /// Is the table in place and in step?
    pub healthy: bool,
    /// In a sentence: what is wrong and what is being done; empty if healthy.
    pub text: String,
    /// Since when the gate stands aside, with nothing of it in the kernel, because somebody typed
    /// `portcullis panic`.
    #[serde(default)]
    pub aside: Option<Timestamp>,
    /// Its sets are being filled, after a start or because they were lost. The gate itself stops
    /// those who are not in yet.
    #[serde(default)]
    pub filling: Option<FillingFacts>,
    /// How often it had to be rebuilt because somebody removed it.
    pub repaired: u64,
    /// Packets that the kernel dropped by itself: banned, suspect, or over the ceiling.
    pub stopped_packets: u64,
    /// Packets over `[queue] max_rate`: accepted or dropped without a judgement, as `when_over` says.
    #[serde(default)]
    pub over_rate: u64,
}

/// How far the kernel's sets are filled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FillingFacts {
    /// Standings that are not in yet…
    pub left: u64,
    /// …of so many.
    pub all: u64,
}
