//! Waits for the outcome of a trial, in a terminal.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::consts::SIGINT;

use crate::cli::asked::{complain, misunderstood, print};
use crate::control::{AskError, Request, Response, TrialFacts, TrialState, ask_within};
use crate::daemon::UNCONFIRMED;

/// How often the keyboard is looked at, and how long the daemon has for an answer.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };
const PATIENCE: Duration = Duration::from_secs(5);
/// How often the daemon is asked: somebody may confirm elsewhere.
const ASK: Duration = Duration::from_secs(1);

/// Waits until the trial has ended. Enter confirms, Ctrl-C undoes; a terminal that goes away does
/// neither, and the daemon does what is right when the time is over.
pub(super) fn wait(socket: &Path) -> ExitCode {
    let stop = Arc::new(AtomicBool::new(false));
    // If Ctrl-C cannot be caught, it ends this program, and the time runs out by itself.
    let _ = signal_hook::flag::register(SIGINT, Arc::clone(&stop));
    print(
        "\nOpen a second connection to this host now. If that works, press Enter here,\nor type \
         there: portcullis confirm\nCtrl-C takes the new policy back at once.\n",
    );
    let mut asked = None;
    let mut until = Instant::now();
    loop {
        if asked.is_none_or(|at: Instant| at.elapsed() >= ASK) {
            match trial(socket) {
                Ok(TrialFacts { state: TrialState::Waiting, left, .. }) => {
                    until = Instant::now() + left.unwrap_or_default();
                }
                Ok(TrialFacts { state, .. }) => return ended(state),
                Err(code) => return code,
            }
            asked = Some(Instant::now());
        }
        let left = until.saturating_duration_since(Instant::now()).as_secs();
        print(&format!("\r  the old policy comes back in {left} s … "));
        if stop.load(Ordering::Relaxed) {
            print("\n");
            return order(socket, true);
        }
        match pressed() {
            Key::None => {}
            Key::Enter => return order(socket, false),
            // Nobody is at the keyboard any more, so nobody can say that all is well.
            Key::Gone => std::thread::sleep(ASK),
        }
    }
}

enum Key {
    None,
    Enter,
    Gone,
}

/// Has somebody pressed Enter?
fn pressed() -> Key {
    let input = io::stdin();
    let waited = poll(&mut [PollFd::new(&input, PollFlags::IN)], Some(&LOOK));
    if !matches!(waited, Ok(1..)) {
        return Key::None;
    }
    match input.read_line(&mut String::new()) {
        Ok(0) | Err(_) => Key::Gone,
        Ok(_) => Key::Enter,
    }
}

fn trial(socket: &Path) -> Result<TrialFacts, ExitCode> {
    match ask_within(socket, &Request::Trial, PATIENCE) {
        Ok(Response::Trial(facts)) => Ok(facts),
        Ok(_) => Err(misunderstood()),
        Err(error) => Err(failed(&error)),
    }
}

fn failed(error: &AskError) -> ExitCode {
    print("\n");
    complain(&error.to_string());
    error.code().into()
}

/// Confirms or undoes.
fn order(socket: &Path, undo: bool) -> ExitCode {
    match ask_within(socket, &Request::Confirm { undo }, PATIENCE * 4) {
        Ok(Response::Done(_)) => {
            ended(if undo { TrialState::Undone } else { TrialState::Confirmed })
        }
        // Somebody, or the time, was quicker.
        Ok(Response::Error(_)) => match trial(socket) {
            Ok(facts) => ended(facts.state),
            Err(code) => code,
        },
        Ok(_) => misunderstood(),
        Err(error) => failed(&error),
    }
}

fn ended(state: TrialState) -> ExitCode {
    let _ = io::stdout().flush();
    match state {
        TrialState::Confirmed => {
            print("\nConfirmed: the new policy stays.\n");
            ExitCode::SUCCESS
        }
        _ => {
            print(
                "\nThe old policy is back. The files on disk are still the new one's: correct \
                 them.\n",
            );
            ExitCode::from(UNCONFIRMED)
        }
    }
}
