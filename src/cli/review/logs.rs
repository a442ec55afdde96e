//! Where the logs come from: files, standard input, or the journal.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;

use thiserror::Error;

use super::shown;
use crate::review::{Input, OpenError, Wanted};

/// The systemd unit that the daemon runs as.
const UNIT: &str = "portcullis";

/// Why a log could not be read, or not to its end.
#[derive(Debug, Error)]
pub(super) enum Trouble {
    /// It cannot be opened.
    #[error("{0}: {1}")]
    Open(String, OpenError),
    /// It broke off; what came before is counted.
    #[error("{0}: it cannot be read further: {1}; what came before is counted")]
    Broken(String, io::Error),
    /// Nobody said which log, and there is no journal.
    #[error(
        "there is no journalctl on this machine; say which log to read: portcullis review \
         /var/log/auth.log* (or the file that your syslog or [events] json writes)"
    )]
    NoJournal,
    /// journalctl failed.
    #[error(
        "journalctl failed ({0}); try it by hand: journalctl -u portcullis, or name a log file"
    )]
    Journal(String),
}

impl Trouble {
    /// The exit code of sysexits.
    pub(super) fn code(&self) -> u8 {
        match self {
            Trouble::Open(_, OpenError::Packed(..)) | Trouble::Broken(..) => 65,
            Trouble::Open(..) => 66,
            Trouble::NoJournal | Trouble::Journal(_) => 69,
        }
    }
}

/// A log, not opened yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Log {
    /// A file, or standard input (`-`), and how long it is.
    File(PathBuf, u64),
    /// The journal of our unit: what journalctl is to be asked.
    Journal(Vec<OsString>),
}

/// The logs that were named, or else the journal.
pub(super) fn all(paths: &[PathBuf], wanted: &Wanted) -> Result<Vec<Log>, Trouble> {
    if paths.is_empty() {
        return Ok(vec![Log::Journal(question(wanted))]);
    }
    let file = |path: &PathBuf| {
        let length = path.metadata().map_or(0, |about| about.len());
        Log::File(path.clone(), length)
    };
    Ok(paths.iter().map(file).collect())
}

/// What journalctl is asked. It can look up times itself, and much faster.
fn question(wanted: &Wanted) -> Vec<OsString> {
    let mut words: Vec<OsString> =
        ["--no-pager", "--output=export", "--output-fields=MESSAGE,SYSLOG_IDENTIFIER"]
            .map(OsString::from)
            .into();
    words.push(format!("--unit={UNIT}").into());
    for (name, time) in [("since", wanted.since), ("until", wanted.until)] {
        // A span from before 1970 reaches over everything there is.
        if let Some(time) = time.filter(|time| time.as_second() > 0) {
            let seconds = time.as_second().min(32_503_680_000);
            // Up to the end of the last second: what is too much is left out later.
            let seconds = seconds + i64::from(name == "until");
            words.push(format!("--{name}=@{seconds}").into());
        }
    }
    words
}

impl Log {
    /// What it is called in messages.
    pub(super) fn name(&self) -> String {
        match self {
            Log::File(path, _) => shown(path),
            Log::Journal(_) => format!("the journal of {UNIT}"),
        }
    }

    /// Its length in bytes; 0 if nobody knows.
    pub(super) fn length(&self) -> u64 {
        match self {
            Log::File(_, length) => *length,
            Log::Journal(_) => 0,
        }
    }

    /// Opens it and lets somebody read it.
    pub(super) fn read(self, reader: impl FnOnce(Input) -> io::Result<()>) -> Result<(), Trouble> {
        let name = self.name();
        let open = |error| Trouble::Open(name.clone(), error);
        let input = match &self {
            Log::File(path, _) if path == Path::new("-") => {
                Input::of(io::stdin(), SystemTime::now()).map_err(open)?
            }
            Log::File(path, _) => Input::open(path).map_err(open)?,
            Log::Journal(question) => return journal(question, &name, reader),
        };
        reader(input).map_err(|error| Trouble::Broken(name, error))
    }
}

/// Runs journalctl and reads what it prints. What it complains about goes to standard error.
fn journal(
    question: &[OsString],
    name: &str,
    reader: impl FnOnce(Input) -> io::Result<()>,
) -> Result<(), Trouble> {
    let mut command = Command::new("journalctl");
    command.args(question).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Trouble::NoJournal,
        _ => Trouble::Journal(error.to_string()),
    })?;
    let read = child.stdout.take().map_or(Ok(()), |output| {
        let input = Input::of(output, SystemTime::now())
            .map_err(|error| Trouble::Open(name.to_owned(), error))?;
        reader(input).map_err(|error| Trouble::Broken(name.to_owned(), error))
    });
    let ended = child.wait().map_err(|error| Trouble::Journal(error.to_string()))?;
    read?;
    if ended.success() { Ok(()) } else { Err(Trouble::Journal(ended.to_string())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_journal_is_asked_for_the_time_that_is_wanted() {
        let time = |text: &str| text.parse().ok();
        let asked = |since, until| {
            let wanted = Wanted { since, until, ..Wanted::default() };
            let words = question(&wanted);
            let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
            words[3..].join(" ")
        };
        assert_eq!(asked(None, None), "--unit=portcullis");
        assert_eq!(
            asked(time("2026-09-21T14:13:20Z"), time("2026-09-21T14:13:20.5Z")),
            "--unit=portcullis --since=@1790000000 --until=@1790000001"
        );
        assert_eq!(asked(time("-009999-01-02T01:59:59Z"), None), "--unit=portcullis");
    }

    #[test]
    fn what_cannot_be_opened() {
        let wanted = Wanted::default();
        let logs = all(&["/nowhere/x.log".into()], &wanted).unwrap();
        let [log] = &logs[..] else { panic!("{logs:?}") };
        let trouble = log.clone().read(|_| Ok(())).unwrap_err();
        assert_eq!(trouble.code(), 66);
        assert!(trouble.to_string().starts_with("/nowhere/x.log: No such file"), "{trouble}");
    }
}
