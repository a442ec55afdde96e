//! Records in a file, one JSON object per line.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::super::json::json_line;
use super::super::record::Record;
use super::Output;

/// A file that is appended to, and opened anew when it has been moved or removed (logrotate).
pub(super) struct JsonFile {
    path: PathBuf,
    file: File,
    /// The last line was cut off by a full disk: the next one must not continue it.
    cut: bool,
}

impl JsonFile {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), file: append(path)?, cut: false })
    }
}

impl Output for JsonFile {
    fn write(&mut self, record: &Record) -> io::Result<()> {
        let own = self.file.metadata()?;
        let same = |named: std::fs::Metadata| (named.dev(), named.ino()) == (own.dev(), own.ino());
        if !std::fs::metadata(&self.path).is_ok_and(same) {
            (self.file, self.cut) = (append(&self.path)?, false);
        }
        let mut line = json_line(record);
        if self.cut {
            line.insert(0, b'\n');
        }
        // Cut, until it is known to be whole.
        self.cut = true;
        self.file.write_all(&line)?;
        self.cut = false;
        Ok(())
    }
}

/// Opens for appending; not waiting, in case somebody put a pipe without a reader there. Others
/// cannot read it: it tells who talks to this host.
fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o640)
        .custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32)
        .open(path)
}

#[cfg(test)]
mod tests {
    use super::super::super::{Event, sample};
    use super::*;

    #[test]
    fn rotation_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let (path, old) = (dir.path().join("events.json"), dir.path().join("events.json.1"));
        let record = Record::of(&Event::Judged(sample::judged("203.0.113.7")), "eth0");
        let mut file = JsonFile::open(&path).unwrap();
        file.write(&record).unwrap();
        std::fs::rename(&path, &old).unwrap();
        file.write(&record).unwrap();
        file.write(&record).unwrap();
        let lines = |path| std::fs::read_to_string(path).unwrap().lines().count();
        assert_eq!((lines(&old), lines(&path)), (1, 2));
        std::fs::remove_file(&path).unwrap();
        file.write(&record).unwrap();
        assert_eq!(lines(&path), 1);
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o007, 0);
    }

    #[test]
    fn a_full_disk_breaks_one_line_at_most() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.json");
        let record = Record::of(&Event::Judged(sample::judged("203.0.113.7")), "eth0");
        let mut file = JsonFile::open(&path).unwrap();
        std::fs::write(&path, "{\"half\":").unwrap();
        file.cut = true;
        file.write(&record).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let last = text.lines().last().unwrap();
        assert!(serde_json::from_str::<serde_json::Value>(last).is_ok(), "{text}");
        // Something that cannot be written to is an error, not a hang.
        assert!(JsonFile::open(dir.path()).is_err());
    }
}
