//! Where records go: standard error, the journal, syslog, a JSON file.
//!
//! A sink that fails is left alone for a while and then opened again; what it should have
//! written meanwhile is lost, counted, and told once it works again. No write waits longer than
//! [`PATIENCE`] for a reader that does not read.

mod journal;
mod json_file;
mod stderr;
mod syslog;

#[cfg(test)]
pub(crate) use self::stderr::text as stderr_line;
#[cfg(test)]
pub(crate) use self::syslog::Form;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use self::journal::Journal;
use self::json_file::JsonFile;
use self::stderr::Stderr;
use self::syslog::Syslog;
use super::record::Record;
use crate::config::{Events, Facility, LogTarget};
use crate::memory::Moment;

/// The longest that one record may keep the thread waiting.
const PATIENCE: Duration = Duration::from_millis(250);
/// How long a sink that failed is left alone: at first, …
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// …and at most; it doubles with each failure in a row.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Something that takes records.
trait Output: Send {
    /// Writes one record whole, or fails.
    fn write(&mut self, record: &Record) -> io::Result<()>;
}

/// What a sink is made of, so that it can be made again.
#[derive(Clone, Debug, PartialEq)]
enum Target {
    Stderr,
    Journal(Facility),
    Syslog(syslog::Settings),
    Json(PathBuf),
}

/// One sink, with its patience.
pub(super) struct Sink {
    target: Target,
    output: Option<Box<dyn Output>>,
    failures: u32,
    retry: Moment,
    /// Lost since it last worked.
    lost: u64,
    /// Lost and not yet added to anybody's total.
    pub(super) newly_lost: u64,
}

/// What became of a record.
#[derive(Debug)]
pub(super) enum Written {
    /// It was written.
    Yes,
    /// It was written, the first after so many that were lost.
    Again(u64),
    /// It was lost, and the sink has just failed.
    Failed(io::Error),
    /// It was lost, because the sink is being left alone.
    Lost,
}

impl Sink {
    /// The sink for lines of text, if any is wanted.
    pub(super) fn for_lines(config: &Events) -> Option<Self> {
        match config.to {
            LogTarget::Nowhere => None,
            LogTarget::Auto => Some(Self::new(Target::automatic(config.facility))),
            LogTarget::Stderr => Some(Self::new(Target::Stderr)),
            LogTarget::Journal => Some(Self::new(Target::Journal(config.facility))),
            LogTarget::Syslog => Some(Self::new(Target::Syslog(syslog::Settings::of(config)))),
        }
    }

    /// The sink for JSON, if any is wanted.
    pub(super) fn for_json(config: &Events) -> Option<Self> {
        config.json.clone().map(|path| Self::new(Target::Json(path)))
    }

    /// Standard error, whatever the configuration says.
    pub(super) fn stderr() -> Self {
        Self::new(Target::Stderr)
    }

    fn new(target: Target) -> Self {
        Self { target, output: None, failures: 0, retry: Moment(0), lost: 0, newly_lost: 0 }
    }

    /// Does it write to standard error?
    pub(super) fn is_stderr(&self) -> bool {
        self.target == Target::Stderr
    }

    /// What it is called in messages.
    pub(super) fn name(&self) -> String {
        match &self.target {
            Target::Stderr => "standard error".to_owned(),
            Target::Journal(_) => "the journal".to_owned(),
            Target::Syslog(settings) => format!("syslog at {}", settings.address),
            Target::Json(path) => format!("the JSON file {}", path.display()),
        }
    }

    /// Writes a record, if the sink works.
    pub(super) fn write(&mut self, now: Moment, record: &Record) -> Written {
        if self.output.is_none() && now < self.retry {
            self.lose();
            return Written::Lost;
        }
        match self.try_write(record) {
            Ok(()) => {
                self.failures = 0;
                match std::mem::take(&mut self.lost) {
                    0 => Written::Yes,
                    lost => Written::Again(lost),
                }
            }
            Err(error) => {
                self.output = None;
                self.lose();
                self.retry = now + LONGEST_PAUSE.min(FIRST_PAUSE * (1 << self.failures.min(5)));
                self.failures = self.failures.saturating_add(1);
                if self.failures == 1 { Written::Failed(error) } else { Written::Lost }
            }
        }
    }

    /// Is it open, so that the next write will probably work?
    pub(super) fn works(&self) -> bool {
        self.output.is_some()
    }

