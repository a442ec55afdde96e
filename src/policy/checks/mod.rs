//! One file per check, and the order in which they are asked: trust before suspicion, cheap
//! before dear. A new check is one file here and one line in [`CHECKS`]; its name is at once the
//! table in the policy file, the field in the log, the counter and the row in `explain`.

mod allowlist;
mod anomaly;
mod denylist;
mod fingerprint;
pub(crate) mod flood;
mod ports;
mod quirks;
mod rate;
mod scan;
mod standing;

pub use fingerprint::tools;

use super::{Finding, Policy, Scope};
use crate::memory::{
    Memory, Moment, Neighbours, NetworkKey, Seen, SharedBucket, Source, SourceKey, Target,
};
use crate::packet::Syn;

/// All checks, in the order in which they are asked.
///
/// `scan` and `anomaly` stand before `ports`, because `ports` settles the attempts that they learn
/// from. `flood` stands behind it, so what it tells is told of attempts that get that far.
pub const CHECKS: [Check; 10] = [
    allowlist::CHECK,
    denylist::CHECK,
    quirks::CHECK,
    fingerprint::CHECK,
    scan::CHECK,
    anomaly::CHECK,
    ports::CHECK,
    flood::CHECK,
    rate::CHECK,
    standing::CHECK,
];

/// One check.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// Its name.
    pub name: &'static str,
    /// What it looks at, in a few words for people.
    pub about: &'static str,
    /// Its opinion of a SYN.
    pub look: fn(&mut Case<'_>) -> Finding,
}

/// A check by its place in [`CHECKS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CheckId(pub u8);

impl CheckId {
    /// No check had anything to say: the SYN passed them all.
    pub const NONE: CheckId = CheckId(u8::MAX);
    /// The check that also answers for packets that cannot be parsed.
    pub const QUIRKS: CheckId = CheckId(2);
    /// The check whose findings are no offence.
    pub const ANOMALY: CheckId = CheckId(5);
    /// The check behind which only what is served comes.
    pub(super) const FLOOD: CheckId = CheckId(7);

    /// Its name in policy, log and counters.
    pub fn name(self) -> &'static str {
        CHECKS.get(usize::from(self.0)).map_or("none", |check| check.name)
    }
}

/// All that a check may look at, for one SYN.
#[derive(Debug)]
pub struct Case<'a> {
    /// What the admin wants.
    pub policy: &'a Policy,
    /// The facts.
    pub syn: &'a Syn,
    /// The time.
    pub now: Moment,
    /// Who sent it…
    pub key: SourceKey,
    /// …and from which network.
    pub network_key: NetworkKey,
    /// Everything that is remembered.
    pub memory: &'a Memory,
    /// May be learnt from: false for an imagined SYN, and while a forged flood runs.
    pub learns: bool,
    /// What is remembered of its source…
    pub source: &'a mut Source,
    /// …and what the sources of its network share.
    pub network: Neighbours<'a>,
    /// Attempts of everybody.
    pub total: &'a SharedBucket,
    /// A forged flood lasts: what comes may say anything, so nothing is learnt from it.
    pub frozen: bool,
    /// The same attempt, if it was seen before.
    pub seen: Option<Seen>,
    /// It does not look like the connections that its source completed: who is charged for it
    /// instead of the source.
    pub shadow: Option<&'a mut Source>,
    /// Where it wants to.
    pub target: Target,
    /// The source is proven, and nobody else can have sent this SYN.
    pub own: bool,
    /// Set by `scan`: the source was not seen there lately.
    pub new_target: bool,
    /// Set by the check that charges an attempt against the rates.
    pub charged: bool,
    /// Set by the check that refuses: what a ban for it closes.
    pub scope: Scope,
}

impl Case<'_> {
    /// Does the attempt come back, after as long as an honest system takes?
    #[inline]
    pub fn returned(&self) -> bool {
        self.seen.is_some_and(|seen| seen.age >= self.policy.offences.patience)
    }

    /// Whose allowance the attempt draws on.
    #[inline]
    pub fn payer(&self) -> &Source {
        self.shadow.as_deref().unwrap_or(self.source)
    }

    /// The same, to charge it.
    #[inline]
    pub fn payer_mut(&mut self) -> &mut Source {
        match &mut self.shadow {
            Some(shadow) => shadow,
            None => self.source,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_policys_words() {
        assert_eq!(CheckId::QUIRKS.name(), "quirks");
        assert_eq!(CheckId::FLOOD.name(), "flood");
        assert_eq!(CheckId::ANOMALY.name(), "anomaly");
        assert_eq!(CheckId::NONE.name(), "none");
        for (i, check) in CHECKS.iter().enumerate() {
            assert!(check.name.chars().all(|c| c.is_ascii_lowercase()), "{}", check.name);
            assert_eq!(CHECKS.iter().position(|other| other.name == check.name), Some(i));
        }
    }
}
