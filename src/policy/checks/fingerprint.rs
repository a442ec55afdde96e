//! Was this SYN written by a scanning tool? Told by its header alone, so the first SYN decides.
//!
//! The rules are data: [`tools::RULES`]. Tools that connect like any program (nmap -sT, hydra)
//! send the header of their own system, and no rule here can know them.

mod facts;
mod tools;

use super::{Case, Check};
use crate::policy::{Evidence, Finding, Stance};
use tools::{RULES, Says};

pub(super) const CHECK: Check =
    Check { name: "fingerprint", about: "headers that only scanning tools write", look };

/// A refused SYN of a tool weighs as much as three others: the second makes a suspect. One is not
/// enough, since in a forged flood every address is seen once.
const WEIGHT: u8 = 3;

/// Points for a header that tools write, but honest devices too; 100 make a suspect.
const POINTS: u16 = 25;

#[inline]
fn look(case: &mut Case<'_>) -> Finding {
    let policy = &case.policy.fingerprint;
    let syn = case.syn;
    if policy.stance == Stance::Ignore || !syn.opens() {
        return Finding::Pass;
    }
    let Some(rule) = RULES.iter().find(|rule| rule.facts.hold(syn)) else {
        return Finding::Pass;
    };
    if policy.ignore.contains(&rule.tool) {
        return Finding::Pass;
    }
    let evidence = Evidence { what: rule.what, ..Evidence::default() };
    match (rule.says, policy.stance) {
        (Says::Deny, Stance::Deny) => Finding::Deny { evidence, weight: WEIGHT },
        // It completed a connection: an odd but honest device.
        _ if syn.proven => Finding::Pass,
        // The same header every time: it counts once, beside whatever else there is.
        _ if case.source.offences.score > 0 => Finding::Suspect { score: 0, evidence },
        _ => Finding::Suspect { score: POINTS, evidence },
    }
}

