//! What is known about captures: `file,class,attackers,note`, one line each.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::Read;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use thiserror::Error;

use crate::memory::SourceKey;

/// Who attacks in a capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attackers {
    /// Every source in it (`*`).
    Everyone,
    /// These; nobody if there are none.
    These(HashSet<SourceKey>),
}

impl Attackers {
    /// Is this source one of them?
    pub fn has(&self, source: SourceKey) -> bool {
        match self {
            Self::Everyone => true,
            Self::These(these) => these.contains(&source),
        }
    }
}

/// What is known about one capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// What kind of traffic it is, in one word: `benign`, `scan`, …
    pub class: String,
    /// Who attacks in it.
    pub attackers: Attackers,
}

/// What is known about captures, by the names of their files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels(HashMap<String, Label>);

/// Why labels cannot be used.
#[derive(Debug, Error)]
pub enum LabelsError {
    /// No such file, or it cannot be read.
    #[error("{0}: {1}")]
    Open(PathBuf, std::io::Error),
    /// A line is not as it should be.
    #[error("{0} (the columns are file,class,attackers,note)")]
    Csv(#[from] csv::Error),
    /// An attacker is no address.
    #[error("line {line}: {word:?} is no address; write *, nothing, or addresses with ; between")]
    Attacker {
        /// The line, from 1.
        line: u64,
        /// What stands there.
        word: String,
    },
    /// Two lines speak of the same file.
    #[error("line {line}: {file} stands there twice")]
    Twice {
        /// The second of them.
        line: u64,
        /// The file.
        file: String,
    },
}

/// A line as it stands there. Further columns, such as the note, are for people.
#[derive(Deserialize)]
struct Row {
    file: String,
    class: String,
    attackers: String,
}

impl Labels {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// [`LabelsError`] at the first line that is wrong.
    pub fn load(path: &Path) -> Result<Self, LabelsError> {
        Self::read(File::open(path).map_err(|error| LabelsError::Open(path.to_owned(), error))?)
    }

    /// Reads labels.
    ///
    /// # Errors
    /// [`LabelsError`] at the first line that is wrong.
    pub fn read(source: impl Read) -> Result<Self, LabelsError> {
        let mut labels = HashMap::new();
        let mut reader =
            csv::ReaderBuilder::new().trim(csv::Trim::All).comment(Some(b'#')).from_reader(source);
        let headers = reader.headers()?.clone();
        for record in reader.records() {
            let record = record?;
            let line = record.position().map_or(0, csv::Position::line);
            let Row { file, class, attackers } = record.deserialize(Some(&headers))?;
            let attackers = match attackers.as_str() {
                "*" => Attackers::Everyone,
                list => {
                    let words = list.split(';').map(str::trim).filter(|word| !word.is_empty());
                    let address = |word: &str| match word.parse::<IpAddr>() {
                        Ok(address) => Ok(SourceKey::of(address)),
                        Err(_) => Err(LabelsError::Attacker { line, word: word.into() }),
                    };
                    Attackers::These(words.map(address).collect::<Result<_, _>>()?)
                }
            };
            if labels.insert(file.clone(), Label { class, attackers }).is_some() {
                return Err(LabelsError::Twice { line, file });
            }
        }
        Ok(Self(labels))
    }

    /// What is known about the capture at `path`; only the name of the file counts.
    pub fn of(&self, path: &Path) -> Option<&Label> {
        self.0.get(path.file_name()?.to_str()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let text = "file,class,attackers,note\n\
            a.pcap,scan,192.0.2.1; 2001:db8::7 ,\"a note, with a comma\"\n\
            b.pcap,flood,*,\nc.pcap,benign,,\n";
        let labels = Labels::read(text.as_bytes()).unwrap();
        let key = |text: &str| SourceKey::of(text.parse().unwrap());
        let a = labels.of(Path::new("/somewhere/a.pcap")).unwrap();
        assert_eq!(a.class, "scan");
        assert!(a.attackers.has(key("192.0.2.1")) && a.attackers.has(key("2001:db8::1")));
        assert!(!a.attackers.has(key("192.0.2.2")));
        assert!(labels.of(Path::new("b.pcap")).unwrap().attackers.has(key("::1")));
        assert!(!labels.of(Path::new("c.pcap")).unwrap().attackers.has(key("192.0.2.1")));
        assert_eq!(labels.of(Path::new("d.pcap")), None);
    }

    #[test]
    fn mistakes() {
        for (text, says) in [
            ("file,class,attackers,note\na,scan,me,\n", "line 2: \"me\" is no address"),
            ("file,class,attackers\na,scan,*\na,scan,\n", "line 3: a stands there twice"),
            ("file,class\na,scan\n", "the columns are file,class,attackers,note"),
            ("file,class,attackers\na,scan\n", "the columns are"),
        ] {
            let said = Labels::read(text.as_bytes()).unwrap_err().to_string();
            assert!(said.contains(says), "{said}");
        }
    }
}
