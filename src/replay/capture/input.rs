//! Bytes in order, and where one is.

use std::io::{self, Read};

use super::{Broken, Damage, OpenError};

/// A reader that knows its position.
#[derive(Debug)]
pub(super) struct Input<R> {
    source: R,
    position: u64,
    /// The first bytes, looked at before anything was read, and how many of them there are.
    peeked: ([u8; 4], usize),
}

/// What was found where so many bytes were wanted.
pub(super) enum Got {
    /// All of them.
    All,
    /// Fewer: the file ends here.
    Only(usize),
}

impl<R: Read> Input<R> {
    pub(super) fn new(source: R) -> Self {
        Self { source, position: 0, peeked: ([0; 4], 0) }
    }

    /// The first four bytes, which are read again later. Only to be asked at the start.
    pub(super) fn magic(&mut self) -> Result<[u8; 4], OpenError> {
        let mut found = Vec::with_capacity(4);
        match self.take(4, &mut found)? {
            Got::Only(0) => return Err(OpenError::Empty),
            Got::Only(_) => return Err(OpenError::NotACapture),
            Got::All => {}
        }
        let mut magic = [0; 4];
        magic.copy_from_slice(&found);
        self.peeked = (magic, 4);
        self.position = 0;
        Ok(magic)
    }

    /// Reads so many bytes behind those that `into` has. Memory grows only with what is there.
    pub(super) fn take(&mut self, count: usize, into: &mut Vec<u8>) -> io::Result<Got> {
        let before = into.len();
        let (magic, peeked) = self.peeked;
        let again = peeked.min(count);
        into.extend_from_slice(&magic[4 - peeked..4 - peeked + again]);
        self.peeked.1 -= again;
        self.source.by_ref().take((count - again) as u64).read_to_end(into)?;
        let got = into.len() - before;
        self.position += got as u64;
        Ok(if got == count { Got::All } else { Got::Only(got) })
    }

    /// Passes over so many bytes.
    pub(super) fn skip(&mut self, count: u64) -> io::Result<bool> {
        let passed = io::copy(&mut self.source.by_ref().take(count), &mut io::sink())?;
        self.position += passed;
        Ok(passed == count)
    }

    /// How far it has been read.
    pub(super) fn position(&self) -> u64 {
        self.position
    }
}

/// Damage that starts at `offset`.
pub(super) fn broken(offset: u64, what: impl Into<String>) -> Broken {
    Broken(Damage { offset, what: what.into() })
}

/// The disk, or what is behind it, gave up.
pub(super) fn unreadable(offset: u64, error: &io::Error) -> Broken {
    broken(offset, format!("the file cannot be read further: {error}"))
}
