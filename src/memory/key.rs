//! Who a packet says it comes from.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// One source as Portcullis counts them: an IPv4 address, or an IPv6 /64, because that is what
/// one customer is given.
///
/// Eight bytes: an IPv6 source is the upper half of its address, an IPv4 source stands under
/// `ffff:ffff::/32`, which is multicast space and can never send.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceKey(u64);

const V4: u64 = 0xffff_ffff_0000_0000;

impl SourceKey {
    /// The source that `address` belongs to. An IPv4-mapped IPv6 address is its IPv4 address.
    #[inline]
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => Self(V4 | u64::from(v4.to_bits())),
            IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
                Some(v4) => Self(V4 | u64::from(v4.to_bits())),
                None => Self((v6.to_bits() >> 64) as u64),
            },
        }
    }

    /// Is it an IPv4 source?
    #[inline]
    pub fn is_v4(self) -> bool {
        self.0 & V4 == V4
    }

    /// The address, or the base address of the /64.
    pub fn base(self) -> IpAddr {
        if self.is_v4() {
            Ipv4Addr::from_bits(self.0 as u32).into()
        } else {
            Ipv6Addr::from_bits(u128::from(self.0) << 64).into()
        }
    }

    /// The prefix: a /32 or a /64.
    pub fn prefix(self) -> IpNet {
        match self.base() {
            IpAddr::V4(v4) => Ipv4Net::from(v4).into(),
            IpAddr::V6(v6) => Ipv6Net::new_assert(v6, 64).into(),
        }
    }

    /// The wider network that shares rate limits and budgets with this source: its first `v4`
    /// bits (at most 32) or `v6` bits (at most 64).
    #[inline]
    pub fn network(self, v4: u8, v6: u8) -> NetworkKey {
        let kept = if self.is_v4() { 32 + v4.min(32) } else { v6.min(64) };
        NetworkKey(if kept == 0 { 0 } else { self.0 & (u64::MAX << (64 - kept)) })
    }

    /// The key under which is remembered what comes in this source's name but not from it, as far
    /// as can be told: the complement, which is in no address space that anybody can send from
    /// (that of an IPv4 source is in ::/32, that of 2000::/3 in c000::/3).
    #[inline]
    pub(super) fn shadow(self) -> Self {
        Self(!self.0)
    }

    /// The key that [`SourceKey::bits`] is of.
    pub fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The key as a number, for hashing and storing.
    #[inline]
    pub fn bits(self) -> u64 {
        self.0
    }
}

impl fmt::Display for SourceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.base() {
            IpAddr::V4(v4) => f.pad(&v4.to_string()),
            IpAddr::V6(v6) => f.pad(&format!("{v6}/64")),
        }
    }
}

impl fmt::Debug for SourceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The base of a wider network, made by [`SourceKey::network`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NetworkKey(u64);

impl NetworkKey {
    /// The network as a number.
    #[inline]
    pub fn bits(self) -> u64 {
        self.0
    }

    /// The network that [`NetworkKey::bits`] is of.
    pub(super) fn from_bits(bits: u64) -> Self {
        Self(bits)
    }
}

/// A number below `count` by the lower half of a hash, without a division: fastrange (Lemire 2019).
/// `count` is 1 to 2³².
#[inline]
pub(super) fn among(count: usize, hash: u64) -> usize {
    (((hash & 0xffff_ffff) * count as u64) >> 32) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> SourceKey {
        SourceKey::of(text.parse().unwrap())
    }

    #[test]
    fn names_and_prefixes() {
        for (address, name) in [
            ("203.0.113.7", "203.0.113.7"),
            ("::ffff:203.0.113.7", "203.0.113.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
            ("::1", "::/64"),
            ("0.0.0.0", "0.0.0.0"),
        ] {
            assert_eq!(key(address).to_string(), name);
        }
        assert_eq!(key("2001:db8::1").prefix().to_string(), "2001:db8::/64");
        assert_eq!(key("192.0.2.1").prefix().to_string(), "192.0.2.1/32");
    }

    #[test]
    fn families_never_meet() {
        assert_ne!(key("0.0.0.1"), key("::1"));
        assert!(!key("0:0:1:2::").is_v4());
        assert_ne!(key("0.0.0.0").network(0, 0), key("::").network(0, 0));
    }

    #[test]
    fn networks() {
        assert_eq!(key("192.0.2.1").network(24, 48), key("192.0.2.200").network(24, 48));
        assert_ne!(key("192.0.2.1").network(24, 48), key("192.0.3.1").network(24, 48));
        assert_eq!(key("2001:db8:7:1::").network(24, 48), key("2001:db8:7:2::").network(24, 48));
        assert_ne!(key("2001:db8:7:1::").network(24, 48), key("2001:db8:8:1::").network(24, 48));
    }
}
