//! One refusal to test with.

use std::net::SocketAddr;
use std::time::{Duration, UNIX_EPOCH};

use super::Judged;
use crate::packet::Syn;
use crate::policy::{CheckId, Decision, Evidence, Ruling, Scope, Standing};

/// A check by its name, wherever it stands in the list.
pub(crate) fn check(name: &str) -> CheckId {
    (0..).map(CheckId).find(|id| id.name() == name).expect("there is such a check")
}

/// A SYN of `source` to telnet, refused by the rate check.
pub(crate) fn judged(source: &str) -> Judged {
    let from = SocketAddr::new(source.parse().expect("an address"), 40312);
    Judged {
        at: UNIX_EPOCH + Duration::from_millis(1_790_000_000_250),
        interface: 2,
        syn: Syn {
            seq: 77,
            ttl: 57,
            ip_id: 4242,
            ..Syn::linux(from, ([198, 51, 100, 2], 23).into())
        },
        decision: Decision {
            ruling: Ruling::Drop,
            check: check("rate"),
            evidence: Evidence { what: "login", seen: 5.0, limit: 4.25 },
            retransmission: false,
            earned: Standing::Clean,
            scope: Scope::All,
            renew: false,
        },
        enforced: true,
    }
}
