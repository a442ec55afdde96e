//! A suspect must show that it can hear us: it is let in when it retransmits.
//!
//! An address is made a suspect by SYNs that anyone may have forged. The owner of a forged
//! address never notices but for one second: its stack repeats an unanswered SYN. A raw scanner
//! does not, or has moved on; a proven source has shown already that it can hear.

use super::{Case, Check};
use crate::policy::{Evidence, Finding};

pub(super) const CHECK: Check =
    Check { name: "standing", about: "is it a suspect, can it hear us", look };

#[inline]
fn look(case: &mut Case<'_>) -> Finding {
    let suspect = case.syn.suspect || case.now < case.source.suspect_until;
    if !suspect || case.syn.proven {
        return Finding::Pass;
    }
    if case.returned() {
        return Finding::Pass;
    }
    Finding::Deny {
        evidence: Evidence {
            what: "suspect must retransmit",
            seen: case.seen.map_or(0.0, |seen| seen.age.as_secs_f32()),
            limit: case.policy.offences.patience.as_secs_f32(),
        },
        weight: 0,
    }
}
