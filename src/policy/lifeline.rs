//! Peers of open SSH sessions: whatever an admin writes into the policy, he can open a second
//! session to undo it.

use std::net::{IpAddr, SocketAddr};

/// Peers with an SSH session, each with the port of this host that it leads to. There, and nowhere
/// else, they pass the deny list and the port policy; everything else is judged as of anybody, rates
/// among it. So nothing worth having is gained by a forged address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lifelines(Vec<(IpAddr, u16)>);

impl Lifelines {
    /// From both ends of each session: its own, and the peer's.
    pub fn new(sessions: impl IntoIterator<Item = (SocketAddr, SocketAddr)>) -> Self {
        let ends = sessions.into_iter().map(|(own, peer)| (peer.ip().to_canonical(), own.port()));
        let mut ends: Vec<_> = ends.collect();
        ends.sort_unstable();
        ends.dedup();
        Self(ends)
    }

    /// Has this peer one to this port?
    #[inline]
    pub fn hold(&self, peer: IpAddr, port: u16) -> bool {
        // Nearly nobody has one, and nobody's SYN is to be searched for that.
        !self.0.is_empty() && self.0.binary_search(&(peer, port)).is_ok()
    }

    /// All of them, sorted: peer, and port of this host.
    pub fn iter(&self) -> impl Iterator<Item = (IpAddr, u16)> {
        self.0.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::{Bounds, Memory, Moment};
    use crate::packet::Syn;
    use crate::policy::{Denylist, Policy, PrefixSet, Ruling, judge};

    #[test]
    fn one_peer_at_one_port() {
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        let lines = Lifelines::new([
            (at("198.51.100.2:22"), at("[::ffff:203.0.113.7]:50000")),
            (at("198.51.100.2:22"), at("203.0.113.7:50001")),
            (at("[2001:db8::1]:2222"), at("[2001:db8:7::7]:5")),
        ]);
        assert_eq!(lines.iter().count(), 2);
        for (peer, port, held) in [
            ("203.0.113.7", 22, true),
            ("203.0.113.7", 2222, false),
            ("203.0.113.8", 22, false),
            ("2001:db8:7::7", 2222, true),
            ("2001:db8:7::8", 2222, false),
        ] {
            assert_eq!(lines.hold(peer.parse().unwrap(), port), held, "{peer} {port}");
        }
    }

    #[test]
    fn it_passes_the_deny_list_and_the_ports_and_is_judged_otherwise() {
        let everybody = vec![("0.0.0.0/0".parse().unwrap(), 0)];
        let denylist = Denylist { prefixes: PrefixSet::new(everybody), lists: vec!["policy"] };
        let mut policy = Policy { denylist: denylist.into(), ..Policy::default() };
        let memory = Memory::new(Bounds { sources: 1024, networks: 1024 });
        let syn = |from: &str, port: u16, sport: u16| {
            let to = SocketAddr::new("198.51.100.2".parse().unwrap(), port);
            let from = SocketAddr::new(from.parse().unwrap(), sport);
            Syn { proven: true, seq: u32::from(sport), ..Syn::linux(from, to) }
        };
        let mut now = Moment(1);
        let mut ask = |policy: &Policy, syn: &Syn| {
            now = Moment(now.0 + 1_000_000);
            let decision = judge(policy, &memory, syn, now);
            (decision.ruling, decision.check.name())
        };
        let refused = (Ruling::Drop, "denylist");
        assert_eq!(ask(&policy, &syn("203.0.113.7", 22, 1)), refused);
        let own = "198.51.100.2:22".parse().unwrap();
        policy.lifelines = Lifelines::new([(own, "203.0.113.7:9".parse().unwrap())]).into();
        assert_eq!(ask(&policy, &syn("203.0.113.7", 22, 2)), (Ruling::Accept, "none"));
        assert_eq!(ask(&policy, &syn("203.0.113.7", 80, 3)), refused);
        assert_eq!(ask(&policy, &syn("203.0.113.8", 22, 4)), refused);
        // Port 22 is not served, and the rate of logins holds all the same.
        policy.denylist = Default::default();
        let many: Vec<_> = (10..40).map(|n| ask(&policy, &syn("203.0.113.7", 22, n))).collect();
        assert_eq!(many[0], (Ruling::Accept, "none"));
        assert_eq!(many[29], (Ruling::Drop, "rate"), "{many:?}");
    }
}
