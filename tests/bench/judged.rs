//! What the judge is measured on: SYNs of Linux clients, and a policy under which every check has
//! something to look at.

use std::hint::black_box;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use etherparse::{PacketBuilder, TcpOptionElement as Opt};
use portcullis::memory::{FloodRule, Memory, Moment};
use portcullis::packet::{Syn, parse};
use portcullis::policy::{Denylist, Policy, PrefixSet, Rate, judge};

/// A SYN to be given a source, a port and a sequence number: like a packet that the kernel has just
/// copied, it is in the cache.
pub(crate) struct Template {
    bytes: Vec<u8>,
    /// Where the TCP header begins.
    tcp: usize,
}

const OPTIONS: [Opt; 5] = [
    Opt::MaximumSegmentSize(1460),
    Opt::SelectiveAcknowledgementPermitted,
    Opt::Timestamp(1, 0),
    Opt::Noop,
    Opt::WindowScale(7),
];

#[allow(dead_code, reason = "not all who measure need all of it")]
impl Template {
    /// An IPv4 SYN to a port.
    pub(crate) fn v4(port: u16) -> Self {
        let ip = PacketBuilder::ipv4([192, 0, 2, 1], [198, 51, 100, 2], 61);
        let tcp = ip.tcp(1024, port, 0, 64240).syn().options(&OPTIONS).expect("valid options");
        let mut bytes = Vec::new();
        tcp.write(&mut bytes, &[]).expect("a valid packet");
        Self { bytes, tcp: 20 }
    }

    /// The same for IPv6.
    pub(crate) fn v6(port: u16) -> Self {
        let to = Ipv6Addr::from_bits((0x2001_0db8_0005 << 80) | 16);
        let ip = PacketBuilder::ipv6([0; 16], to.octets(), 61);
        let tcp = ip.tcp(1024, port, 0, 64240).syn().options(&OPTIONS).expect("valid options");
        let mut bytes = Vec::new();
        tcp.write(&mut bytes, &[]).expect("a valid packet");
        Self { bytes, tcp: 40 }
    }

    /// Its bytes, from a source; an IPv6 source has that number for a network. `serial` tells one
    /// attempt from another.
    #[inline]
    pub(crate) fn from(&mut self, source: u32, serial: u32) -> &[u8] {
        let tcp = self.tcp;
        if tcp == 20 {
            self.bytes[12..16].copy_from_slice(&source.to_be_bytes());
        } else {
            self.bytes[8..12].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
            self.bytes[12..16].copy_from_slice(&source.to_be_bytes());
        }
        self.bytes[tcp..tcp + 2].copy_from_slice(&(1024 + (serial % 60_000) as u16).to_be_bytes());
        self.bytes[tcp + 4..tcp + 8].copy_from_slice(&serial.to_be_bytes());
        &self.bytes
    }
}

/// Judges a packet at a time in nanoseconds.
#[inline]
pub(crate) fn judge_bytes(
    policy: &Policy,
    memory: &Memory,
    bytes: &[u8],
    (proven, now): (bool, u64),
) {
    if let Ok(syn) = parse(black_box(bytes)) {
        black_box(judge(policy, memory, &Syn { proven, ..syn }, Moment(now)));
    }
}

/// Scatters small numbers over 2³⁰ addresses, each to one of its own, and multiples of eight to
/// such; reproducibly.
pub(crate) fn scatter(n: u32) -> u32 {
    0x1000_0000 + (n.wrapping_mul(0x9e37_79b1) & 0x3fff_ffff)
}

/// The `n`th address of a list of single ones, in which no source of [`scatter`] is.
pub(crate) fn listed(n: u32) -> u32 {
    0xc000_0000 + n * 977
}

/// Every check is on, nothing is refused for its rate, no flood is recognised, and so many
/// addresses are [`listed`].
pub(crate) fn policy(denied: u32) -> Policy {
    let mut policy = Policy::default();
    policy.ports.served = [22, 80, 443].into_iter().collect();
    let unhindered =
        Some(Rate { count: 4_000_000_000, per: Duration::from_secs(1), burst: u32::MAX });
    // Counted as always, but never a flood.
    policy.flood.rule = Some(FloodRule::new(1e9));
    policy.rate.source = unhindered;
    policy.rate.network = unhindered;
    policy.rate.total = unhindered;
    for class in policy.rate.classes.iter_mut().chain([&mut policy.rate.other]) {
        class.rate = unhindered;
    }
    let nets = (0..denied).map(|n| {
        let address = Ipv4Addr::from_bits(listed(n));
        (format!("{address}/32").parse().expect("a prefix"), 0)
    });
    policy.denylist =
        Denylist { prefixes: PrefixSet::new(nets.collect()), lists: vec!["policy"] }.into();
    policy
}
