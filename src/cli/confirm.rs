//! `portcullis confirm`: what is on trial stays.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use super::asked;
use crate::control::{Request, Response};
use crate::events::Span;

/// What can be said with it.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Args {
    /// Say that it is not: the old policy comes back, or the gate goes, at once
    #[arg(long)]
    undo: bool,
}

/// Tells the daemon.
pub fn run(args: &Args, socket: &Path, json: bool) -> ExitCode {
    match asked::answer(socket, &Request::Confirm { undo: args.undo }) {
        Ok(Response::Done(done)) => asked::show(&done, json, asked::done),
        Ok(_) => asked::misunderstood(),
        Err(code) => code,
    }
}

/// How long somebody has to confirm: 5 s to a day.
pub(super) fn span(text: &str) -> Result<Duration, String> {
    let Span(span) = text.parse::<Span>().map_err(|error| error.to_string())?;
    match span.as_secs() {
        5..=86_400 => Ok(span),
        _ => Err("must be 5s to 1d: enough to open a second connection".to_owned()),
    }
}
