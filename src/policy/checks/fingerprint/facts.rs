//! A conjunction of facts about one header.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use crate::packet::{Flags, Syn};

/// The most routers that a packet passes in practice: each takes one off its TTL, so a received
/// TTL is as much lower than the sent one.
const HOPS: u8 = 30;

/// What has to be so, all of it. [`ANY`] demands nothing.
pub(super) struct Facts {
    /// The window is one of these; empty for any.
    pub(super) window: &'static [u16],
    /// The TTL at the sender.
    pub(super) ttl_sent: RangeInclusive<u8>,
    /// The option list.
    pub(super) options: Layout,
    /// The MSS in the options.
    pub(super) mss: Option<u16>,
    /// The window scale in the options.
    pub(super) window_scale: Option<u8>,
    /// An acknowledgement number without the flag that would give it a meaning.
    pub(super) stray_ack: bool,
    /// "Don't fragment" is not set. Demands IPv4: IPv6 knows no such bit.
    pub(super) fragmentable: bool,
    /// The IP identification. Demands IPv4.
    pub(super) ip_id: IpId,
    /// The sequence number is the destination address. Demands IPv4.
    pub(super) seq_is_destination: bool,
}

/// Which options stand in the header, in which order.
pub(super) enum Layout {
    Any,
    None,
    NoneOrMss,
    Exactly(u64),
}

/// How an IPv4 identification came about.
pub(super) enum IpId {
    Any,
    Is(u16),
    /// Low half of the destination address ^ destination port ^ low half of the sequence number.
    Xor,
}

/// No demands.
pub(super) const ANY: Facts = Facts {
    window: &[],
    ttl_sent: 0..=255,
    options: Layout::Any,
    mss: None,
    window_scale: None,
    stray_ack: false,
    fragmentable: false,
    ip_id: IpId::Any,
    seq_is_destination: false,
};

/// An option, as [`crate::packet::Options::layout`] spells it.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Nop = 1,
    Mss = 2,
    Scale = 3,
    Sack = 4,
    Times = 8,
}

/// An exact list of options; an end-of-list option is not written.
pub(super) const fn exactly(kinds: &[Kind]) -> Layout {
    let mut layout = 0;
    let mut i = kinds.len();
    while i > 0 {
        i -= 1;
        layout = layout << 4 | kinds[i] as u64;
    }
    Layout::Exactly(layout)
}

impl Facts {
    /// Are they all so? The facts that most SYNs fail stand first.
    #[inline]
    pub(super) fn hold(&self, syn: &Syn) -> bool {
        (self.window.is_empty() || self.window.contains(&syn.window))
            && self.options.holds(syn)
            && self.mss.is_none_or(|mss| syn.options.mss == Some(mss))
            && self.window_scale.is_none_or(|shift| syn.options.window_scale == Some(shift))
            && (!self.stray_ack || syn.ack != 0 && !syn.flags.has(Flags::ACK))
            && (self.ttl_sent.start().saturating_sub(HOPS)..=*self.ttl_sent.end())
                .contains(&syn.ttl)
            && self.ipv4_holds(syn)
    }

    /// The facts that only IPv4 has.
    #[inline]
    fn ipv4_holds(&self, syn: &Syn) -> bool {
        if !self.fragmentable && matches!(self.ip_id, IpId::Any) && !self.seq_is_destination {
            return true;
        }
        let IpAddr::V4(dst) = syn.dst else { return false };
        let id = match self.ip_id {
            IpId::Any => true,
            IpId::Is(id) => syn.ip_id == id,
            IpId::Xor => syn.ip_id == dst.to_bits() as u16 ^ syn.dport ^ syn.seq as u16,
        };
        id && !(self.fragmentable && syn.dont_fragment)
            && (!self.seq_is_destination || syn.seq == dst.to_bits())
    }
}

impl Layout {
    #[inline]
    fn holds(&self, syn: &Syn) -> bool {
        let options = &syn.options;
        match *self {
            Layout::Any => true,
            Layout::None => options.length == 0,
            Layout::NoneOrMss => options.length == 0 || options.layout == Kind::Mss as u64,
            Layout::Exactly(layout) => options.layout == layout,
        }
    }
}
