//! Where captured packets go: files, standard output, or the screen.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::capture::{Block, Files};
use crate::cli::layout::clean;

/// Where packets go.
#[derive(Debug)]
pub(super) enum Output {
    /// Files of whole blocks; the statistics that came last.
    Files { files: Files, rotate: bool, statistics: Option<Vec<u8>>, written: bool },
    /// The stream as it comes, for a program behind a pipe.
    Pipe,
    /// A line for each packet, with the local time.
    Screen(TimeZone),
}

impl Output {
    /// Prepares it. Nothing is overwritten: a name that is taken may be a link to something else.
    ///
    /// # Errors
    /// What is wrong, in a sentence.
    pub(super) fn new(
        path: Option<&Path>,
        max_size: u64,
        keep: Option<u32>,
    ) -> Result<Self, String> {
        let Some(path) = path else { return Ok(Self::Screen(TimeZone::system())) };
        if path == Path::new("-") {
            return Ok(Self::Pipe);
        }
        let files = Files::new(path, max_size, keep.unwrap_or(1));
        if let Some(taken) = files.paths().find(|path| path.symlink_metadata().is_ok()) {
            return Err(format!(
                "{} exists; nothing is overwritten: give another name, or remove it first",
                taken.display()
            ));
        }
        let mut output =
            Self::Files { files, rotate: keep.is_some(), statistics: None, written: false };
        // A name that cannot be written to is known before anything is captured.
        output.begin().map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        Ok(output)
    }

    fn begin(&mut self) -> io::Result<()> {
        if let Self::Files { files, .. } = self {
            files.write(&[])?;
        }
        Ok(())
    }

    /// Takes a block. False if the file is full and there is to be no other.
    pub(super) fn take(&mut self, block: &Block) -> io::Result<bool> {
        match self {
            Self::Files { files, rotate, statistics, written } => match block {
                Block::Packet { bytes, .. } if files.has_room(bytes) || *rotate => {
                    files.write(bytes)?;
                    *written = true;
                }
                Block::Packet { .. } => return Ok(false),
                Block::Statistics(bytes, _) => *statistics = Some(bytes.clone()),
                // Every file has a beginning of its own.
                Block::Other(_) => {}
            },
            Self::Pipe => {
                let (Block::Packet { bytes, .. }
                | Block::Statistics(bytes, _)
                | Block::Other(bytes)) = block;
                let mut out = io::stdout().lock();
                out.write_all(bytes)?;
                out.flush()?;
            }
            Self::Screen(zone) => {
                if let Block::Packet { at, comment, .. } = block {
                    let mut out = io::stdout().lock();
                    writeln!(out, "{} {}", clock(*at, zone), clean(comment))?;
                }
            }
        }
        Ok(true)
    }

    /// Completes it. The files that there are now, the newest first.
    pub(super) fn written(self) -> Vec<PathBuf> {
        let Self::Files { mut files, statistics, .. } = self else { return Vec::new() };
        if let Some(statistics) = statistics.filter(|block| files.has_room(block)) {
            // The packets are there; how many are missing was told on the screen, too.
            let _ = files.write(&statistics);
        }
        files.paths().filter(|path| path.exists()).collect()
    }
}

/// Local time of day: `16:13:20.250`.
fn clock(at: u64, zone: &TimeZone) -> String {
    let time = Timestamp::from_nanosecond(at.into()).unwrap_or(Timestamp::UNIX_EPOCH);
    time.to_zoned_datetime(zone.clone()).strftime("%T%.3f").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::{Statistics, head, statistics};

    fn packet() -> Block {
        Block::Packet { bytes: vec![7; 1000], at: 0, comment: "DROP".into() }
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = folder.read_dir().unwrap();
        let mut names: Vec<String> =
            entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_full_file_ends_it_or_begins_another() {
        let folder = tempfile::tempdir().unwrap();
        let room = head().len() as u64 + 2500;
        let path = folder.path().join("one.pcapng");
        let mut output = Output::new(Some(&path), room, None).unwrap();
        let taken: Vec<bool> = (0..3).map(|_| output.take(&packet()).unwrap()).collect();
        assert_eq!(taken, [true, true, false]);
        let told = Statistics { wanted: 3, passed_over: 0, lost: 0 };
        output.take(&Block::Statistics(statistics(1, told), told)).unwrap();
        assert_eq!(output.written(), [path.as_path()]);
        let size = path.metadata().unwrap().len();
        assert_eq!(size, head().len() as u64 + 2000 + statistics(1, told).len() as u64);

        let path = folder.path().join("many.pcapng");
        let mut output = Output::new(Some(&path), room, Some(2)).unwrap();
        (0..7).for_each(|_| assert!(output.take(&packet()).unwrap()));
        assert_eq!(output.written().len(), 2);
        assert_eq!(names(folder.path()), ["many.1.pcapng", "many.pcapng", "one.pcapng"]);
    }

    #[test]
    fn the_time_of_day() {
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        assert_eq!(clock(1_790_000_000_250_600_000, &zone), "16:13:20.250");
        assert_eq!(clock(u64::MAX, &TimeZone::UTC).len(), 12);
    }

    #[test]
    fn nothing_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.pcapng");
        std::os::unix::fs::symlink("/nonexistent/elsewhere", &path).unwrap();
        let told = Output::new(Some(&path), 10_000, None).unwrap_err();
        assert!(told.contains("a.pcapng exists; nothing is overwritten"), "{told}");
        let told = Output::new(Some(&folder.path().join("b/c")), 10_000, None).unwrap_err();
        assert!(told.starts_with("cannot write "), "{told}");
    }
}
