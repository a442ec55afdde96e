//! A suspect must show that it can hear us: it is let in when it retransmits.
//!
//! An address is made a suspect by SYNs that anyone may have forged. The owner of a forged
//! address never notices but for one second: its stack repeats an unanswered SYN. A raw scanner
//! does not, or has moved on; a proven source has shown already that it can hear.
//!
//! A scanner that connects has the same stack, so its SYNs come back as well. But it goes from
//! service to service, and whoever comes for one service is proven when that answers: so until
//! then it is one at a time. And so that a scanner learns little before it is a suspect, the same
//! goes for whoever tried in vain twice.

use super::{Case, Check};
use crate::policy::{Evidence, Finding};

pub(super) const CHECK: Check =
    Check { name: "standing", about: "is it a suspect, can it hear us", look };

#[inline]
fn look(case: &mut Case<'_>) -> Finding {
    if case.syn.proven {
        return Finding::Pass;
    }
    let suspect = case.syn.suspect || case.now < case.source.suspect_until;
    let doubted = case.policy.scan.doubts(case.source.walk.value());
    if !suspect && !doubted {
        return Finding::Pass;
    }
    let evidence = if !case.returned() {
        Evidence {
            what: if suspect { "suspect must retransmit" } else { "must retransmit" },
            seen: case.seen.map_or(0.0, |seen| seen.age.as_secs_f32()),
            limit: case.policy.offences.patience.as_secs_f32(),
        }
    } else if !case.source.visit.goes(case.target, case.now) {
        Evidence { what: "one service at a time", seen: 2.0, limit: 1.0 }
    } else {
        return Finding::Pass;
    };
    Finding::Deny { evidence, weight: 0 }
}
