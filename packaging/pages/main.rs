//! Writes the manual pages, the completions of three shells and Debian's changelog: what the
//! package carries that is made from something else.
//!
//!     cargo run --example pages -- FOLDER
//!
//! The pages in section 8 and the completions come from the same definitions that the program reads
//! its arguments by; section 5 comes from `config/portcullis.toml`, which is the manual of the
//! policy; what neither of them tells (tasks, files, signals) is prose in `text/`. It is no part of
//! the program, so that a server does not carry it.
//!
//! `SOURCE_DATE_EPOCH` dates the pages, as everywhere in Debian; without it they bear today's date.

mod changelog;
mod completions;
#[cfg(test)]
mod examples;
mod marks;
mod policy;
mod prose;
#[cfg(test)]
mod tools;
mod verbs;

use std::fs;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// A file to be: its path in the folder, and its text.
#[derive(Debug)]
struct Made {
    path: String,
    text: String,
}

/// Everything there is.
fn everything(made: Timestamp) -> Vec<Made> {
    let date = made.to_zoned_datetime(TimeZone::UTC).strftime("%F").to_string();
    let mut all = verbs::pages(&date);
    all.push(policy::page(&date));
    all.push(prose::concepts(&date));
    all.extend(completions::scripts());
    all.push(changelog::debian(include_str!("../../CHANGELOG.md"), made));
    all
}

/// When the source was last changed, or now.
fn made() -> Timestamp {
    let epoch = std::env::var("SOURCE_DATE_EPOCH").ok().and_then(|seconds| seconds.parse().ok());
    epoch.and_then(|seconds| Timestamp::from_second(seconds).ok()).unwrap_or_else(Timestamp::now)
}

fn write(folder: &Path) -> io::Result<()> {
    for file in everything(made()) {
        let path = folder.join(&file.path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(path, file.text)?;
    }
    Ok(())
}

fn main() -> ExitCode {
    let Some(folder) = std::env::args_os().nth(1) else {
        eprintln!("Usage: cargo run --example pages -- FOLDER");
        return ExitCode::from(64);
    };
    match write(Path::new(&folder)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cannot write to {}: {error}", Path::new(&folder).display());
            ExitCode::from(73)
        }
    }
}
