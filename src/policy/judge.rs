//! The one call that everything leads to.

use super::checks::flood;
use super::{
    CHECKS, Case, CheckId, Decision, Evidence, EvidenceKind, Finding, Policy, Ruling, Scope,
    Standing,
};
use crate::memory::{
    Memory, Moment, Remembered, SharedBucket, Signature, Source, SourceKey, Subject, Target, Tick,
};
use crate::packet::Syn;
use std::time::Duration;

/// Points that make a suspect of a source that was only ever odd.
const SUSPICIOUS: u8 = 100;

/// How long the judge itself treats a source as a suspect after it earned that standing: until
/// the kernel's set, and with it the mark on the packets, has certainly caught up.
const HANDOVER: Duration = Duration::from_secs(2);

/// Judges one SYN: the whole policy, what is remembered of the source, and `now`.
///
/// Pure but for `memory`, which learns from every SYN. Takes the lock of one shard.
///
/// While a forged flood lasts, nothing is learnt, and nothing that may be forged is held against
/// anybody; what is to be refused by itself still is.
pub fn judge(policy: &Policy, memory: &Memory, syn: &Syn, now: Moment) -> Decision {
    let key = SourceKey::of(syn.src);
    let network_key = key.network(policy.rate.network_v4, policy.rate.network_v6);
    let attempt = attempt(memory, key, syn);
    let target = target(memory, syn);
    let signature = signature(syn);
    let frozen = flood::freezes(policy, &memory.flood, now);

    let (mut shard, hash) = memory.shard(network_key);
    let (class, _) = policy.rate.class_of(syn.dport);
    let subject = Subject { key, proven: syn.proven, network: hash, attempt, class };
    shard.fetch(subject);
    let Remembered { source, shadow, network, attempts } = shard.recall(subject, now);
    source.prove(syn.proven);
    let foreign = source.stack.disowns(signature);
    let (seen, place) = attempts.enter(attempt, now);

    let own = syn.proven && source.stack.owns(signature);
    let mut case = Case {
        policy,
        syn,
        now,
        key,
        network_key,
        memory,
        learns: !frozen,
        source,
        network,
        total: &memory.total,
        frozen,
        seen,
        shadow: if foreign { shadow.cast() } else { None },
        target,
        own,
        new_target: false,
        charged: false,
        scope: Scope::All,
    };
    let verdict = ask(&mut case, |_, _| {});
    let (scope, returned) = (case.scope, case.returned());
    if case.charged {
        attempts.charged(place);
    }
    match verdict.outcome {
        Outcome::Trusted => {}
        Outcome::Passed => flood::note(&case, None),
        Outcome::Denied(_) | Outcome::Condemned { .. } => {
            flood::note(&case, Some(verdict.check));
        }
    }

    let mut decision = Decision {
        ruling: Ruling::Accept,
        check: verdict.check,
        evidence: verdict.evidence,
        retransmission: seen.is_some(),
        earned: Standing::Clean,
        scope: Scope::All,
        renew: false,
    };
    let mut charge = Charge { weight: 0, score: verdict.score, condemned: None, own, scope };
    match verdict.outcome {
        Outcome::Trusted => return decision,
        Outcome::Passed if frozen => {}
        Outcome::Passed => source.stack.admitted(signature, syn.proven, returned),
        Outcome::Denied(of) => {
            decision.ruling = Ruling::Drop;
            charge.weight = u16::from(of);
        }
        Outcome::Condemned { own } => {
            decision.ruling = Ruling::Drop;
            charge.condemned = Some(own);
        }
    }
    // Whoever offends teaches nothing; what the detector itself finds unusual is no offence.
    let offends = charge.weight > 0 || charge.condemned.is_some();
    if offends && verdict.check != CheckId::ANOMALY && !frozen {
        source.habits.blame();
    }
    let counted_before = seen.is_some_and(|seen| seen.counted);
    if charge.is_any() && !counted_before && (own || !frozen) {
        attempts.counted(place);
        source.offences.open(policy.offences.within, now);
        if foreign && source.offences.contest() {
            source.stack.blur();
        }
        (decision.earned, decision.scope) = offend(source, policy, charge, now);
        // Where somebody may be forging, a new proof would tell no more than the old one.
        decision.renew = decision.earned == Standing::Suspect
            && syn.proven
            && !own
            && !source.offences.contested
            && !source.offences.is_brute_forced();
    }
    decision
}

