//! What the kernel program would do: who is proven, who is dropped before the judge is asked.
//!
//! Follows [`crate::firewall::ruleset()`], with one difference: in a capture there is no "this
//! host", so every destination is one that the gate guards.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::time::{Duration, SystemTime};

use foldhash::quality::RandomState;
use lru::LruCache;

use super::segment::Segment;
use crate::config::Config;
use crate::firewall::{Change, Ledger, Rules};
use crate::memory::{Bucket, Limit, Moment, SourceKey};
use crate::packet::Syn;
use crate::policy::{Decision, PrefixSet, Rate, Scope, Standing};

/// As many connections as Linux tracks on a machine with some memory.
const CONNECTIONS: NonZeroUsize = NonZeroUsize::new(262_144).unwrap();

/// Client and server of a connection.
type Ends = ((IpAddr, u16), (IpAddr, u16));

/// The table's state.
#[derive(Debug)]
pub(super) struct Kernel {
    ledger: Ledger,
    /// Connections whose opening was let through, and whether the client has gone on with it.
    connections: LruCache<Ends, bool, RandomState>,
    /// Proven sources, until when.
    proven: HashMap<SourceKey, Moment, RandomState>,
    proven_for: Duration,
    /// A meter per source, for the ceiling.
    meters: HashMap<SourceKey, Bucket, RandomState>,
    ceiling: Option<Limit>,
    /// Sources that pass by every drop; empty if the kernel is not told of them.
    trusted: PrefixSet,
    size: usize,
}

/// What becomes of an opening before the judge sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Early {
    /// Dropped, in the word for why.
    Drop(&'static str),
    /// Handed over, with the marks.
    Judge { proven: bool, suspect: bool },
}

impl Kernel {
    pub(super) fn new(config: &Config) -> Self {
        let allowed = &config.policy.allowlist;
        let told = !allowed.in_kernel().is_empty();
        Self {
            trusted: if told { allowed.prefixes.clone() } else { PrefixSet::default() },
            ledger: Ledger::new(Rules::new(config, &[])),
            connections: LruCache::with_hasher(CONNECTIONS, RandomState::default()),
            proven: HashMap::default(),
            proven_for: config.guard.proven_for,
            meters: HashMap::default(),
            ceiling: config.guard.ceiling.map(limit),
            size: config.guard.set_size as usize,
        }
    }

    /// An opening arrives.
    pub(super) fn opening(&mut self, syn: &Syn, served: bool, now: Moment) -> Early {
        let key = SourceKey::of(syn.src);
        let clock = clock(now);
        let proven = self.proven.get(&key).is_some_and(|until| now < *until);
        if self.trusted.find(syn.src).is_some() {
            return Early::Judge { proven, suspect: false };
        }
        // Standings end by themselves; what ended needs no telling here.
        self.ledger.expire(clock);
        let standing =
            self.ledger.get_at(syn.src, syn.dport, clock).filter(|entry| entry.is_live(clock));
        let standing = standing.map_or(Standing::Clean, |entry| entry.standing);
        match standing {
            Standing::Banned => return Early::Drop("banned"),
            Standing::Suspect if !served => {
                // It goes on probing, so it stays a suspect.
                self.ledger.prolong(key.prefix(), clock);
                return Early::Drop("suspect");
            }
            Standing::Suspect | Standing::Clean => {}
        }
        if self.ceiling.is_some_and(|ceiling| self.over(key, ceiling, now)) {
            return Early::Drop("ceiling");
        }
        Early::Judge { proven, suspect: standing == Standing::Suspect }
    }

    /// Is a source over a meter? It is not while there is no room for its meter.
    fn over(&mut self, key: SourceKey, limit: Limit, now: Moment) -> bool {
        if self.meters.len() >= self.size && !self.meters.contains_key(&key) {
            // As the kernel's elements do, a meter ends when it is empty.
            self.meters.retain(|_, bucket| bucket.level(limit, now) > 0);
            if self.meters.len() >= self.size {
                return false;
            }
        }
        let bucket = &mut self.meters.entry(key).or_default();
        let over = bucket.test(limit, now).is_err();
        bucket.charge(limit, now);
        over
    }

    /// An opening was let through; `again` if it is a retransmission, which opens nothing new.
    pub(super) fn connects(&mut self, syn: &Syn, again: bool) {
        let ends = ((syn.src, syn.sport), (syn.dst, syn.dport));
        if again {
            self.connections.get_or_insert(ends, || false);
        } else {
            self.connections.put(ends, false);
        }
    }

    /// Did the client just complete a connection with this packet: the first that acknowledges
    /// something, be it alone or with data? Where a capture is `thinned_out`, the server's answer
    /// has to do.
    pub(super) fn completes(&mut self, segment: Segment, thinned_out: bool) -> bool {
        let ends = match segment {
            _ if segment.acknowledges() => (segment.src, segment.dst),
            _ if thinned_out && segment.answers() => (segment.dst, segment.src),
            _ => return false,
        };
        let connection = self.connections.peek_mut(&ends);
        connection.is_some_and(|gone_on| !std::mem::replace(gone_on, true))
    }

    /// Any other packet passes. Data from the side that was connected to proves the other one.
    pub(super) fn passes(&mut self, segment: Segment, now: Moment) {
        if !segment.pushes_data() || self.connections.get(&(segment.dst, segment.src)).is_none() {
            return;
        }
        let key = SourceKey::of(segment.dst.0);
        if self.proven.len() >= self.size && !self.proven.contains_key(&key) {
            self.proven.retain(|_, until| now < *until);
            if self.proven.len() >= self.size {
                return;
            }
        }
        self.proven.insert(key, now + self.proven_for);
    }

    /// A source has earned a standing with an attempt at `port`. `None` if that changes nothing (it
    /// is spared, or has it).
    pub(super) fn offence(
        &mut self,
        source: SourceKey,
        port: u16,
        decision: &Decision,
        now: Moment,
    ) -> Option<Change> {
        if decision.renew {
            self.proven.remove(&source);
        }
        let port = (decision.scope == Scope::Port).then_some(port);
        let evidence = decision.evidence.what.into();
        let check = decision.check.name();
        self.ledger.offence(source, port, decision.earned, check, evidence, clock(now)).ok()
    }
}

/// The ledger's clock, at a moment of the capture.
fn clock(now: Moment) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_nanos(now.0)
}

fn limit(rate: Rate) -> Limit {
    let per = u64::try_from(rate.per.as_nanos()).unwrap_or(u64::MAX);
    Limit::new(rate.count, per, rate.burst)
}

#[cfg(test)]
mod tests;
