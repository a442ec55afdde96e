//! What all verbs that ask the daemon have in common.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use jiff::{Timestamp, tz::TimeZone};
use serde::Serialize;

use super::layout::{WIDTH, clean, wrap};
use crate::control::protocol::{Done, Refusal};
use crate::control::{self, AskError, Request, Response, Streamed, ask, ask_within};

/// So long a daemon may take to say anything at all.
const SOON: Duration = Duration::from_secs(3);

/// Asks the daemon. What goes wrong is said on standard error and becomes the exit code. A list of
/// 100,000 bans takes its time, and so does a reload; that nobody is there who works on it is known
/// sooner.
pub(super) fn answer(socket: &Path, request: &Request) -> Result<Response, ExitCode> {
    let answer = match request {
        Request::Status | Request::Busiest { .. } | Request::Trial => {
            ask_within(socket, request, SOON)
        }
        _ => ask_within(socket, &Request::Trial, SOON).and_then(|_| ask(socket, request)),
    };
    answer.map_err(unanswered).and_then(granted)
}

/// Asks the daemon for an answer that goes on behind its line.
pub(super) fn follow(
    socket: &Path,
    request: &Request,
    patience: Duration,
) -> Result<(Response, Streamed), ExitCode> {
    let (response, rest) = control::follow(socket, request, patience).map_err(unanswered)?;
    granted(response).map(|response| (response, rest))
}

fn unanswered(error: AskError) -> ExitCode {
    complain(&error.to_string());
    error.code().into()
}

fn granted(response: Response) -> Result<Response, ExitCode> {
    let Response::Error(Refusal { kind, lines }) = response else { return Ok(response) };
    let mut lines = lines.iter();
    if let Some(first) = lines.next() {
        complain(first);
    }
    for line in lines {
        say(io::stderr(), &format!("{}\n", clean(line)));
    }
    Err(kind.code().into())
}

/// The daemon answered a question that was not asked.
pub(super) fn misunderstood() -> ExitCode {
    complain(
        "the daemon gave an answer to another question; is it of the same version as this \
         program? after an update: systemctl restart portcullis",
    );
    ExitCode::from(76)
}

/// Prints an answer: as JSON, or as `screen` puts it.
pub(super) fn show<T: Serialize>(data: &T, json: bool, screen: impl Fn(&T) -> String) -> ExitCode {
    let text = if json {
        match serde_json::to_string_pretty(data) {
            Ok(text) => text + "\n",
            Err(error) => {
                complain(&format!("cannot write this answer as JSON: {error}"));
                return ExitCode::from(70);
            }
        }
    } else {
        screen(data)
    };
    say(io::stdout(), &text);
    ExitCode::SUCCESS
}

/// Prints text on standard output.
pub(super) fn print(text: &str) {
    say(io::stdout(), text);
}

/// An order that was carried out, in words.
pub(super) fn done(done: &Done) -> String {
    let mut text = wrap("", &done.text);
    for warning in &done.warnings {
        text.push_str(&wrap("note: ", warning));
    }
    text
}

/// Says what is wrong, on standard error.
pub(super) fn complain(text: &str) {
    let mut all = String::new();
    for (n, line) in text.lines().enumerate() {
        let line = if n == 0 { format!("portcullis: {line}") } else { line.to_owned() };
        // What is indented is an excerpt, and its columns mean something.
        if line.chars().count() > WIDTH && !line.starts_with(' ') {
            all += &wrap("", &line);
        } else {
            all += &format!("{}\n", clean(&line));
        }
    }
    say(io::stderr(), &all);
}

/// Writes; a reader that has gone away (`| head`) is no error.
fn say(mut out: impl Write, text: &str) {
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Local time: `2026-09-21 16:13:20`.
pub(super) fn local(time: Timestamp, zone: &TimeZone) -> String {
    time.to_zoned_datetime(zone.clone()).strftime("%F %T").to_string()
}
