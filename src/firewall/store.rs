//! The ledger on disk: `standings` in the state folder, one line per change, the last line of a
//! prefix (and port, where it has one) counts.
//!
//! ```text
//! 8-digit CRC-32 of the rest ␠ {"net":"203.0.113.7/32","standing":"suspect",…}
//! ```
//!
//! A line is handed to the kernel in one write before anybody is told of the change, so it
//! survives the end of this process at any moment; [`Store::sync`] makes it survive a power cut.
//!
//! One line is about the clock by which all these times are; the last such line counts. It stands in
//! this file and in no other, so that after a jump of the clock it and the standings that were moved
//! come to the disk together, in one write or one renaming: who is stopped at any moment finds both
//! or neither.
//! A line that is torn or wrong ends the reading: what stands before it is kept, and the whole
//! file is set aside as `standings.bad-<time>`. If the disk has no room for that, the file stays as it
//! is until it is written anew, and nothing is appended to it.

mod line;
mod reading;

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

pub use self::line::Line;
use self::line::{clock_of, millis};
use self::reading::Lines;
use super::clock::Clock;
use super::entry::Entry;

/// The state folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} {}: {source}. Does the folder exist, and may this user write to it?", path.display())]
pub struct StoreError {
    doing: &'static str,
    path: PathBuf,
    source: io::Error,
}

/// What was read at start.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The entries, in the order in which they changed; the last about the same counts.
    pub lines: Vec<Line>,
    /// The clock by which their times are, if that is known.
    pub clock: Option<Clock>,
    /// Part of the file was unreadable.
    pub damage: Option<Damage>,
}

/// What became of a file that could be read only in part.
#[derive(Debug)]
pub struct Damage {
    /// Where it is kept, or will be.
    pub aside: PathBuf,
    /// Why it could not be mended yet: whatever is written next is to be written anew.
    pub because: Option<StoreError>,
}

/// The open file.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    file: File,
    /// The one that the file names, or will name when it is written anew.
    clock: Option<Clock>,
    lines: usize,
    unsynced: bool,
    torn: bool,
    /// Where the file is to be kept before it is written anew, because its end is damaged.
    aside: Option<PathBuf>,
}

/// What was read of a file.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) lines: Vec<Line>,
    pub(super) clock: Option<Clock>,
    /// So many bytes of it are good,
    pub(super) good: u64,
    /// of so many that it had.
    pub(super) length: u64,
    pub(super) file: File,
}

/// What stands in the file of a state folder, for whoever only looks: nothing is repaired.
///
/// # Errors
/// The file is there, but cannot be read.
pub fn peek(folder: &Path) -> io::Result<Peek> {
    let Some(Read { lines, good, length, file, .. }) = Store::read(folder)? else {
        return Ok(Peek { lines: Vec::new(), whole: true });
    };
    // A daemon may be writing the last line at this moment.
    let mut rest = vec![0; usize::try_from(length - good).unwrap_or(usize::MAX)];
    file.read_exact_at(&mut rest, good)?;
    Ok(Peek { lines, whole: !rest.contains(&b'\n') })
}

/// A ledger that was only looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peek {
    /// The lines up to the first that is damaged; the last about the same counts.
    pub lines: Vec<Line>,
    /// No line is damaged.
    pub whole: bool,
}

impl Store {
    /// Opens the file and reads it. `now` names the copy of an unreadable file.
    pub fn open(folder: &Path, now: SystemTime) -> Result<(Self, Loaded), StoreError> {
        let read = Self::read(folder).map_err(|source| StoreError {
            doing: "read",
            path: Self::file(folder),
            source,
        })?;
        let Some(Read { lines, clock, good, length, file }) = read else {
            return Ok((Self::append_to(folder, 0, None)?, Loaded::default()));
        };
        let mut store = Self::append_to(folder, lines.len(), clock.clone())?;
        let damage = (good < length).then(|| {
            let aside = place_aside(folder, now);
            let because = store.mend(file.take(good), &aside).err();
            Damage { aside, because }
        });
        Ok((store, Loaded { lines, clock, damage }))
    }

    /// Keeps the damaged file and leaves what is good in its place. If that fails, it is done when the
    /// file is written anew.
    fn mend(&mut self, mut good: impl io::Read, aside: &Path) -> Result<(), StoreError> {
        (self.torn, self.aside) = (true, Some(aside.to_owned()));
        let mut bytes = Vec::new();
        let read = good.read_to_end(&mut bytes);
        read.and_then(|_| self.replace(&bytes)).map_err(|e| self.error("repair", e))
    }

    /// Puts a whole new file in the place of this one, which is kept if it is damaged.
    fn replace(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some(aside) = &self.aside {
            keep(&Self::file(&self.folder), aside)?;
        }
        // Kept once and for all: what is in its place from now on is another file, even if what
        // follows fails.
        self.aside = None;
        put_in_place(&self.folder, "standings", bytes)?;
        self.file = appending(&Self::file(&self.folder))?;
        (self.unsynced, self.torn) = (false, false);
        Ok(())
    }

    /// The clock by which the file's times are, as it says, or will say when it is written anew.
    pub fn clock(&self) -> Option<&Clock> {
        self.clock.as_ref()
    }

    /// The times of the entries are by this clock from now on. To be followed by [`Self::compact`],
    /// or by the clock's own line, before anything else is appended.
    pub fn go_by(&mut self, clock: Clock) {
        self.clock = Some(clock);
    }

    /// The file of a state folder.
    pub(super) fn file(folder: &Path) -> PathBuf {
        folder.join("standings")
    }

