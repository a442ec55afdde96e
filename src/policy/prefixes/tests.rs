//! The set against an oracle that asks every prefix in turn.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use proptest::prelude::*;

use super::PrefixSet;

fn set(nets: &[(&str, u16)]) -> PrefixSet {
    PrefixSet::new(nets.iter().map(|(net, list)| (net.parse().unwrap(), *list)).collect())
}

#[test]
fn the_lowest_list_wins_wherever_prefixes_overlap() {
    let set = set(&[
        ("10.0.0.0/8", 3),
        ("10.1.0.0/16", 1),
        ("10.1.2.0/24", 2),
        ("10.2.0.0/16", 5),
        ("2001:db8::/32", 4),
        ("2001:db8::7/128", 0),
        ("0.0.0.0/32", 6),
        ("255.255.255.255/32", 6),
    ]);
    for (address, list) in [
        ("9.255.255.255", None),
        ("10.0.0.0", Some(3)),
        ("10.0.255.255", Some(3)),
        ("10.1.0.0", Some(1)),
        ("10.1.2.3", Some(1)),
        ("10.1.255.255", Some(1)),
        ("10.2.0.1", Some(3)),
        ("10.255.255.255", Some(3)),
        ("11.0.0.0", None),
        ("0.0.0.0", Some(6)),
        ("0.0.0.1", None),
        ("255.255.255.255", Some(6)),
        ("::ffff:10.1.2.3", Some(1)),
        ("2001:db8::6", Some(4)),
        ("2001:db8::7", Some(0)),
        ("2001:db8::8", Some(4)),
        ("2001:db7:ffff:ffff:ffff:ffff:ffff:ffff", None),
        ("2001:db9::", None),
    ] {
        assert_eq!(set.find(address.parse().unwrap()), list, "{address}");
    }
    assert_eq!(set.len(), 8);
}

#[test]
fn whole_families_and_mapped_prefixes() {
    let all = set(&[("0.0.0.0/0", 1), ("::/0", 2)]);
    for (address, list) in [
        ("0.0.0.0", 1),
        ("255.255.255.255", 1),
        ("::", 2),
        ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 2),
        ("::ffff:192.0.2.1", 1),
    ] {
        assert_eq!(all.find(address.parse().unwrap()), Some(list), "{address}");
    }
    let mapped = set(&[("::ffff:192.0.2.0/120", 9)]);
    assert_eq!(mapped.find("192.0.2.200".parse().unwrap()), Some(9));
    assert!(mapped.overlaps("192.0.0.0/16".parse().unwrap()));
    assert!(!mapped.overlaps("::/0".parse().unwrap()));
}

#[test]
fn equal_and_empty() {
    assert!(PrefixSet::default().is_empty() && PrefixSet::new(Vec::new()).is_empty());
    assert_eq!(PrefixSet::default(), PrefixSet::new(Vec::new()));
    assert_eq!(PrefixSet::default().find("192.0.2.1".parse().unwrap()), None);
    assert!(!PrefixSet::default().overlaps("::/0".parse().unwrap()));
    let whole = set(&[("10.0.0.0/9", 1), ("10.128.0.0/9", 1)]);
    let halves = set(&[("10.128.0.0/9", 1), ("10.0.0.0/9", 1)]);
    assert_eq!(whole, halves);
    assert_ne!(whole, set(&[("10.0.0.0/9", 1), ("10.128.0.0/9", 2)]));
    assert_eq!(format!("{whole:?}"), "PrefixSet(2 prefixes)");
}

/// What a prefix set has to answer, found the slow way.
struct Oracle(Vec<(IpNet, u16)>);

impl Oracle {
    fn canonical(net: IpNet) -> IpNet {
        match net {
            IpNet::V6(v6) if v6.prefix_len() >= 96 => match v6.addr().to_ipv4_mapped() {
                Some(v4) => Ipv4Net::new(v4, v6.prefix_len() - 96).unwrap().into(),
                None => net,
            },
            _ => net,
        }
    }

    fn find(&self, address: IpAddr) -> Option<u16> {
        let address = address.to_canonical();
        let inside = |net: IpNet| Self::canonical(net).contains(&address);
        self.0.iter().filter(|(net, _)| inside(*net)).map(|(_, list)| *list).min()
    }

