//! Is the port served, and served to this source?

use super::{Case, Check};
use crate::policy::{Evidence, Finding, PortSet, Ports};

pub(super) const CHECK: Check =
    Check { name: "ports", about: "is the port served, and to whom", look };

/// A suspicious port weighs as much as three ordinary ones.
const SUSPICIOUS: u8 = 3;

#[inline]
fn look(case: &mut Case<'_>) -> Finding {
    let ports = &case.policy.ports;
    let port = case.syn.dport;
    let deny =
        |what, weight| Finding::Deny { evidence: Evidence { what, ..Evidence::default() }, weight };
    let barred = ports
        .only_from
        .iter()
        .any(|(only, sources)| only.contains(port) && sources.find(case.syn.src).is_none());
    if barred {
        return deny("not for this source", 1);
    }
    let behind = !ports.protect.is_empty() && ports.protect.find(case.syn.dst).is_some();
    if ports.serves(port, behind) {
        Finding::Pass
    } else if ports.suspicious.contains(port) {
        deny("suspicious port", SUSPICIOUS)
    } else {
        deny("unserved port", 1)
    }
}

impl Ports {
    /// Takes note of which ports have a listening socket now, and which had one until a moment ago.
    pub fn serve(&mut self, listening: &PortSet, closing: &PortSet) {
        self.served = self.open.clone();
        self.closing = PortSet::default();
        if self.listening {
            self.served.join(listening);
            self.closing.join(closing);
        }
    }

    /// Every port of this host at which the check lets a source pass: served now, or until a
    /// moment ago.
    pub fn reachable(&self) -> PortSet {
        let mut ports = self.served.clone();
        ports.join(&self.closing);
        if self.any {
            ports.insert_range(0..=u16::MAX);
        }
        ports
    }

    /// Is `port` served, or was it until a moment ago? `behind` asks for the hosts in `protect`.
    #[inline]
    pub fn serves(&self, port: u16, behind: bool) -> bool {
        if behind {
            self.open_behind.as_ref().is_none_or(|open| open.contains(port))
        } else {
            self.any || self.served.contains(port) || self.closing.contains(port)
        }
    }
}
