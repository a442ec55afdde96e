//! Refused packets in files: whether they are wanted, and who hears of trouble.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use super::Failure;
use crate::capture::{Capture, Taker, Tally};
use crate::config;
use crate::events::{Event, Level, Notice, Teller};

/// Starts the thread that writes them, if the policy wants it.
///
/// # Errors
/// Only if the system has no room for another thread.
pub(super) fn start(
    config: &config::Capture,
    teller: &Teller,
    tally: &Arc<Tally>,
) -> Result<Option<(Taker, Capture)>, Failure> {
    let Some(dir) = config.dir.clone() else { return Ok(None) };
    let (teller, own) = (teller.clone(), dir.clone());
    let tell = move |error: Option<&io::Error>| {
        let (level, text) = match error {
            None => (Level::Notice, "refused packets are captured again".to_owned()),
            Some(error) => (Level::Warning, unwritten(&own, error)),
        };
        let notice = Notice { at: SystemTime::now(), level, what: "capture", text };
        // What cannot be told is seen in the metrics.
        let _ = teller.tell_patiently(Event::Notice(notice));
    };
    Capture::start(&dir, config, Arc::clone(tally), tell)
        .map(Some)
        .map_err(|error| Failure::System { step: "start a thread", error })
}

fn unwritten(dir: &Path, error: &io::Error) -> String {
    format!(
        "refused packets are not captured: {} cannot be written to: {error}. The gate itself works. \
         See that the folder exists and that the daemon's user may write there (ReadWritePaths= in \
         the systemd unit); it is tried again",
        dir.display()
    )
}
