//! Bytes → a story of SYNs, with their times, through `judge`.
//!
//! The first byte chooses the policy; then every eight bytes are a step:
//!
//! ```text
//! what │ who │ where │ sport │ flags │ pause │ times │ varied
//! ```

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::LazyLock;
use std::time::Duration;

use portcullis::config;
use portcullis::memory::{Bounds, Memory, Moment, SourceKey};
use portcullis::packet::{Flags, Options, Syn};
use portcullis::policy::{
    CHECKS, CheckId, Decision, EvidenceKind, Policy, PortSet, Reaction, Ruling, Standing, explain,
    judge,
};

/// The policies: small limits, so that a short story gets to them.
const CLASSIC: &str = r#"
    [allowlist]
    from = "192.0.2.0/28, 2001:db8:a::/48"
    [denylist]
    from = "198.51.100.64/26, 2001:db8:d::/48, 192.0.2.8/29"
    [ports]
    open = "22, 80, 443, 3306"
    open_behind = "80"
    [ports.only_from]
    "3306" = "203.0.113.0/25"
    [flood]
    surplus = "20/s"
    [rate.class.login]
    ports = "22"
    rate = "4/m"
    burst = 2
    ban = "port"
    [guard]
    protect = "10.9.0.0/24"
"#;
const SHARP: &str = r#"
    [quirks]
    odd_size = "deny"
    odd_header = "score"
    [scan]
    sensitivity = "strict"
    [anomaly]
    action = "drop"
    false_positives_per_day = 1000
    quarantine = "1h"
    [rate]
    source = "1/s"
    source_burst = 3
    network = "2/s"
    network_burst = 5
    total = "20/s"
    total_burst = 30
    [bans]
    after = 2
    within = "1m"
    patience = "100ms"
"#;

/// Each under both kinds of evidence.
static POLICIES: LazyLock<[Policy; 4]> = LazyLock::new(|| {
    let policy = |more: &str, evidence: EvidenceKind| {
        let text = format!("{CLASSIC}\n{more}");
        let mut policy = match config::parse(&text, "judge.toml") {
            Ok(loaded) => loaded.config.policy,
            Err(errors) => panic!("{errors}"),
        };
        policy.offences.evidence = evidence;
        let none = PortSet::default();
        policy.ports.serve(&none, &none);
        policy
    };
    let (proven, any) = (EvidenceKind::Proven, EvidenceKind::Any);
    [policy("", proven), policy("", any), policy(SHARP, proven), policy(SHARP, any)]
});

const BOUNDS: Bounds = Bounds { sources: 512, networks: 1024 };
/// The same again after a step that makes room.
const FEWER: Bounds = Bounds { sources: 64, networks: 256 };

/// SYNs of one input, at most.
const MOST: usize = 600;

/// Which looks a SYN can have: TTL, option layout, window scale.
type Look = (u8, u64, Option<u8>);

/// Tells the story to two gates. Whatever it is, they decide alike, although one of them is asked
/// to explain each SYN beforehand, and every decision is one that can be.
pub fn check(bytes: &[u8]) {
    let Some((first, steps)) = bytes.split_first() else { return };
    let policy = &POLICIES[usize::from(*first) % 4];
    let memory = Memory::repeatable(BOUNDS);
    let asked = Memory::repeatable(BOUNDS);
    let mut teller = Teller::default();
    let mut let_in: HashSet<(SourceKey, Look)> = HashSet::new();
    let mut left = MOST;
    for step in steps.as_chunks().0 {
        match teller.step(*step) {
            Step::Syns { first, times, pause, varied } => {
                let mut syn = first;
                for _ in 0..times.min(left) {
                    teller.now = teller.now + pause;
                    let (_, rows, _) = explain(policy, &asked, &syn, teller.now);
                    assert_eq!(rows.len(), CHECKS.len());
                    let told = judge(policy, &asked, &syn, teller.now);
                    let decision = judge(policy, &memory, &syn, teller.now);
                    assert_eq!(told, decision, "asking changed what becomes of {syn:?}");
                    can_be(policy, &syn, &decision);
                    own_evidence(policy, &syn, &decision, &mut let_in);
                    syn = vary(syn, varied);
                }
                left = left.saturating_sub(times);
            }
            Step::Tend => {
                let budget = policy.anomaly.budget();
                for memory in [&memory, &asked] {
                    memory.learn(teller.now, budget);
                    if let Some(rule) = policy.flood.rule {
                        memory.flood.tick(rule, teller.now);
                    }
                    memory.flood.completed(3, None);
                }
            }
            Step::MakeRoom(bounds) => {
                memory.resize(bounds, teller.now);
                asked.resize(bounds, teller.now);
            }
        }
        let (newcomers, proven) = memory.len();
        assert!(newcomers <= BOUNDS.sources / 2 && proven <= BOUNDS.sources / 2);
        assert!(memory.networks() <= BOUNDS.networks);
    }
}

