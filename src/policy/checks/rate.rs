//! How often: per source, per source and service class, per network, and all together.
//!
//! An attempt is charged once and only if all buckets take it; a retransmission of one that
//! was charged passes free, and one that was not tries again. So a client that was throttled
//! gets in with its next retransmission if it calms down. A proven source has one retransmission
//! free: it could otherwise open one connection after the other with the same ports and sequence
//! number, all for the price of one.
//!
//! SYNs that look otherwise than the connections which their source completed are charged to its
//! shadow: whoever forges a proven source's address uses up that one's buckets, and not the
//! source's.
//!
//! Whoever forges the address of a source that is not proven, or imitates one that is, does use up
//! its buckets. But he sends SYN after SYN, and an honest system repeats the one that it sent: an
//! attempt that was refused and comes back draws on buckets of its own, a [share](RETURNED) of
//! the usual ones. So the client gets in after a second. A guesser gains next to nothing by it: a few
//! attempts, each of which was counted as an offence when it was first refused.

use super::{Case, Check};
use crate::memory::{Draw, Full, Limit, Share};
use crate::policy::{Class, Evidence, Finding, Rate, Rates};

pub(super) const CHECK: Check = Check { name: "rate", about: "how often it tries", look };

/// The usual limits are so many times those of attempts that come back.
const RETURNED: u32 = 4;

/// So many attempts may come back at once in any case.
const RETURNED_BURST: u32 = 2;

#[inline]
fn look(case: &mut Case<'_>) -> Finding {
    let again = case.seen.filter(|seen| seen.charged);
    if again.is_some_and(|seen| seen.repeat <= 1 || !case.syn.proven) {
        return Finding::Pass;
    }
    let rates = &case.policy.rate;
    let (index, class) = rates.class_of(case.syn.dport);
    // What was charged once has not offended by being repeated.
    let offence = u8::from(class.offends && again.is_none());
    let usual = Drawn { index, class, source: rates.source, network: rates.network };
    let total = rates.total.map(Rate::limit);

    let comes_back = again.is_none() && case.returned();
    // Where too many come altogether, nobody has offended.
    let too_many = total.and_then(|limit| case.total.test(limit, case.now).err());
    let refusal = match (usual.test(case, offence), too_many) {
        (None, None) => {
            usual.charge(case);
            None
        }
        (Some(_), None) if comes_back && usual.takes_back(case) => None,
        (own, all) => own.or(all.map(|full| ("total", 0, full))),
    };
    let Some((what, weight, Full { seen, limit })) = refusal else {
        if let Some(limit) = total {
            case.total.charge(limit, case.now);
        }
        case.charged = true;
        return Finding::Pass;
    };
    if what == class.name {
        case.scope = class.ban;
    }
    Finding::Deny { evidence: Evidence { what, seen: seen as f32, limit: limit as f32 }, weight }
}

/// What an attempt draws on, but for the total.
struct Drawn<'a> {
    index: usize,
    class: &'a Class,
    source: Option<Rate>,
    network: Option<Rate>,
}

