//! Which targets count as served.

use std::collections::HashSet;
use std::io::Read;
use std::net::IpAddr;

use super::capture::{Capture, Packet};
use super::link::ip_of;
use super::segment::Segment;
use crate::packet::{Flags, Syn};
use crate::policy::{Policy, PortSet, Ports, PrefixSet};

/// Addresses and ports that accepted a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Targets {
    answered: HashSet<(IpAddr, u16)>,
    /// Connections end in this capture, but not one bare ACK is in it: it was thinned out.
    without_acks: bool,
}

impl Targets {
    /// Every address and port that sends a SYN-ACK anywhere in a capture. `watch` hears how far
    /// it has been read, in bytes.
    pub fn of<R: Read>(capture: &mut Capture<R>, mut watch: impl FnMut(u64)) -> Self {
        let mut targets = Self::default();
        let mut count = 0u64;
        let (mut acks, mut ends) = (false, false);
        while let Some(Packet { link, bytes, .. }) = capture.next_packet() {
            let segment = ip_of(link, bytes).and_then(Segment::of);
            if let Some(segment) = segment {
                if segment.answers() {
                    targets.answered.insert(segment.src);
                }
                acks |= segment.flags == Flags(Flags::ACK);
                ends |= segment.flags.has(Flags::FIN | Flags::ACK);
            }
            count += 1;
            if count.is_multiple_of(super::run::WATCH_EVERY) {
                watch(capture.position());
            }
        }
        targets.without_acks = ends && !acks;
        targets
    }
}

/// How the judge is told whether a target is served.
///
/// A policy knows ports, not hosts; in a capture each host serves others. So there are two
/// policies, one that serves every port and one that serves none, and each SYN is judged by the
/// one that is right for its target: a check sees no other difference.
#[derive(Clone, Debug)]
pub enum Serving {
    /// By the policy's own ports.
    Policy(Box<Policy>),
    /// By what answered in the capture.
    Capture {
        /// For targets that answered.
        open: Box<Policy>,
        /// For all others.
        closed: Box<Policy>,
        /// Those that answered.
        targets: Targets,
    },
}

impl Serving {
    /// The policy's own served ports; where it says `listening`, these do.
    pub fn by_policy(policy: &Policy, listening: &PortSet) -> Self {
        let mut policy = policy.clone();
        policy.ports.serve(listening, &PortSet::default());
        Self::Policy(Box::new(policy))
    }

    /// What answered in the capture, whatever the policy's `ports.open` says. Its other rules for
    /// ports (`only_from`, `suspicious`) hold as they are.
    pub fn by_capture(policy: &Policy, targets: Targets) -> Self {
        let serving = |served: PortSet| {
            let ports = Ports {
                served,
                any: false,
                closing: PortSet::default(),
                protect: PrefixSet::default(),
                open_behind: None,
                ..policy.ports.clone()
            };
            Box::new(Policy { ports, ..policy.clone() })
        };
        let mut all = PortSet::default();
        all.insert_range(0..=u16::MAX);
        Self::Capture { open: serving(all), closed: serving(PortSet::default()), targets }
    }

    /// What holds for every target, served or not.
    pub(super) fn policy(&self) -> &Policy {
        match self {
            Self::Policy(policy) | Self::Capture { open: policy, .. } => policy,
        }
    }

    /// Were the packets left out of the capture with which clients complete their connections?
    pub(super) fn is_thinned_out(&self) -> bool {
        matches!(self, Self::Capture { targets, .. } if targets.without_acks)
    }

    /// The policy to judge this SYN by, and whether its target is served.
    pub(super) fn of(&self, syn: &Syn) -> (&Policy, bool) {
        match self {
            Self::Policy(policy) => {
                let ports = &policy.ports;
                (policy, ports.serves(syn.dport, ports.is_behind(syn.dst)))
            }
            Self::Capture { open, closed, targets } => {
                let served = targets.answered.contains(&(syn.dst, syn.dport));
                (if served { open } else { closed }, served)
            }
        }
    }
}
