//! Does the source behave like no other? See [`crate::anomaly`] for how that is told.
//!
//! Only the first eight attempts of a source in an hour are looked at, and the oddest of them
//! counts: one decision per source. SYNs that do not look like the connections which their source
//! completed are nobody's habits. Nothing here leads to a ban: points make a suspect only together
//! with another oddity, and where the admin wants unusual sources dropped, what may be forged is
//! let in when it is repeated, and what cannot be is refused without being an offence.

use super::{Case, Check, ports};
use crate::anomaly::{Attempt, Digest, Sample, Unusual, name};
use crate::memory::Moment;
use crate::policy::{Evidence, Finding, Rates, Reaction, bits};

pub(super) const CHECK: Check =
    Check { name: "anomaly", about: "does it behave like no other", look };

/// Points for being unusual; 100 make a suspect. Two plain oddities more do then.
const POINTS: u16 = 50;

#[inline]
fn look(case: &mut Case<'_>) -> Finding {
    let action = case.policy.anomaly.action;
    if action == Reaction::Off || case.foreign {
        return Finding::Pass;
    }
    // What is sent again is not another attempt.
    let points = if case.seen.is_some() { 0 } else { study(case) };
    let Some(feature) = case.source.habits.odd() else { return Finding::Pass };
    let evidence = Evidence {
        what: name(feature),
        seen: case.source.habits.score(),
        limit: case.memory.anomaly.scorer().limit(),
    };
    let patience = case.policy.offences.patience;
    let heard = case.seen.is_some_and(|seen| seen.age >= patience);
    // A closed port is refused anyway, and for a better reason.
    if action == Reaction::Drop && (case.own || !heard) && ports::refusal(case).is_none() {
        return Finding::Deny { evidence, weight: u8::from(!case.own) };
    }
    Finding::Suspect { score: points, evidence }
}

/// Looks at a new attempt, if it is one of the first, and returns the points for it.
#[inline]
fn study(case: &mut Case<'_>) -> u16 {
    let (syn, memory) = (case.syn, case.memory);
    let attempt = Attempt {
        at: milliseconds(case.now),
        host: memory.host(bits(syn.dst)),
        port: syn.dport,
        from: syn.sport,
        failed: ports::refusal(case).is_some(),
        login: {
            let (index, class) = case.policy.rate.class_of(syn.dport);
            class.offends && index < Rates::CLASSES
        },
        proven: syn.proven,
    };
    let habits = &mut case.source.habits;
    if !habits.note(attempt) {
        return 0;
    }
    let detector = &memory.anomaly;
    let digest = Digest::of(syn, habits);
    let scorer = detector.scorer();
    let score = scorer.score(digest);
    if case.learns && syn.proven && habits.seen() == 1 {
        detector.begins();
    }
    let unusual = habits.scored(digest, score) && score > scorer.limit() && habits.odd().is_none();
    if unusual {
        habits.call_odd(scorer.shares(digest)[0].feature);
    }
    let teaches = case.learns && case.own && case.policy.anomaly.learn && !habits.blamed();
    if teaches {
        detector.offer(Sample {
            source: case.key.bits(),
            network: case.network_key.bits(),
            lot: memory.lot(case.key),
            began: habits.began(),
            digest,
        });
    }
    if !unusual {
        return 0;
    }
    if case.learns {
        detector.flagged(Unusual { source: case.key.bits(), digest, score, proven: syn.proven });
    }
    POINTS
}

fn milliseconds(now: Moment) -> u64 {
    now.0 / 1_000_000
}
