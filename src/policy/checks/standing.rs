//! A suspect must show that it can hear us: it is let in when it retransmits.
//!
//! An address is made a suspect by SYNs that anyone may have forged. The owner of a forged
//! address never notices but for one second: its stack repeats an unanswered SYN. A raw scanner
//! does not, or has moved on; a proven source has shown already that it can hear.
//!
//! A scanner that connects has the same stack, so its SYNs come back as well. But it goes from
//! service to service, and whoever comes for one service is proven when that answers. So until
//! then the first is free, and the second costs a second once; and for a suspect, or who tried in
//! vain twice, it is one service at a time, or a matter of patience.
//!
//! Whoever is banned is stopped by the kernel, and comes here only while its sets are being filled, or
//! while nft fails.

use super::{Case, Check};
use crate::memory::{Target, Tick, Visit};
use crate::policy::{Evidence, Finding};

pub(super) const CHECK: Check =
    Check { name: "standing", about: "is it a suspect, can it hear us", look };

#[inline]
fn look(case: &mut Case<'_>) -> Finding {
    if case.syn.banned {
        let evidence = Evidence { what: "banned, not in the kernel yet", ..Evidence::default() };
        // It is the old offence that is answered.
        return Finding::Deny { evidence, weight: 0 };
    }
    if case.syn.proven {
        return Finding::Pass;
    }
    let suspect = case.syn.suspect || Tick::at(case.now).is_before(case.source.suspect_until);
    let doubted = suspect || case.policy.scan.doubts(case.source.walk.value());
    let evidence = if !case.returned() {
        if !doubted && (visited(case) || case.source.visit.waited || !case.policy.scan.is_on()) {
            return Finding::Pass;
        }
        Evidence {
            what: match (suspect, doubted) {
                (true, _) => "suspect must retransmit",
                (false, true) => "must retransmit after closed ports",
                (false, false) => "must retransmit at a second service",
            },
            seen: case.seen.map_or(0.0, |seen| seen.age.as_secs_f32()),
            limit: case.policy.offences.patience.as_secs_f32(),
        }
    } else if doubted && !persists(case) && !visited(case) {
        Evidence { what: "one service at a time", seen: 2.0, limit: 1.0 }
    } else {
        case.source.visit.waited |= !doubted;
        return Finding::Pass;
    };
    Finding::Deny { evidence, weight: 0 }
}

/// Is it the service that the source is at, or the first? This host has one at each port, whatever
/// its addresses; hosts behind it have their own.
fn visited(case: &mut Case<'_>) -> bool {
    let behind = case.policy.ports.is_behind(case.syn.dst);
    let service = if behind { case.target } else { Target::of(0, case.syn.dport) };
    case.source.visit.goes(service, case.now)
}

/// Has it knocked often enough to be let in anyway?
fn persists(case: &Case<'_>) -> bool {
    case.seen.is_some_and(|seen| seen.repeat >= Visit::PERSISTS)
}
