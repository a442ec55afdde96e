//! What a shell needs to complete the verbs and options.

use clap_complete::{Shell, generate};
use portcullis::cli;

use crate::Made;

/// The scripts of three shells, named as each of them looks for it.
pub(crate) fn scripts() -> [Made; 3] {
    [
        (Shell::Bash, "completions/portcullis"),
        (Shell::Zsh, "completions/_portcullis"),
        (Shell::Fish, "completions/portcullis.fish"),
    ]
    .map(|(shell, path)| {
        let mut script = Vec::new();
        generate(shell, &mut cli::command(), "portcullis", &mut script);
        Made { path: path.into(), text: String::from_utf8_lossy(&script).into_owned() }
    })
}