    fn overlaps(&self, net: IpNet) -> bool {
        let net = Self::canonical(net).trunc();
        self.0.iter().any(|(own, _)| {
            let own = Self::canonical(*own).trunc();
            own.contains(&net) || net.contains(&own)
        })
    }
}

/// Addresses from few values, so that prefixes nest and touch often.
fn address() -> impl Strategy<Value = IpAddr> {
    let piece = prop::sample::select(vec![0u8, 1, 2, 127, 128, 254, 255]);
    let v4 = prop::array::uniform4(piece.clone()).prop_map(|b| IpAddr::V4(Ipv4Addr::from(b)));
    let half = prop::array::uniform4(piece.clone());
    let v6 = (half.clone(), half, any::<bool>()).prop_map(|(upper, lower, mirrored)| {
        let (upper, lower) = (u32::from_be_bytes(upper), u32::from_be_bytes(lower));
        let bits = (u128::from(upper) << 96) | u128::from(lower);
        IpAddr::V6(Ipv6Addr::from_bits(if mirrored { bits.rotate_left(64) } else { bits }))
    });
    let mapped =
        prop::array::uniform4(piece).prop_map(|b| IpAddr::V6(Ipv4Addr::from(b).to_ipv6_mapped()));
    prop_oneof![3 => v4, 3 => v6, 1 => mapped]
}

fn net() -> impl Strategy<Value = IpNet> {
    (address(), 0u8..=128).prop_map(|(address, len)| match address {
        IpAddr::V4(v4) => Ipv4Net::new(v4, len % 33).unwrap().into(),
        IpAddr::V6(v6) => Ipv6Net::new(v6, len).unwrap().into(),
    })
}

/// An address and its two neighbours.
fn around(address: IpAddr) -> [IpAddr; 3] {
    match address {
        IpAddr::V4(a) => [-1i32, 0, 1]
            .map(|step| Ipv4Addr::from_bits(a.to_bits().wrapping_add_signed(step)).into()),
        IpAddr::V6(a) => [-1i128, 0, 1]
            .map(|step| Ipv6Addr::from_bits(a.to_bits().wrapping_add_signed(step)).into()),
    }
}

proptest! {
    #[test]
    fn agrees_with_the_oracle(
        nets in prop::collection::vec((net(), 0u16..5), 0..60),
        asked in prop::collection::vec(address(), 40),
        asked_nets in prop::collection::vec(net(), 20),
    ) {
        let set = PrefixSet::new(nets.clone());
        let ends = nets.iter().flat_map(|(net, _)| [net.network(), net.broadcast()]);
        let asked: Vec<IpAddr> = ends.chain(asked).flat_map(around).collect();
        let oracle = Oracle(nets);
        prop_assert_eq!(set.len(), oracle.0.len());
        for address in asked {
            prop_assert_eq!(set.find(address), oracle.find(address), "{}", address);
        }
        for net in asked_nets {
            prop_assert_eq!(set.overlaps(net), oracle.overlaps(net), "{}", net);
        }
    }

}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Enough prefixes for a tree of several levels.
    #[test]
    fn deep_trees_agree_too(seed in any::<u32>(), count in 1usize..3000) {
        let numbers = (0u32..).map(|i| seed.wrapping_add(i).wrapping_mul(2_654_435_761));
        let nets: Vec<(IpNet, u16)> = numbers.take(count).map(|n| {
            let v4 = Ipv4Net::new(n.into(), 20 + (n % 13) as u8).unwrap();
            // Some stand alone in their /64, some share it with many.
            let shift = if seed % 2 == 0 { 80 } else { 24 };
            let v6 = Ipv6Net::new((u128::from(n) << shift).into(), 40 + (n % 89) as u8).unwrap();
            (if n % 3 == 0 { v4.into() } else { v6.into() }, (n % 4) as u16)
        }).collect();
        let set = PrefixSet::new(nets.clone());
        let asked: Vec<IpAddr> = nets.iter().step_by(1 + count / 50)
            .flat_map(|(net, _)| [net.network(), net.broadcast()]).flat_map(around).collect();
        let oracle = Oracle(nets);
        for address in asked {
            prop_assert_eq!(set.find(address), oracle.find(address), "{}", address);
        }
    }
}