/// Is this something that the judge may say of this SYN?
fn can_be(policy: &Policy, syn: &Syn, decision: &Decision) {
    let trusted = policy.allowlist.prefixes.find(syn.src).is_some();
    let denied = policy.denylist.prefixes.find(syn.src).is_some();
    let check = decision.check;
    let known = usize::from(check.0) < CHECKS.len();
    assert!(known || check == CheckId::NONE);
    let evidence = decision.evidence;
    assert!(evidence.seen.is_finite() && evidence.limit.is_finite(), "{decision:?}");
    if trusted {
        assert_eq!(decision.ruling, Ruling::Accept, "an allow-listed source was refused");
        assert_eq!(decision.earned, Standing::Clean, "an allow-listed source earned something");
        assert_eq!(check.name(), "allowlist");
        return;
    }
    assert_ne!(check.name(), "allowlist");
    assert_eq!(check.name() == "denylist", denied, "{decision:?}");
    match decision.ruling {
        Ruling::Drop => {
            assert!(known && !evidence.what.is_empty(), "refused, and nobody says why");
        }
        Ruling::Accept => {
            assert!(!denied, "a deny-listed source was let in");
            // What lets in may have something to remark on, and only these do.
            let remark = matches!(check.name(), "quirks" | "fingerprint" | "scan" | "anomaly");
            assert!(remark || check == CheckId::NONE, "let in by {}", check.name());
        }
    }
    let drops = policy.anomaly.action == Reaction::Drop;
    assert!(check != CheckId::ANOMALY || drops || decision.ruling == Ruling::Accept);
    assert!(!decision.renew || (syn.proven && decision.earned == Standing::Suspect));
    if syn.flags.has(Flags::SYN | Flags::FIN) {
        assert_eq!(decision.ruling, Ruling::Drop, "SYN+FIN was let in");
    }
}

/// Under `evidence = "proven"`, nobody is banned but for a proven SYN that looks like one which was
/// let in before.
fn own_evidence(
    policy: &Policy,
    syn: &Syn,
    decision: &Decision,
    let_in: &mut HashSet<(SourceKey, Look)>,
) {
    let look = (syn.ttl, syn.options.layout, syn.options.window_scale);
    let looks = (SourceKey::of(syn.src), look);
    if decision.earned == Standing::Banned && policy.offences.evidence == EvidenceKind::Proven {
        assert!(syn.proven, "banned for a SYN that anybody can forge");
        assert!(let_in.contains(&looks), "banned for a SYN that looks like none of its own");
    }
    if decision.ruling == Ruling::Accept {
        let_in.insert(looks);
    }
}

/// What a step is.
enum Step {
    Syns { first: Syn, times: usize, pause: Duration, varied: u8 },
    Tend,
    MakeRoom(Bounds),
}

/// Makes steps out of bytes.
struct Teller {
    now: Moment,
    last: Option<Syn>,
}

impl Default for Teller {
    fn default() -> Self {
        Self { now: Moment(1_000_000_000), last: None }
    }
}

impl Teller {
    fn step(&mut self, bytes: [u8; 8]) -> Step {
        let [what, who, place, sport, flags, pause, times, varied] = bytes;
        let pause = match pause & 7 {
            0 => Duration::ZERO,
            1 => Duration::from_micros(300),
            2 => Duration::from_millis(50),
            3 => Duration::from_millis(1010),
            4 => Duration::from_secs(8),
            5 => Duration::from_secs(61),
            6 => Duration::from_secs(3700),
            _ => Duration::from_secs(90_000),
        } * (u32::from(pause >> 3) + 1);
        match what {
            0xf0.. => {
                return Step::MakeRoom(if what & 1 == 0 { BOUNDS } else { FEWER });
            }
            0xe0.. => {
                self.now = self.now + pause;
                return Step::Tend;
            }
            // Two threads read the clock one after the other, and judge the other way round.
            0xd0.. => self.now = Moment(self.now.0.saturating_sub(2_000_000)),
            _ => {}
        }
        let first = match self.last.filter(|_| what & 4 != 0) {
            Some(last) => last,
            None => opening(who, place, sport, flags, what >> 3 & 7),
        };
        let first = Syn { proven: what & 1 != 0, suspect: what & 2 != 0, ..first };
        self.last = Some(first);
        let times = if times < 0x80 { 1 } else { usize::from(times - 0x7f) * 2 };
        Step::Syns { first, times, pause, varied }
    }
}

