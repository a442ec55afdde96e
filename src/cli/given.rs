//! The policy that a verb holds things against: the given one, the installed one, or the built-in
//! one.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::asked::complain;
use crate::config::{self, Config};

/// Where the policy is when nobody says.
const POLICY: &str = "/etc/portcullis/portcullis.toml";
/// EX_NOINPUT and EX_CONFIG of sysexits.
const NO_INPUT: u8 = 66;
const BAD_CONFIG: u8 = 78;

/// A policy, and where it comes from in words.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) config: Config,
    pub(super) from: String,
    /// The files that it was read from; none if it is the built-in one.
    pub(super) files: Vec<PathBuf>,
}

/// Reads the policy. What is wrong with it is said, and becomes the exit code; that the installed
/// one may not be read is no mistake, because these verbs are for every user.
pub(super) fn policy(path: Option<&Path>) -> Result<Given, u8> {
    let path = match (path, File::open(POLICY)) {
        (Some(path), _) => path,
        (None, Ok(_)) => Path::new(POLICY),
        (None, Err(error)) => {
            let why = match error.kind() {
                ErrorKind::NotFound => format!("there is no {POLICY}"),
                _ => format!("{POLICY} may not be read by this user"),
            };
            let from = format!("the built-in policy ({why})");
            return Ok(Given { config: Config::default(), from, files: Vec::new() });
        }
    };
    match config::load(path) {
        Ok(loaded) => Ok(Given {
            config: loaded.config,
            from: format!("the policy {}", path.display()),
            files: loaded.files,
        }),
        Err(errors) => {
            complain(&errors.to_string());
            Err(if errors.missing { NO_INPUT } else { BAD_CONFIG })
        }
    }
}