/// The names of the tools that rules are about, each once, in the order of the table.
pub fn tools() -> Vec<&'static str> {
    let mut names: Vec<_> = RULES.iter().map(|rule| rule.tool).collect();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use std::net::IpAddr;

    use super::facts::Kind::{self, *};
    use super::*;
    use crate::packet::{Flags, Options, Syn};

    /// An option list as a tool writes it.
    fn options(kinds: &[Kind], mss: Option<u16>, window_scale: Option<u8>) -> Options {
        let nibbles = kinds.iter().enumerate();
        let layout = nibbles.fold(0, |layout, (i, kind)| layout | (*kind as u64) << (4 * i));
        Options { layout, mss, window_scale, length: 4 * kinds.len() as u8, ..Options::default() }
    }

    /// A raw SYN without options, as it leaves a tool that writes its own headers.
    fn raw() -> Syn {
        let from = SocketAddr::from(([203, 0, 113, 7], 61_000));
        let to = SocketAddr::from(([198, 51, 100, 2], 443));
        Syn {
            seq: 0x1234_5678,
            window: 0,
            ip_id: 4711,
            dont_fragment: false,
            length: 40,
            options: Options::default(),
            ..Syn::linux(from, to)
        }
    }

    fn rule(syn: &Syn) -> Option<(&'static str, Says)> {
        RULES.iter().find(|rule| rule.facts.hold(syn)).map(|rule| (rule.what, rule.says))
    }

    const DST: u32 = 0xc633_6402;

    /// One SYN per rule, as it leaves the tool.
    fn sent() -> Vec<(&'static str, Syn)> {
        let plain_mss = options(&[Mss], Some(1460), None);
        let windows = options(&[Mss, Nop, Scale, Nop, Nop, Sack], Some(1460), Some(8));
        let linux = options(&[Mss, Sack, Times, Nop, Scale], Some(1460), Some(7));
        let bsd = options(&[Mss, Nop, Scale, Nop, Nop, Times, Sack], Some(1460), Some(6));
        let zmap = Syn { ip_id: 54321, ttl: 255, window: 65535, ..raw() };
        let xor = (DST as u16) ^ 443 ^ 0x5678;
        let nmap = Syn { window: 1024, options: plain_mss, ttl: 37, ..raw() };
        let os = |window, kinds: &[Kind], mss, scale| {
            let options = options(kinds, mss, scale);
            ("nmap system detection", Syn { window, options, ack: 0x1b2c, ttl: 59, ..raw() })
        };
        let t = [Scale, Nop, Mss, Times, Sack];
        let ecn = Syn {
            window: 3,
            options: options(&[Scale, Nop, Mss, Sack, Nop, Nop], Some(1460), Some(10)),
            flags: Flags(Flags::SYN | Flags::ECE | Flags::CWR),
            urgent: 0xf7f5,
            ..raw()
        };
        vec![
            ("ZMap up to 4.0", zmap),
            ("ZMap up to 4.0", Syn { options: plain_mss, ..zmap }),
            ("ZMap since 4.1", Syn { window: 65535, options: windows, ..raw() }),
            ("ZMap as Linux", Syn { window: 65535, options: linux, ..raw() }),
            ("ZMap as BSD", Syn { window: 65535, options: bsd, ..raw() }),
            ("masscan up to 1.3.2", Syn { window: 1024, ttl: 255, ip_id: xor, ..raw() }),
            (
                "masscan since 2023-11",
                Syn { window: 1025, ttl: 255, ip_id: xor, options: plain_mss, ..raw() },
            ),
            ("Mirai", Syn { seq: DST, window: 33_333, ..raw() }),
            ("nmap SYN scan", nmap),
            ("nmap SYN scan", Syn { ttl: 59, ..nmap }),
            os(1, &t, Some(1460), Some(10)),
            os(63, &[Mss, Scale, Sack, Times], Some(1400), Some(0)),
            os(4, &[Times, Nop, Nop, Scale, Nop, Mss], Some(640), Some(5)),
            os(4, &[Sack, Times, Scale], None, Some(10)),
            os(16, &[Mss, Sack, Times, Scale], Some(536), Some(10)),
            os(512, &[Mss, Sack, Times], Some(265), None),
            os(256, &t, Some(265), Some(10)),
            os(31337, &t, Some(265), Some(10)),
            ("nmap system detection", ecn),
            ("nmap before 2011", Syn { window: 2048, ..nmap }),
            ("nmap before 2011", Syn { window: 3072, ..nmap }),
            ("nmap before 2011", Syn { window: 4096, ..nmap }),
            ("hping3", Syn { window: 512, ack: 99, ..raw() }),
        ]
    }

    #[test]
    fn every_tool_is_known_near_and_far() {
        for (what, syn) in sent() {
            let says = match what {
                "nmap before 2011" | "ZMap as BSD" => Says::Score,
                _ => Says::Deny,
            };
            for hops in [0, 12, 30] {
                let syn = Syn { ttl: syn.ttl - hops, ..syn };
                assert_eq!(rule(&syn), Some((what, says)), "{hops} hops, {syn:?}");
            }
        }
        for rule in &RULES {
            assert!(sent().iter().any(|(what, _)| *what == rule.what), "{} is untried", rule.what);
            assert!(rule.source.contains(": "), "{} has no source", rule.what);
        }
    }

    /// A conjunction: what only has some of the facts is somebody else.
    #[test]
    fn half_a_fingerprint_is_none() {
        for (what, syn) in sent() {
            let mut others = vec![Syn { window: 64_240, seq: 1, ..syn }];
            if !matches!(what, "nmap system detection" | "Mirai") {
                others.push(Syn { dont_fragment: true, ..syn });
            }
            if what == "nmap system detection" && syn.window != 3 || what == "hping3" {
                others.push(Syn { ack: 0, ..syn });
            }
            if what.starts_with("ZMap") || what == "masscan up to 1.3.2" {
                others.push(Syn { ttl: 128, ..syn });
            }
            if what.starts_with("nmap ") && !what.ends_with("detection") {
                others.push(Syn { ttl: 64, ..syn });
            }
            if what == "masscan up to 1.3.2" || what == "ZMap up to 4.0" {
                others.push(Syn { ip_id: syn.ip_id ^ 1, ..syn });
            }
            for other in others {
                assert_eq!(rule(&other), None, "{what}: {other:?}");
            }
        }
    }

    #[test]
    fn facts_of_ipv4_say_nothing_of_ipv6() {
        for (what, syn) in sent() {
            let six: IpAddr = "2001:db8::2".parse().unwrap();
            let syn = Syn { dst: six, src: six, ip_id: 0, dont_fragment: true, ..syn };
            assert_eq!(rule(&syn).is_some(), what == "nmap system detection", "{what}");
        }
    }

    #[test]
    fn ordinary_systems_match_nothing() {
        let layout = |kinds: &[Kind], scale| options(kinds, Some(1460), Some(scale));
        for (window, ttl, options) in [
            (64_240, 64, layout(&[Mss, Sack, Times, Nop, Scale], 7)),
            (64_240, 128, layout(&[Mss, Nop, Scale, Nop, Nop, Sack], 8)),
            (65_535, 128, layout(&[Mss, Nop, Scale, Nop, Nop, Sack], 8)),
            (65_535, 64, layout(&[Mss, Sack, Times, Nop, Scale], 7)),
            (65_535, 64, layout(&[Mss, Nop, Scale, Nop, Nop, Times, Sack], 6)),
            (8192, 128, layout(&[Mss, Nop, Scale, Nop, Nop, Sack], 8)),
        ] {
            let syn = Syn { window, ttl, options, dont_fragment: true, ..raw() };
            assert_eq!(rule(&syn), None, "{syn:?}");
        }
    }

    #[test]
    fn names_for_the_policy() {
        assert_eq!(tools(), ["zmap", "masscan", "mirai", "nmap", "hping3"]);
    }
}
