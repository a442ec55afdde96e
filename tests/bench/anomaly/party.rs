//! Whoever sends SYNs, and what the gate makes of them.

use portcullis::anomaly::{Digest, LOOKS};
use portcullis::memory::{Bounds, Memory, Moment, SourceKey};
use portcullis::packet::Syn;
use portcullis::policy::{Policy, PortSet, Ruling, Standing, judge};

/// What somebody is up to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Honest,
    /// Port scans without connections.
    Raw,
    /// Port scans by connecting.
    Connect,
    /// Guessing of passwords.
    Guess,
    /// Floods from forged addresses.
    Flood,
}

impl Kind {
    pub(crate) const ATTACKS: [Kind; 4] = [Kind::Raw, Kind::Connect, Kind::Guess, Kind::Flood];

    pub(crate) fn word(self) -> &'static str {
        match self {
            Kind::Honest => "honest",
            Kind::Raw => "raw scans",
            Kind::Connect => "connect scans",
            Kind::Guess => "guessing",
            Kind::Flood => "floods",
        }
    }
}

/// One SYN of a party.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    /// In nanoseconds.
    pub(crate) at: u64,
    pub(crate) syn: Syn,
    /// The target answers.
    pub(crate) served: bool,
}

/// One source in one capture, or a piece of its stream.
#[derive(Clone, Debug)]
pub(crate) struct Party {
    pub(crate) kind: Kind,
    pub(crate) sent: Vec<Sent>,
    /// It completes connections, so that the kernel knows it as proven when it comes again.
    pub(crate) completes: bool,
    /// It is a piece of a longer stream, in which it offends.
    pub(crate) offends: bool,
}

/// What the detector gets to see of a party.
#[derive(Clone, Debug)]
pub(crate) struct Life {
    pub(crate) kind: Kind,
    pub(crate) digests: Vec<Digest>,
    /// Another check found an offence.
    pub(crate) offended: bool,
    /// It is proven and did not offend.
    pub(crate) teaches: bool,
}

impl Party {
    /// Attackers' streams, cut into pieces of eight SYNs.
    pub(crate) fn pieces(self) -> Vec<Party> {
        if self.kind == Kind::Honest {
            return vec![self];
        }
        // Who offends later was the same attacker before.
        let offends = self.live().is_some_and(|life| life.offended);
        let piece = |sent: &[Sent]| Party { sent: sent.to_vec(), offends, ..self.clone() };
        self.sent.chunks(usize::from(LOOKS)).map(piece).collect()
    }

    /// Takes the party through the judge. `None` if the detector sees nothing of it.
    pub(crate) fn live(&self) -> Option<Life> {
        let memory = Memory::repeatable(Bounds { sources: 64, networks: 64 });
        let (open, closed) = policies();
        let mut digests = Vec::new();
        let mut offended = self.offends;
        let start = self.sent.first()?.at;
        for Sent { at, syn, served } in &self.sent {
            // A visitor who was here yesterday: whoever completes connections is known as proven.
            let syn = Syn { proven: self.completes, ..*syn };
            let policy = if *served { open } else { closed };
            let decision = judge(policy, &memory, &syn, Moment(1_000_000_000 + at - start));
            offended |= decision.earned != Standing::Clean;
            let harmless = matches!(decision.check.name(), "ports" | "anomaly" | "standing");
            offended |= decision.ruling == Ruling::Drop && !harmless;
            let key = SourceKey::of(syn.src);
            let (shard, _) = memory.shard(key.network(24, 48));
            let Some(source) = shard.peek(key) else { continue };
            // The hour's first eight.
            if usize::from(source.habits.seen()) == digests.len() + 1 {
                digests.push(Digest::of(&syn, &source.habits));
            }
        }
        let teaches = self.completes && !offended;
        (!digests.is_empty()).then_some(Life { kind: self.kind, digests, offended, teaches })
    }
}

/// The shipped policy for targets that answer, and for those that do not.
fn policies() -> (&'static Policy, &'static Policy) {
    use std::sync::LazyLock;
    static POLICIES: LazyLock<(Policy, Policy)> = LazyLock::new(|| {
        let serving = |served: PortSet| {
            let mut policy = Policy::default();
            policy.ports.served = served;
            policy
        };
        let mut all = PortSet::default();
        all.insert_range(0..=u16::MAX);
        (serving(all), serving(PortSet::default()))
    });
    (&POLICIES.0, &POLICIES.1)
}
