//! Sets of address prefixes, millions of them, for one quick question: is this address inside?

use std::net::IpAddr;

use ipnet::IpNet;

/// A set of IPv4 and IPv6 prefixes, each with the number of the list it came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PrefixSet {
    nets: Vec<(IpNet, u16)>,
}

impl PrefixSet {
    /// Builds the set. Where prefixes of several lists overlap, the lowest list number is kept.
    pub fn new(nets: Vec<(IpNet, u16)>) -> Self {
        Self { nets }
    }

    /// Does the set hold nothing at all?
    pub fn is_empty(&self) -> bool {
        self.nets.is_empty()
    }

    /// The number of the list whose prefix contains `address`.
    pub fn find(&self, address: IpAddr) -> Option<u16> {
        self.nets.iter().find(|(net, _)| net.contains(&address)).map(|(_, list)| *list)
    }

    /// Does any prefix of the set share an address with `net`?
    pub fn overlaps(&self, net: IpNet) -> bool {
        self.nets.iter().any(|(own, _)| own.contains(&net) || net.contains(own))
    }
}
