//! Does the source look for open doors? A sequential test over its distinct targets.
//!
//! A target is a destination address and port; each counts once, whenever it comes: there is no
//! time window, so slow scans count too. A closed port is a failure, known at the SYN. A served
//! port is a success when the source is proven, which the kernel reports with its next SYN;
//! until then, and for ports that were served until a moment ago, it counts for nothing.
//! See [`crate::policy::Scan`] for the test and its sources.

use super::{Case, Check, ports};
use crate::policy::{Evidence, Finding};

pub(super) const CHECK: Check =
    Check { name: "scan", about: "how many different targets it tried in vain", look };

const WHAT: &str = "different closed targets";

#[inline]
fn look(case: &mut Case<'_>) -> Finding {
    // The same attempt as before says nothing new.
    if case.seen.is_some() {
        return Finding::Pass;
    }
    let test = case.policy.scan;
    let proven = case.syn.proven;
    if proven
        && let Some(pending) = case.source.walk.arrived()
        && case.source.walk.meet(pending)
    {
        case.source.walk.succeed(test.success);
    }
    if ports::refusal(case).is_none() {
        let ports = &case.policy.ports;
        let walk = &mut case.source.walk;
        if !ports.surely_serves(case.syn.dport, ports.is_behind(case.syn.dst)) {
            // Neither a success nor a failure.
        } else if !proven {
            walk.wait(case.target);
        } else if walk.meet(case.target) {
            walk.succeed(test.success);
        }
    } else if case.source.walk.meet(case.target) {
        case.new_target = true;
        case.source.walk.fail(case.own);
    }
    let walk = &mut case.source.walk;
    let Some(limit) = test.limit else { return Finding::Pass };
    let evidence = Evidence { what: WHAT, seen: walk.value().failures(), limit: limit.failures() };
    if case.new_target && (walk.value() >= limit || walk.own() >= limit) {
        let own = walk.own() >= limit;
        walk.restart(own);
        Finding::Condemn { evidence, own }
    } else if evidence.seen > 0.0 {
        // For `explain`: where the walk stands.
        Finding::Suspect { score: 0, evidence }
    } else {
        Finding::Pass
    }
}
