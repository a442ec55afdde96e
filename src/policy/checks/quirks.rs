//! Packets that no honest TCP sends, or hardly any.

use super::{Case, Check};
use crate::packet::{Flags, Syn};
use crate::policy::{Evidence, Finding, Quirks, Stance};

pub(super) const CHECK: Check =
    Check { name: "quirks", about: "flags, data and size of the packet", look };

/// Points for one oddity; 100 make a suspect.
const ODD: u16 = 25;

#[inline]
fn look(case: &mut Case<'_>) -> Finding {
    let quirks = &case.policy.quirks;
    let mut odd = Finding::Pass;
    // An odd header is odd every time, so it counts once, beside whatever else there is.
    let plain = if case.source.offences.score == 0 { ODD } else { 0 };
    for (stance, points, evidence) in oddities(case.syn, quirks, plain).into_iter().flatten() {
        match stance {
            Stance::Deny => return Finding::Deny { evidence, weight: 1 },
            Stance::Score if odd == Finding::Pass => {
                odd = Finding::Suspect { score: points, evidence }
            }
            Stance::Score | Stance::Ignore => {}
        }
    }
    odd
}

/// What is odd about a packet, and what the policy thinks of it, with the points of each oddity;
/// `plain` are those of a header that small and old systems send too.
#[inline]
fn oddities(syn: &Syn, quirks: &Quirks, plain: u16) -> [Option<(Stance, u16, Evidence)>; 5] {
    let flags = syn.flags;
    let evidence =
        |what, seen: u32, limit: u32| Evidence { what, seen: seen as f32, limit: limit as f32 };

    // RFC 9293 §3.10.7 never has SYN meet FIN or RST.
    let illegal = (flags.has(Flags::SYN) && flags.any(Flags::FIN | Flags::RST)).then(|| {
        let what = if flags.has(Flags::FIN) { "SYN+FIN" } else { "SYN+RST" };
        (quirks.illegal_flags, ODD, evidence(what, flags.0.into(), Flags::SYN.into()))
    });
    // What nmap calls FIN, NULL and Xmas scans: closed ports answer RST, open ones do not (RFC 9293 §3.10.7.1).
    let stealth = (!flags.any(Flags::SYN | Flags::RST | Flags::ACK)).then(|| {
        let what = match flags.0 {
            0 => "NULL probe",
            bits if bits & (Flags::FIN | Flags::PSH | Flags::URG) == Flags::FIN => "FIN probe",
            bits if bits & Flags::FIN != 0 => "XMAS probe",
            _ => "no SYN, RST or ACK",
        };
        (quirks.stealth, ODD, evidence(what, flags.0.into(), Flags::SYN.into()))
    });
    let payload = (syn.opens() && syn.payload > 0 && !syn.options.fast_open)
        .then(|| (quirks.payload, ODD, evidence("data in SYN", syn.payload, 0)));
    let too_long = syn.length > quirks.max_length && !(syn.options.fast_open && syn.payload > 0);
    let odd_size = if syn.options.malformed {
        Some((quirks.odd_size, ODD, evidence("broken options", syn.options.length.into(), 40)))
    } else if too_long {
        Some((quirks.odd_size, ODD, evidence("long SYN", syn.length, quirks.max_length)))
    } else {
        None
    };
    // A source that is proven has shown that its stack is honest, however plain.
    let bare = if syn.proven || !syn.opens() {
        None
    } else if syn.ack != 0 {
        Some("acknowledges nothing")
    } else if syn.options.length == 0 {
        Some("no options")
    } else if !syn.dont_fragment {
        Some("may be fragmented")
    } else {
        None
    };
    let bare = bare.map(|what| (quirks.odd_header, plain, evidence(what, 0, 0)));
    [illegal, stealth, payload, odd_size, bare]
}
