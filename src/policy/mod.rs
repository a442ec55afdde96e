//! Syn + what is remembered of its source + now → [`Decision`]. Pure: no clock, no I/O, no log.

mod decision;
mod ports;
mod prefixes;
mod settings;

pub use decision::{Decision, Evidence, Finding, Ruling, Standing};
pub use ports::PortSet;
pub use prefixes::PrefixSet;
pub use settings::{
    Allowlist, Class, Denylist, EvidenceKind, Offences, Policy, Ports, Quirks, Rate, Rates, Stance,
};

/// A check by its place in [`CHECKS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CheckId(pub u8);

impl CheckId {
    /// The name of the check: TOML table, log field, counter and row in `explain`.
    pub fn name(self) -> &'static str {
        match self.0 {
            0 => "allowlist",
            1 => "denylist",
            2 => "quirks",
            3 => "ports",
            4 => "rate",
            _ => "other",
        }
    }
}
