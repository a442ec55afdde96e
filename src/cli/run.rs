//! `portcullis run`: the daemon, in the foreground.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use super::asked::complain;

/// Runs the daemon until SIGTERM or SIGINT, or until nobody has confirmed its start in time.
pub fn run(config: &Path, confirm: Option<Duration>) -> ExitCode {
    match crate::daemon::run(config, confirm) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            complain(&failure.to_string());
            failure.code()
        }
    }
}
