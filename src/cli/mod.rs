//! One file per verb: what was typed → what it means → run.

pub mod demo;

use std::process::ExitCode;

/// The whole program: reads the arguments, runs the verb, says how it went (sysexits).
pub fn main() -> ExitCode {
    demo::run(demo::DemoArgs { fast: std::env::args().any(|a| a == "--fast") })
}