impl Drawn<'_> {
    /// The network's buckets, for attempts that come back or for others.
    #[inline]
    fn shares(&self, returned: bool) -> [(Share, Option<Rate>, &'static str); 2] {
        let class = Share { class: Some(self.index), returned };
        let all = Share { class: None, returned };
        [(class, self.class.network, self.class.network_name), (all, self.network, "network")]
    }

    /// The bucket that is full, if one is: its name, how the refusal weighs, and how full it is.
    #[inline]
    fn test(&self, case: &Case<'_>, offence: u8) -> Option<(&'static str, u8, Full)> {
        let (now, payer) = (case.now, case.payer());
        let full = |rate: Option<Rate>, draw| payer.buckets.test(draw, rate?.limit(), now).err();
        if let Some(full) = full(self.class.rate, Draw::Class(self.index)) {
            return Some((self.class.name, offence, full));
        }
        if let Some(full) = full(self.source, Draw::All) {
            return Some(("source", offence, full));
        }
        self.shares(false).into_iter().find_map(|(share, rate, name)| {
            let full = case.network.test(share, rate?.limit(), now).err()?;
            Some((name, 0, full))
        })
    }

    #[inline]
    fn charge(&self, case: &mut Case<'_>) {
        let now = case.now;
        let payer = case.payer_mut();
        if let Some(rate) = self.class.rate {
            payer.buckets.charge(Draw::Class(self.index), rate.limit(), now);
        }
        if let Some(rate) = self.source {
            payer.buckets.charge(Draw::All, rate.limit(), now);
        }
        for (share, rate, _) in self.shares(false) {
            if let Some(rate) = rate {
                case.network.charge(share, rate.limit(), now);
            }
        }
    }

    /// Charges an attempt that comes back to the buckets of such attempts, if all of them take it.
    fn takes_back(&self, case: &mut Case<'_>) -> bool {
        let now = case.now;
        // A class without a rate of its own has that of the source.
        let own = self.class.rate.or(self.source).map(|rate| rate.share().limit());
        let shares = self.shares(true).map(|(share, rate, _)| (share, rate.map(Rate::share)));
        let shares = shares.into_iter().filter_map(|(share, rate)| Some((share, rate?.limit())));
        let (buckets, draw) = (case.payer().buckets, Draw::Returned(self.index));
        if own.is_some_and(|limit| buckets.test(draw, limit, now).is_err())
            || shares.clone().any(|(share, limit)| case.network.test(share, limit, now).is_err())
        {
            return false;
        }
        if let Some(limit) = own {
            case.payer_mut().buckets.charge(draw, limit, now);
        }
        shares.for_each(|(share, limit)| case.network.charge(share, limit, now));
        true
    }
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
    let draw = Draw::Class(Rates::CLASSES);
    let buckets = &mut case.payer_mut().buckets;
    let full = buckets.test(draw, limit, now).err();
    buckets.charge(draw, limit, now);
    full
}

impl Rate {
    /// The rate as a bucket counts it.
    #[inline]
    fn limit(self) -> Limit {
        let per = self.per.as_secs().saturating_mul(1_000_000_000);
        Limit::new(self.count, per.saturating_add(self.per.subsec_nanos().into()), self.burst)
    }

    /// What attempts that come back have of it.
    #[inline]
    fn share(self) -> Self {
        Self {
            count: self.count,
            per: self.per.saturating_mul(RETURNED),
            burst: (self.burst / RETURNED).max(RETURNED_BURST),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv6Addr, SocketAddr};

    use crate::memory::{Bounds, Memory, Moment};
    use crate::packet::Syn;
    use crate::policy::{Policy, Ruling, judge};

    /// One customer has a /48 and guesses from its /64s in turn, each time with an honest stack,
    /// which repeats its SYN; every one that is let in is proven then.
    #[test]
    fn guessing_from_many_networks_of_one_customer_is_throttled() {
        let mut policy = Policy::default();
        policy.ports.any = true;
        let memory = Memory::repeatable(Bounds { sources: 16_384, networks: 4096 });
        let server = SocketAddr::new(Ipv6Addr::LOCALHOST.into(), 22);
        let mut guesses = 0;
        for n in 0..1000u64 {
            let from =
                IpAddr::from(Ipv6Addr::from_bits(0x2001_0db8_0007 << 80 | u128::from(n) << 64));
            let syn = Syn { seq: n as u32, ..Syn::linux(SocketAddr::new(from, 40_000), server) };
            // A hundred new ones a second, for ten seconds.
            let at = 1_000_000_000 + n * 10_000_000;
            let knock = |at| judge(&policy, &memory, &syn, Moment(at)).ruling;
            if knock(at) == Ruling::Accept || knock(at + 1_010_000_000) == Ruling::Accept {
                guesses += 1;
                let next = Syn { seq: !syn.seq, proven: true, ..syn };
                let ruling = judge(&policy, &memory, &next, Moment(at + 1_020_000_000)).ruling;
                guesses += u32::from(ruling == Ruling::Accept);
            }
        }
        // 50 at once and 40 a minute, so 8 in all this time; a quarter of that for those who come
        // back; and the same again for those who are proven.
        let most = (58 + 58 / 4 + 1) * 2;
        assert!((100..=most).contains(&guesses), "{guesses} guesses, at most {most}");
    }
}
