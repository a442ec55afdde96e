//! Records on standard error.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

use jiff::{Timestamp, tz::TimeZone};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::super::line::Line;
use super::super::record::Record;
use super::{Output, PATIENCE};

/// Standard error: with a priority that journald reads if it is the journal, else with the time.
pub(super) struct Stderr {
    journal: bool,
}

impl Stderr {
    pub(super) fn open() -> Self {
        Self { journal: is_the_journal() }
    }
}

impl Output for Stderr {
    fn write(&mut self, record: &Record) -> io::Result<()> {
        write_patiently(io::stderr(), text(record, self.journal, &TimeZone::system()).as_bytes())
    }
}

/// One line. The prefix is that of sd-daemon(3): `<` severity `>`.
pub(crate) fn text(record: &Record, journal: bool, zone: &TimeZone) -> String {
    let line = Line(record);
    if journal {
        format!("<{}>{line}\n", record.level.severity())
    } else {
        let time = Timestamp::try_from(record.at).unwrap_or(Timestamp::MAX);
        format!("{} {line}\n", time.to_zoned_datetime(zone.clone()).strftime("%F %T"))
    }
}

/// Is standard error connected to the journal?
pub(super) fn is_the_journal() -> bool {
    is_journal(io::stderr(), std::env::var("JOURNAL_STREAM").ok().as_deref())
}

/// Is `stream` connected to the journal? `JOURNAL_STREAM` names it by device and inode
/// (systemd.exec(5)); a child whose output was redirected inherits the variable all the same.
fn is_journal(stream: impl AsFd, variable: Option<&str>) -> bool {
    let named = variable
        .and_then(|text| text.split_once(':'))
        .and_then(|(device, inode)| Some((device.parse().ok()?, inode.parse().ok()?)));
    let own = stream
        .as_fd()
        .try_clone_to_owned()
        .and_then(|fd| std::fs::File::from(fd).metadata())
        .map(|file| (file.dev(), file.ino()));
    named.is_some_and(|named: (u64, u64)| own.is_ok_and(|own| own == named))
}

/// Writes everything, but does not wait for ever for a reader: the pieces are small enough for a
/// pipe or socket that says it can take something.
fn write_patiently(stream: impl AsFd, mut bytes: &[u8]) -> io::Result<()> {
    let timeout = Timespec { tv_sec: 0, tv_nsec: PATIENCE.subsec_nanos().into() };
    while !bytes.is_empty() {
        let mut polled = [PollFd::new(&stream, PollFlags::OUT)];
        match poll(&mut polled, Some(&timeout)) {
            Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        }
        match rustix::io::write(&stream, &bytes[..bytes.len().min(4096)]) {
            Ok(written) => bytes = &bytes[written..],
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::super::{Event, sample};
    use super::*;

    #[test]
    fn for_the_journal_and_for_people() {
        let mut record = Record::of(&Event::Judged(sample::judged("203.0.113.7")), "eth0");
        record.fields.truncate(2);
        record.id = "x".into();
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        assert_eq!(text(&record, true, &zone), "<4>DROP IN=eth0 SRC=203.0.113.7 id=x\n");
        assert_eq!(
            text(&record, false, &zone),
            "2026-09-21 16:13:20 DROP IN=eth0 SRC=203.0.113.7 id=x\n"
        );
    }

    #[test]
    fn the_journal_is_recognised() {
        let file = tempfile::tempfile().unwrap();
        let metadata = file.metadata().unwrap();
        let own = format!("{}:{}", metadata.dev(), metadata.ino());
        for (variable, expected) in [
            (Some(own.as_str()), true),
            (Some("1:2"), false),
            (Some("nonsense"), false),
            (None, false),
        ] {
            assert_eq!(is_journal(&file, variable), expected, "{variable:?}");
        }
    }

    #[test]
    fn a_full_pipe_is_not_waited_for() {
        let (reader, writer) = io::pipe().unwrap();
        let failed = (0..100).find_map(|_| write_patiently(&writer, &[b'x'; 4096]).err());
        assert_eq!(failed.unwrap().kind(), io::ErrorKind::TimedOut);
        drop(reader);
        assert!(write_patiently(&writer, b"x").is_err());
    }
}
