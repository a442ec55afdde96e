//! `portcullis reload`: the daemon reads its policy anew.

use std::path::Path;
use std::process::ExitCode;

use super::asked;
use crate::control::{Request, Response};

/// Read the policy file again; if it has mistakes, they are printed and the old policy stays
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Args {}

/// Asks the daemon to reload. Exit code 78 if the policy has mistakes.
pub fn run(_args: &Args, socket: &Path, json: bool) -> ExitCode {
    match asked::answer(socket, &Request::Reload) {
        Ok(Response::Done(done)) => asked::show(&done, json, asked::done),
        Ok(_) => asked::misunderstood(),
        Err(code) => code,
    }
}
