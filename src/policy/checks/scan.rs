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
    // The same attempt as before says nothing new, and a forged flood says anything.
    if case.seen.is_some() || case.frozen {
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

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use proptest::prelude::*;

    use crate::memory::{Bounds, Memory, Moment};
    use crate::packet::{Flags, Syn};
    use crate::policy::{Allowlist, Decision, Policy, Ruling, Scan, Standing, judge};

    fn syn(dst: u8, dport: u16, seq: u32) -> Syn {
        let from = SocketAddr::from(([203, 0, 113, 7], 40_000));
        let to = SocketAddr::from(([198, 51, 100, dst], dport));
        Syn { seq, ttl: 57, ..Syn::linux(from, to) }
    }

    fn policy(scan: Scan) -> Policy {
        let mut policy = Policy { scan, ..Policy::default() };
        policy.ports.served = [22, 80, 443].into_iter().collect();
        policy
    }

    /// Judges attempts a second apart, each a new one.
    fn judged(policy: &Policy, syns: impl IntoIterator<Item = Syn>) -> Vec<Decision> {
        let memory = Memory::new(Bounds { sources: 1024, networks: 256 });
        let one = |(n, syn): (usize, Syn)| {
            let now = Moment((n as u64 + 1) * 1_000_000_000);
            judge(policy, &memory, &Syn { seq: n as u32, ..syn }, now)
        };
        syns.into_iter().enumerate().map(one).collect()
    }

    fn first_suspect(decisions: &[Decision]) -> Option<usize> {
        decisions.iter().position(|decision| decision.earned != Standing::Clean).map(|n| n + 1)
    }

    #[test]
    fn presets() {
        let closed = || (0..20).map(|n| syn(2, 1000 + n, 0));
        for (scan, at) in [
            (Scan::strict(), Some(3)),
            (Scan::normal(), Some(5)),
            (Scan::lenient(), Some(8)),
            // Less far apart, the hypotheses need more evidence.
            (Scan::test(80, 20, 10_000), Some(7)),
            (Scan::test(60, 40, 10_000), None),
            (Scan { limit: None, ..Scan::normal() }, Some(5)),
            (Scan::test(10, 90, 10_000), Some(5)),
        ] {
            assert_eq!(first_suspect(&judged(&policy(scan), closed())), at, "{scan:?}");
        }
        let told = judged(&policy(Scan::normal()), closed())[4];
        assert_eq!((told.check.name(), told.evidence.seen), ("scan", 5.0));
        assert!((4.1..4.3).contains(&told.evidence.limit), "{:?}", told.evidence);
    }

    #[test]
    fn neutral_ports() {
        let mut policy = policy(Scan::normal());
        policy.ports.closing.insert_range(2000..=2020);
        let closing = (0..20).map(|n| syn(2, 2000 + n, 0));
        assert_eq!(first_suspect(&judged(&policy, closing)), None);
        policy.ports.any = true;
        let whatever = (0..20).map(|n| syn(2, 3000 + n, 0));
        assert_eq!(first_suspect(&judged(&policy, whatever)), None);
    }

    proptest! {
        /// Whichever five closed targets, in whichever order, with whatever repetitions and
        /// attempts at served ports that nobody answered in between: the fifth tells.
        #[test]
        fn the_fifth_distinct_failure_tells(visits in prop::collection::vec((0u8..3, 0u16..7), 1..80)) {
            // 20 and 21 are closed, 22 is served.
            let syns = || visits.iter().map(|(dst, port)| syn(*dst, 16 + port, 0));
            let mut distinct = std::collections::BTreeSet::new();
            let fifth = visits.iter().position(|(dst, port)| {
                *port != 6 && distinct.insert((dst, port)) && distinct.len() == 5
            });
            // Targets of two hosts may look alike to one memory, hardly to three.
            let told = || first_suspect(&judged(&policy(Scan::normal()), syns()));
            let expected = fifth.map(|n| n + 1);
            prop_assert!((0..3).any(|_| told() == expected), "{:?} {:?}", told(), expected);
        }

        #[test]
        fn trust_wins_and_claims_never_ban(
            attempts in prop::collection::vec((any::<u8>(), any::<u16>(), any::<u8>(), any::<u16>(), any::<u32>()), 1..100),
        ) {
            let syns: Vec<_> = attempts.iter().map(|(dst, port, flags, window, ack)| Syn {
                flags: Flags(flags & !Flags::ACK), window: *window, ack: *ack, ..syn(*dst, *port, 0)
            }).collect();
            let mut policy = policy(Scan::strict());
            for decision in judged(&policy, syns.clone()) {
                prop_assert!(decision.earned != Standing::Banned, "nothing was proven");
            }
            policy.allowlist = Allowlist::new(vec!["203.0.113.0/24".parse().unwrap()]).into();
            for decision in judged(&policy, syns) {
                prop_assert_eq!((decision.ruling, decision.earned), (Ruling::Accept, Standing::Clean));
            }
        }
    }
}
