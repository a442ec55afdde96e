//! The ledger, read before anybody knows whether this process may have it: while the policy and its
//! lists are read, which takes as long.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::clock::Clock;
use super::ledger::{Ledger, Rules};
use super::store::{Store, StoreError};
use crate::config::Config;

/// What stood in the file of a state folder, if all of it was good. Of no use if the file has changed
/// by the time when the folder is locked.
#[derive(Debug)]
pub struct ReadAhead {
    ledger: Ledger,
    lines: usize,
    clock: Option<Clock>,
    file: Identity,
}

/// Which file it is, and in which state: device, inode, length, and when content and inode changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity([u64; 3], [i64; 4]);

impl Identity {
    fn of(file: &Metadata) -> Self {
        let times = [file.mtime(), file.mtime_nsec(), file.ctime(), file.ctime_nsec()];
        Self([file.dev(), file.ino(), file.len()], times)
    }
}

impl ReadAhead {
    /// Reads it. `None` if there is nothing that could be used: whoever opens the folder finds out
    /// why, and says so.
    pub fn of(folder: &Path) -> Option<Self> {
        let read = Store::read(folder).ok().flatten()?;
        let file = Identity::of(&read.file.metadata().ok()?);
        if read.good != read.length || read.length != file.0[2] {
            return None;
        }
        let mut ledger = Ledger::new(Rules::new(&Config::default(), &[]));
        let lines = read.lines.len();
        ledger.restore(read.lines);
        Some(Self { ledger, lines, clock: read.clock, file })
    }

    /// To be called when the folder is locked: the store and the ledger, unless the file is another
    /// by now.
    pub(super) fn settle(
        self,
        folder: &Path,
        rules: &Rules,
    ) -> Result<Option<(Store, Ledger)>, StoreError> {
        let now = Store::file(folder).metadata().ok();
        if now.map(|now| Identity::of(&now)) != Some(self.file) {
            return Ok(None);
        }
        let mut ledger = self.ledger;
        ledger.go_by(rules.clone());
        Ok(Some((Store::append_to(folder, self.lines, self.clock)?, ledger)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::super::entry::{By, Entry, Whom};
    use super::super::store::Line;
    use super::*;
    use crate::policy::Standing;

    fn line(n: u8) -> Line {
        let at = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        Line::Is(Entry {
            net: std::net::IpAddr::from([203, 0, 113, n]).into(),
            port: None,
            standing: Standing::Banned,
            since: at,
            until: at + Duration::from_secs(600),
            offences: 1,
            last_offence: at,
            reason: "scan".into(),
            by: By::Gate,
            evidence: "".into(),
        })
    }

    #[test]
    fn what_was_read_holds_for_the_file_that_was_read() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let rules = Rules::new(&Config::default(), &[]);
        assert!(ReadAhead::of(folder).is_none(), "there is none");
        let (mut store, _) = Store::open(folder, UNIX_EPOCH).unwrap();
        store.append(&[line(1), line(2)]).unwrap();

        let ahead = ReadAhead::of(folder).unwrap();
        let (mut store, ledger) = ahead.settle(folder, &rules).unwrap().unwrap();
        let whose: Vec<Option<Whom>> = ledger.entries().map(|entry| Some(entry.whom())).collect();
        assert_eq!(whose, [line(1).whom(), line(2).whom()]);
        assert_eq!(ledger.live(), 2);

        // Whoever had the folder wrote on, or wrote it anew, or took it away.
        let ahead = ReadAhead::of(folder).unwrap();
        store.append(&[line(3)]).unwrap();
        assert!(ahead.settle(folder, &rules).unwrap().is_none());
        let ahead = ReadAhead::of(folder).unwrap();
        store.compact(ledger.entries()).unwrap();
        assert!(ahead.settle(folder, &rules).unwrap().is_none());
        let ahead = ReadAhead::of(folder).unwrap();
        std::fs::remove_file(Store::file(folder)).unwrap();
        assert!(ahead.settle(folder, &rules).unwrap().is_none());
        assert!(!Store::file(folder).exists(), "it is left to whoever opens it");

        // What is damaged is left to whoever may set it aside.
        store.compact(ledger.entries()).unwrap();
        let mut bytes = std::fs::read(Store::file(folder)).unwrap();
        bytes.pop();
        std::fs::write(Store::file(folder), bytes).unwrap();
        assert!(ReadAhead::of(folder).is_none());
    }
}
