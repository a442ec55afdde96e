//! The busiest sources and ports, with their standings.

use std::time::{Duration, SystemTime};

use super::Daemon;
use crate::control::{BusiestFacts, BusyPort, BusySource, MOST_PEERS};
use crate::events::{BusiestReport, Busy};
use crate::firewall::{Entry, Order};
use crate::memory::SourceKey;
use crate::policy::{CheckId, Standing};

/// How long the firewall's thread has for the standings. Whoever watches asks again soon.
const PATIENCE: Duration = Duration::from_millis(500);

impl Daemon {
    /// Who was busiest lately; from now on it is counted. Standings that the firewall's thread does
    /// not tell in time are left out: whoever looks on wants to see the traffic just then.
    pub(super) fn busiest(&self, most: usize) -> BusiestFacts {
        let most = most.min(MOST_PEERS);
        let BusiestReport { watched, sources, ports } =
            self.shared.busiest.read(self.shared.now(), most);
        // It may be banned only at the port that it asks for.
        let peers = sources.iter().map(|busy| (busy.key.base(), Some(busy.port))).collect();
        let get = |reply| Order::GetMany { peers, reply };
        let told = self.orders.ask_within(PATIENCE, get).ok().flatten().unwrap_or_default();
        let mut entries = told.into_iter();
        let now = SystemTime::now();
        let rules = self.shared.rules.load();
        let served = &rules.policy.ports;
        BusiestFacts {
            watched,
            sources: sources
                .into_iter()
                .map(|busy| busy_source(busy, entries.next().flatten(), now))
                .collect(),
            ports: ports
                .into_iter()
                .map(|Busy { key: port, attempts, refused, check, .. }| BusyPort {
                    port,
                    attempts,
                    refused,
                    served: served.any || served.served.contains(port),
                    check: name(check),
                })
                .collect(),
        }
    }
}

fn busy_source(busy: Busy<SourceKey>, entry: Option<Entry>, now: SystemTime) -> BusySource {
    let Busy { key, attempts, refused, port, check } = busy;
    let entry = entry.filter(|entry| entry.is_live(now));
    BusySource {
        source: key.prefix(),
        attempts,
        refused,
        port,
        check: name(check),
        standing: entry.as_ref().map_or(Standing::Clean, |entry| entry.standing),
        standing_port: entry.as_ref().and_then(|entry| entry.port),
        standing_left: entry.as_ref().map(|entry| entry.left(now)),
        reason: entry.map(|entry| entry.reason.to_string()).unwrap_or_default(),
    }
}

fn name(check: Option<CheckId>) -> String {
    check.map(|check| check.name().to_owned()).unwrap_or_default()
}
