//! The little that the kernel's own rules look at, for packets that the gate does not judge.

use std::net::IpAddr;

use etherparse::{IpNumber, LaxIpSlice};

use crate::packet::Flags;

/// A TCP packet's ends and flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) src: (IpAddr, u16),
    pub(super) dst: (IpAddr, u16),
    pub(super) flags: Flags,
}

impl Segment {
    /// Reads an IP packet; `None` if it is not TCP, a fragment, or too short.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        let (ip, _) = LaxIpSlice::from_slice(bytes).ok()?;
        let payload = ip.payload();
        if payload.ip_number != IpNumber::TCP || payload.fragmented {
            return None;
        }
        let tcp = payload.payload.first_chunk::<14>()?;
        let port = |at: usize| u16::from_be_bytes([tcp[at], tcp[at + 1]]);
        Some(Self {
            src: (ip.source_addr(), port(0)),
            dst: (ip.destination_addr(), port(2)),
            flags: Flags(tcp[13]),
        })
    }

    /// Does it accept a connection: SYN and ACK, no RST?
    pub(super) fn answers(self) -> bool {
        self.flags.has(Flags::SYN | Flags::ACK) && !self.flags.any(Flags::RST)
    }

    /// Does it go on with a connection: ACK, neither SYN nor RST?
    pub(super) fn acknowledges(self) -> bool {
        self.flags.has(Flags::ACK) && !self.flags.any(Flags::SYN | Flags::RST)
    }

    /// Does it push data, as the kernel's `prove` rule asks: PSH and ACK, neither SYN nor RST?
    pub(super) fn pushes_data(self) -> bool {
        self.flags.has(Flags::PSH | Flags::ACK) && !self.flags.any(Flags::SYN | Flags::RST)
    }
}
