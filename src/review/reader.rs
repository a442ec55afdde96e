//! Bytes → lines → what each of them tells.

use std::borrow::Cow;
use std::io::{self, BufRead, Read};

use jiff::Timestamp;

use super::clock::Clock;
use super::entry::{Damage, Entry};
use super::header::{Header, NAME, header};
use super::message::message;
use super::object::{Object, object};

/// Longer lines are not ours, and are not kept in memory.
const LONGEST: u64 = 65_536;

/// What became of one line.
#[derive(Clone, Debug, PartialEq)]
pub enum Told<'a> {
    /// One of our events.
    Event(Entry<'a>),
    /// Not ours, or nothing that is an event.
    Foreign,
    /// Ours, but it cannot be used.
    Damaged(Damage),
}

/// Reads a log to its end and hands over what each line tells, with its number from 1. Lines may
/// be of any form that [the room](super) knows, also mixed; only the journal's export form has to
/// fill the whole of it, because one entry of it is many lines. There an entry has the number of
/// its first line.
///
/// # Errors
/// If it cannot be read further. What was read before has been told.
pub fn read(
    input: impl BufRead,
    clock: &mut Clock,
    mut tell: impl FnMut(u64, Told<'_>),
) -> io::Result<()> {
    let mut lines = Lines { input, number: 0, buffer: Vec::with_capacity(1024) };
    if lines.input.fill_buf()?.starts_with(b"__") {
        return export(&mut lines, tell);
    }
    while lines.next()? {
        match lines.text() {
            Some(text) => tell(lines.number, line(&text, clock)),
            None => tell(lines.number, Told::Damaged(Damage::Long)),
        }
    }
    Ok(())
}

/// What one line tells.
pub fn line<'a>(text: &'a str, clock: &mut Clock) -> Told<'a> {
    if text.starts_with('{') {
        return match object(text) {
            Ok(Object::Event(Ok(entry))) => Told::Event(entry),
            Ok(Object::Event(Err(damage))) | Err(damage) => Told::Damaged(damage),
            Ok(Object::Journal { at, sender, message }) => journal(at, &sender, message),
            Ok(Object::Foreign) => Told::Foreign,
        };
    }
    match header(text) {
        Header::Ours(stamp, text) => match message(text) {
            None => Told::Foreign,
            Some(Err(damage)) => Told::Damaged(damage),
            Some(Ok((id, what))) => match clock.instant(stamp) {
                Some(at) => Told::Event(Entry { at, id, what }),
                None => Told::Damaged(Damage::Unreadable("time")),
            },
        },
        Header::Foreign => Told::Foreign,
        Header::Damaged(damage) => Told::Damaged(damage),
    }
}

/// Something that the journal took in.
fn journal<'a>(at: Timestamp, sender: &str, text: Cow<'a, str>) -> Told<'a> {
    if sender != NAME {
        return Told::Foreign;
    }
    let read = match text {
        Cow::Borrowed(text) => message(text),
        Cow::Owned(text) => {
            message(&text).map(|read| read.map(|(id, what)| (id, what.into_owned())))
        }
    };
    match read {
        None => Told::Foreign,
        Some(Err(damage)) => Told::Damaged(damage),
        Some(Ok((id, what))) => Told::Event(Entry { at, id, what }),
    }
}

/// The journal's export form (systemd, "Journal Export Formats"): entries of `NAME=value` lines,
/// with an empty line between; a value that is no plain text follows its name on the next line, as
/// a length of 64 bits and so many bytes.
fn export(lines: &mut Lines<impl BufRead>, mut tell: impl FnMut(u64, Told<'_>)) -> io::Result<()> {
    let mut entry = Exported::default();
    loop {
        let more = lines.next()?;
        if !more || lines.buffer.is_empty() {
            if entry.line > 0 {
                tell(entry.line, entry.told());
            }
            entry.clear();
            if !more {
                return Ok(());
            }
            continue;
        }
        if entry.line == 0 {
            entry.line = lines.number;
        }
        if let Some(equals) = lines.buffer.iter().position(|b| *b == b'=') {
            let (name, value) = lines.buffer.split_at(equals);
            entry.take(name, &value[1..]);
        } else if let Some(value) = lines.blob()? {
            entry.take(&lines.buffer, &value);
        }
    }
}

/// The fields that matter of an exported entry.
#[derive(Default)]
struct Exported {
    line: u64,
    at: Option<Timestamp>,
    sender: String,
    message: String,
}

impl Exported {
    fn clear(&mut self) {
        (self.line, self.at) = (0, None);
        self.sender.clear();
        self.message.clear();
    }

    fn take(&mut self, name: &[u8], value: &[u8]) {
        let value = || String::from_utf8_lossy(value);
        match name {
            b"__REALTIME_TIMESTAMP" => {
                let time = value().parse().ok();
                self.at = time.and_then(|us| Timestamp::from_microsecond(us).ok());
            }
            // The first of several, as journalctl does. An entry can be as long as the file.
            b"SYSLOG_IDENTIFIER" if self.sender.is_empty() => self.sender.push_str(&value()),
            b"MESSAGE" if self.message.is_empty() => self.message.push_str(&value()),
            _ => {}
        }
    }

    fn told(&self) -> Told<'_> {
        match self.at {
            Some(at) => journal(at, &self.sender, Cow::Borrowed(&self.message)),
            None if self.sender == NAME => Told::Damaged(Damage::NoTime),
            None => Told::Foreign,
        }
    }
}

/// Lines with their numbers.
struct Lines<R> {
    input: R,
    number: u64,
    /// The line, without its end; longer than [`LONGEST`] if it was too long.
    buffer: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    /// Goes to the next line. False at the end.
    fn next(&mut self) -> io::Result<bool> {
        self.buffer.clear();
        let limit = LONGEST + 1;
        if self.input.by_ref().take(limit).read_until(b'\n', &mut self.buffer)? == 0 {
            return Ok(false);
        }
        self.number += 1;
        if self.buffer.ends_with(b"\n") {
            self.buffer.pop();
        } else if self.buffer.len() as u64 == limit {
            self.pass_line()?;
        }
        Ok(true)
    }

    /// Passes over the rest of a line.
    fn pass_line(&mut self) -> io::Result<()> {
        loop {
            let there = self.input.fill_buf()?;
            let (used, ended) = match there.iter().position(|b| *b == b'\n') {
                Some(end) => (end + 1, true),
                None => (there.len(), there.is_empty()),
            };
            self.input.consume(used);
            if ended {
                return Ok(());
            }
        }
    }

    /// The line as text; `None` if it is too long. Syslog over a stream may end it with a zero.
    fn text(&self) -> Option<Cow<'_, str>> {
        let line = self.buffer.trim_ascii_end();
        let line = line.strip_suffix(b"\0").unwrap_or(line);
        (self.buffer.len() as u64 <= LONGEST).then(|| String::from_utf8_lossy(line))
    }

    /// The value of an exported field that is no plain text. `None` if it is too long, or if the
    /// log ends here.
    fn blob(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut length = Vec::with_capacity(8);
        self.input.by_ref().take(8).read_to_end(&mut length)?;
        let Ok(length) = <[u8; 8]>::try_from(length).map(u64::from_le_bytes) else {
            return Ok(None);
        };
        let mut value = Vec::new();
        if length <= LONGEST {
            self.input.by_ref().take(length).read_to_end(&mut value)?;
        } else {
            io::copy(&mut self.input.by_ref().take(length), &mut io::sink())?;
        }
        self.pass_line()?;
        Ok((value.len() as u64 == length).then_some(value))
    }
}
