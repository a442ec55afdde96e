//! What can be asked of a running gate, and what it answers.
//!
//! The names of fields are what `--json` prints: they may be added to, but do not change. Spans
//! are seconds, times are RFC 3339.

use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::events::{Alarm, PerSecond, Snapshot};
use crate::policy::Standing;

mod busiest;
mod capture;
mod names;
mod seconds;
mod word;

pub use busiest::{BusiestFacts, BusyPort, BusySource};
pub use capture::{CaptureRow, CaptureWish};
pub use names::NameRow;

/// A question or an order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// How is the gate? → [`Response::Status`]
    Status,
    /// Who has a standing? → [`Response::Bans`]
    Bans,
    /// Give a source a standing. → [`Response::Done`]
    BansAdd {
        /// Who. Prefixes other than /32 and /64 are for the daemon to split or refuse.
        net: IpNet,
        /// Ban it at this port only; `None` for all.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        port: Option<u16>,
        /// Suspect or banned.
        #[serde(with = "word")]
        standing: Standing,
        /// For how long; `None` leaves it to the policy's first duration.
        #[serde(default, with = "seconds::optional")]
        lasts: Option<Duration>,
        /// The admin's words; may be empty.
        #[serde(default)]
        reason: String,
    },
    /// Make every source in a prefix clean; `None` is everybody. → [`Response::Done`]
    BansRemove {
        /// Who.
        net: Option<IpNet>,
        /// Only bans at this port; `None` for every standing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        port: Option<u16>,
    },
    /// What would become of a connection? → [`Response::Explain`]
    Explain {
        /// From this address…
        address: IpAddr,
        /// …to this port.
        port: u16,
    },
    /// What is known of these peers? → [`Response::Standings`]
    Standings {
        /// At most [`MOST_PEERS`].
        addresses: Vec<IpAddr>,
    },
    /// Who and what was busiest lately? → [`Response::Busiest`]
    Busiest {
        /// So many sources and ports, at most [`MOST_PEERS`].
        most: usize,
    },
    /// Read the policy anew. → [`Response::Done`]
    Reload {
        /// Take the old policy back after so long, unless somebody confirms the new one.
        #[serde(default, with = "seconds::optional", skip_serializing_if = "Option::is_none")]
        confirm: Option<Duration>,
        /// The SSH session in which that was typed: this host's end, and the peer's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        session: Option<(SocketAddr, SocketAddr)>,
    },
    /// What is on trial stays; or, with `undo`, goes at once. → [`Response::Done`]
    Confirm {
        /// Not confirmed.
        #[serde(default)]
        undo: bool,
    },
    /// Is anything on trial? → [`Response::Trial`]
    Trial,
    /// Show what comes. → [`Response::Done`], and behind its line the conversation is a pcapng
    /// stream until one side ends it.
    Capture(CaptureWish),
}

/// So many addresses fit into one request, however long they are.
pub const MOST_PEERS: usize = 1500;

impl Request {
    /// Reads one line. Never panics, whatever the bytes are.
    ///
    /// # Errors
    /// What is wrong with it, for the answer.
    pub fn read(line: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(line)
    }
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Response {
    /// To [`Request::Status`].
    Status(Box<StatusReport>),
    /// To [`Request::Bans`], the latest first.
    Bans(Vec<BanRow>),
    /// To [`Request::Explain`].
    Explain(Box<ExplainReport>),
    /// To [`Request::Standings`]: those of whom something is known, each source once.
    Standings(Vec<PeerRow>),
    /// To [`Request::Busiest`].
    Busiest(BusiestFacts),
    /// To [`Request::Trial`].
    Trial(TrialFacts),
    /// An order was carried out.
    Done(Done),
    /// It was not.
    Error(Refusal),
}

impl Response {
    /// Writes the line of [`Response::Bans`], row by row: there may be a million of them.
    ///
    /// # Errors
    /// As `out` has them.
    pub fn write_bans(
        out: &mut dyn Write,
        rows: impl IntoIterator<Item = BanRow>,
    ) -> io::Result<()> {
        out.write_all(b"{\"bans\":[")?;
        for (n, row) in rows.into_iter().enumerate() {
            if n > 0 {
                out.write_all(b",")?;
            }
            serde_json::to_writer(&mut *out, &row)?;
        }
        out.write_all(b"]}\n")
    }
}

/// An order was carried out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// How many sources it changed.
    pub changed: u64,
    /// In a sentence, for people.
    pub text: String,
    /// What the admin should know besides, such as sources that stayed as they were.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// A request was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// What kind of trouble, for the exit code.
    pub kind: Trouble,
    /// What is wrong and what to do: one line each.
    pub lines: Vec<String>,
}

impl Refusal {
    /// A refusal in one line.
    pub fn new(kind: Trouble, line: impl Into<String>) -> Self {
        Self { kind, lines: vec![line.into()] }
    }
}

/// Kinds of trouble, with their sysexits codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// 64: the request makes no sense.
    Usage,
    /// 69: not now.
    Unavailable,
    /// 70: a fault of the program.
    Software,
    /// 77: not you.
    Permission,
    /// 78: the policy file has mistakes.
    Config,
}

