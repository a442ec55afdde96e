//! Are far more connections asked for than are completed? That is a mode of the whole gate and
//! not a fault of one source, so the check refuses nobody: it tells, and [`note`] counts. See
//! [`crate::memory::Flood`] for how a flood is recognised; what it freezes is the judge's work.

use std::net::IpAddr;
use std::time::Duration;

use super::{Case, Check, CheckId};

use crate::memory::{Arrival, Fate, Flood, FloodKind, Moment, Seen};
use crate::policy::{Evidence, Finding, Policy};

pub(super) const CHECK: Check = Check { name: "flood", about: "is a flood going on", look };

/// An honest stack repeats a SYN after about a second, and then ever more slowly (RFC 6298 §2).
/// Who does it several times in this time each is not waiting for an answer.
const HURRY: Duration = Duration::from_millis(200);

#[inline]
fn look(case: &mut Case<'_>) -> Finding {
    let (Some(kind), Some(rule)) = (case.memory.flood.kind(), case.policy.flood.rule) else {
        return Finding::Pass;
    };
    let what = match kind {
        FloodKind::Forged => "flood of forged SYNs, in SYNs per second",
        FloodKind::Busy => "flood from few sources, in SYNs per second",
    };
    let evidence =
        Evidence { what, seen: case.memory.flood.surplus().round(), limit: rule.surplus() };
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
/// It counts if something is known here of its completion (see [`watches`]), and not at ports that
/// were served until a moment ago.
#[inline]
pub(in crate::policy) fn note(case: &Case<'_>, denied: Option<CheckId>) {
    let (policy, syn) = (case.policy, case.syn);
    let Some(rule) = policy.flood.rule else { return };
    let retransmitted = case.seen.is_some_and(|seen| !hurries(seen));
    if retransmitted || !syn.opens() || !watches(policy, syn.dst, syn.dport) {
        return;
    }
    if policy.ports.closing.contains(syn.dport) {
        return;
    }
    let fate = match denied {
        None if policy.ports.surely_serves(syn.dport, false) => Fate::LetIn,
        Some(check) if check.0 > CheckId::FLOOD.0 || check == CheckId::ANOMALY => Fate::Throttled,
        // Floods are made with tools that write their own headers, too.
        Some(check) if check.0 >= CheckId::QUIRKS.0 => Fate::Closed,
        // Nobody knows whether it is served; or it is on a list.
        None | Some(_) => return,
    };
    let source = case.memory.source(case.key);
    let arrival =
        Arrival { source, target: case.target, port: syn.dport, proven: syn.proven, fate };
    case.memory.flood.note(rule, &arrival, case.now);
}

/// Does the watch look at this target? Not at hosts behind this one, of whose completions nothing is
/// known, nor at ports that the policy excepts.
#[inline]
pub(crate) fn watches(policy: &Policy, address: IpAddr, port: u16) -> bool {
    !policy.ports.is_behind(address) && !policy.flood.except.contains(port)
}

/// Do repetitions come faster than any honest stack sends them?
#[inline]
fn hurries(seen: Seen) -> bool {
    seen.age < HURRY * u32::from(seen.repeat)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use proptest::prelude::*;

    use super::*;
    use crate::memory::{Bounds, Memory};
    use crate::packet::{Flags, Syn};
    use crate::policy::{Ruling, Standing, explain, judge};

    const MS: u64 = 1_000_000;

    fn policy() -> Policy {
        let mut policy = Policy::default();
        policy.ports.served = [22, 80].into_iter().collect();
        policy.rate.network = None;
        policy
    }

    fn memory() -> Memory {
        Memory::repeatable(Bounds { sources: 4096, networks: 1024 })
    }

    fn syn(from: u32, port: u16, seq: u32) -> Syn {
        let from = SocketAddr::from((Ipv4Addr::from_bits(from), 40_000));
        Syn { seq, ..Syn::linux(from, SocketAddr::from(([198, 51, 100, 2], port))) }
    }

    /// So many SYNs, a millisecond apart, each judged; returns the time after them.
    fn crowd(
        policy: &Policy,
        memory: &Memory,
        from: u64,
        count: u32,
        syn: impl Fn(u32) -> Syn,
    ) -> u64 {
        for n in 0..count {
            judge(policy, memory, &syn(n), Moment((from + u64::from(n)) * MS));
        }
        from + u64::from(count)
    }

    #[test]
    fn what_counts() {
        let mut behind = policy();
        behind.ports.protect =
            crate::policy::PrefixSet::new(vec![("198.51.100.0/24".parse().unwrap(), 0)]);
        let mut excepted = policy();
        excepted.flood.except = [80].into_iter().collect();
        let mut closing = policy();
        closing.ports.served = [22].into_iter().collect();
        closing.ports.closing = [80].into_iter().collect();
        let mut off = policy();
        off.flood.rule = None;
        let mut any = policy();
        any.ports.served = [22].into_iter().collect();
        any.ports.any = true;
        let mut trusted = policy();
        trusted.allowlist =
            crate::policy::Allowlist::new(vec!["10.0.0.0/8".parse().unwrap()]).into();
        let each = |n: u32| syn(0x0a01_0000 + n, 80, 0);
        for (name, policy, kind) in [
            ("served", policy(), Some(FloodKind::Forged)),
            ("behind this host", behind, None),
            ("excepted", excepted, None),
            ("served until a moment ago", closing, None),
            ("nobody knows", any, None),
            ("switched off", off, None),
            ("trusted", trusted, None),
        ] {
            let memory = memory();
            crowd(&policy, &memory, 1000, 500, each);
            assert_eq!(memory.flood.kind(), kind, "{name}");
        }
        for (name, one, kind) in [
            (
                "closed",
                (|n| syn(0x0a01_0000 + n, 81, 0)) as fn(u32) -> Syn,
                Some(FloodKind::Forged),
            ),
            ("proven", |n| Syn { proven: true, ..syn(0x0a01_0000 + n, 80, 0) }, None),
            ("odd flags", |n| Syn { flags: Flags(3), ..syn(0x0a01_0000 + n, 80, 0) }, None),
            ("one source", |n| syn(0x0a01_0000, 80, n), Some(FloodKind::Busy)),
            // Not at a hundred a second, whatever the header says.
            ("the same SYN again and again", |_| syn(0x0a01_0000, 80, 7), Some(FloodKind::Busy)),
            ("a scan", |n| syn(0x0a01_0000, 1000 + n as u16, 0), None),
        ] {
            let memory = memory();
            crowd(&policy(), &memory, 1000, 500, one);
            assert_eq!(memory.flood.kind(), kind, "{name}");
        }
    }

    #[test]
    fn real_retransmissions_do_not_count() {
        let memory = memory();
        for (second, offset) in [(0u64, 0), (1, 7), (3, 9), (7, 1)] {
            crowd(&policy(), &memory, 1000 + second * 1000 + offset, 30, |n| {
                syn(0x0a01_0000 + n, 80, n)
            });
        }
        assert_eq!(memory.flood.kind(), None);
    }

    #[test]
    fn explaining_tells_and_changes_nothing() {
        let (policy, memory) = (policy(), memory());
        let now = crowd(&policy, &memory, 1000, 1000, |n| syn(0x0a01_0000 + n, 80, 0));
        let asked = |later: u64| {
            let asked = syn(0x0a02_0000, 80, 0);
            let (ruling, rows, _) = explain(&policy, &memory, &asked, Moment((now + later) * MS));
            assert_eq!(ruling, Ruling::Accept);
            rows[usize::from(CheckId::FLOOD.0)].finding
        };
        let Some(Finding::Suspect { score: 0, evidence }) = asked(0) else { panic!() };
        assert!(evidence.what.contains("forged") && evidence.limit == 200.0, "{evidence:?}");
        assert!((800.0..1200.0).contains(&evidence.seen), "{evidence:?}");
        // Even though it would be over by then.
        assert!(asked(60_000) == asked(0) && memory.flood.is_frozen());
        judge(&policy, &memory, &syn(1, 80, 0), Moment((now + 60_000) * MS));
        assert_eq!(asked(60_000), Some(Finding::Pass));
    }

    /// Tools that write their own headers make floods as well, though each SYN is refused for it.
    #[test]
    fn floods_of_a_tool_are_seen() {
        let (policy, memory) = (policy(), memory());
        let zmap = |n: u32| Syn {
            ip_id: 54321,
            ttl: 255,
            window: 65535,
            dont_fragment: false,
            options: crate::packet::Options::default(),
            ..syn(0x0a01_0000 + n, 80, 0)
        };
        crowd(&policy, &memory, 1000, 200, zmap);
        assert!(memory.flood.is_frozen());
        let now = Moment(1201 * MS);
        for n in 0..2 {
            let decision = judge(&policy, &memory, &Syn { seq: n, ..zmap(9999) }, now);
            assert_eq!(decision.check.name(), "fingerprint");
            assert_eq!((decision.ruling, decision.earned), (Ruling::Drop, Standing::Clean));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Whatever comes in between, in whatever order: while it is frozen, nobody earns anything
        /// by what may be forged.
        #[test]
        fn a_forged_flood_earns_nobody_a_standing(
            others in prop::collection::vec(
                (0u32..6, any::<u16>(), any::<u8>(), any::<bool>(), any::<bool>(), 0u64..40), 1..300),
        ) {
            let (mut policy, memory) = (policy(), memory());
            policy.scan = crate::policy::Scan::strict();
            policy.offences.after = 1;
            policy.offences.evidence = crate::policy::EvidenceKind::Any;
            let rule = policy.flood.rule.unwrap();
            let mut now = crowd(&policy, &memory, 1000, 100, |n| syn(0x0a01_0000 + n, 80, 0));
            let (mut frozen, mut forged) = (0, 0);
            for (n, (from, port, flags, proven, suspect, pause)) in (0u32..).zip(others) {
                // The flood goes on, or it does not.
                if pause > 0 {
                    forged += 1;
                    judge(&policy, &memory, &syn(0x0a03_0000 + forged, 80, 0), Moment(now * MS));
                }
                now += pause * pause;
                let flags = Flags(flags & !Flags::ACK);
                let syn = Syn { flags, proven, suspect, ..syn(0xcb00_7100 + from, port, n) };
                memory.flood.step(rule, Moment(now * MS));
                if memory.flood.is_frozen() {
                    frozen += 1;
                    let decision = judge(&policy, &memory, &syn, Moment(now * MS));
                    prop_assert!(decision.earned == Standing::Clean || proven);
                } else {
                    judge(&policy, &memory, &syn, Moment(now * MS));
                }
            }
            prop_assert!(frozen > 0);
        }
    }
}
