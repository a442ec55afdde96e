//! How often: per source, per source and service class, per network, and all together.
//!
//! An attempt is charged once and only if all four buckets take it; a retransmission of one that
//! was charged passes free, and one that was not tries again. So a client that was throttled
//! gets in with its next retransmission if it calms down. A proven source has one retransmission
//! free: it could otherwise open one connection after the other with the same ports and sequence
//! number, all for the price of one.
//!
//! SYNs that look otherwise than the connections which their source completed are charged to its
//! shadow: whoever forges a proven source's address uses up that one's buckets, and not the
//! source's.

use super::{Case, Check};
use crate::memory::{Full, Limit};
use crate::policy::{Evidence, Finding, Rate, Rates};

pub(super) const CHECK: Check = Check { name: "rate", about: "how often it tries", look };

#[inline]
fn look(case: &mut Case<'_>) -> Finding {
    let again = case.seen.filter(|seen| seen.charged);
    if again.is_some_and(|seen| seen.repeat <= 1 || !case.syn.proven) {
        return Finding::Pass;
    }
    let rates = &case.policy.rate;
    let now = case.now;
    let (index, class) = rates.class_of(case.syn.dport);
    // What was charged once has not offended by being repeated.
    let offence = u8::from(class.offends && again.is_none());

    let [class_limit, source_limit, network_limit, total_limit] =
        [class.rate, rates.source, rates.network, rates.total].map(|rate| rate.map(Rate::limit));

    let source = match &mut case.shadow {
        Some(shadow) => &mut **shadow,
        None => &mut *case.source,
    };
    let bucket = &mut source.classes[index];
    let tests = [
        (class.name, offence, class_limit.map_or(Ok(()), |limit| bucket.test(limit, now))),
        ("source", offence, source_limit.map_or(Ok(()), |limit| source.all.test(limit, now))),
        ("network", 0, network_limit.map_or(Ok(()), |limit| case.network.test(limit, now))),
        ("total", 0, total_limit.map_or(Ok(()), |limit| case.total.test(limit, now))),
    ];
    for (what, weight, test) in tests {
        if let Err(Full { seen, limit }) = test {
            let evidence = Evidence { what, seen: seen as f32, limit: limit as f32 };
            return Finding::Deny { evidence, weight };
        }
    }
    if let Some(limit) = class_limit {
        bucket.charge(limit, now);
    }
    if let Some(limit) = source_limit {
        source.all.charge(limit, now);
    }
    if let Some(limit) = network_limit {
        case.network.charge(limit, now);
    }
    if let Some(limit) = total_limit {
        case.total.charge(limit, now);
    }
    case.charged = true;
    Finding::Pass
}

/// An attempt at a closed port costs as much as so many at one that is served.
const CLOSED: u32 = 10;

/// Charges a refused attempt at a closed port, and tells if the source makes too many of them. A
/// closed port belongs to no service, so it draws on the class `other`.
#[inline]
pub(super) fn hammers(case: &mut Case<'_>) -> Option<Full> {
    if case.seen.is_some() {
        return None;
    }
    let rate = case.policy.rate.other.rate?;
    let limit = Rate { count: rate.count / CLOSED, burst: rate.burst / CLOSED, ..rate }.limit();
    let now = case.now;
    let bucket = &mut case.payer().classes[Rates::CLASSES];
    let full = bucket.test(limit, now).err();
    bucket.charge(limit, now);
    full
}

impl Rate {
    /// The rate as a bucket counts it.
    #[inline]
    fn limit(self) -> Limit {
        let per = self.per.as_secs().saturating_mul(1_000_000_000);
        Limit::new(self.count, per.saturating_add(self.per.subsec_nanos().into()), self.burst)
    }
}
