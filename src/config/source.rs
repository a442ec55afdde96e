//! The text of one file, and where in it something stands.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::problem::Problem;

/// Larger than any policy that people write; a list of addresses belongs in a list file.
const LARGEST: u64 = 4 << 20;

/// How often a file that changes while it is read is read again.
pub(super) const ATTEMPTS: usize = 3;

/// A span of one source, in bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// Index of the source.
    pub(super) file: usize,
    /// First byte.
    pub(super) start: usize,
    /// The byte behind the last one.
    pub(super) end: usize,
}

/// One file of a policy.
#[derive(Clone, Debug)]
pub(super) struct Source {
    /// How it was named; used in messages.
    pub(super) name: String,
    /// What it says, without a byte order mark.
    pub(super) text: String,
    /// What relative paths in it start from.
    pub(super) folder: PathBuf,
}

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error("there is no such file")]
    Missing,
    #[error("this is a directory, not a file")]
    Directory,
    #[error("this is not an ordinary file")]
    Special,
    #[error("{0} bytes are too many for a policy file (the limit is {LARGEST})")]
    TooLarge(u64),
    #[error("the file keeps changing while it is read")]
    Changing,
    #[error("this is not UTF-8 text: byte {0:#04x} cannot stand here")]
    NotText(u8, Box<Source>, usize),
    #[error("it cannot be read: {0}")]
    Io(io::Error),
}

impl Source {
    /// A source that does not come from a file.
    pub(super) fn new(name: &str, text: &str) -> Self {
        let folder = Path::new(name).parent().unwrap_or(Path::new("")).to_owned();
        Self { name: name.into(), text: text.trim_start_matches('\u{feff}').into(), folder }
    }

    /// Reads a file, and makes sure that it is the same before and after.
    pub(super) fn read(path: &Path) -> Result<Self, ReadError> {
        let name = path.display().to_string();
        let bytes = read_settled(path)?;
        match String::from_utf8(bytes) {
            Ok(text) => {
                Ok(Self { folder: path.parent().unwrap_or(path).into(), ..Self::new(&name, &text) })
            }
            Err(error) => {
                let at = error.utf8_error().valid_up_to();
                let byte = error.as_bytes()[at];
                let start = error.as_bytes().iter().take(3).eq("\u{feff}".as_bytes());
                let text = String::from_utf8_lossy(error.as_bytes());
                let at = if start { at - 3 } else { at };
                Err(ReadError::NotText(byte, Box::new(Self::new(&name, &text)), at))
            }
        }
    }

    /// A problem of this source.
    pub(super) fn problem(
        &self,
        span: Range<usize>,
        message: String,
        help: Option<String>,
    ) -> Problem {
        let start = self.text.floor_char_boundary(span.start);
        let end = self.text.floor_char_boundary(span.end.max(start));
        let before = &self.text[..start];
        let from = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = self.text[from..].split('\n').next().unwrap_or_default();
        let number = before.matches('\n').count() + 1;
        let column = before[from..].chars().count() + 1;
        let width = self.text[start..end].split('\n').next().unwrap_or_default().chars().count();
        Problem::at(&self.name, (number, column, width), line, message, help)
    }
}

impl ReadError {
    /// As a problem of the file at `path`.
    pub(super) fn problem(self, path: &Path) -> Problem {
        let name = path.display().to_string();
        let message = self.to_string();
        let help = match self {
            Self::NotText(_, source, at) => {
                let help = "save the file as UTF-8 (without accents, plain ASCII is UTF-8)";
                return source.problem(at..at + 1, message, Some(help.into()));
            }
            Self::Missing => Some("give the policy's path with --config FILE"),
            Self::Directory => Some("name the file in it: …/portcullis.toml"),
            Self::TooLarge(_) => Some("put long lists of addresses into [denylist] files"),
            Self::Changing => Some("wait until whatever writes it is done, then try again"),
            Self::Io(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                Some("run this as root, or let the daemon's user read the file and its folders")
            }
            Self::Io(_) | Self::Special => None,
        };
        Problem::of_file(&name, message, help.map(Into::into))
    }
}

/// The bytes of a file that did not change while they were read. Editors write a file anew or
/// put another in its place; what is read in between is neither the old nor the new one.
fn read_settled(path: &Path) -> Result<Vec<u8>, ReadError> {
    for _ in 0..ATTEMPTS {
        let before = path.metadata().map_err(ReadError::of)?;
        if before.is_dir() {
            return Err(ReadError::Directory);
        }
        if !before.is_file() {
            return Err(ReadError::Special);
        }
        if before.len() > LARGEST {
            return Err(ReadError::TooLarge(before.len()));
        }
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(ReadError::of)?;
        file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(ReadError::of)?;
        let after = path.metadata().map_err(ReadError::of)?;
        if same(&before, &after) && bytes.len() as u64 == after.len() {
            return Ok(bytes);
        }
    }
    Err(ReadError::Changing)
}

/// Is it still the file that it was, and unchanged?
pub(super) fn same(before: &Metadata, after: &Metadata) -> bool {
    let state = |of: &Metadata| {
        (of.dev(), of.ino(), of.len(), of.mtime(), of.mtime_nsec(), of.ctime_nsec())
    };
    state(before) == state(after)
}

impl ReadError {
    fn of(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Missing,
            io::ErrorKind::IsADirectory => Self::Directory,
            _ => Self::Io(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_characters_from_one() {
        let source = Source::new("f", "\u{feff}a = 1\r\nß = \"é\" # ü\n\nlast");
        for (at, line, column) in
            [("a", 1, 1), ("1", 1, 5), ("ß", 2, 1), ("\"", 2, 5), ("last", 4, 1), ("st", 4, 3)]
        {
            let start = source.text.find(at).unwrap();
            let problem = source.problem(start..start + at.len(), String::new(), None);
            assert_eq!((problem.line, problem.column), (line, column), "{at}");
        }
        let end = source.problem(9999..99999, String::new(), None);
        assert_eq!((end.line, end.column), (4, 5));
    }

    #[test]
    fn what_is_no_policy_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            path
        };
        let told = |path: &Path| Source::read(path).unwrap_err().problem(path);
        assert!(told(folder.path()).message.contains("directory"));
        assert!(told(&folder.path().join("none")).message.contains("no such file"));
        assert!(told(Path::new("/dev/null")).message.contains("not an ordinary file"));
        let latin = told(&write("latin", b"mode = \"enforce\"\n# \xfcber"));
        assert_eq!((latin.line, latin.column), (2, 3));
        assert!(latin.message.contains("0xfc"), "{latin}");
        let large = write("large", &vec![b'#'; LARGEST as usize + 1]);
        assert!(told(&large).message.contains("too many"));
        assert_eq!(Source::read(&write("good", b"x = 1")).unwrap().text, "x = 1");
    }
}
