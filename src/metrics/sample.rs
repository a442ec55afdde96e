//! Made-up facts for tests: every number is another one.

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use super::{Captured, Facts, Reloads};
use crate::control::{FloodFacts, MemoryFacts, QueueRow};
use crate::events::Snapshot;
use crate::firewall::{self, Spans};
use crate::policy::Standing;

pub(super) fn facts() -> Facts {
    let counts = |list: &[(&str, u64)]| {
        list.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect::<BTreeMap<_, _>>()
    };
    Facts {
        version: "1.2.3",
        enforcing: true,
        started: UNIX_EPOCH + Duration::from_millis(1_790_000_000_250),
        uptime: Duration::from_millis(3_600_500),
        loaded: UNIX_EPOCH + Duration::from_secs(1_790_000_060),
        reloads: Reloads { done: 3, failed: 1 },
        counters: Snapshot {
            received: 1_000_000,
            accepted: 900_000,
            dropped: counts(&[("scan", 60_000), ("ports", 30_000)]),
            would_drop: counts(&[("rate", 10_000)]),
            malformed: counts(&[("fragment", 7)]),
            retransmissions: 4_321,
            events_lost: 11,
            orders_lost: 12,
            lost: 13,
        },
        busy: Duration::from_micros(15),
        queues: vec![
            QueueRow {
                number: 7,
                waiting: Some(5),
                length: 8192,
                buffer_holds: 8000,
                received: 600_000,
                lost: 13,
            },
            QueueRow {
                number: 8,
                waiting: None,
                length: 8192,
                buffer_holds: 8192,
                received: 400_000,
                lost: 0,
            },
        ],
        memory: MemoryFacts {
            sources: 1_234,
            sources_bound: 131_072,
            networks: 567,
            networks_bound: 32_768,
        },
        floods: vec![FloodFacts {
            kind: "forged".to_owned(),
            lasts: Duration::from_secs(12),
            ports: vec![80, 443],
            per_second: 2_345.0,
            peak: 9_876.0,
            syns: 28_140,
            new_sources: 0.97,
            frozen: true,
        }],
        lines_lost: 3,
        captured: Captured { written: 21, passed_over: 22, lost: 23 },
        firewall: Some(firewall::Counters {
            kernel: firewall::COUNTERS.iter().zip(100..).map(|((name, _), n)| (*name, n)).collect(),
            suspects: 5,
            banned: 3,
            reasons: BTreeMap::from([
                ((Standing::Suspect, "scan"), 5),
                ((Standing::Banned, "rate"), 2),
                ((Standing::Banned, "admin"), 1),
            ]),
            in_step: true,
            path: Some(firewall::Path::Iptables),
            repairs: 2,
            unsaved: 4,
            refused: 6,
            over_budget: 8,
            no_room: 9,
            delays: Spans {
                steps: vec![(Duration::from_millis(1), 2), (Duration::from_millis(2), 5)],
                endless: 1,
                sum: Duration::from_millis(2_009),
            },
            ..firewall::Counters::default()
        }),
        standings_limit: 262_144,
    }
}