/// A SYN, or what a prober sends instead.
fn opening(who: u8, place: u8, sport: u8, flags: u8, look: u8) -> Syn {
    const PORTS: [u16; 16] =
        [22, 80, 443, 3306, 23, 21, 25, 81, 8080, 5555, 1, 65_535, 445, 9999, 8443, 0];
    let host = u32::from(place >> 4);
    let v6 = |net: u128, host: u8| IpAddr::from(Ipv6Addr::from_bits(net << 80 | u128::from(host)));
    let src = match who {
        0..0x10 => Ipv4Addr::new(192, 0, 2, who).into(),
        0x10..0x18 => v6(0x2001_0db8_000a, who),
        0x18..0x28 => Ipv4Addr::new(198, 51, 100, 64 + who).into(),
        0x28..0x30 => v6(0x2001_0db8_000d, who),
        // The same IPv4 addresses in disguise.
        0x30..0x40 => {
            Ipv4Addr::new(192, 0, if who < 0x38 { 2 } else { 3 }, who).to_ipv6_mapped().into()
        }
        0x40..0x60 => Ipv4Addr::new(203, 0, 113, who).into(),
        0x60..0x70 => Ipv4Addr::new(203, 0, who, 200).into(),
        // Many hosts of one /64, and many /64s of one /48.
        0x70..0x80 => v6(0x2001_0db8_0001, who),
        0x80..0x90 => {
            Ipv6Addr::from_bits(0x2001_0db8_0002 << 80 | u128::from(who) << 64 | 1).into()
        }
        _ => Ipv4Addr::from_bits(u32::from(who).wrapping_mul(0x9e37_79b9)).into(),
    };
    let dst: IpAddr = match src {
        IpAddr::V6(v6) if v6.to_ipv4_mapped().is_none() => {
            Ipv6Addr::from_bits(0x2001_0db8_00ff << 80 | u128::from(host)).into()
        }
        _ if host >= 12 => Ipv4Addr::from_bits(0x0a09_0000 | host).into(),
        _ => Ipv4Addr::from_bits(0xc633_6401 + host).into(),
    };
    let from = SocketAddr::new(src, 1024 + u16::from(sport));
    let to = SocketAddr::new(dst, PORTS[usize::from(place & 0xf)]);
    let syn = Syn { seq: u32::from(sport) * 0x0101, ..Syn::linux(from, to) };
    let syn = match look {
        0 => syn,
        1 => Syn { ttl: 116, window: 8192, ..syn },
        2 => Syn { ttl: 40, ..syn },
        // Header alone, as simple systems and forgers send it.
        3 => Syn { options: Options::default(), length: 40, window: 1024, ..syn },
        // What masscan's and ZMap's look like.
        4 => Syn {
            options: Options::default(),
            length: 40,
            window: 1024,
            ttl: 240,
            dont_fragment: false,
            ip_id: 0x6401 ^ to.port() ^ (u32::from(sport) * 0x0101) as u16,
            ..syn
        },
        5 => Syn { ip_id: 54_321, options: Options::default(), length: 40, ttl: 250, ..syn },
        6 => Syn { payload: 100, length: 160, ..syn },
        _ => Syn {
            options: Options { malformed: true, ..syn.options },
            ack: 7,
            dont_fragment: false,
            ..syn
        },
    };
    // Only what `parse` lets through.
    match Flags(flags) {
        flags if flags.any(Flags::ACK) || flags.0 < 0x40 && !flags.any(Flags::SYN) => syn,
        flags if flags.any(Flags::RST) && !flags.any(Flags::SYN) => syn,
        flags => Syn { flags, ..syn },
    }
}

/// The next one of several.
fn vary(syn: Syn, varied: u8) -> Syn {
    let mut next = syn;
    if varied & 1 != 0 {
        next.src = match syn.src {
            IpAddr::V4(v4) => Ipv4Addr::from_bits(v4.to_bits().wrapping_add(1)).into(),
            IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits().wrapping_add(1 << 64)).into(),
        };
    }
    if varied & 2 != 0 {
        next.dport = syn.dport.wrapping_add(1);
    }
    if varied & 4 != 0 {
        next.seq = syn.seq.wrapping_add(0x1_0001);
    }
    if varied & 8 != 0 {
        next.sport = syn.sport.wrapping_add(1);
    }
    if varied & 16 != 0 {
        next.ttl = syn.ttl.wrapping_add(1);
    }
    if varied & 32 != 0 {
        next.proven = !syn.proven;
    }
    next
}
