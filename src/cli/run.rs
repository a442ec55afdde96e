//! `portcullis run`: the daemon, in the foreground.

use std::path::Path;
use std::process::ExitCode;

/// Runs the daemon until SIGTERM or SIGINT.
pub fn run(config: &Path) -> ExitCode {
    match crate::daemon::run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("portcullis: {failure}");
            failure.code()
        }
    }
}
