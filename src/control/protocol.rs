//! What can be asked of a running gate, and what it answers.
//!
//! The names of fields are what `--json` prints: they may be added to, but do not change. Spans
//! are seconds, times are RFC 3339.

use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::policy::Standing;

mod busiest;
mod capture;
mod explain;
mod names;
mod seconds;
mod status;
mod word;

pub use busiest::{BusiestFacts, BusyPort, BusySource};
pub use capture::{CaptureRow, CaptureWish};
pub use explain::{CheckRow, ExplainReport, FindingWord, HabitFacts, SourceFacts};
pub use names::NameRow;
pub use status::{
    AnomalyFacts, ConfinedFacts, FillingFacts, FirewallFacts, FloodFacts, Latency, MemoryFacts,
    QueueRow, SparedRow, StandingCounts, StatusReport, TrialFacts, TrialState,
};

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