    /// Reads the file up to what is damaged, if there is one.
    pub(super) fn read(folder: &Path) -> io::Result<Option<Read>> {
        let file = match File::open(Self::file(folder)) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e),
        };
        let length = file.metadata()?.len();
        let Lines { lines, clock, good } =
            reading::read(|bytes, from| file.read_at(bytes, from), length)?;
        Ok(Some(Read { lines, clock, good, length, file }))
    }

    /// Opens a file that is good and has been read: it had so many lines, and named this clock.
    pub(super) fn append_to(
        folder: &Path,
        lines: usize,
        clock: Option<Clock>,
    ) -> Result<Self, StoreError> {
        let path = Self::file(folder);
        let file = appending(&path).map_err(|source| StoreError { doing: "open", path, source })?;
        let folder = folder.to_owned();
        Ok(Self { folder, file, clock, lines, unsynced: false, torn: false, aside: None })
    }

    /// Appends lines with one write.
    pub fn append(&mut self, lines: &[Line]) -> Result<(), StoreError> {
        if lines.is_empty() {
            return Ok(());
        }
        if let Some(clock) = clock_of(lines) {
            // If it cannot be appended, the file is to have it when it is written anew.
            self.clock = Some(clock);
        }
        if self.torn {
            // Its last line is cut off, or damaged. Its remains would spoil what follows.
            return Err(self.error("append to", io::Error::other("an earlier write was cut short")));
        }
        let mut bytes = Vec::with_capacity(lines.len() * 256);
        lines.iter().for_each(|line| line.encode(&mut bytes));
        let written = self.file.write_all(&bytes);
        self.lines += lines.len();
        self.unsynced = true;
        self.torn = written.is_err();
        written.map_err(|e| self.error("append to", e))
    }

    /// Makes what was appended survive a power cut. Slow: at the end, when nothing else waits.
    pub fn sync(&mut self) -> Result<(), StoreError> {
        if std::mem::take(&mut self.unsynced) {
            self.file.sync_data().map_err(|e| self.error("save", e))?;
        }
        Ok(())
    }

    /// The same on a thread of its own, because a disk can take its time.
    pub fn sync_aside(&mut self) {
        if !self.unsynced {
            return;
        }
        let Ok(file) = self.file.try_clone() else { return };
        let saver = std::thread::Builder::new().name("portcullis-save".into());
        // If it fails now, it is tried again after the next change and at the end.
        self.unsynced = saver.spawn(move || file.sync_data()).is_err();
    }

    /// Has the file so many outdated lines that it should be written anew?
    pub fn is_bloated(&self, entries: usize) -> bool {
        self.torn || self.lines > 2 * entries + 10_000
    }

    /// Writes the file anew, with one line per entry and one for the clock, so that at any moment
    /// either the old or the new one is there.
    pub fn compact<'a>(
        &mut self,
        entries: impl Iterator<Item = &'a Entry>,
    ) -> Result<(), StoreError> {
        let mut bytes = Vec::new();
        let mut lines = 0;
        for entry in entries {
            Line::Is(entry.clone()).encode(&mut bytes);
            lines += 1;
        }
        // At the end, where a program that does not know such lines loses nothing by it.
        if let Some(clock) = &self.clock {
            Line::Clock(clock.clone()).encode(&mut bytes);
            lines += 1;
        }
        self.replace(&bytes).map_err(|e| self.error("rewrite", e))?;
        self.lines = lines;
        Ok(())
    }

    fn error(&self, doing: &'static str, source: io::Error) -> StoreError {
        StoreError { doing, path: self.folder.join("standings"), source }
    }
}

fn appending(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// The name under which the damaged file is kept already, or one that is free.
fn place_aside(folder: &Path, now: SystemTime) -> PathBuf {
    let identity = |path: &Path| path.symlink_metadata().ok().map(|file| (file.dev(), file.ino()));
    let file = identity(&Store::file(folder));
    let names = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let kept = names.map(|name| name.path()).find(|path| {
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        name.starts_with(b"standings.bad-") && identity(path) == file
    });
    kept.unwrap_or_else(|| {
        let second = millis(now) / 1000;
        let free = |path: &PathBuf| identity(path).is_none();
        let plain = folder.join(format!("standings.bad-{second}"));
        let more = (1_u32..).map(|n| folder.join(format!("standings.bad-{second}-{n}")));
        std::iter::once(plain.clone()).chain(more).find(free).unwrap_or(plain)
    })
}

/// Gives a file a second name, under which it stays when another is put in its place: a full disk
/// has room for a name. Where files have one name only, it is copied.
fn keep(path: &Path, aside: &Path) -> io::Result<()> {
    match std::fs::hard_link(path, aside) {
        Ok(()) => Ok(()),
        // By an attempt before this one.
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(_) => write_whole(aside, &std::fs::read(path)?)
            // Half a copy would take the room that the disk lacks, and pass for the whole.
            .inspect_err(|_| drop(std::fs::remove_file(aside))),
    }
}

/// Writes a file of the state folder anew: beside its place, as `NAME.new`, and then moved there, so
/// that at any moment either the old or the new one is whole.
///
/// # Errors
/// What the system said; the old file is still there then.
pub(crate) fn put_in_place(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let new = folder.join(format!("{name}.new"));
    if let Err(error) = write_whole(&new, bytes) {
        // Half of it would take the room that the disk lacks. If it cannot be removed either, it is
        // written over the next time.
        drop(std::fs::remove_file(&new));
        return Err(error);
    }
    std::fs::rename(&new, folder.join(name))?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests;
