//! `portcullis reload`: the daemon reads its policy anew.

mod trial;

use std::io::{self, IsTerminal};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use super::asked;
use crate::control::{Request, Response};
use crate::host;

/// What can be said with it.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Args {
    /// Take the old policy back after so long (60s, 5m), unless you confirm the new one
    #[arg(long, value_name = "TIME", value_parser = super::confirm::span)]
    confirm: Option<Duration>,
    /// Do not wait for the outcome of --confirm; in scripts this is so anyway
    #[arg(long, requires = "confirm")]
    no_wait: bool,
}

/// Asks the daemon to reload. Exit code 78 if the policy has mistakes.
pub fn run(args: &Args, socket: &Path, json: bool) -> ExitCode {
    let Args { confirm, no_wait } = *args;
    let request = Request::Reload { confirm, session: host::own_session() };
    let code = match asked::answer(socket, &request) {
        Ok(Response::Done(done)) => asked::show(&done, json, asked::done),
        Ok(_) => return asked::misunderstood(),
        Err(code) => return code,
    };
    if confirm.is_none() || json {
        return code;
    }
    if no_wait || !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        asked::print("Open a second connection; if that works, type: portcullis confirm\n");
        return code;
    }
    trial::wait(socket)
}
