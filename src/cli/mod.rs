//! One file per verb: what was typed → what it means → run.

pub mod rules;
pub mod unload;

use std::process::ExitCode;

/// The whole program: reads the arguments, runs the verb, says how it went (sysexits).
pub fn main() -> ExitCode {
    ExitCode::SUCCESS
}