impl Trouble {
    /// The exit code (sysexits.h).
    pub fn code(self) -> u8 {
        match self {
            Trouble::Usage => 64,
            Trouble::Unavailable => 69,
            Trouble::Software => 70,
            Trouble::Permission => 77,
            Trouble::Config => 78,
        }
    }
}

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

/// One source with a standing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BanRow {
    /// Who.
    pub source: IpNet,
    /// It is banned at this port only; `None` (and `null` in JSON) for all.
    #[serde(default)]
    pub port: Option<u16>,
    /// Suspect or banned.
    #[serde(with = "word")]
    pub standing: Standing,
    /// Since when.
    pub since: Timestamp,
    /// Until when.
    pub until: Timestamp,
    /// Which offence it is; 0 if an admin did it.
    pub offences: u32,
    /// A check's name, or the admin's words.
    pub reason: String,
    /// Who did it: `gate` or `admin`.
    pub who: String,
    /// What was seen, in a few words.
    pub evidence: String,
    /// Packets that the kernel has dropped since.
    pub stopped_packets: u64,
}

/// What the gate knows of a peer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PeerRow {
    /// Who, as sources are counted: a /32 or a /64.
    pub source: IpNet,
    /// Its standing.
    #[serde(with = "word")]
    pub standing: Standing,
    /// How much longer the standing lasts.
    #[serde(default, with = "seconds::optional")]
    pub standing_left: Option<Duration>,
    /// Why it has the standing: a check's name, or the admin's words.
    pub reason: String,
    /// What is remembered of it; `None` if it has only a standing.
    pub memory: Option<SourceFacts>,
}

/// What would become of a connection, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExplainReport {
    /// From this address…
    pub address: IpAddr,
    /// …to this port.
    pub port: u16,
    /// Of its source.
    #[serde(with = "word")]
    pub standing: Standing,
    /// The standing is about this port only; `None` for all.
    #[serde(default)]
    pub standing_port: Option<u16>,
    /// How much longer the standing lasts.
    #[serde(default, with = "seconds::optional")]
    pub standing_left: Option<Duration>,
    /// Why it has that standing, in words; empty if it has none.
    #[serde(default)]
    pub standing_why: String,
    /// The wider prefix whose ban covers it; `None` if the standing is its own.
    #[serde(default)]
    pub standing_of: Option<IpNet>,
    /// Does the gate find nothing against letting it in at this moment?
    pub accepted: bool,
    /// Does the gate act on that? False in observe mode: everything is let in.
    pub enforced: bool,
    /// Does the gate stand aside (`portcullis panic`)? Then nothing is judged: everything is let in.
    #[serde(default)]
    pub aside: bool,
    /// What settles it: a check's name, `standing`, or empty where nothing speaks against it.
    pub settled_by: String,
    /// Every check in order.
    pub checks: Vec<CheckRow>,
    /// What is remembered of the source; `None` if it is not known.
    pub memory: Option<SourceFacts>,
    /// How it behaves, as the anomaly detector sees it; `None` if it was not looked at lately.
    #[serde(default)]
    pub habits: Option<HabitFacts>,
    /// It is spared because of an SSH session at this port.
    #[serde(default)]
    pub spared: Option<SparedRow>,
    /// What would have to happen for it to be let in, in sentences.
    pub advice: Vec<String>,
}

/// One check's view.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckRow {
    /// Its name.
    pub check: String,
    /// What it found.
    pub finding: FindingWord,
    /// What exactly; may be empty.
    pub what: String,
    /// The measured value.
    pub seen: f32,
    /// The value that would still pass; with `seen`, both 0 where nothing is measured.
    pub limit: f32,
}

/// A finding in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingWord {
    /// Nothing against it.
    Pass,
    /// Trusted: no later check matters.
    Allow,
    /// Odd; adds to the score.
    Suspect,
    /// Refused.
    Deny,
    /// Not asked, because an earlier check had settled it.
    NotAsked,
}

/// How unlike others a source behaves.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HabitFacts {
    /// The score of its oddest attempt in this hour, by what is known now.
    pub score: f32,
    /// Scores above this are unusual; `None` while too little is known.
    pub limit: Option<f32>,
    /// The share of honest sources that score as high.
    pub p_value: f32,
    /// It was called unusual in this hour.
    pub unusual: bool,
    /// The three features that made the score, in sentences without a subject.
    pub because: Vec<String>,
}

