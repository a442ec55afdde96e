//! Which ports are served at this moment, and which were until a moment ago.

use std::collections::HashMap;
use std::time::Duration;

use crate::memory::Moment;
use crate::policy::PortSet;

/// Follows the listening sockets of this host. Pure: what listens, and the time, are told.
#[derive(Debug, Default)]
pub(super) struct Listening {
    now: PortSet,
    /// Ports that no longer listen, and since when.
    closed: HashMap<u16, Moment>,
}

impl Listening {
    /// Takes note of what listens now. True if anything changed for the policy.
    pub(super) fn note(&mut self, listening: PortSet, grace: Duration, now: Moment) -> bool {
        let closing = self.closed.len();
        self.closed.retain(|port, since| !listening.contains(*port) && now.since(*since) < grace);
        let lapsed = self.closed.len() != closing;
        if listening == self.now {
            return lapsed;
        }
        let mut gone = self.now.clone();
        gone.subtract(&listening);
        self.closed.extend(gone.iter().map(|port| (port, now)));
        self.now = listening;
        true
    }

    /// The ports that listen.
    pub(super) fn listening(&self) -> &PortSet {
        &self.now
    }

    /// The ports that listened until less than the grace ago.
    pub(super) fn closing(&self) -> PortSet {
        self.closed.keys().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_port_stays_neutral_for_the_grace() {
        let grace = Duration::from_secs(60);
        let at = |second: u64| Moment(second * 1_000_000_000);
        let ports = |list: &[u16]| list.iter().copied().collect::<PortSet>();
        let mut listening = Listening::default();
        assert!(listening.note(ports(&[22, 80]), grace, at(0)));
        assert!(!listening.note(ports(&[22, 80]), grace, at(1)));
        assert!(listening.note(ports(&[22]), grace, at(2)));
        assert_eq!(listening.closing(), ports(&[80]));
        assert!(!listening.note(ports(&[22]), grace, at(61)));
        assert!(listening.note(ports(&[22]), grace, at(62)), "the grace is over");
        assert!(listening.closing().is_empty());
        // A restarted service is served again at once.
        listening.note(ports(&[]), grace, at(70));
        assert!(listening.note(ports(&[22]), grace, at(71)));
        assert!(listening.closing().is_empty() && listening.listening().contains(22));
    }
}
