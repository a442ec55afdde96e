//! Are far more connections asked for than are completed? That is a mode of the whole gate and
//! not a fault of one source, so the check refuses nobody: it tells, and [`note`] counts. See
//! [`crate::memory::Flood`] for how a flood is recognised; what it freezes is the judge's work.

use std::time::Duration;

use super::{Case, Check, CheckId};
use crate::memory::{Arrival, Fate, Flood, FloodKind, Memory, Moment, Seen, SourceKey};
use crate::policy::{Evidence, Finding, Policy};

pub(super) const CHECK: Check = Check { name: "flood", about: "is a flood going on", look };

/// An honest stack repeats a SYN after about a second, and then ever more slowly (RFC 6298 §2).
/// Who does it several times in this time each is not waiting for an answer.
const HURRY: Duration = Duration::from_millis(200);

#[inline]
fn look(case: &mut Case<'_>) -> Finding {
    let (Some(kind), Some(rule)) = (case.flood.kind(), case.policy.flood.rule) else {
        return Finding::Pass;
    };
    let what = match kind {
        FloodKind::Forged => "flood of forged SYNs, in SYNs per second",
        FloodKind::Busy => "flood from few sources, in SYNs per second",
    };
    let evidence = Evidence { what, seen: case.flood.surplus().round(), limit: rule.surplus() };
    // It says nothing about this source.
    Finding::Suspect { score: 0, evidence }
}

/// Brings the watch up to date with the clock. True if a forged flood lasts, so that nothing may
/// be learnt from what arrives.
#[inline]
pub(in crate::policy) fn freezes(policy: &Policy, flood: &Flood, now: Moment) -> bool {
    let Some(rule) = policy.flood.rule else { return false };
    flood.step(rule, now);
    flood.is_frozen()
}

/// Counts an attempt, now that it is known which check has denied it, if any has.
///
/// It counts if something is known here of its completion: not for hosts behind this one, nor at
/// ports that the policy excepts, or that were served until a moment ago.
#[inline]
pub(in crate::policy) fn note(memory: &Memory, case: &Case<'_>, denied: Option<CheckId>) {
    let (policy, syn) = (case.policy, case.syn);
    let Some(rule) = policy.flood.rule else { return };
    let retransmitted = case.seen.is_some_and(|seen| !hurries(seen));
    if retransmitted || !syn.opens() || policy.ports.is_behind(syn.dst) {
        return;
    }
    if policy.ports.closing.contains(syn.dport) || policy.flood.except.contains(syn.dport) {
        return;
    }
    let fate = match denied {
        None if policy.ports.surely_serves(syn.dport, false) => Fate::LetIn,
        Some(check) if check.0 > CheckId::FLOOD.0 => Fate::Throttled,
        Some(check) if check.0 >= CheckId::SCAN.0 => Fate::Closed,
        // Nobody knows whether it is served; or it was refused for what it is.
        None | Some(_) => return,
    };
    let source = memory.source(SourceKey::of(syn.src));
    let arrival =
        Arrival { source, target: case.target, port: syn.dport, proven: syn.proven, fate };
    memory.flood.note(rule, &arrival, case.now);
}

/// Do repetitions come faster than any honest stack sends them?
#[inline]
fn hurries(seen: Seen) -> bool {
    seen.age < HURRY * u32::from(seen.repeat)
}
