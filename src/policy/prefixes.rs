//! Sets of address prefixes, millions of them, for one quick question: is this address inside?
//!
//! The prefixes are flattened to ascending ranges that do not overlap, so that one search
//! answers, however they were nested. An IPv4 prefix costs 8 bytes, an IPv6 one 12, and 68 if it
//! is longer than /64.

mod ranges;

use std::fmt;
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};

use ranges::Ranges;

/// Of so many prefixes, each family is put in order on a thread of its own.
const PARALLEL: usize = 50_000;

/// A set of IPv4 and IPv6 prefixes, each with the number of the list it came from.
///
/// An IPv4-mapped IPv6 address (`::ffff:192.0.2.1`) is its IPv4 address, in what is put in and in
/// what is asked; so `::/0` holds every IPv6 address and no IPv4 one.
#[derive(Clone, Default, PartialEq)]
pub struct PrefixSet {
    v4: Ranges<u32>,
    v6: Ranges<u128>,
    len: usize,
}

impl PrefixSet {
    /// Builds the set. Where prefixes of several lists overlap, the lowest list number is kept.
    /// Bits behind a prefix's length are ignored.
    pub fn new(nets: Vec<(IpNet, u16)>) -> Self {
        let len = nets.len();
        // As plain numbers, which are sorted several times as quickly as prefixes: address, then
        // length, then list, so that each prefix stands before those it contains.
        let mut v4: Vec<u64> = Vec::with_capacity(len);
        let mut v6: Vec<(u128, u32)> = Vec::new();
        for (net, list) in nets {
            let tail = |length: u8| u32::from(length) << 16 | u32::from(list);
            match canonical(net) {
                IpNet::V4(net) => v4.push(
                    u64::from(net.network().to_bits()) << 32 | u64::from(tail(net.prefix_len())),
                ),
                IpNet::V6(net) => v6.push((net.network().to_bits(), tail(net.prefix_len()))),
            }
        }
        let plant_v4 = move || {
            v4.sort_unstable();
            Ranges::flatten(v4.into_iter().map(|packed| {
                let (first, length) = ((packed >> 32) as u32, packed as u32 >> 16);
                (first, first | u32::MAX.checked_shr(length).unwrap_or(0), packed as u16)
            }))
        };
        let plant_v6 = move || {
            v6.sort_unstable();
            Ranges::flatten(v6.into_iter().map(|(first, tail)| {
                (first, first | u128::MAX.checked_shr(tail >> 16).unwrap_or(0), tail as u16)
            }))
        };
        let (v4, v6) = if len < PARALLEL {
            (plant_v4(), plant_v6())
        } else {
            std::thread::scope(|scope| {
                let v4 = scope.spawn(plant_v4);
                // It can only have panicked together with the whole process.
                let v6 = plant_v6();
                (v4.join().unwrap_or_default(), v6)
            })
        };
        Self { v4, v6, len }
    }

    /// Does the set hold nothing at all?
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many prefixes it was built from; one that was given twice counts twice.
    pub fn len(&self) -> usize {
        self.len
    }

    /// The number of the list whose prefix contains `address`.
    #[inline]
    pub fn find(&self, address: IpAddr) -> Option<u16> {
        match address.to_canonical() {
            IpAddr::V4(v4) => self.v4.find(v4.to_bits()),
            IpAddr::V6(v6) => self.v6.find(v6.to_bits()),
        }
    }

    /// Does any prefix of the set share an address with `net`?
    pub fn overlaps(&self, net: IpNet) -> bool {
        match canonical(net) {
            IpNet::V4(v4) => self.v4.overlaps(v4.network().to_bits(), v4.broadcast().to_bits()),
            IpNet::V6(v6) => self.v6.overlaps(v6.network().to_bits(), v6.broadcast().to_bits()),
        }
    }
}

/// The prefix without host bits, and as IPv4 if it lies within `::ffff:0:0/96`.
pub(super) fn canonical(net: IpNet) -> IpNet {
    let mapped = match net {
        IpNet::V6(v6) => v6.prefix_len().checked_sub(96).zip(v6.addr().to_ipv4_mapped()),
        IpNet::V4(_) => None,
    };
    match mapped.and_then(|(len, v4)| Ipv4Net::new(v4, len).ok()) {
        Some(v4) => v4.trunc().into(),
        None => net.trunc(),
    }
}

/// Short, because a set may have millions of members.
impl fmt::Debug for PrefixSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrefixSet({} prefixes)", self.len)
    }
}

#[cfg(test)]
mod tests;