/// What one attempt is charged with.
struct Charge {
    weight: u16,
    score: u16,
    /// It suffices by itself; true if all of that evidence is the source's own.
    condemned: Option<bool>,
    /// Nobody else can have sent this SYN.
    own: bool,
    /// What a ban for it closes.
    scope: Scope,
}

impl Charge {
    fn is_any(&self) -> bool {
        self.weight > 0 || self.score > 0 || self.condemned.is_some()
    }
}

/// Counts an offence in a window that is open, and says which standing it has earned, and what a
/// ban closes: one port only if everything in the window is that kind of offence.
fn offend(source: &mut Source, policy: &Policy, charge: Charge, now: Moment) -> (Standing, Scope) {
    let Charge { weight, score, condemned, own, scope } = charge;
    let rules = &policy.offences;
    let offences = &mut source.offences;
    offences.denied = offences.denied.saturating_add(weight);
    offences.score = offences.score.saturating_add(u8::try_from(score).unwrap_or(u8::MAX));
    if own && !offences.contested {
        offences.own = offences.own.saturating_add(weight);
    }
    // What others may have forged must not widen a ban either.
    let counts = own || rules.evidence == EvidenceKind::Any;
    offences.wide |= counts && scope == Scope::All && (weight > 0 || condemned.is_some());
    let enough =
        condemned.is_some() || offences.denied >= rules.after || offences.score >= SUSPICIOUS;
    let condemned_by_own = condemned == Some(true) && !offences.contested;
    let standing = if condemned_by_own || offences.own >= rules.after {
        Standing::Banned
    } else if !enough {
        return (Standing::Clean, Scope::All);
    } else if rules.evidence == EvidenceKind::Any {
        Standing::Banned
    } else {
        Standing::Suspect
    };
    // What was the source's own keeps counting towards a ban after it became a suspect.
    // A ban has used it all up: what comes after it, or after an admin lifted it, is counted anew.
    let mut wide = offences.wide;
    if standing == Standing::Banned {
        offences.own = 0;
        wide = std::mem::take(&mut offences.wide);
    }
    (offences.denied, offences.score) = (0, 0);
    // A ban at one port ends there; the source is judged as before everywhere else.
    if standing == Standing::Banned && scope == Scope::Port && !wide {
        return (standing, Scope::Port);
    }
    source.suspect_until = Tick::at(now + HANDOVER).next();
    (standing, Scope::All)
}

/// Where the checks came to.
struct Opinion {
    outcome: Outcome,
    check: CheckId,
    evidence: Evidence,
    score: u16,
}

enum Outcome {
    Trusted,
    Passed,
    Denied(u8),
    Condemned { own: bool },
}

/// Asks the checks in order until one settles it. `witness` hears each finding.
#[inline]
fn ask(case: &mut Case<'_>, mut witness: impl FnMut(CheckId, Finding)) -> Opinion {
    let mut opinion = Opinion {
        outcome: Outcome::Passed,
        check: CheckId::NONE,
        evidence: Evidence::default(),
        score: 0,
    };
    for (index, check) in CHECKS.iter().enumerate() {
        let id = CheckId(index as u8);
        let finding = (check.look)(case);
        witness(id, finding);
        let (outcome, evidence) = match finding {
            Finding::Pass => continue,
            Finding::Suspect { score, evidence } => {
                if score > 0 {
                    opinion.score = opinion.score.saturating_add(score);
                    (opinion.check, opinion.evidence) = (id, evidence);
                }
                continue;
            }
            Finding::Allow(evidence) => (Outcome::Trusted, evidence),
            Finding::Deny { evidence, weight } => (Outcome::Denied(weight), evidence),
            Finding::Condemn { evidence, own } => (Outcome::Condemned { own }, evidence),
        };
        return Opinion { outcome, check: id, evidence, score: opinion.score };
    }
    opinion
}

/// What makes an attempt the same attempt: source, destination, both ports, sequence number.
fn attempt(memory: &Memory, key: SourceKey, syn: &Syn) -> u64 {
    memory.attempt(key, syn.dst, (syn.sport, syn.dport), syn.seq)
}

