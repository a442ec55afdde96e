//! When the gate knew: the first entry in its log that calls somebody what they are.

use std::net::IpAddr;
use std::time::Duration;

use serde_json::Value;

use super::sniffer::Knock;

/// A closed port by itself is no offence; these reasons are.
const REASONS: [&str; 5] = ["fingerprint", "scan", "rate", "quirks", "anomaly"];

/// The moment at which somebody was known.
#[derive(Clone, Debug)]
pub(crate) struct Flag {
    /// The check that knew.
    pub(crate) check: String,
    /// Its evidence.
    pub(crate) what: String,
    /// The packet that gave them away, counted from 1; `None` if it was not among those seen.
    pub(crate) knocks: Option<usize>,
    /// How long after their first packet.
    pub(crate) after: Duration,
}

impl Flag {
    /// Finds the first refusal of `who` for one of the reasons, or that made a suspect of them.
    pub(super) fn find(events: &[Value], who: IpAddr, knocks: &[Knock]) -> Option<Self> {
        let who = who.to_string();
        let event = events.iter().find(|event| {
            let reason = event["reason"].as_str().unwrap_or_default();
            event["event"] == "drop"
                && event["src"] == *who
                && (REASONS.contains(&reason) || event.get("standing").is_some())
        })?;
        let word = |field: &str| event[field].as_str().unwrap_or_default().to_owned();
        let number = |field: &str| event[field].as_u64();
        let told = |knock: &Knock| {
            number("spt") == Some(knock.sport.into())
                && number("dpt") == Some(knock.dport.into())
                && number("seq") == Some(knock.seq.into())
        };
        let at: Option<jiff::Timestamp> = word("time").parse().ok();
        let first = knocks.first().and_then(|knock| knock.at.try_into().ok());
        let after = at.zip(first).map(|(at, first): (_, jiff::Timestamp)| at.duration_since(first));
        Some(Self {
            check: word("reason"),
            what: word("what"),
            knocks: knocks.iter().position(told).map(|place| place + 1),
            after: after.and_then(|after| after.try_into().ok()).unwrap_or_default(),
        })
    }
}
