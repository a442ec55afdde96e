//! What the ledger knows of one source.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::policy::{CHECKS, Standing};

/// No time lies later after 1970, whatever a file says: ten thousand years, so that no sum overflows.
pub(super) const LATEST: Duration = Duration::from_secs(10_000 * 366 * 24 * 3600);

/// The word for a reason's number: a check's name, `admin`, or `other`.
pub(super) fn reason_word(number: usize) -> &'static str {
    let others = if number == CHECKS.len() { "admin" } else { "other" };
    CHECKS.get(number).map_or(others, |check| check.name)
}

/// Who decided on a standing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// The gate itself.
    Gate,
    /// An admin, with `portcullis bans`.
    Admin,
}

/// Whom a standing is about: a prefix, at all ports or at one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Whom {
    /// A /32, a /64, or the wider prefix that an admin banned.
    pub net: IpNet,
    /// A ban at this port only. Never with a wider prefix, and never of a suspect.
    pub port: Option<u16>,
}

impl From<IpNet> for Whom {
    /// At all ports.
    fn from(net: IpNet) -> Self {
        Self { net, port: None }
    }
}

/// A source with its standing, or the memory of one that has ended: the next offence lasts longer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// A /32, a /64, or the wider prefix that an admin banned.
    pub net: IpNet,
    /// The standing is about this port only.
    pub port: Option<u16>,
    /// What it has now. [`Standing::Clean`] when the standing has ended.
    pub standing: Standing,
    /// When that began.
    pub since: SystemTime,
    /// When it ends, or ended.
    pub until: SystemTime,
    /// How many standings the source has earned: it decides how long the next one lasts.
    pub offences: u32,
    /// When it last offended.
    pub last_offence: SystemTime,
    /// A check's name, or the admin's words. Shared, as `evidence` is: the same few texts stand in
    /// most of a million entries.
    pub reason: Arc<str>,
    /// Who decided.
    pub by: By,
    /// What was seen, in words; empty for admins.
    pub evidence: Arc<str>,
}

/// How many reasons there are to tell apart.
pub(super) const REASONS: usize = CHECKS.len() + 2;

impl Entry {
    /// Why it has its standing, as one of [`REASONS`]: admins write whatever they like.
    pub(super) fn reason_number(&self) -> usize {
        match self.by {
            By::Admin => CHECKS.len(),
            By::Gate => {
                let known = CHECKS.iter().position(|check| *check.name == *self.reason);
                known.unwrap_or(CHECKS.len() + 1)
            }
        }
    }

    /// Whom it is about.
    pub fn whom(&self) -> Whom {
        Whom { net: self.net, port: self.port }
    }

    /// Does it have a standing at this time?
    pub fn is_live(&self, now: SystemTime) -> bool {
        self.standing != Standing::Clean && self.until > now
    }

    /// How much longer the standing lasts; zero when it has ended.
    pub fn left(&self, now: SystemTime) -> Duration {
        self.until.duration_since(now).unwrap_or_default()
    }
}
