//! The names that stand in the kernel, in one place.

use std::net::IpAddr;

use ipnet::IpNet;

use super::entry::Whom;
use crate::policy::Standing;

/// The one table that belongs to Portcullis, in family `inet`.
pub const TABLE: &str = "portcullis";

/// Both address families; each kernel set exists once per family.
pub(super) const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Family {
    V4,
    V6,
}

impl Family {
    /// The family of an address.
    pub(super) fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    /// The name of this family's set, `banned` → `banned4`.
    pub(super) fn set(self, stem: &str) -> String {
        format!("{stem}{}", if self == Self::V4 { '4' } else { '6' })
    }
}

/// What one source is: a /32, or a /64.
pub(super) fn source_bits(family: Family) -> u8 {
    if family == Family::V4 { 32 } else { 64 }
}

/// Is this prefix wider than one source?
pub(super) fn is_wide(net: IpNet) -> bool {
    net.prefix_len() < source_bits(Family::of(net.addr()))
}

/// The stems of the hash sets that hold standings.
pub(super) const STEMS: [&str; 3] = ["banned", BANNED_AT, "suspect"];

/// The stem of the sets of those that are banned at one port: each element is a source and a port.
pub(super) const BANNED_AT: &str = "banned_at";

/// The stem of the sets of those whose packets are stopped at present, with counters.
pub(super) const STOPPED: &str = "stopped";

/// The same for those who are stopped at one port.
pub(super) const STOPPED_AT: &str = "stopped_at";

/// The stem of the sets of proven sources, which the kernel fills by itself.
pub(super) const PROVEN: &str = "proven";

/// The stem of the set that holds a source of this standing; `None` for clean ones.
pub(super) fn stem_of(whom: Whom, standing: Standing) -> Option<&'static str> {
    match standing {
        Standing::Clean => None,
        Standing::Banned if whom.port.is_some() => Some(BANNED_AT),
        Standing::Banned if is_wide(whom.net) => Some("refused"),
        Standing::Banned => Some("banned"),
        Standing::Suspect => Some("suspect"),
    }
}

/// The named counters of the table, with what they count.
pub const COUNTERS: [(&str, &str); 5] = [
    ("banned", "packets of banned sources that were dropped"),
    ("suspect_stopped", "packets of suspects to ports that are not served, dropped"),
    ("over_ceiling", "packets of sources over the ceiling, dropped before the queue"),
    ("over_rate", "packets beyond what the queue is given, not judged"),
    ("queued", "packets handed to the queue"),
];
