//! Does the source behave like no other? See [`crate::anomaly`] for how that is told.
//!
//! Only the first eight attempts of a source in an hour are looked at, and the oddest of them
//! counts: one decision per source. SYNs that do not look like the connections which their source
//! completed are nobody's habits. Nothing here leads to a ban: points make a suspect only together
//! with another oddity, and where the admin wants unusual sources dropped, what may be forged is
//! let in when it is repeated, and what cannot be is refused without being an offence.

use super::{Case, Check, ports};
use crate::anomaly::{Attempt, Digest, Sample, Unusual, name};
use crate::policy::{Evidence, Finding, Rates, Reaction};

pub(super) const CHECK: Check =
    Check { name: "anomaly", about: "does it behave like no other", look };

/// Points for being unusual; 100 make a suspect. Two plain oddities more do then.
const POINTS: u16 = 50;

#[inline]
fn look(case: &mut Case<'_>) -> Finding {
    let action = case.policy.anomaly.action;
    if action == Reaction::Off || case.shadow.is_some() {
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
    let heard = case.returned();
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
    let at = case.now.milliseconds();
    if !case.source.habits.looks(at, syn.proven) {
        return 0;
    }
    let attempt = Attempt {
        at,
        host: memory.host(syn.dst),
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
            lot: memory.source(case.key),
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

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};
    use std::time::Duration;

    use crate::memory::{Bounds, Memory, Moment, SourceKey};
    use crate::packet::Syn;
    use crate::policy::{Anomaly, Decision, Policy, Reaction, Ruling, Standing, judge};

    const SECOND: u64 = 1_000_000_000;
    const HOUR: u64 = 3600 * SECOND;

    fn policy(action: Reaction) -> Policy {
        let mut policy = Policy::default();
        policy.ports.served = [22, 80, 443].into_iter().collect();
        policy.anomaly = Anomaly { action, false_positives_per_day: 100, ..policy.anomaly };
        policy
    }

    fn syn(from: u32, serial: u32, dport: u16) -> Syn {
        let sport = 33_000 + (serial * 7919 % 20_000) as u16;
        let from = SocketAddr::from((Ipv4Addr::from_bits(from), sport));
        let to = SocketAddr::from(([198, 51, 100, 2], dport));
        Syn { ttl: 57, seq: serial, ..Syn::linux(from, to) }
    }

    /// As no honest stack opens a connection, but legal.
    fn weird(from: u32, serial: u32) -> Syn {
        Syn { ttl: 201, window: 3, urgent: 9, sport: 77, ..syn(from, serial, 443) }
    }

    /// A visit: one SYN, and then `more` of a source that is proven by it.
    fn visit(
        memory: &Memory,
        policy: &Policy,
        at: u64,
        more: u32,
        syn: impl Fn(u32) -> Syn,
    ) -> Vec<Decision> {
        let one = |n: u32| {
            let proven = n > 0;
            let now = Moment(at + u64::from(n) * 2 * SECOND);
            judge(policy, memory, &Syn { proven, ..syn(n) }, now)
        };
        (0..=more).map(one).collect()
    }

    /// A gate that has seen 1200 honest visitors from as many networks, and has learnt.
    fn lived(policy: &Policy) -> Memory {
        let memory = Memory::repeatable(Bounds { sources: 65_536, networks: 4096 });
        for n in 0..1200u32 {
            let from = 0x0b00_0007 + (n << 8);
            let at = HOUR + u64::from(n) * SECOND;
            visit(&memory, policy, at, 1 + n % 4, |m| {
                let ttl = 50 + (n % 12) as u8;
                Syn { ttl, ..syn(from, n * 8 + m, if n % 3 == 0 { 80 } else { 443 }) }
            });
        }
        memory.learn(Moment(5 * HOUR), policy.anomaly.budget());
        memory
    }

    #[test]
    fn nothing_is_unusual_before_enough_was_seen() {
        let policy = policy(Reaction::Drop);
        let memory = Memory::repeatable(Bounds { sources: 64, networks: 64 });
        for decision in visit(&memory, &policy, HOUR, 8, |n| weird(7, n)) {
            assert_eq!((decision.ruling, decision.check.name()), (Ruling::Accept, "none"));
        }
    }

    #[test]
    fn the_unusual_is_scored_once_an_hour_and_never_suffices() {
        let policy = policy(Reaction::Score);
        let memory = lived(&policy);
        assert!(
            memory.anomaly.scorer().is_ready(),
            "{:?}",
            memory.anomaly.report(18_000, policy.anomaly.budget())
        );
        let decisions = visit(&memory, &policy, 6 * HOUR, 0, |n| syn(0x2d00_0001, n, 443));
        assert_eq!(decisions[0].check.name(), "none", "an ordinary newcomer");
        let judged: Vec<Decision> = (0..20)
            .map(|n| {
                judge(
                    &policy,
                    &memory,
                    &weird(0x2d00_0102, n),
                    Moment(6 * HOUR + u64::from(n) * SECOND),
                )
            })
            .collect();
        let named = judged.iter().filter(|decision| decision.check.name() == "anomaly").count();
        assert_eq!(named, 1);
        assert!(judged.iter().all(|d| d.ruling == Ruling::Accept && d.earned == Standing::Clean));
        assert!(
            judged[0].evidence.what.starts_with("unusual")
                && judged[0].evidence.seen > judged[0].evidence.limit
        );
        let told = memory.learn(Moment(7 * HOUR), policy.anomaly.budget()).unusual;
        assert_eq!(told.len(), 1);
        assert_eq!(SourceKey::from_bits(told[0].source).to_string(), "45.0.1.2");
    }

    #[test]
    fn dropped_unless_it_knocks_twice_and_never_banned() {
        let policy = policy(Reaction::Drop);
        let memory = lived(&policy);
        let first = weird(0x2d00_0102, 1);
        let at = |seconds: f64| Moment(6 * HOUR) + Duration::from_secs_f64(seconds);
        let refused = judge(&policy, &memory, &first, at(0.0));
        assert_eq!((refused.ruling, refused.check.name()), (Ruling::Drop, "anomaly"));
        assert_eq!(judge(&policy, &memory, &first, at(0.1)).ruling, Ruling::Drop, "too soon");
        assert_eq!(judge(&policy, &memory, &first, at(1.0)).ruling, Ruling::Accept);
        // One that nobody can have forged is refused, and still no offence: no ban for a score.
        let own = |n| Syn { sport: 77, dport: 22, ..syn(0x2d00_0203, n, 22) };
        let mut policy = policy;
        policy.rate.classes.clear();
        let decisions: Vec<Decision> = (0..30)
            .map(|n| {
                judge(
                    &policy,
                    &memory,
                    &Syn { proven: n > 0, ttl: 201, window: 3, urgent: 9, ..own(n) },
                    at(f64::from(n) / 10.0),
                )
            })
            .collect();
        assert!(decisions.iter().skip(1).any(|d| d.ruling == Ruling::Drop), "{decisions:?}");
        assert!(decisions.iter().all(|d| d.earned != Standing::Banned));
    }

    /// Two hundred proven accomplices in one network, who offend nowhere, teach that the attack is
    /// usual: their network has its share, and the attack stays unusual.
    #[test]
    fn one_network_cannot_teach_an_attack() {
        let policy = policy(Reaction::Score);
        let memory = lived(&policy);
        let attack = |memory: &Memory, hour: u64| {
            let memory_limit = memory.anomaly.scorer().limit();
            let decision =
                judge(&policy, memory, &weird(0x2d00_0102, hour as u32), Moment(hour * HOUR));
            (decision.check.name(), memory_limit)
        };
        assert_eq!(attack(&memory, 6).0, "anomaly");
        for n in 0..200 {
            visit(&memory, &policy, 7 * HOUR + u64::from(n) * SECOND, 7, |m| {
                weird(0x2e00_0000 + n, n * 8 + m)
            });
        }
        memory.learn(Moment(10 * HOUR), policy.anomaly.budget());
        assert_eq!(attack(&memory, 11).0, "anomaly");
    }
}
