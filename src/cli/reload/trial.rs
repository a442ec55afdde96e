//! Waits for the outcome of a trial, in a terminal.

use std::io::{self, BufRead, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{QueueSelector, tcflush};
use signal_hook::consts::SIGINT;

use crate::cli::asked::{complain, misunderstood, print};
use crate::control::{AskError, Request, Response, TrialFacts, TrialState, ask_within};
use crate::daemon::UNCONFIRMED;

/// How often the keyboard is looked at, and how long the daemon has for an answer.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };
const PATIENCE: Duration = Duration::from_secs(5);
/// How often the daemon is asked: somebody may confirm elsewhere.
const ASK: Duration = Duration::from_secs(1);

const QUESTION: &str = "
Open a second connection to this host now. If that works, press Enter here,
or type there: portcullis confirm
Ctrl-C takes the new policy back at once.
";

/// Waits until the trial has ended. Enter confirms, Ctrl-C undoes; a terminal that goes away does
/// neither, and the daemon does what is right when the time is over.
pub(super) fn wait(socket: &Path) -> ExitCode {
    let stop = Arc::new(AtomicBool::new(false));
    // If Ctrl-C cannot be caught, it ends this program, and the time runs out by itself.
    let _ = signal_hook::flag::register(SIGINT, Arc::clone(&stop));
    print(QUESTION);
    // What was typed before it was asked is no answer. A terminal that cannot do that is gone.
    let _ = tcflush(io::stdin(), QueueSelector::IFlush);
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
            Key::Words => print(
                "That is not an answer: Enter alone confirms, Ctrl-C takes the new policy back.\n",
            ),
            // Nobody is at the keyboard any more, so nobody can say that all is well.
            Key::Gone => std::thread::sleep(ASK),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    None,
    Enter,
    /// Something before Enter: whoever types `no` does not confirm.
    Words,
    Gone,
}

/// Has somebody pressed Enter?
fn pressed() -> Key {
    let input = io::stdin();
    let waited = poll(&mut [PollFd::new(&input, PollFlags::IN)], Some(&LOOK));
    if !matches!(waited, Ok(1..)) {
        return Key::None;
    }
    let mut line = Vec::new();
    match input.lock().read_until(b'\n', &mut line) {
        Ok(_) => key(&line),
        Err(_) => Key::Gone,
    }
}

/// What a line from the terminal says.
fn key(line: &[u8]) -> Key {
    match line {
        b"" => Key::Gone,
        line if line.trim_ascii().is_empty() => Key::Enter,
        _ => Key::Words,
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
        // Somebody, or the time, was quicker; or the kernel does not take the old rules yet.
        Ok(Response::Error(refusal)) => match trial(socket) {
            Ok(TrialFacts { state: TrialState::Waiting, .. }) => {
                print("\n");
                refusal.lines.iter().for_each(|line| complain(line));
                ExitCode::from(refusal.kind.code())
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_empty_line_confirms() {
        for (line, wanted) in [
            (&b"\n"[..], Key::Enter),
            (b" \t\r\n", Key::Enter),
            (b"no\n", Key::Words),
            (b"y\n", Key::Words),
            (b"\xff\n", Key::Words),
            (b"", Key::Gone),
        ] {
            assert_eq!(key(line), wanted, "{line:?}");
        }
    }
}
