//! Syn + what is remembered of its source + now → [`Decision`]. Pure: no clock, no I/O, no log.

mod allowlist;
mod checks;
mod decision;
mod judge;
mod lifeline;
mod ports;
mod prefixes;
mod settings;

pub use allowlist::Allowlist;
pub(crate) use checks::flood;
pub use checks::{CHECKS, Case, Check, CheckId, tools};
pub use decision::{Decision, Evidence, Finding, Ruling, Standing};
pub use judge::{Row, explain, judge};
pub use lifeline::Lifelines;
pub use ports::PortSet;
pub use prefixes::PrefixSet;
pub use settings::{
    Anomaly, Class, Denylist, EvidenceKind, Fingerprint, Flood, Offences, Policy, Ports, Quirks,
    Rate, Rates, Reaction, Scan, Scope, Stance,
};
