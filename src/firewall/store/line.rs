//! The lines of the ledger's file. Pure.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use foldhash::fast::RandomState;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::super::clock::{Clock, Look};
use super::super::entry::{By, Entry, LATEST, Whom};
use super::super::names::is_wide;
use crate::config::parts::plain_net;
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
    UNIX_EPOCH + Duration::from_millis(millis).min(LATEST)
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
                reason: e.reason.to_string(),
                by: e.by,
                evidence: e.evidence.to_string(),
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
    /// Whom it is about.
    pub fn whom(&self) -> Option<Whom> {
        match self {
            Line::Is(entry) => Some(entry.whom()),
            Line::Forgotten(whom) => Some(*whom),
            Line::Clock(_) => None,
        }
    }

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

    /// Reads what [`Self::encode`] wrote, without its end.
    pub(super) fn decode(line: &[u8], texts: &mut Texts) -> Option<Self> {
        let (sum, json) = line.split_at_checked(9)?;
        let sum = std::str::from_utf8(sum).ok()?.strip_suffix(' ')?;
        if u32::from_str_radix(sum, 16).ok()? != crc32fast::hash(json) {
            return None;
        }
        quick(json, texts).or_else(|| Self::decode_json(json))
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
            reason: rest.reason.into(),
            by: rest.by,
            evidence: rest.evidence.into(),
        }))
    }
}

/// The texts of a file: the same few stand in most lines, and each of those is kept once.
#[derive(Debug, Default)]
pub(super) struct Texts(HashSet<Arc<str>, RandomState>);

impl Texts {
    /// So many are known again.
    const MOST: usize = 10_000;

    fn keep(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.0.get(text) {
            return Arc::clone(known);
        }
        let new: Arc<str> = text.into();
        if self.0.len() < Self::MOST {
            self.0.insert(Arc::clone(&new));
        }
        new
    }
}

/// Reads a live line that looks exactly as this program writes most of them, several times as
/// quickly as JSON is read: a million lines are to be known before the gate judges. `None` of
/// anything else, which may be right all the same.
pub(super) fn quick(json: &[u8], texts: &mut Texts) -> Option<Line> {
    let mut rest = Unread(json);
    let net = rest.quoted("{\"net\":")?;
    let net = plain_net(net.as_bytes()).or_else(|| net.parse().ok())?;
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
    let reason = texts.keep(rest.quoted(",\"reason\":")?);
    let by = match rest.quoted(",\"by\":")? {
        "gate" => By::Gate,
        "admin" => By::Admin,
        _ => return None,
    };
    let evidence = match rest.skip("}}") {
        Some(()) => texts.keep(""),
        None => {
            let evidence = texts.keep(rest.quoted(",\"evidence\":")?);
            rest.skip("}}")?;
            evidence
        }
    };
    let entry =
        Entry { net, port, standing, since, until, offences, last_offence, reason, by, evidence };
    rest.0.is_empty().then_some(Line::Is(entry))
}

/// What is left of a line.
struct Unread<'a>(&'a [u8]);

impl<'a> Unread<'a> {
    fn skip(&mut self, text: &str) -> Option<()> {
        self.0 = self.0.strip_prefix(text.as_bytes())?;
        Some(())
    }

    /// A string without anything that JSON escapes.
    fn quoted(&mut self, before: &str) -> Option<&'a str> {
        self.skip(before)?;
        self.skip("\"")?;
        let special = |byte: &u8| matches!(*byte, b'"' | b'\\' | 0..b' ');
        let (text, rest) = self.0.split_at(self.0.iter().position(special)?);
        self.0 = rest.strip_prefix(b"\"")?;
        std::str::from_utf8(text).ok()
    }

    /// A number as JSON writes it: no zeros before it, no more than it can hold.
    fn number(&mut self, before: &str) -> Option<u64> {
        self.skip(before)?;
        let end = self.0.iter().position(|byte| !byte.is_ascii_digit())?;
        let (digits, rest) = self.0.split_at(end);
        self.0 = rest;
        if digits.is_empty() || (digits != b"0" && digits[0] == b'0') {
            return None;
        }
        digits
            .iter()
            .try_fold(0_u64, |sum, digit| sum.checked_mul(10)?.checked_add(u64::from(digit - b'0')))
    }
}

/// The last clock that these lines name.
pub(super) fn clock_of(lines: &[Line]) -> Option<Clock> {
    lines.iter().rev().find_map(|line| match line {
        Line::Clock(clock) => Some(clock.clone()),
        Line::Is(_) | Line::Forgotten(_) => None,
    })
}
