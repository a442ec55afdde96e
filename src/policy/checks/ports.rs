//! Is the port served, and served to this source?

use std::net::IpAddr;

use super::{Case, Check, rate};
use crate::policy::{Evidence, Finding, PortSet, Ports};

pub(super) const CHECK: Check =
    Check { name: "ports", about: "is the port served, and to whom", look };

/// A port that nobody honest asks for…
const SUSPICIOUS: &str = "suspicious port";

/// …so that a first attempt there weighs as much as three elsewhere.
const SUSPICIOUS_WEIGHT: u8 = 3;

#[inline]
fn look(case: &mut Case<'_>) -> Finding {
    let Some(what) = refusal(case) else { return Finding::Pass };
    let deny =
        |weight| Finding::Deny { evidence: Evidence { what, ..Evidence::default() }, weight };
    if case.new_target {
        // The scan test counts closed ports and does it better: it knows what went well, too.
        let counted = case.policy.scan.limit.is_some();
        return deny(match what {
            SUSPICIOUS => SUSPICIOUS_WEIGHT,
            _ if counted => 0,
            _ => 1,
        });
    }
    // Coming back to a closed port says nothing new: the clients of a service that is gone do it
    // for days. Hammering at it does.
    match rate::hammers(case) {
        Some(full) => {
            let evidence = Evidence { what, seen: full.seen as f32, limit: full.limit as f32 };
            Finding::Deny { evidence, weight: 1 }
        }
        None => deny(0),
    }
}

/// Why the port is closed to this source, if it is.
#[inline]
pub(super) fn refusal(case: &Case<'_>) -> Option<&'static str> {
    let ports = &case.policy.ports;
    let port = case.syn.dport;
    if case.policy.lifelines.hold(case.syn.src, port) {
        return None;
    }
    let barred = ports
        .only_from
        .iter()
        .any(|(only, sources)| only.contains(port) && sources.find(case.syn.src).is_none());
    if barred {
        Some("not for this source")
    } else if ports.serves(port, ports.is_behind(case.syn.dst)) {
        None
    } else if ports.suspicious.contains(port) {
        Some(SUSPICIOUS)
    } else {
        Some("unserved port")
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

    /// Is `dst` one of the hosts in `protect`?
    #[inline]
    pub fn is_behind(&self, dst: IpAddr) -> bool {
        !self.protect.is_empty() && self.protect.find(dst).is_some()
    }

    /// Is `port` known to be served at this moment? Not what passes because it was served until
    /// a moment ago, or because the policy refuses no port at all.
    #[inline]
    pub fn surely_serves(&self, port: u16, behind: bool) -> bool {
        if behind {
            self.open_behind.as_ref().is_some_and(|open| open.contains(port))
        } else {
            self.served.contains(port)
        }
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
