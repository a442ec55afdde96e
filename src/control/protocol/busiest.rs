//! Who and what was busiest lately.

use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::{seconds, word};
use crate::policy::Standing;

/// Who was busiest lately, and at which ports. It is counted only while somebody asks at least
/// every half a minute; rates are what two answers differ by.
///
/// What the kernel stops by itself never comes to the gate, and is not counted here.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BusiestFacts {
    /// For how long it has been counted; 0 in the first answer.
    #[serde(with = "seconds")]
    pub watched: Duration,
    /// Sources, the busiest first.
    pub sources: Vec<BusySource>,
    /// Ports, the busiest first.
    pub ports: Vec<BusyPort>,
}

/// A busy source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BusySource {
    /// Who, as sources are counted: a /32 or a /64.
    pub source: IpNet,
    /// Packets judged since it is counted, retransmissions among them.
    pub attempts: u64,
    /// Packets refused.
    pub refused: u64,
    /// The port it asked for last.
    pub port: u16,
    /// The check that refused it last; empty if none did.
    pub check: String,
    /// Its standing.
    #[serde(with = "word")]
    pub standing: Standing,
    /// It is banned at this port only; `None` for all.
    #[serde(default)]
    pub standing_port: Option<u16>,
    /// How much longer the standing lasts.
    #[serde(default, with = "seconds::optional")]
    pub standing_left: Option<Duration>,
    /// Why it has the standing: a check's name, or the admin's words.
    pub reason: String,
}

/// A busy port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BusyPort {
    /// Which one.
    pub port: u16,
    /// Packets judged since it is counted.
    pub attempts: u64,
    /// Packets refused.
    pub refused: u64,
    /// Is it served at this moment?
    pub served: bool,
    /// The check that refused somebody there last; empty if none did.
    pub check: String,
}