    fn lose(&mut self) {
        self.lost += 1;
        self.newly_lost += 1;
    }

    fn try_write(&mut self, record: &Record) -> io::Result<()> {
        if let Some(output) = &mut self.output {
            match output.write(record) {
                // Its reader may have been restarted: worth one try.
                Err(error) if !slow(&error) => self.output = None,
                result => return result,
            }
        }
        let output = self.output.insert(self.target.open()?);
        output.write(record)
    }
}

/// Did a reader not read in time?
fn slow(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock)
}

impl Target {
    /// The journal, if it reads standard error anyway, as under systemd; else standard error. A
    /// service that is locked away from the journal's socket still has standard error.
    fn automatic(facility: Facility) -> Self {
        match stderr::is_the_journal()
            && Journal::open(Path::new(journal::SOCKET), facility).is_ok()
        {
            true => Target::Journal(facility),
            false => Target::Stderr,
        }
    }

    fn open(&self) -> io::Result<Box<dyn Output>> {
        Ok(match self {
            Target::Stderr => Box::new(Stderr::open()),
            Target::Journal(facility) => {
                Box::new(Journal::open(Path::new(journal::SOCKET), *facility)?)
            }
            Target::Syslog(settings) => Box::new(Syslog::open(settings)?),
            Target::Json(path) => Box::new(JsonFile::open(path)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use super::super::{Event, sample};
    use super::*;
    use crate::config::SyslogFormat;

    fn record() -> Record {
        Record::of(&Event::Judged(sample::judged("203.0.113.7")), "eth0")
    }

    fn at(secs: u64) -> Moment {
        Moment(secs * 1_000_000_000)
    }

    #[test]
    fn a_sink_comes_back_and_owns_up() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let config = Events {
            to: LogTarget::Syslog,
            format: SyslogFormat::Rfc3164,
            syslog: path.to_str().unwrap().into(),
            ..Events::default()
        };
        let mut sink = Sink::for_lines(&config).unwrap();
        let record = record();
        assert!(matches!(sink.write(at(10), &record), Written::Failed(_)));
        assert!(matches!(sink.write(at(10), &record), Written::Lost), "left alone");
        // The second failure in a row is not told again, and doubles the pause.
        assert!(matches!(sink.write(at(11), &record), Written::Lost));
        let daemon = UnixDatagram::bind(&path).unwrap();
        assert!(matches!(sink.write(at(12), &record), Written::Lost), "still left alone");
        assert!(matches!(sink.write(at(13), &record), Written::Again(4)));
        assert!(matches!(sink.write(at(13), &record), Written::Yes));
        let mut buffer = [0; 2000];
        let length = daemon.recv(&mut buffer).unwrap();
        let line = String::from_utf8_lossy(&buffer[..length]).into_owned();
        assert!(line.starts_with("<84>Sep 2"), "{line}");
        assert!(line.contains(&format!(" portcullis[{}]: DROP IN=eth0 ", std::process::id())));

        // The daemon goes away and another takes its place.
        drop(daemon);
        assert!(matches!(sink.write(at(20), &record), Written::Failed(_)));
        std::fs::remove_file(&path).unwrap();
        let daemon = UnixDatagram::bind(&path).unwrap();
        assert!(matches!(sink.write(at(21), &record), Written::Again(1)));
        // A restart that nobody noticed costs no line at all.
        std::fs::remove_file(&path).unwrap();
        drop(daemon);
        let daemon = UnixDatagram::bind(&path).unwrap();
        assert!(matches!(sink.write(at(22), &record), Written::Yes));
        assert!(daemon.recv(&mut buffer).unwrap() > 0);
    }

    #[test]
    fn a_daemon_that_does_not_read_costs_a_moment_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let _deaf = UnixDatagram::bind(&path).unwrap();
        let config = Events {
            to: LogTarget::Syslog,
            syslog: path.to_str().unwrap().into(),
            ..Events::default()
        };
        let mut sink = Sink::for_lines(&config).unwrap();
        let start = std::time::Instant::now();
        let failed =
            (0..100_000).find(|_| matches!(sink.write(at(1), &record()), Written::Failed(_)));
        assert!(failed.is_some(), "the socket took everything");
        assert!(start.elapsed() < Duration::from_secs(20));
    }
}
