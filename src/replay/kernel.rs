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
use crate::firewall::{Change, Ledger, PACE, Rules};
use crate::memory::{Bucket, Limit, Moment, SourceKey};
use crate::packet::Syn;
use crate::policy::{Decision, PrefixSet, Rate, Standing};

/// As many connections as Linux tracks on a machine with some memory.
const CONNECTIONS: NonZeroUsize = NonZeroUsize::new(262_144).unwrap();

/// Client and server of a connection.
type Ends = ((IpAddr, u16), (IpAddr, u16));

/// The table's state.
#[derive(Debug)]
pub(super) struct Kernel {
    ledger: Ledger,
    /// Connections whose opening was let through.
    connections: LruCache<Ends, (), RandomState>,
    /// Proven sources, until when.
    proven: HashMap<SourceKey, Moment, RandomState>,
    proven_for: Duration,
    /// Meters per source: the pace of suspects, the ceiling of everybody.
    meters: HashMap<SourceKey, [Bucket; 2], RandomState>,
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
        let standing = self.ledger.get(syn.src, clock).filter(|entry| entry.is_live(clock));
        let standing = standing.map_or(Standing::Clean, |entry| entry.standing);
        match standing {
            Standing::Banned => return Early::Drop("banned"),
            Standing::Suspect if !served => {
                // It goes on probing, so it stays a suspect.
                self.ledger.prolong(key.prefix(), clock);
                return Early::Drop("suspect");
            }
            // Whoever forges a proven source's address must not use up its pace.
            Standing::Suspect if !proven && self.over(key, 0, limit(PACE), now) => {
                return Early::Drop("suspect");
            }
            Standing::Suspect | Standing::Clean => {}
        }
        if self.ceiling.is_some_and(|ceiling| self.over(key, 1, ceiling, now)) {
            return Early::Drop("ceiling");
        }
        Early::Judge { proven, suspect: standing == Standing::Suspect }
    }

    /// Is a source over a meter? It is not while there is no room for its meter.
    fn over(&mut self, key: SourceKey, which: usize, limit: Limit, now: Moment) -> bool {
        if self.meters.len() >= self.size && !self.meters.contains_key(&key) {
            // As the kernel's elements do, a meter ends when it is empty.
            self.meters
                .retain(|_, meters| meters.iter().any(|bucket| bucket.level(limit, now) > 0));
            if self.meters.len() >= self.size {
                return false;
            }
        }
        let bucket = &mut self.meters.entry(key).or_default()[which];
        let over = bucket.test(limit, now).is_err();
        bucket.charge(limit, now);
        over
    }

    /// An opening was let through.
    pub(super) fn connects(&mut self, syn: &Syn) {
        self.connections.put(((syn.src, syn.sport), (syn.dst, syn.dport)), ());
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

    /// A source has earned a standing. `None` if that changes nothing (it is spared, or has it).
    pub(super) fn offence(
        &mut self,
        source: SourceKey,
        decision: &Decision,
        now: Moment,
    ) -> Option<Change> {
        let evidence = decision.evidence.what.to_owned();
        let check = decision.check.name();
        self.ledger.offence(source, decision.earned, check, evidence, clock(now)).ok()
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
mod tests {
    use super::*;
    use crate::packet::{Flags, Options};
    use crate::policy::{CheckId, Evidence, Ruling};

    const SERVER: &str = "198.51.100.2";
    const CLIENT: &str = "192.0.2.9";

    fn ends(address: &str, port: u16) -> (IpAddr, u16) {
        (address.parse().unwrap(), port)
    }

    fn syn(sport: u16, dport: u16) -> Syn {
        let ((src, _), (dst, _)) = (ends(CLIENT, 0), ends(SERVER, 0));
        Syn {
            src,
            dst,
            sport,
            dport,
            seq: 1,
            ack: 0,
            flags: Flags(Flags::SYN),
            window: 1024,
            urgent: 0,
            ttl: 64,
            ip_id: 0,
            dont_fragment: true,
            ip_options: false,
            length: 40,
            payload: 0,
            options: Options::default(),
            proven: false,
            suspect: false,
        }
    }

    fn at(millis: u64) -> Moment {
        Moment(1_000_000_000_000 + millis * 1_000_000)
    }

    fn data(from: (IpAddr, u16), to: (IpAddr, u16), flags: u8) -> Segment {
        Segment { src: from, dst: to, flags: Flags(flags) }
    }

    fn proven(kernel: &mut Kernel, now: Moment) -> bool {
        match kernel.opening(&syn(9, 22), true, now) {
            Early::Judge { proven, .. } => proven,
            Early::Drop(why) => panic!("{why}"),
        }
    }

    #[test]
    fn who_is_proven() {
        let (client, server) = (ends(CLIENT, 5000), ends(SERVER, 22));
        let push = Flags::PSH | Flags::ACK;
        // What passes, after an opening from port 5000 to 22 or none, and whether that proves.
        for (opened, from, to, flags, expected) in [
            (true, server, client, push, true),
            (true, server, client, push | Flags::FIN, true),
            (true, server, client, Flags::ACK, false),
            (true, server, client, push | Flags::SYN, false),
            (true, server, client, push | Flags::RST, false),
            (true, client, server, push, false),
            (true, server, ends(CLIENT, 5001), push, false),
            (false, server, client, push, false),
        ] {
            let mut kernel = Kernel::new(&Config::default());
            if opened {
                kernel.connects(&syn(5000, 22));
            }
            kernel.passes(data(from, to, flags), at(0));
            assert_eq!(proven(&mut kernel, at(1)), expected, "{opened} {from:?} {to:?} {flags:#x}");
            assert!(!proven(&mut kernel, at(86_400_000)), "it ends after a day");
        }
    }

    fn offend(kernel: &mut Kernel, earned: Standing, now: Moment) {
        let decision = Decision {
            ruling: Ruling::Drop,
            check: CheckId::QUIRKS,
            evidence: Evidence::default(),
            retransmission: false,
            earned,
        };
        kernel.offence(SourceKey::of(ends(CLIENT, 0).0), &decision, now).unwrap();
    }

    #[test]
    fn standings_act() {
        let passes = |suspect| Early::Judge { proven: false, suspect };
        let mut kernel = Kernel::new(&Config::default());
        assert_eq!(kernel.opening(&syn(1, 80), false, at(0)), passes(false));
        offend(&mut kernel, Standing::Suspect, at(0));
        assert_eq!(kernel.opening(&syn(2, 80), false, at(1)), Early::Drop("suspect"));
        assert_eq!(kernel.opening(&syn(3, 80), true, at(2)), passes(true));
        // It goes on probing after nine minutes, so it is a suspect until minute 19.
        let minute = 60_000;
        assert_eq!(kernel.opening(&syn(4, 80), false, at(9 * minute)), Early::Drop("suspect"));
        assert_eq!(kernel.opening(&syn(5, 80), true, at(18 * minute)), passes(true));
        assert_eq!(kernel.opening(&syn(6, 80), false, at(20 * minute)), passes(false));
        offend(&mut kernel, Standing::Banned, at(20 * minute));
        assert_eq!(kernel.opening(&syn(7, 80), true, at(20 * minute)), Early::Drop("banned"));
    }

    #[test]
    fn suspects_knock_slowly_and_floods_stop_at_the_ceiling() {
        let mut kernel = Kernel::new(&Config::default());
        let dropped = |kernel: &mut Kernel, count: u16| {
            let syns = (0..count).map(|port| kernel.opening(&syn(port, 80), true, at(0)));
            syns.filter(|early| matches!(early, Early::Drop(_))).count()
        };
        assert_eq!(dropped(&mut kernel, 500), 100, "400 at once pass the ceiling");
        let mut kernel = Kernel::new(&Config::default());
        offend(&mut kernel, Standing::Suspect, at(0));
        assert_eq!(dropped(&mut kernel, 50), 30, "20 at once pass the pace of suspects");
        let mut kernel = Kernel::new(&Config::default());
        kernel.connects(&syn(1, 80));
        kernel.passes(data(ends(SERVER, 80), ends(CLIENT, 1), 0x18), at(0));
        offend(&mut kernel, Standing::Suspect, at(0));
        assert_eq!(dropped(&mut kernel, 50), 0, "but the proven have no pace");
    }

    #[test]
    fn trusted_sources_pass_by() {
        let mut config = Config::default();
        let nets = vec!["192.0.2.0/24".parse().unwrap()];
        config.policy.allowlist = crate::policy::Allowlist::new(nets).into();
        let mut kernel = Kernel::new(&config);
        for port in 0..500 {
            let early = kernel.opening(&syn(port, 80), false, at(0));
            assert_eq!(early, Early::Judge { proven: false, suspect: false });
        }
    }

    #[test]
    fn a_full_set_of_meters_lets_pass() {
        let mut config = Config::default();
        config.guard.set_size = 0;
        config.guard.ceiling = Some(Rate { count: 1, per: Duration::from_secs(1), burst: 1 });
        let mut kernel = Kernel::new(&config);
        kernel.connects(&syn(1, 80));
        kernel.passes(data(ends(SERVER, 80), ends(CLIENT, 1), 0x18), at(0));
        for _ in 0..3 {
            assert_eq!(
                kernel.opening(&syn(1, 80), true, at(0)),
                Early::Judge { proven: false, suspect: false }
            );
        }
    }
}
