//! A log file: plain or packed with gzip, and how far it has been read.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use flate2::bufread::MultiGzDecoder;
use jiff::Timestamp;
use thiserror::Error;

/// Bytes that are read at once.
const CHUNK: usize = 128 * 1024;

/// Why a log cannot be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// No such file, no permission, …
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is packed, and not with gzip.
    #[error("it is packed with {0}; unpack it on the way: {1} FILE | portcullis review -")]
    Packed(&'static str, &'static str),
}

/// A log to be read.
pub struct Input {
    reader: Box<dyn BufRead>,
    done: Rc<Cell<u64>>,
    /// When it was last written to: no line is younger. Of a packed file this is the time that
    /// gzip noted of the original.
    pub written: Timestamp,
}

impl Input {
    /// Opens a file.
    ///
    /// # Errors
    /// If there is no such file or it cannot be read, and if it is packed with something else than
    /// gzip.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let file = File::open(path)?;
        let about = file.metadata()?;
        if about.is_dir() {
            return Err(io::Error::from(io::ErrorKind::IsADirectory).into());
        }
        // A pipe or a device has no time worth the name.
        let written = if about.is_file() { about.modified()? } else { SystemTime::now() };
        Self::of(file, written)
    }

    /// Takes what comes, for example from standard input. `written`: no line is younger.
    ///
    /// # Errors
    /// If it cannot be read, or is packed with something else than gzip.
    pub fn of(source: impl Read + 'static, written: SystemTime) -> Result<Self, OpenError> {
        let done = Rc::new(Cell::new(0));
        let mut raw = BufReader::with_capacity(CHUNK, Counted(source, Rc::clone(&done)));
        let mut written = Timestamp::try_from(written).unwrap_or(Timestamp::MAX);
        const PACKED: [(&[u8], &str, &str); 3] = [
            (b"\xfd7zXZ", "xz", "xzcat"),
            (b"BZh", "bzip2", "bzcat"),
            (b"\x28\xb5\x2f\xfd", "zstd", "zstdcat"),
        ];
        let start = raw.fill_buf()?;
        if let Some((_, name, tool)) = PACKED.iter().find(|(magic, ..)| start.starts_with(magic)) {
            return Err(OpenError::Packed(name, tool));
        }
        let reader: Box<dyn BufRead> = if start.starts_with(b"\x1f\x8b") {
            let unpacked = MultiGzDecoder::new(raw);
            let noted = unpacked.header().map_or(0, |header| header.mtime());
            if noted > 0 {
                let noted = UNIX_EPOCH + Duration::from_secs(noted.into());
                written = Timestamp::try_from(noted).unwrap_or(written);
            }
            Box::new(BufReader::with_capacity(CHUNK, unpacked))
        } else {
            Box::new(raw)
        };
        Ok(Self { reader, done, written })
    }

    /// How many bytes of the file have been read, for a progress bar; shared, because the reader is
    /// busy elsewhere.
    pub fn progress(&self) -> Rc<Cell<u64>> {
        Rc::clone(&self.done)
    }

    /// The log itself, unpacked.
    pub fn into_reader(self) -> Box<dyn BufRead> {
        self.reader
    }
}

/// Counts what passes.
struct Counted<R>(R, Rc<Cell<u64>>);

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.0.read(buffer)?;
        self.1.set(self.1.get() + count as u64);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, GzBuilder};

    use super::*;

    fn packed(text: &str, mtime: u32) -> Vec<u8> {
        let mut gz = GzBuilder::new().mtime(mtime).write(Vec::new(), Compression::fast());
        gz.write_all(text.as_bytes()).unwrap();
        gz.finish().unwrap()
    }

    fn all(bytes: Vec<u8>) -> (io::Result<String>, i64) {
        let input = Input::of(io::Cursor::new(bytes), UNIX_EPOCH + Duration::from_secs(99));
        let Ok(input) = input else { panic!("it can be opened") };
        let written = input.written.as_second();
        let mut text = String::new();
        (input.into_reader().read_to_string(&mut text).map(|_| text), written)
    }

    #[test]
    fn packed_or_not() {
        for (bytes, text, written) in [
            (b"plain".to_vec(), "plain", 99),
            (vec![], "", 99),
            (packed("one ", 0), "one ", 99),
            // Packed in two goes, as some rotations do.
            ([packed("one ", 7), packed("two", 8)].concat(), "one two", 7),
        ] {
            let (read, time) = all(bytes);
            assert_eq!((&*read.unwrap(), time), (text, written));
        }
        let whole = packed(&"line\n".repeat(100), 7);
        assert!(all(whole[..whole.len() - 9].to_vec()).0.is_err(), "cut off");
        let xz = Input::of(io::Cursor::new(b"\xfd7zXZ\0rest".to_vec()), UNIX_EPOCH);
        assert!(matches!(xz, Err(OpenError::Packed("xz", "xzcat"))));
        assert!(matches!(Input::open(Path::new("/")), Err(OpenError::Io(_))));
    }
}
