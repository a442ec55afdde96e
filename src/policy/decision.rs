//! The vocabulary of judging: findings, rulings, decisions.

use super::{CheckId, Scope};

/// What a check saw and what it would have tolerated. The pair is printed as `seen=… limit=…`;
/// both are 0 where nothing is measured, and then left out.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Evidence {
    /// What it was, in a few words: `"SYN+FIN"`, `"login"`, `"unserved"`. Never empty on a denial.
    pub what: &'static str,
    /// The measured value.
    pub seen: f32,
    /// The value that would still have passed.
    pub limit: f32,
}

/// A check's opinion of one SYN.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Finding {
    /// Nothing against it.
    Pass,
    /// Trusted: no later check is asked.
    Allow(Evidence),
    /// Odd, not wrong: adds to the source's score.
    Suspect {
        /// Points; 100 make a suspect.
        score: u16,
        /// Why.
        evidence: Evidence,
    },
    /// Refused.
    Deny {
        /// Why.
        evidence: Evidence,
        /// How many offences this one denial weighs; 0 throttles and never leads to a standing.
        weight: u8,
    },
    /// Refused, and an offence in itself: the source becomes a suspect now.
    Condemn {
        /// Why.
        evidence: Evidence,
        /// All that it rests on is surely the source's own: it is banned.
        own: bool,
    },
}

/// The act that a decision asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ruling {
    /// Let the SYN through.
    Accept,
    /// Refuse it silently.
    Drop,
}

/// Where a source stands with the gate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Nothing known against it.
    #[default]
    Clean,
    /// It offended, on evidence that may be forged. The kernel drops its SYNs to unserved ports;
    /// at served ports it must retransmit before it is let in, unless it is proven.
    Suspect,
    /// It offended, on evidence that is its own. The kernel drops every new connection.
    Banned,
}

impl Standing {
    /// The word used in logs, listings and the ledger.
    pub fn word(self) -> &'static str {
        match self {
            Standing::Clean => "clean",
            Standing::Suspect => "suspect",
            Standing::Banned => "banned",
        }
    }
}

/// What became of one SYN, and why.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decision {
    /// The act.
    pub ruling: Ruling,
    /// The check that settled it.
    pub check: CheckId,
    /// What that check saw.
    pub evidence: Evidence,
    /// The same attempt was seen before (same 4-tuple and sequence number).
    pub retransmission: bool,
    /// The standing that the source has earned with this very SYN; [`Standing::Clean`] for none.
    pub earned: Standing,
    /// What a ban that it has earned closes.
    pub scope: Scope,
    /// The source is proven, but nobody knows how the connections looked that it completed: it is
    /// to be proven anew, so that its SYNs can be told from forged ones.
    pub renew: bool,
}
