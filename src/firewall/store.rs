//! The ledger on disk: `standings` in the state folder, one line per change, the last line of a
//! prefix (and port, where it has one) counts.
//!
//! ```text
//! 8-digit CRC-32 of the rest ␠ {"net":"203.0.113.7/32","standing":"suspect",…}
//! ```
//!
//! A line is handed to the kernel in one write before anybody is told of the change, so it
//! survives the end of this process at any moment; [`Store::sync`] makes it survive a power cut.
//! A line that is torn or wrong ends the reading: what stands before it is kept, and the whole
//! file is set aside as `standings.bad-<time>`.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::entry::{By, Entry, Whom};
use super::names::is_wide;
use crate::config::parts::by_parts;
use crate::policy::Standing;

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
    /// Part of the file was unreadable: where it is kept now.
    pub set_aside: Option<PathBuf>,
}

/// One line: an entry, or that one is forgotten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// The entry as it is now.
    Is(Entry),
    /// Nothing is known of this one any more.
    Forgotten(Whom),
}

/// The open file.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    file: File,
    lines: usize,
    unsynced: bool,
    torn: bool,
}

#[derive(Serialize, Deserialize)]
struct Record {
    net: IpNet,
    /// All ports if it is missing, as it is where there is nothing to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    standing: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    entry: Option<Rest>,
}

#[derive(Serialize, Deserialize)]
struct Rest {
    since: u64,
    until: u64,
    offences: u32,
    last: u64,
    reason: String,
    by: By,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    evidence: String,
}

fn millis(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn time(millis: u64) -> SystemTime {
    // Ten thousand years at most, so that no later sum overflows.
    UNIX_EPOCH + Duration::from_millis(millis.min(10_000 * 366 * 24 * 3_600_000))
}

impl Line {
    fn encode(&self, out: &mut Vec<u8>) {
        let record = match self {
            Line::Forgotten(Whom { net, port }) => {
                Record { net: *net, port: *port, standing: "forgotten".into(), entry: None }
            }
            Line::Is(e) => Record {
                net: e.net,
                port: e.port,
                standing: e.standing.word().into(),
                entry: Some(Rest {
                    since: millis(e.since),
                    until: millis(e.until),
                    offences: e.offences,
                    last: millis(e.last_offence),
                    reason: e.reason.clone(),
                    by: e.by,
                    evidence: e.evidence.clone(),
                }),
            },
        };
        // Strings and numbers only: this cannot fail.
        let json = serde_json::to_string(&record).unwrap_or_default();
        out.extend_from_slice(
            format!("{:08x} {json}\n", crc32fast::hash(json.as_bytes())).as_bytes(),
        );
    }

    fn decode(line: &[u8]) -> Option<Self> {
        let (sum, json) = line.split_at_checked(9)?;
        let sum = std::str::from_utf8(sum).ok()?.strip_suffix(' ')?;
        if u32::from_str_radix(sum, 16).ok()? != crc32fast::hash(json) {
            return None;
        }
        quick(json).or_else(|| Self::decode_json(json))
    }

    fn decode_json(json: &[u8]) -> Option<Self> {
        let record: Record = serde_json::from_slice(json).ok()?;
        let standing = match record.standing.as_str() {
            "forgotten" => {
                return Some(Line::Forgotten(Whom { net: record.net, port: record.port }));
            }
            "clean" => Standing::Clean,
            "suspect" => Standing::Suspect,
            "banned" => Standing::Banned,
            _ => return None,
        };
        // Only one source can be banned at a port; the kernel has no place for anything else.
        if record.port.is_some() && (standing == Standing::Suspect || is_wide(record.net)) {
            return None;
        }
        let rest = record.entry?;
        Some(Line::Is(Entry {
            net: record.net,
            port: record.port,
            standing,
            since: time(rest.since),
            until: time(rest.until),
            offences: rest.offences,
            last_offence: time(rest.last),
            reason: rest.reason,
            by: rest.by,
            evidence: rest.evidence,
        }))
    }
}

/// Reads a live line that looks exactly as this program writes most of them, several times as
/// quickly as JSON is read: a million lines are to be known before the gate judges. `None` of
/// anything else, which may be right all the same.
fn quick(json: &[u8]) -> Option<Line> {
    let mut rest = Unread(std::str::from_utf8(json).ok()?);
    let net = rest.quoted("{\"net\":")?.parse().ok()?;
    let port = match rest.skip(",\"port\":") {
        Some(()) => Some(u16::try_from(rest.number("")?).ok()?),
        None => None,
    };
    let standing = match rest.quoted(",\"standing\":")? {
        "clean" => Standing::Clean,
        "suspect" => Standing::Suspect,
        "banned" => Standing::Banned,
        _ => return None,
    };
    if port.is_some() && (standing == Standing::Suspect || is_wide(net)) {
        return None;
    }
    let since = time(rest.number(",\"entry\":{\"since\":")?);
    let until = time(rest.number(",\"until\":")?);
    let offences = u32::try_from(rest.number(",\"offences\":")?).ok()?;
    let last_offence = time(rest.number(",\"last\":")?);
    let reason = rest.quoted(",\"reason\":")?.to_owned();
    let by = match rest.quoted(",\"by\":")? {
        "gate" => By::Gate,
        "admin" => By::Admin,
        _ => return None,
    };
    let evidence = match rest.skip("}}") {
        Some(()) => String::new(),
        None => {
            let evidence = rest.quoted(",\"evidence\":")?.to_owned();
            rest.skip("}}")?;
            evidence
        }
    };
    let entry =
        Entry { net, port, standing, since, until, offences, last_offence, reason, by, evidence };
    rest.0.is_empty().then_some(Line::Is(entry))
}

/// What is left of a line.
struct Unread<'a>(&'a str);

