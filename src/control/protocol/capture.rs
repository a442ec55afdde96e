//! Which openings somebody wants to see, for how long, and at most how many.

use std::time::Duration;

use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::seconds;

/// What is to be captured, and where that ends by itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaptureWish {
    /// Openings that were let in, too.
    #[serde(default)]
    pub all: bool,
    /// Only from these prefixes; from everywhere if there are none.
    #[serde(default)]
    pub from: Vec<IpNet>,
    /// Only to these ports, as ranges; to all if there are none.
    #[serde(default)]
    pub ports: Vec<(u16, u16)>,
    /// It ends after so long.
    #[serde(with = "seconds")]
    pub lasts: Duration,
    /// It ends after so many packets; `None` for no such bound.
    #[serde(default)]
    pub count: Option<u64>,
    /// At most so many packets a second; 0 for no such bound.
    pub rate: u32,
}

/// A capture that lasts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CaptureRow {
    /// What it wants, in words: `refused from 192.0.2.0/24 to port 22`.
    pub what: String,
    /// Since when.
    pub since: Timestamp,
    /// Packets that were handed over.
    pub packets: u64,
    /// Packets that were wanted and are missing: over its rate, or read too slowly.
    pub missing: u64,
}
