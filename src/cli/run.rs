//! `portcullis run`: the daemon, in the foreground.

use std::path::Path;
use std::process::ExitCode;

use super::asked::complain;

/// Runs the daemon until SIGTERM or SIGINT.
pub fn run(config: &Path) -> ExitCode {
    match crate::daemon::run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            complain(&failure.to_string());
            failure.code()
        }
    }
}