impl<'a> Unread<'a> {
    fn skip(&mut self, text: &str) -> Option<()> {
        self.0 = self.0.strip_prefix(text)?;
        Some(())
    }

    /// A string without anything that JSON escapes.
    fn quoted(&mut self, before: &str) -> Option<&'a str> {
        self.skip(before)?;
        let (text, rest) = self.0.strip_prefix('"')?.split_once('"')?;
        self.0 = rest;
        text.bytes().all(|byte| byte != b'\\' && byte >= b' ').then_some(text)
    }

    /// A number as JSON writes it: no zeros before it, no more than it can hold.
    fn number(&mut self, before: &str) -> Option<u64> {
        self.skip(before)?;
        let end = self.0.bytes().position(|byte| !byte.is_ascii_digit())?;
        let (digits, rest) = self.0.split_at(end);
        self.0 = rest;
        (digits == "0" || !digits.starts_with('0')).then(|| digits.parse().ok())?
    }
}

/// Reads lines up to the first that is not whole, on several threads if they are many. Returns how
/// many bytes were good.
fn decode_all(bytes: &[u8]) -> (Vec<Line>, usize) {
    let decoded = by_parts(bytes, decode_part);
    let mut lines = Vec::with_capacity(decoded.iter().map(|(_, (lines, _))| lines.len()).sum());
    let mut good = 0;
    for (length, (some, read)) in decoded {
        lines.extend(some);
        good += read;
        if read < length {
            break;
        }
    }
    (lines, good)
}

fn decode_part(bytes: &[u8]) -> (Vec<Line>, usize) {
    let mut lines = Vec::new();
    let mut good = 0;
    for bytes in bytes.split_inclusive(|byte| *byte == b'\n') {
        let Some(line) = bytes.strip_suffix(b"\n").and_then(Line::decode) else { break };
        lines.push(line);
        good += bytes.len();
    }
    (lines, good)
}

/// What stands in the file of a state folder, for whoever only looks: nothing is repaired.
///
/// # Errors
/// The file is there, but cannot be read.
pub fn peek(folder: &Path) -> io::Result<Peek> {
    let bytes = match std::fs::read(folder.join("standings")) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(e) => return Err(e),
    };
    let (lines, good) = decode_all(&bytes);
    // A daemon may be writing the last line at this moment.
    let whole = good == bytes.len() || !bytes[good..].contains(&b'\n');
    Ok(Peek { lines, whole })
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
        let path = folder.join("standings");
        let fail = |doing| {
            let path = path.clone();
            move |source| StoreError { doing, path, source }
        };
        let mut bytes = Vec::new();
        match File::open(&path) {
            Ok(mut file) => drop(file.read_to_end(&mut bytes).map_err(fail("read"))?),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(fail("read")(e)),
        }
        let (lines, good) = decode_all(&bytes);
        let mut set_aside = None;
        if good < bytes.len() {
            let aside = folder.join(format!("standings.bad-{}", millis(now) / 1000));
            write_whole(&aside, &bytes).map_err(fail("set aside"))?;
            put_in_place(folder, "standings", &bytes[..good]).map_err(fail("repair"))?;
            set_aside = Some(aside);
        }
        let file = appending(&path).map_err(fail("open"))?;
        let store = Self {
            folder: folder.to_owned(),
            file,
            lines: lines.len(),
            unsynced: false,
            torn: false,
        };
        Ok((store, Loaded { lines, set_aside }))
    }

    /// Appends lines with one write.
    pub fn append(&mut self, lines: &[Line]) -> Result<(), StoreError> {
        if lines.is_empty() {
            return Ok(());
        }
        if self.torn {
            // The last write ended in the middle of a line. Its remains would spoil what follows.
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

    /// Writes the file anew, with one line per entry, so that at any moment either the old or the
    /// new one is there.
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
        put_in_place(&self.folder, "standings", &bytes)
            .and_then(|()| appending(&self.folder.join("standings")))
            .map(|file| self.file = file)
            .map_err(|e| self.error("rewrite", e))?;
        (self.lines, self.unsynced, self.torn) = (lines, false, false);
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

/// Writes a file of the state folder anew: beside its place, as `NAME.new`, and then moved there, so
/// that at any moment either the old or the new one is whole.
///
/// # Errors
/// What the system said; the old file is still there then.
pub(crate) fn put_in_place(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let new = folder.join(format!("{name}.new"));
    write_whole(&new, bytes)?;
    std::fs::rename(&new, folder.join(name))?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests;
