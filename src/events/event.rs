//! What can be told.

use std::time::{Duration, SystemTime};

use crate::memory::SourceKey;
use crate::packet::Syn;
use crate::policy::{Decision, Standing};

/// One thing that happened, on its way to the people who read about it.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A SYN was refused, or would have been.
    Judged(Judged),
    /// A source's standing changed.
    Standing(StandingChange),
    /// The gate has something to say of itself.
    Notice(Notice),
}

/// A SYN was refused (or, in observe mode, would have been).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judged {
    /// When, by the wall clock.
    pub at: SystemTime,
    /// Index of the interface it arrived on; 0 if unknown.
    pub interface: u32,
    /// Its facts.
    pub syn: Syn,
    /// The opinion.
    pub decision: Decision,
    /// Was it acted on? False in observe mode.
    pub enforced: bool,
}

/// A source rose, fell or was moved by an admin.
#[derive(Clone, Debug, PartialEq)]
pub struct StandingChange {
    /// When, by the wall clock.
    pub at: SystemTime,
    /// Who.
    pub source: SourceKey,
    /// It is about this port only; `None` for all.
    pub port: Option<u16>,
    /// The standing it has now.
    pub standing: Standing,
    /// How long it lasts; `None` for a return to clean.
    pub lasts: Option<Duration>,
    /// Why: a check's name, `expired`, or the admin's words.
    pub reason: String,
    /// Which offence of this source it is, from 1; 0 where that has no meaning.
    pub offence: u32,
    /// False in observe mode: the kernel was not told.
    pub enforced: bool,
}

/// The gate speaks of itself: start, stop, reload, alarm.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    /// When, by the wall clock.
    pub at: SystemTime,
    /// How bad it is.
    pub level: Level,
    /// What it is in one word, for filters: `start`, `stop`, `reload`, `flushed`, `budget`, …
    pub what: &'static str,
    /// What it is in a sentence, with what to do about it where something can be done.
    pub text: String,
}

/// Syslog severities that Portcullis uses (RFC 5424 §6.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// 3: something does not work.
    Error,
    /// 4: something may soon not work, or somebody was refused.
    Warning,
    /// 5: normal but significant.
    Notice,
    /// 6: good to know.
    Info,
}

impl Level {
    /// The number of the syslog severity.
    pub fn severity(self) -> u8 {
        match self {
            Level::Error => 3,
            Level::Warning => 4,
            Level::Notice => 5,
            Level::Info => 6,
        }
    }

    /// The word used in lines and JSON.
    pub fn word(self) -> &'static str {
        match self {
            Level::Error => "error",
            Level::Warning => "warning",
            Level::Notice => "notice",
            Level::Info => "info",
        }
    }
}
