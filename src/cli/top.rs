//! `portcullis top`: the gate at work, on a terminal, drawn anew each second.
//!
//! ```text
//!  keys ──────┐
//!  answers ───┤→ Came → Model (what is shown, pure) → draw (pure) → the terminal
//!  ticks ─────┘              │
//!                            └→ Wish: a question to the daemon, suspend, quit
//! ```
//!
//! The `model` neither asks nor draws nor knows the time by itself, so every key and every answer
//! is tried in tests without a terminal and without a daemon.

use std::io::{self, IsTerminal};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use self::draw::Look;
use self::model::{Came, Model};
use self::now::Clock;
use super::USAGE;
use super::asked;
use crate::control::protocol::{BusiestFacts, StatusReport};
use crate::control::{Request, Response};
use crate::events::Span;

mod draw;
mod filter;
mod form;
mod keys;
mod model;
mod now;
mod rows;
mod series;
mod terminal;
#[cfg(test)]
mod tests;
mod traffic;
mod view;

/// The gate at work: rates, the busiest sources and ports, standings
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// How often it is drawn anew, from 250ms to 1m
    #[arg(long, value_name = "SPAN", default_value = "1s", value_parser = interval)]
    every: Duration,
    /// One screen as plain text, after one interval; needs no terminal
    #[arg(long)]
    once: bool,
}

/// Watches until `q` is pressed, or with `--once` once. With `json` it prints one line per interval.
pub fn run(args: &Args, socket: &Path, json: bool) -> ExitCode {
    let terminal = io::stdout().is_terminal();
    if !(terminal || args.once || json) {
        asked::complain(
            "top draws on a terminal, and standard output is none\n\
             for one reading as text: portcullis status, or portcullis top --once",
        );
        return ExitCode::from(USAGE);
    }
    // What is wrong from the start is said as other verbs say it, not on a screen. These questions
    // begin the counting.
    let clock = Clock::start();
    let mut model = Model::new(args.every);
    if let Err(code) = ask(&mut model, socket, &clock) {
        return code;
    }
    if json {
        return lines(args, socket);
    }
    if args.once {
        return once(args.every, socket, model, &clock);
    }
    match terminal::run(model, socket, args.every, &clock) {
        Ok(code) => code,
        Err(error) => {
            asked::complain(&format!("cannot use the terminal: {error}"));
            ExitCode::from(71)
        }
    }
}

/// Asks once, without a screen.
fn ask(model: &mut Model, socket: &Path, clock: &Clock) -> Result<(), ExitCode> {
    for request in model.questions() {
        let answer = asked::answer(socket, &request)?;
        model.update(Came::Answer(request, Ok(answer)), clock.now());
    }
    Ok(())
}

/// One screen as plain text.
fn once(every: Duration, socket: &Path, mut model: Model, clock: &Clock) -> ExitCode {
    // Rates are what two answers differ by.
    std::thread::sleep(every);
    if let Err(code) = ask(&mut model, socket, clock) {
        return code;
    }
    let look = Look { zone: TimeZone::system(), colours: false };
    asked::print(&draw::plain(&model, &look, clock.now()));
    ExitCode::SUCCESS
}

/// One interval as JSON.
#[derive(Serialize)]
struct Line<'a> {
    time: Timestamp,
    status: &'a StatusReport,
    busiest: &'a BusiestFacts,
}

/// One JSON object per interval, as the daemon tells it: totals, not rates.
fn lines(args: &Args, socket: &Path) -> ExitCode {
    let mut next = Instant::now();
    loop {
        next += args.every;
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
        let answers = asked::answer(socket, &Request::Status)
            .and_then(|s| Ok((s, asked::answer(socket, &Request::Busiest { most: model::MOST })?)));
        let (status, busiest) = match answers {
            Ok((Response::Status(status), Response::Busiest(busiest))) => (status, busiest),
            Ok(_) => return asked::misunderstood(),
            Err(code) => return code,
        };
        let line = Line { time: Timestamp::now(), status: &status, busiest: &busiest };
        let Ok(text) = serde_json::to_string(&line) else { return ExitCode::from(70) };
        // Nobody reads any more.
        if io::Write::write_all(&mut io::stdout(), (text + "\n").as_bytes()).is_err() {
            return ExitCode::SUCCESS;
        }
        if args.once {
            return ExitCode::SUCCESS;
        }
    }
}

fn interval(text: &str) -> Result<Duration, String> {
    let Span(span) = text.parse::<Span>().map_err(|error| error.to_string())?;
    if (Duration::from_millis(250)..=Duration::from_secs(60)).contains(&span) {
        Ok(span)
    } else {
        Err("must be from 250ms to 1m".to_owned())
    }
}