/// What is remembered of a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFacts {
    /// Refused attempts in the present window, weighted.
    pub refused: u64,
    /// Those of them that nobody else can have sent.
    pub refused_own: u64,
    /// Has it completed a real connection?
    pub proven: bool,
    /// Points of suspicion; 100 make a suspect.
    pub score: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bans_written_row_by_row_are_the_same_answer() {
        let row = |n: u8| BanRow {
            source: format!("192.0.2.{n}/32").parse().unwrap(),
            port: (n > 1).then_some(22),
            standing: Standing::Banned,
            since: Timestamp::UNIX_EPOCH,
            until: Timestamp::UNIX_EPOCH,
            offences: 1,
            reason: "say \"no\"".into(),
            who: "admin".into(),
            evidence: String::new(),
            stopped_packets: 7,
        };
        for count in 0..3 {
            let rows: Vec<BanRow> = (0..count).map(row).collect();
            let mut line = Vec::new();
            Response::write_bans(&mut line, rows.clone()).unwrap();
            let whole = serde_json::to_string(&Response::Bans(rows)).unwrap();
            assert_eq!(String::from_utf8(line).unwrap(), whole + "\n");
        }
    }

    #[test]
    fn requests_as_they_travel() {
        let add = Request::BansAdd {
            net: "192.0.2.0/24".parse().unwrap(),
            port: None,
            standing: Standing::Banned,
            lasts: Some(Duration::from_secs(3600)),
            reason: "because".into(),
        };
        let address = "2001:db8::1".parse().unwrap();
        for (request, text) in [
            (Request::Status, r#"{"ask":"status"}"#),
            (Request::Bans, r#"{"ask":"bans"}"#),
            (
                add,
                r#"{"ask":"bans_add","net":"192.0.2.0/24","standing":"banned","lasts":3600.0,"reason":"because"}"#,
            ),
            (Request::BansRemove { net: None, port: None }, r#"{"ask":"bans_remove","net":null}"#),
            (
                Request::BansRemove { net: None, port: Some(22) },
                r#"{"ask":"bans_remove","net":null,"port":22}"#,
            ),
            (
                Request::Explain { address, port: 22 },
                r#"{"ask":"explain","address":"2001:db8::1","port":22}"#,
            ),
            (
                Request::Standings { addresses: vec![address] },
                r#"{"ask":"standings","addresses":["2001:db8::1"]}"#,
            ),
            (Request::Busiest { most: 100 }, r#"{"ask":"busiest","most":100}"#),
            (
                Request::Capture(CaptureWish {
                    all: true,
                    from: vec!["192.0.2.0/24".parse().unwrap()],
                    ports: vec![(22, 22), (80, 90)],
                    lasts: Duration::from_secs(600),
                    count: None,
                    rate: 1000,
                }),
                r#"{"ask":"capture","all":true,"from":["192.0.2.0/24"],"ports":[[22,22],[80,90]],"lasts":600.0,"count":null,"rate":1000}"#,
            ),
            (Request::Reload { confirm: None, session: None }, r#"{"ask":"reload"}"#),
            (
                Request::Reload {
                    confirm: Some(Duration::from_secs(60)),
                    session: Some((
                        "192.0.2.1:22".parse().unwrap(),
                        "[2001:db8::1]:5".parse().unwrap(),
                    )),
                },
                r#"{"ask":"reload","confirm":60.0,"session":["192.0.2.1:22","[2001:db8::1]:5"]}"#,
            ),
            (Request::Confirm { undo: true }, r#"{"ask":"confirm","undo":true}"#),
            (Request::Trial, r#"{"ask":"trial"}"#),
        ] {
            assert_eq!(serde_json::to_string(&request).unwrap(), text);
            assert_eq!(Request::read(text.as_bytes()).unwrap(), request);
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "",
            "{}",
            "[]",
            "null",
            "{\"ask\":\"status\"}{}",
            "{\"ask\":\"dance\"}",
            "{\"ask\":\"explain\",\"address\":\"1.2.3\",\"port\":22}",
            "{\"ask\":\"explain\",\"address\":\"1.2.3.4\",\"port\":70000}",
            "{\"ask\":\"explain\",\"address\":\"1.2.3.4\",\"port\":1,\"x\":1}",
            "{\"ask\":\"bans_add\",\"net\":\"::/0\",\"standing\":\"king\"}",
            "{\"ask\":\"capture\",\"lasts\":1e300,\"rate\":1}",
            "{\"ask\":\"capture\",\"lasts\":1,\"rate\":1,\"file\":\"/etc/passwd\"}",
            "{\"ask\":\"bans_add\",\"net\":\"::/0\",\"standing\":\"banned\",\"lasts\":-1}",
            "{\"ask\":\"bans_add\",\"net\":\"::/0\",\"standing\":\"banned\",\"lasts\":1e300}",
        ] {
            assert!(Request::read(text.as_bytes()).is_err(), "{text}");
        }
        assert!(Request::read("[".repeat(100_000).as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Request::read(&bytes);
        }

        /// Nearly right, which goes deeper than noise does.
        #[test]
        fn broken_requests_never_panic(
            at in 0usize..80, byte in any::<u8>(), lasts in any::<f64>()
        ) {
            let mut text = format!(
                r#"{{"ask":"bans_add","net":"192.0.2.0/24","standing":"banned","lasts":{lasts:e},"reason":"x"}}"#
            ).into_bytes();
            let _ = Request::read(&text);
            text[at] = byte;
            let _ = Request::read(&text);
        }
    }
}
