//! What one line of the log tells.

use std::borrow::Cow;
use std::net::IpAddr;

use jiff::Timestamp;

use crate::events::Verb;
use crate::memory::SourceKey;

/// One event, as it was read. Words are as they were written: whoever shows them must see to it
/// that a terminal or a page does not act upon them.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry<'a> {
    /// When.
    pub at: Timestamp,
    /// Its short name, the same in every output: 50 bits.
    pub id: u64,
    /// What happened.
    pub what: What<'a>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum What<'a> {
    /// `DROP`, `WOULD-DROP`.
    Refused(Refused<'a>),
    /// `DROP-MORE`, `WOULD-DROP-MORE`.
    More(More<'a>),
    /// `SUSPECT`, `BAN`, `CLEAR`, and those with `WOULD-`.
    Standing(Given<'a>),
    /// `STANDINGS-MORE`.
    Standings(Changes),
    /// `START`, `STOP`, `RELOAD`, `ALARM`, `NOTE`.
    Notice(Said<'a>),
}

/// A refusal that was written in full.
#[derive(Clone, Debug, PartialEq)]
pub struct Refused<'a> {
    /// The sender's address.
    pub src: IpAddr,
    /// The port it wanted.
    pub port: u16,
    /// The check that refused.
    pub reason: Cow<'a, str>,
    /// What exactly it saw; empty if it did not say.
    pub what: Cow<'a, str>,
    /// False: the gate only observed.
    pub enforced: bool,
}

/// Refusals that were summed up.
#[derive(Clone, Debug, PartialEq)]
pub struct More<'a> {
    /// Whose; `None` if of many.
    pub source: Option<SourceKey>,
    /// How many.
    pub count: u64,
    /// By which check how many.
    pub by: Vec<(Cow<'a, str>, u64)>,
    /// False: the gate only observed.
    pub enforced: bool,
}

/// A standing that rose or fell.
#[derive(Clone, Debug, PartialEq)]
pub struct Given<'a> {
    /// Whose.
    pub source: SourceKey,
    /// What it is now.
    pub rank: Rank,
    /// A check's name, `expired`, or an admin's words.
    pub reason: Cow<'a, str>,
    /// False: the gate only observed.
    pub enforced: bool,
}

/// Standings, the worst last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// Nothing, or nothing any more.
    #[default]
    Clean,
    /// Suspect.
    Suspect,
    /// Banned.
    Banned,
}

/// Changes of standing that were summed up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// To clean.
    pub clean: u64,
    /// To suspect.
    pub suspect: u64,
    /// To banned.
    pub banned: u64,
    /// The same log also has each of them in full, as a JSON file does: not to be added.
    pub told: bool,
}

/// The gate spoke of itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Said<'a> {
    /// `START`, `STOP`, `RELOAD`, `ALARM` or `NOTE`.
    pub verb: Verb,
    /// What it is, in one word; empty if the verb says it all.
    pub what: Cow<'a, str>,
    /// In a sentence.
    pub text: Cow<'a, str>,
}

/// What is wrong with a line of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// The last field is missing or not whole.
    #[error("it ends too early: id=… is missing at its end")]
    Torn,
    /// A field is missing.
    #[error("{0}= is missing")]
    Missing(&'static str),
    /// A field has a value that it cannot have.
    #[error("the value of {0}= cannot be read")]
    Unreadable(&'static str),
    /// It is not JSON to its end.
    #[error("it is not whole: no JSON up to its end")]
    Json,
    /// There is no time in front of it.
    #[error("it has no time; from the journal take: journalctl -u portcullis -o short-iso")]
    NoTime,
    /// A line of more than 64 KiB.
    #[error("it is longer than any line of Portcullis")]
    Long,
}

impl What<'_> {
    /// The same, with words of its own.
    pub(super) fn into_owned(self) -> What<'static> {
        let own = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        match self {
            What::Refused(Refused { src, port, reason, what, enforced }) => {
                What::Refused(Refused { src, port, reason: own(reason), what: own(what), enforced })
            }
            What::More(More { source, count, by, enforced }) => {
                let by = by.into_iter().map(|(name, count)| (own(name), count)).collect();
                What::More(More { source, count, by, enforced })
            }
            What::Standing(Given { source, rank, reason, enforced }) => {
                What::Standing(Given { source, rank, reason: own(reason), enforced })
            }
            What::Standings(changes) => What::Standings(changes),
            What::Notice(Said { verb, what, text }) => {
                What::Notice(Said { verb, what: own(what), text: own(text) })
            }
        }
    }
}
