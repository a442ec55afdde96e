//! Records to the journal, with fields to search by.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use super::super::line::{LONGEST_TEXT, Line, Plain};
use super::super::record::{Record, Value};
use super::{Output, PATIENCE};
use crate::config::Facility;

/// Where journald listens (systemd, "Native Journal Protocol").
pub(super) const SOCKET: &str = "/run/systemd/journal/socket";

/// A connection to the journal.
pub(super) struct Journal {
    socket: UnixDatagram,
    facility: Facility,
}

impl Journal {
    pub(super) fn open(socket: &Path, facility: Facility) -> io::Result<Self> {
        let own = UnixDatagram::unbound()?;
        own.connect(socket)?;
        own.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { socket: own, facility })
    }
}

impl Output for Journal {
    fn write(&mut self, record: &Record) -> io::Result<()> {
        // One datagram is one entry. It is far smaller than what a socket takes at once, so the
        // protocol's way of passing a file instead is not needed.
        let entry = entry(record, self.facility, std::process::id());
        self.socket.send(&entry).map(|_| ())
    }
}

/// An entry: the line as its message, and every field of the line under its own name in upper case
/// behind `PORTCULLIS_`, because names without a prefix belong to systemd
/// (systemd.journal-fields(7)).
fn entry(record: &Record, facility: Facility, pid: u32) -> Vec<u8> {
    let mut entry = Vec::with_capacity(1024);
    let mut put = |name: &str, value: &str| {
        entry.extend_from_slice(name.as_bytes());
        if value.contains('\n') {
            entry.push(b'\n');
            entry.extend_from_slice(&(value.len() as u64).to_le_bytes());
        } else {
            entry.push(b'=');
        }
        entry.extend_from_slice(value.as_bytes());
        entry.push(b'\n');
    };
    put("MESSAGE", &Line(record).to_string());
    put("PRIORITY", &record.level.severity().to_string());
    put("SYSLOG_FACILITY", &facility.number().to_string());
    put("SYSLOG_IDENTIFIER", "portcullis");
    put("SYSLOG_PID", &pid.to_string());
    put("PORTCULLIS_EVENT", record.verb.word());
    for field in record.fields.iter().filter(|field| !field.detail) {
        let name = format!("PORTCULLIS_{}", field.name.to_ascii_uppercase());
        match &field.value {
            Value::Text(text) => put(&name, &text[..text.floor_char_boundary(LONGEST_TEXT)]),
            value => put(&name, &Plain(value).to_string()),
        }
    }
    put("PORTCULLIS_ID", &record.id);
    entry
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::super::super::{Event, Level, Notice, sample};
    use super::*;

    #[test]
    fn fields() {
        let mut record = Record::of(&Event::Judged(sample::judged("2001:db8::7")), "eth0");
        record.id = "0123456789".into();
        let entry = String::from_utf8(entry(&record, Facility::AuthPriv, 812)).unwrap();
        assert_eq!(
            entry,
            "MESSAGE=DROP IN=eth0 SRC=2001:db8::7 DST=198.51.100.2 PROTO=TCP SPT=40312 DPT=23 \
             reason=rate what=login seen=5 limit=4.25 id=0123456789\n\
             PRIORITY=4\nSYSLOG_FACILITY=10\nSYSLOG_IDENTIFIER=portcullis\nSYSLOG_PID=812\n\
             PORTCULLIS_EVENT=DROP\nPORTCULLIS_IN=eth0\nPORTCULLIS_SRC=2001:db8::7\n\
             PORTCULLIS_DST=198.51.100.2\nPORTCULLIS_PROTO=TCP\nPORTCULLIS_SPT=40312\n\
             PORTCULLIS_DPT=23\nPORTCULLIS_REASON=rate\nPORTCULLIS_WHAT=login\n\
             PORTCULLIS_SEEN=5\nPORTCULLIS_LIMIT=4.25\nPORTCULLIS_ID=0123456789\n"
        );
    }

    /// A text with a line's end has its length in front: it cannot begin another field.
    #[test]
    fn nobody_forges_a_field() {
        let text = format!("a\nPRIORITY=0\n{}", "é".repeat(600));
        let notice = Notice { at: UNIX_EPOCH, level: Level::Error, what: "x", text: text.clone() };
        let entry = entry(&Record::of(&Event::Notice(notice), ""), Facility::Daemon, 1);
        let name = b"\nPORTCULLIS_TEXT\n";
        let at = entry.windows(name.len()).position(|bytes| bytes == name).unwrap() + name.len();
        let length = u64::from_le_bytes(entry[at..at + 8].try_into().unwrap());
        assert_eq!(length, 599, "cut between two characters");
        let value = &entry[at + 8..at + 8 + 599];
        assert_eq!(value, &text.as_bytes()[..599]);
        assert!(entry[at + 8 + 599..].starts_with(b"\nPORTCULLIS_ID="));
    }

    #[test]
    fn a_journal_that_does_not_read_costs_a_moment_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        assert!(Journal::open(&path, Facility::Daemon).is_err());
        let _deaf = UnixDatagram::bind(&path).unwrap();
        let mut journal = Journal::open(&path, Facility::Daemon).unwrap();
        let record = Record::of(&Event::Judged(sample::judged("203.0.113.7")), "eth0");
        let failed = (0..100_000).find_map(|_| journal.write(&record).err()).unwrap();
        assert!(super::super::slow(&failed), "{failed:?}");
    }
}
