//! An event, put into words once: a verb and named fields, from which every output is written.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use super::id::{id, mix};
use super::{Event, Judged, Level, Notice, StandingChange, Verb};
use crate::packet::Flags;
use crate::policy::{CheckId, Ruling, Standing};

/// The value of a field.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Words, not yet quoted or escaped.
    Text(Cow<'static, str>),
    /// A measured value.
    Number(f32),
    /// How many.
    Count(u64),
    /// How long.
    Span(Duration),
    /// Yes or no.
    Flag(bool),
    /// How many of each.
    Counts(Vec<(&'static str, u64)>),
}

/// One named value of a [`Record`]. Names are listed in [the room's documentation](super).
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// As it stands in a line; in JSON and structured data in lower case.
    pub name: &'static str,
    /// What it is.
    pub value: Value,
    /// Only for JSON: a line would become too long to read.
    pub detail: bool,
}

/// What every output is written from.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// When, by the wall clock.
    pub at: SystemTime,
    /// How bad it is.
    pub level: Level,
    /// What happened.
    pub verb: Verb,
    /// The particulars, in the order in which a line tells them.
    pub fields: Vec<Field>,
    /// The event's short name.
    pub id: String,
}

impl Record {
    /// Puts an event into words. `interface` is the name of the interface a packet came in on;
    /// empty where there is none.
    pub fn of(event: &Event, interface: &str) -> Self {
        match event {
            Event::Judged(judged) => Self::judged(judged, interface),
            Event::Standing(change) => Self::standing(change),
            Event::Notice(notice) => Self::notice(notice),
        }
    }

    fn judged(judged: &Judged, interface: &str) -> Self {
        let Judged { at, interface: _, syn, decision, enforced } = judged;
        let (verb, level) = match (decision.ruling, enforced) {
            (Ruling::Drop, true) => (Verb::Drop, Level::Warning),
            (Ruling::Drop, false) => (Verb::WouldDrop, Level::Notice),
            (Ruling::Accept, _) => (Verb::Accept, Level::Info),
        };
        let evidence = decision.evidence;
        let standing =
            if syn.suspect { decision.earned.max(Standing::Suspect) } else { decision.earned };
        let mut fields = Fields::default();
        fields.text("IN", interface.to_owned());
        fields.text("SRC", syn.src.to_string());
        fields.text("DST", syn.dst.to_string());
        fields.text("PROTO", "TCP");
        fields.count("SPT", syn.sport);
        fields.count("DPT", syn.dport);
        // Most who are let in are so because nothing speaks against them.
        if decision.check != CheckId::NONE {
            fields.text("reason", decision.check.name());
        }
        if !evidence.what.is_empty() {
            fields.text("what", evidence.what);
        }
        if evidence.seen != 0.0 || evidence.limit != 0.0 {
            fields.push("seen", Value::Number(evidence.seen));
            fields.push("limit", Value::Number(evidence.limit));
        }
        if standing != Standing::Clean {
            fields.text("standing", standing.word());
        }
        for (name, holds) in [("again", decision.retransmission), ("proven", syn.proven)] {
            if holds {
                fields.push(name, Value::Flag(true));
            }
        }
        fields.enforced(*enforced);
        fields.detail("flags", Value::Text(flags(syn.flags).into()));
        for (name, number) in [
            ("seq", syn.seq),
            ("window", u32::from(syn.window)),
            ("ttl", u32::from(syn.ttl)),
            ("length", syn.length),
            ("ip_id", u32::from(syn.ip_id)),
        ] {
            fields.detail(name, Value::Count(u64::from(number)));
        }
        let key = crate::memory::SourceKey::of(syn.src).bits();
        let attempt = u64::from(syn.seq) << 32 | u64::from(syn.sport) << 16 | u64::from(syn.dport);
        Self { at: *at, level, verb, fields: fields.0, id: id(*at, key ^ mix(attempt)) }
    }

    fn standing(change: &StandingChange) -> Self {
        let StandingChange { at, source, port, standing, lasts, reason, offence, enforced } =
            change;
        let (verb, level) = match (standing, enforced) {
            (Standing::Clean, _) => (Verb::Clear, Level::Notice),
            (Standing::Suspect, true) => (Verb::Suspect, Level::Warning),
            (Standing::Suspect, false) => (Verb::WouldSuspect, Level::Notice),
            (Standing::Banned, true) => (Verb::Ban, Level::Warning),
            (Standing::Banned, false) => (Verb::WouldBan, Level::Notice),
        };
        let mut fields = Fields::default();
        fields.text("SRC", source.to_string());
        if let Some(port) = port {
            fields.count("DPT", *port);
        }
        fields.text("reason", reason.clone());
        if *offence > 0 {
            fields.count("offence", *offence);
        }
        if let Some(lasts) = lasts {
            fields.push("for", Value::Span(*lasts));
        }
        fields.enforced(*enforced);
        let who = source.bits() ^ mix(*standing as u64 + 1);
        Self { at: *at, level, verb, fields: fields.0, id: id(*at, who) }
    }

    fn notice(notice: &Notice) -> Self {
        let Notice { at, level, what, text } = notice;
        let verb = match *what {
            "start" => Verb::Start,
            "stop" => Verb::Stop,
            "reload" => Verb::Reload,
            _ if *level <= Level::Warning => Verb::Alarm,
            _ => Verb::Note,
        };
        let mut fields = Fields::default();
        if matches!(verb, Verb::Alarm | Verb::Note) {
            fields.text("what", *what);
        } else if *level <= Level::Warning {
            // A failed reload must not read like one that went well.
            fields.text("level", level.word());
        }
        fields.text("text", text.clone());
        let who = what.bytes().fold(0, |who, byte| mix(who ^ u64::from(byte)));
        Self { at: *at, level: *level, verb, fields: fields.0, id: id(*at, who) }
    }
}

/// Fields on their way into a record.
#[derive(Default)]
pub(super) struct Fields(pub(super) Vec<Field>);

impl Fields {
    pub(super) fn push(&mut self, name: &'static str, value: Value) {
        self.0.push(Field { name, value, detail: false });
    }

    pub(super) fn text(&mut self, name: &'static str, text: impl Into<Cow<'static, str>>) {
        self.push(name, Value::Text(text.into()));
    }

    pub(super) fn count(&mut self, name: &'static str, count: impl Into<u64>) {
        self.push(name, Value::Count(count.into()));
    }

    fn detail(&mut self, name: &'static str, value: Value) {
        self.0.push(Field { name, value, detail: true });
    }

    /// Says so when nothing was done; the usual case needs no word.
    pub(super) fn enforced(&mut self, enforced: bool) {
        if !enforced {
            self.push("enforced", Value::Flag(false));
        }
    }
}

/// `SYN+FIN`, or `none`.
fn flags(flags: Flags) -> String {
    const NAMES: [(u8, &str); 8] = [
        (Flags::SYN, "SYN"),
        (Flags::FIN, "FIN"),
        (Flags::RST, "RST"),
        (Flags::PSH, "PSH"),
        (Flags::ACK, "ACK"),
        (Flags::URG, "URG"),
        (Flags::ECE, "ECE"),
        (Flags::CWR, "CWR"),
    ];
    let set: Vec<&str> =
        NAMES.iter().filter(|(bit, _)| flags.has(*bit)).map(|(_, name)| *name).collect();
    if set.is_empty() { "none".to_owned() } else { set.join("+") }
}