/// What makes a target the same target: address and port.
fn target(memory: &Memory, syn: &Syn) -> Target {
    memory.target(syn.dst, syn.dport)
}

/// What a stack and its distance look like in a SYN: TTL, option layout, window scale.
fn signature(syn: &Syn) -> Signature {
    let scale = u64::from(syn.options.window_scale.map_or(255, |shift| shift));
    let mixed = syn.options.layout ^ u64::from(syn.ttl) << 56 ^ scale << 48;
    Signature::of(mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// One check's finding, and whether it was reached.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    /// The check.
    pub check: CheckId,
    /// What it finds; `None` if an earlier check has settled the matter.
    pub finding: Option<Finding>,
}

/// What the judge would say to `syn`, check by check, and what it remembers. Learns nothing.
pub fn explain(
    policy: &Policy,
    memory: &Memory,
    syn: &Syn,
    now: Moment,
) -> (Ruling, Vec<Row>, Option<Source>) {
    let key = SourceKey::of(syn.src);
    let network_key = key.network(policy.rate.network_v4, policy.rate.network_v6);
    let hash = attempt(memory, key, syn);
    let (mut shard, place) = memory.shard(network_key);
    let (known, seen) = (shard.peek(key), shard.attempts.peek(hash, now));
    let mut source = known.unwrap_or_default();
    let total: SharedBucket = memory.total.copy();
    let mut case = Case {
        policy,
        syn,
        now,
        key,
        network_key,
        memory,
        learns: false,
        source: &mut source,
        network: shard.imagined(place, syn.proven),
        total: &total,
        frozen: policy.flood.rule.is_some() && memory.flood.is_frozen(),
        seen,
        // An imagined SYN looks like the source's own.
        shadow: None,
        target: target(memory, syn),
        own: syn.proven && known.is_some_and(|known| known.stack.owns(signature(syn))),
        new_target: false,
        charged: false,
        scope: Scope::All,
    };
    let mut rows: Vec<Row> =
        (0..CHECKS.len() as u8).map(|index| Row { check: CheckId(index), finding: None }).collect();
    let opinion = ask(&mut case, |id, finding| rows[usize::from(id.0)].finding = Some(finding));
    let ruling = match opinion.outcome {
        Outcome::Denied(_) | Outcome::Condemned { .. } => Ruling::Drop,
        Outcome::Trusted | Outcome::Passed => Ruling::Accept,
    };
    (ruling, rows, known)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use crate::memory::{Bounds, Memory, Moment};
    use crate::packet::{Flags, Options, Syn};
    use crate::policy::{Policy, judge};

    /// Forged sources and those that pass by once are most of all there are, so what is said of
    /// their memory (README) holds only if one attempt, however it ends, takes no row.
    #[test]
    fn who_came_once_takes_no_row() {
        let mut policy = Policy::default();
        policy.ports.served = [22, 443].into_iter().collect();
        let to =
            |port| Syn::linux(([203, 0, 113, 7], 40_000).into(), ([198, 51, 100, 2], port).into());
        let tool = Syn { options: Options::default(), length: 40, ip_id: 54_321, ..to(443) };
        let from = |n: u32| Ipv4Addr::from_bits(0x0b00_0000 + n).into();
        for (what, syn) in [
            ("web", to(443)),
            ("login", to(22)),
            ("closed", to(8081)),
            ("suspicious", to(4444)),
            ("proven", Syn { proven: true, ..to(443) }),
            ("proven, closed", Syn { proven: true, ..to(8081) }),
            ("suspect", Syn { suspect: true, ..to(443) }),
            ("a tool", tool),
            ("illegal", Syn { flags: Flags(Flags::SYN | Flags::FIN), ..to(443) }),
        ] {
            let memory = Memory::repeatable(Bounds { sources: 65_536, networks: 4096 });
            for n in 0..1000u32 {
                let now = Moment(1_000_000_000 + u64::from(n) * 12_345_678);
                let syn = Syn { src: from(n << 8), seq: n, sport: n as u16, ..syn };
                judge(&policy, &memory, &syn, now);
            }
            assert_eq!((memory.len().0 + memory.len().1, memory.rows()), (1000, 0), "{what}");
        }
    }
}
