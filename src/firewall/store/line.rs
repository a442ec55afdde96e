//! The lines of the ledger's file. Pure.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::super::clock::{Clock, Look};
use super::super::entry::{By, Entry, Whom};
use super::super::names::is_wide;
use crate::config::parts::by_parts;
use crate::policy::Standing;

/// One line: an entry, that one is forgotten, or the clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// The entry as it is now.
    Is(Entry),
    /// Nothing is known of this one any more.
    Forgotten(Whom),
    /// The clock by which the times in this file are.
    Clock(Clock),
}

#[derive(Serialize, Deserialize)]
struct Record {
    net: IpNet,
    /// All ports if it is missing, as it is where there is nothing to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    standing: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    entry: Option<Rest>,
}

#[derive(Serialize, Deserialize)]
struct Rest {
    since: u64,
    until: u64,
    offences: u32,
    last: u64,
    reason: String,
    by: By,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    evidence: String,
}

#[derive(Serialize, Deserialize)]
struct ClockRecord {
    clock: Kept,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    boot: String,
    began: u64,
    since_boot: u64,
    wall: u64,
}

pub(super) fn millis(at: SystemTime) -> u64 {
    span(at.duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn span(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn time(millis: u64) -> SystemTime {
    // Ten thousand years at most, so that no later sum overflows.
    UNIX_EPOCH + Duration::from_millis(millis.min(10_000 * 366 * 24 * 3_600_000))
}

impl Record {
    fn of(e: &Entry) -> Self {
        Self {
            net: e.net,
            port: e.port,
            standing: e.standing.word().into(),
            entry: Some(Rest {
                since: millis(e.since),
                until: millis(e.until),
                offences: e.offences,
                last: millis(e.last_offence),
                reason: e.reason.clone(),
                by: e.by,
                evidence: e.evidence.clone(),
            }),
        }
    }
}

impl ClockRecord {
    fn of(clock: &Clock) -> Self {
        let Look { since_boot, wall } = clock.seen;
        Self {
            clock: Kept {
                boot: clock.boot.clone(),
                began: span(clock.began),
                since_boot: span(since_boot),
                wall: millis(wall),
            },
        }
    }

    fn decode(json: &[u8]) -> Option<Clock> {
        let Self { clock } = serde_json::from_slice(json).ok()?;
        let seen =
            Look { since_boot: Duration::from_millis(clock.since_boot), wall: time(clock.wall) };
        Some(Clock { boot: clock.boot, began: Duration::from_millis(clock.began), seen })
    }
}

impl Line {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        // Strings and numbers only: this cannot fail.
        let json = match self {
            Line::Clock(clock) => serde_json::to_string(&ClockRecord::of(clock)),
            Line::Is(entry) => serde_json::to_string(&Record::of(entry)),
            Line::Forgotten(Whom { net, port }) => {
                let standing = "forgotten".into();
                serde_json::to_string(&Record { net: *net, port: *port, standing, entry: None })
            }
        };
        let json = json.unwrap_or_default();
        out.extend_from_slice(
            format!("{:08x} {json}\n", crc32fast::hash(json.as_bytes())).as_bytes(),
        );
    }

    pub(super) fn decode(line: &[u8]) -> Option<Self> {
        let (sum, json) = line.split_at_checked(9)?;
        let sum = std::str::from_utf8(sum).ok()?.strip_suffix(' ')?;
        if u32::from_str_radix(sum, 16).ok()? != crc32fast::hash(json) {
            return None;
        }
        quick(json).or_else(|| Self::decode_json(json))
    }

    pub(super) fn decode_json(json: &[u8]) -> Option<Self> {
        let Ok(record) = serde_json::from_slice::<Record>(json) else {
            return ClockRecord::decode(json).map(Line::Clock);
        };
        let standing = match record.standing.as_str() {
            "forgotten" => {
                return Some(Line::Forgotten(Whom { net: record.net, port: record.port }));
            }
            "clean" => Standing::Clean,
            "suspect" => Standing::Suspect,
            "banned" => Standing::Banned,
            _ => return None,
        };
        // Only one source can be banned at a port; the kernel has no place for anything else.
        if record.port.is_some() && (standing == Standing::Suspect || is_wide(record.net)) {
            return None;
        }
        let rest = record.entry?;
        Some(Line::Is(Entry {
            net: record.net,
            port: record.port,
            standing,
            since: time(rest.since),
            until: time(rest.until),
            offences: rest.offences,
            last_offence: time(rest.last),
            reason: rest.reason,
            by: rest.by,
            evidence: rest.evidence,
        }))
    }
}

/// Reads a live line that looks exactly as this program writes most of them, several times as
/// quickly as JSON is read: a million lines are to be known before the gate judges. `None` of
/// anything else, which may be right all the same.
pub(super) fn quick(json: &[u8]) -> Option<Line> {
    let mut rest = Unread(std::str::from_utf8(json).ok()?);
    let net = rest.quoted("{\"net\":")?.parse().ok()?;
    let port = match rest.skip(",\"port\":") {
        Some(()) => Some(u16::try_from(rest.number("")?).ok()?),
        None => None,
    };
    let standing = match rest.quoted(",\"standing\":")? {
        "clean" => Standing::Clean,
        "suspect" => Standing::Suspect,
        "banned" => Standing::Banned,
        _ => return None,
    };
    if port.is_some() && (standing == Standing::Suspect || is_wide(net)) {
        return None;
    }
    let since = time(rest.number(",\"entry\":{\"since\":")?);
    let until = time(rest.number(",\"until\":")?);
    let offences = u32::try_from(rest.number(",\"offences\":")?).ok()?;
    let last_offence = time(rest.number(",\"last\":")?);
    let reason = rest.quoted(",\"reason\":")?.to_owned();
    let by = match rest.quoted(",\"by\":")? {
        "gate" => By::Gate,
        "admin" => By::Admin,
        _ => return None,
    };
    let evidence = match rest.skip("}}") {
        Some(()) => String::new(),
        None => {
            let evidence = rest.quoted(",\"evidence\":")?.to_owned();
            rest.skip("}}")?;
            evidence
        }
    };
    let entry =
        Entry { net, port, standing, since, until, offences, last_offence, reason, by, evidence };
    rest.0.is_empty().then_some(Line::Is(entry))
}

/// What is left of a line.
struct Unread<'a>(&'a str);

impl<'a> Unread<'a> {
    fn skip(&mut self, text: &str) -> Option<()> {
        self.0 = self.0.strip_prefix(text)?;
        Some(())
    }

    /// A string without anything that JSON escapes.
    fn quoted(&mut self, before: &str) -> Option<&'a str> {
        self.skip(before)?;
        let (text, rest) = self.0.strip_prefix('"')?.split_once('"')?;
        self.0 = rest;
        text.bytes().all(|byte| byte != b'\\' && byte >= b' ').then_some(text)
    }

    /// A number as JSON writes it: no zeros before it, no more than it can hold.
    fn number(&mut self, before: &str) -> Option<u64> {
        self.skip(before)?;
        let end = self.0.bytes().position(|byte| !byte.is_ascii_digit())?;
        let (digits, rest) = self.0.split_at(end);
        self.0 = rest;
        (digits == "0" || !digits.starts_with('0')).then(|| digits.parse().ok())?
    }
}

/// Reads lines up to the first that is not whole, on several threads if they are many. Returns how
/// many bytes were good.
pub(super) fn decode_all(bytes: &[u8]) -> (Vec<Line>, usize) {
    let decoded = by_parts(bytes, decode_part);
    let mut lines = Vec::with_capacity(decoded.iter().map(|(_, (lines, _))| lines.len()).sum());
    let mut good = 0;
    for (length, (some, read)) in decoded {
        lines.extend(some);
        good += read;
        if read < length {
            break;
        }
    }
    (lines, good)
}

fn decode_part(bytes: &[u8]) -> (Vec<Line>, usize) {
    let mut lines = Vec::new();
    let mut good = 0;
    for bytes in bytes.split_inclusive(|byte| *byte == b'\n') {
        let Some(line) = bytes.strip_suffix(b"\n").and_then(Line::decode) else { break };
        lines.push(line);
        good += bytes.len();
    }
    (lines, good)
}

/// The last clock that these lines name.
pub(super) fn clock_of(lines: &[Line]) -> Option<Clock> {
    lines.iter().rev().find_map(|line| match line {
        Line::Clock(clock) => Some(clock.clone()),
        Line::Is(_) | Line::Forgotten(_) => None,
    })
}
