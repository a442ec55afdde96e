//! One file per verb: what was typed → what it means → run.

mod asked;
pub mod bans;
pub mod explain;
mod layout;
pub mod reload;
pub mod status;

use std::process::ExitCode;

/// The whole program: reads the arguments, runs the verb, says how it went (sysexits).
pub fn main() -> ExitCode {
    ExitCode::SUCCESS
}
