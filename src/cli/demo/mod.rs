//! `portcullis demo`: the gate at work, on a private network that lives for twenty seconds.
//!
//! Nothing is simulated: the hosts are network namespaces, the packets go through this machine's
//! kernel, and the gate is this very program, started as `portcullis run`. What the table at the
//! end says comes from the gate, and the demo fails if it is not what should have happened.

mod cast;
mod gate;
mod log;
mod narrator;
mod outcome;
mod scenes;

use std::process::ExitCode;

use crate::lab::{self, EnterError};

/// What can be typed behind `portcullis demo`.
#[derive(clap::Args, Clone, Copy, Debug, Default)]
pub struct DemoArgs {
    /// Do not pause for the reader.
    #[arg(long)]
    pub fast: bool,
}

/// sysexits: a service is not available.
const UNAVAILABLE: u8 = 69;
/// sysexits: what should have happened did not.
const SOFTWARE: u8 = 70;
/// What shells report for Ctrl-C.
const INTERRUPTED: u8 = 130;

/// Runs the demo. The first call starts the program again inside the private network.
pub fn run(args: DemoArgs) -> ExitCode {
    if !lab::is_inside() {
        return refused(&lab::enter());
    }
    match scenes::play(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(stop) => {
            let code = match stop {
                Stop::Interrupted => INTERRUPTED,
                Stop::Hidden => return ExitCode::SUCCESS,
                Stop::Unexpected(_) | Stop::Broken(_) => SOFTWARE,
            };
            eprintln!("\nportcullis demo: {stop}");
            ExitCode::from(code)
        }
    }
}

fn refused(error: &EnterError) -> ExitCode {
    eprintln!("portcullis demo: {error}");
    ExitCode::from(UNAVAILABLE)
}

/// Why the demo did not come to its end.
#[derive(Debug, thiserror::Error)]
enum Stop {
    /// The reader has seen enough.
    #[error("interrupted; everything it had set up is gone again")]
    Interrupted,
    /// Nobody reads the output any more.
    #[error("nobody reads on")]
    Hidden,
    /// The observed is not the expected.
    #[error("{0} of the things above did not turn out as they should (marked ✗)")]
    Unexpected(usize),
    /// It could not be played.
    #[error("{0}")]
    Broken(String),
}
