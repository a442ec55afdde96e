//! One file per verb: what was typed → what it means → run.

pub mod check;

use std::process::ExitCode;

/// The whole program: reads the arguments, runs the verb, says how it went (sysexits).
pub fn main() -> ExitCode {
    ExitCode::SUCCESS
}
