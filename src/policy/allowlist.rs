//! `[allowlist]`: sources that are trusted whatever they do.

use std::net::IpAddr;

use ipnet::IpNet;

use super::PrefixSet;
use super::prefixes::canonical;

/// Trusted prefixes, and names whose addresses are trusted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Allowlist {
    /// Everything that is trusted now: the prefixes of the policy as list 0 (`from`, with the words
    /// `loopback`, `private` and `link-local` spelled out), the addresses of the first name as
    /// list 1, and so on.
    pub prefixes: PrefixSet,
    /// The same, merged so that none overlaps or touches another: what the kernel is told.
    pub nets: Vec<IpNet>,
    /// The prefixes of the policy, as they were written.
    pub fixed: Vec<IpNet>,
    /// The names of the policy. `'static` because evidence carries them; a name is leaked once per
    /// process.
    pub names: Vec<&'static str>,
}

impl Allowlist {
    /// The most merged prefixes that the kernel is told: its tool reads such a set whole before it
    /// changes anything else in the table, and longer ones would slow every ban.
    pub const KERNEL_LIMIT: usize = 1000;

    /// The list of these prefixes, which may overlap.
    pub fn new(nets: Vec<IpNet>) -> Self {
        Self::with_names(nets, Vec::new())
    }

    /// The same with names, of which no address is known yet.
    pub fn with_names(fixed: Vec<IpNet>, names: Vec<&'static str>) -> Self {
        Self { fixed, names, ..Self::default() }.resolved(|_| Vec::new())
    }

    /// The same list, with these addresses for its names.
    pub fn resolved(&self, addresses: impl Fn(&str) -> Vec<IpAddr>) -> Self {
        let mut nets: Vec<(IpNet, u16)> = self.fixed.iter().map(|net| (*net, 0)).collect();
        for (list, name) in (1..).zip(&self.names) {
            nets.extend(addresses(name).into_iter().map(|address| (IpNet::from(address), list)));
        }
        let plain: Vec<IpNet> = nets.iter().map(|(net, _)| canonical(*net)).collect();
        let (fixed, names) = (self.fixed.clone(), self.names.clone());
        Self { prefixes: PrefixSet::new(nets), nets: IpNet::aggregate(&plain), fixed, names }
    }

    /// What trusts a prefix of this list: a name, or `trusted` for the policy's own prefixes.
    pub fn called(&self, list: u16) -> &'static str {
        let name = usize::from(list).checked_sub(1).and_then(|index| self.names.get(index));
        name.copied().unwrap_or("trusted")
    }

    /// What the kernel is told: all of it or, if that is too much, nothing. The judge knows the
    /// list in any case.
    pub fn in_kernel(&self) -> &[IpNet] {
        if self.nets.len() > Self::KERNEL_LIMIT { &[] } else { &self.nets }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_beside_prefixes() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let fixed: Vec<IpNet> = vec!["192.0.2.0/24".parse().unwrap()];
        let unknown = Allowlist::with_names(fixed.clone(), vec!["a.example", "b.example"]);
        assert_eq!(unknown.nets, fixed);
        let known = unknown.resolved(|name| match name {
            "a.example" => vec![address("203.0.113.9"), address("::ffff:192.0.2.1")],
            _ => vec![address("2001:db8::9")],
        });
        for (asked, expected) in [
            ("192.0.2.7", Some("trusted")),
            // The policy's own prefixes come first.
            ("192.0.2.1", Some("trusted")),
            ("203.0.113.9", Some("a.example")),
            ("203.0.113.8", None),
            ("2001:db8::9", Some("b.example")),
        ] {
            let found = known.prefixes.find(address(asked)).map(|list| known.called(list));
            assert_eq!(found, expected, "{asked}");
        }
        assert_eq!(known.in_kernel().len(), 3);
        assert_eq!(known.resolved(|_| Vec::new()), unknown, "answers do not add up");
    }

    #[test]
    fn trusted_prefixes_are_merged_for_the_kernel() {
        let nets =
            |list: &[&str]| list.iter().map(|net| net.parse().unwrap()).collect::<Vec<IpNet>>();
        let list = Allowlist::new(nets(&[
            "10.0.0.0/8",
            "10.1.0.0/16",
            "192.0.2.0/25",
            "192.0.2.128/25",
            "::ffff:198.51.100.0/120",
            "2001:db8::/33",
            "2001:db8:8000::/33",
        ]));
        let mut merged = list.in_kernel().to_vec();
        merged.sort();
        let expected = ["10.0.0.0/8", "192.0.2.0/24", "198.51.100.0/24", "2001:db8::/32"];
        assert_eq!(merged, nets(&expected));
        assert!(list.prefixes.find("10.1.2.3".parse().unwrap()).is_some());
        let many = |count: u32| {
            (0..count).map(|n| IpNet::from(IpAddr::from((n * 2).to_be_bytes()))).collect()
        };
        assert_eq!(Allowlist::new(many(1000)).in_kernel().len(), 1000);
        assert_eq!(Allowlist::new(many(1001)).in_kernel().len(), 0);
    }
}
