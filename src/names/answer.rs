//! What a resolver says of one name, and whether that can be believed.

use std::net::IpAddr;

/// The most addresses of each family that a name may have. Offices have a few; whoever has more is
/// a content network, or lies.
pub const MOST_ADDRESSES: usize = 16;

/// An address family: A or AAAA.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Both.
    pub const ALL: [Self; 2] = [Self::V4, Self::V6];
}

/// What became of one question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// These are the name's addresses of this family.
    Addresses(Vec<IpAddr>),
    /// There is no such name, or it has no address of this family.
    Nothing,
    /// Nobody knows, in the system's words.
    Failed(String),
}

/// An answer that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Checked {
    /// Sorted, each once, at least one.
    Good(Vec<IpAddr>),
    Nothing,
    Failed(String),
    /// Not to be believed, and why.
    Refused(String),
}

impl Answer {
    /// Looks at it: what no visitor can have as an address is no answer, nor are more addresses
    /// than a name may have.
    pub(super) fn check(self, family: Family) -> Checked {
        let addresses = match self {
            Self::Nothing => return Checked::Nothing,
            Self::Failed(why) => return Checked::Failed(why),
            Self::Addresses(addresses) => addresses,
        };
        let mut good = Vec::new();
        for address in addresses {
            // One of the other family, or an IPv4 one in disguise, was not asked for.
            let fits =
                address.is_ipv4() == (family == Family::V4) && address.to_canonical() == address;
            if !fits || !is_a_visitors(address) {
                return Checked::Refused(format!("{address}, which no visitor has"));
            }
            good.push(address);
        }
        good.sort();
        good.dedup();
        match good.len() {
            0 => Checked::Nothing,
            count if count > MOST_ADDRESSES => {
                Checked::Refused(format!("{count} addresses at once (at most {MOST_ADDRESSES})"))
            }
            _ => Checked::Good(good),
        }
    }
}

/// Can somebody who comes over the network have this address? Blocking resolvers answer with
/// 0.0.0.0 or 127.0.0.1.
fn is_a_visitors(address: IpAddr) -> bool {
    let never = address.is_loopback() || address.is_unspecified() || address.is_multicast();
    !never
        && match address {
            IpAddr::V4(v4) => {
                !v4.is_broadcast()
                    && !v4.is_link_local()
                    && v4.octets()[0] != 0
                    && v4.octets()[0] < 240
            }
            IpAddr::V6(v6) => !v6.is_unicast_link_local(),
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_believed() {
        let check = |family, list: &[&str]| {
            let addresses = list.iter().map(|text| text.parse().unwrap()).collect();
            Answer::Addresses(addresses).check(family)
        };
        let good = check(Family::V4, &["203.0.113.9", "10.0.0.1", "203.0.113.9"]);
        let sorted = ["10.0.0.1", "203.0.113.9"].map(|text| text.parse().unwrap());
        assert_eq!(good, Checked::Good(sorted.into()));
        assert_eq!(check(Family::V4, &[]), Checked::Nothing);
        for (family, wrong) in [
            (Family::V4, "127.0.0.1"),
            (Family::V4, "0.0.0.0"),
            (Family::V4, "0.1.2.3"),
            (Family::V4, "224.0.0.1"),
            (Family::V4, "255.255.255.255"),
            (Family::V4, "240.0.0.1"),
            (Family::V4, "169.254.1.1"),
            (Family::V6, "::"),
            (Family::V6, "::1"),
            (Family::V6, "ff02::1"),
            (Family::V6, "fe80::1"),
            (Family::V6, "::ffff:203.0.113.9"),
        ] {
            let beside = if family == Family::V4 { "203.0.113.9" } else { "2001:db8::9" };
            let told = check(family, &[beside, wrong]);
            assert_eq!(told, Checked::Refused(format!("{wrong}, which no visitor has")));
        }
        let many: Vec<String> = (0..=MOST_ADDRESSES).map(|n| format!("203.0.113.{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(matches!(check(Family::V4, &many), Checked::Refused(_)));
        assert!(matches!(check(Family::V4, &many[1..]), Checked::Good(_)));
    }
}
