//! What was seen of this machine.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ipnet::IpNet;
use serde_json::Value;

use super::journald::RateLimit;
use crate::control::protocol::StatusReport;
use crate::firewall::LiveSet;
use crate::host::{Holder, Loadable};

/// Something that was looked at, or why it could not be.
pub type Seen<T> = Result<T, String>;

/// Everything that [`judge`](super::judge()) looks at.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The programs that change the kernel's rules.
    pub tools: Tools,
    /// The kernel's release.
    pub kernel: String,
    /// Has the kernel IPv6?
    pub ipv6: bool,
    /// Does it forward?
    pub forwards: bool,
    /// Networks at this host's inner interfaces: those by which the rest of the world is not reached.
    pub behind: Vec<(IpNet, String)>,
    /// Has it packet queues?
    pub queues: bool,
    /// Could it load the module that makes them?
    pub queue_module: Loadable,
    /// Does it take nft's `queue` statement?
    pub queue_statement: Seen<bool>,
    /// Who listens to which queue.
    pub holders: Seen<Vec<Holder>>,
    /// The gate itself.
    pub daemon: Daemon,
    /// `nft -j -t list ruleset`
    pub listing: Seen<Vec<Value>>,
    /// `iptables-save` and `ip6tables-save`; nothing where they are not installed.
    pub saved: [Seen<String>; 2],
    /// There are rules of iptables' legacy variant besides, which the iptables here does not show.
    pub legacy_rules: bool,
    /// Since when the gate stands aside, because somebody typed `portcullis panic`.
    pub aside: Option<SystemTime>,
    /// Our bounded sets.
    pub sets: Seen<Vec<LiveSet>>,
    /// What the ledger says, from the daemon or from its file.
    pub ledger: Seen<LedgerFacts>,
    /// When one of the policy's files was changed last.
    pub policy_changed: Option<SystemTime>,
    /// Where log lines go.
    pub log: LogFacts,
    /// What time it is.
    pub clock: Clock,
    /// What was tried in a private network, if that was asked for.
    pub proof: Option<Seen<Vec<Proof>>>,
}

/// Each tool's version, or what is the matter with it.
#[derive(Clone, Debug)]
pub struct Tools {
    /// `v1.0.6 (Lester Gooch #5)`
    pub nft: Seen<String>,
    /// `v1.8.9 (nf_tables)`
    pub iptables: Seen<String>,
    /// Likewise.
    pub ip6tables: Seen<String>,
}

/// The daemon.
#[derive(Clone, Debug)]
pub enum Daemon {
    /// It answers.
    Runs(Box<StatusReport>),
    /// Nobody listens at its socket.
    Absent,
    /// It runs, but this user may not ask it.
    Closed(String),
    /// It runs, but does not answer, or nothing sensible.
    Silent(String),
}

impl Daemon {
    /// What it says of itself, if it does.
    pub fn status(&self) -> Option<&StatusReport> {
        if let Daemon::Runs(status) = self { Some(status) } else { None }
    }
}

/// The standings on record.
#[derive(Clone, Debug, Default)]
pub struct LedgerFacts {
    /// Those that last.
    pub standings: Vec<Standing>,
    /// The file is damaged, and where.
    pub damaged: bool,
    /// Damaged files that were set aside.
    pub aside: Vec<String>,
    /// The daemon's user may not write there, or the disk is full: what is wrong.
    pub unwritable: Option<String>,
}

/// One standing on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Whose, as it is written.
    pub who: String,
    /// The kernel set in which it should be; `None` if it belongs into none.
    pub set: Option<String>,
    /// Of which element.
    pub whom: crate::firewall::Whom,
    /// When it began.
    pub since: SystemTime,
    /// When it ends.
    pub until: SystemTime,
}

/// A time as the daemon tells it, as the system's clock does; to the millisecond.
pub fn moment(at: jiff::Timestamp) -> SystemTime {
    // Before 1970 nobody was banned.
    UNIX_EPOCH + Duration::from_millis(at.as_millisecond().try_into().unwrap_or(0))
}

/// Where log lines go, and whether they arrive.
#[derive(Clone, Debug)]
pub struct LogFacts {
    /// What the journal takes.
    pub journal: Journal,
    /// Can the syslog socket of the policy be reached? Only tried where lines go there.
    pub syslog: Seen<()>,
    /// The folder of the JSON file is missing.
    pub json_folder_missing: Option<String>,
}

/// The journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Journal {
    /// It is there and takes so much.
    Takes(RateLimit),
    /// This machine has none.
    None,
}

/// What time it is, and whether anybody keeps it right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// Now.
    pub now: SystemTime,
    /// Is it kept in step with a time server? `None` if nobody says.
    pub synchronised: Option<bool>,
}

/// One thing that was tried in the private network.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Proof {
    /// What should be.
    pub claim: String,
    /// Is it so?
    pub holds: bool,
    /// What was seen.
    pub seen: String,
}
