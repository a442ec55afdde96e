//! Capture files as a stream of packets: pcap (microseconds and nanoseconds) and pcapng, both in
//! either byte order.
//!
//! Read piece by piece, so that the length of a file does not matter. A length that a file states
//! is believed only as far as bytes follow it: nothing is allocated on a file's word.

mod input;
mod pcap;
mod pcapng;

use std::fmt;
use std::io::{self, Read};

use thiserror::Error;

use self::input::Input;
use self::pcap::Pcap;
use self::pcapng::PcapNg;

/// The longest packet that is believed, in bytes: libpcap's own limit for nearly every link type.
const LONGEST_PACKET: usize = 262_144;

/// Damages that are told; more are only counted.
const TOLD: usize = 10;

/// One packet as the file has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// When it was captured, in nanoseconds since 1970; what does not fit is the nearest that does.
    pub at: u64,
    /// What its first bytes are: a LINKTYPE number of the registry at tcpdump.org.
    pub link: u32,
    /// What was kept of it, from the link layer on.
    pub bytes: &'a [u8],
}

/// Something that a file should not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Where it stands, in bytes from the start of the file.
    pub offset: u64,
    /// What it is.
    pub what: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "byte {}: {}", self.offset, self.what)
    }
}

/// Why a file cannot be read at all.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The file cannot be opened or read.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It has no byte.
    #[error("the file is empty")]
    Empty,
    /// It begins as gzip, zstd or xz files do.
    #[error("the file is compressed ({0}); decompress it first")]
    Compressed(&'static str),
    /// It begins as no capture does.
    #[error("this is no capture: it begins neither as pcap nor as pcapng")]
    NotACapture,
    /// It is a capture whose first header ends too early or contradicts itself.
    #[error("the header at the start of the file is damaged: {0}")]
    Header(String),
    /// Something to be read once only, or a folder.
    #[error("this is not an ordinary file")]
    NotAFile,
}

/// A capture that is being read.
#[derive(Debug)]
pub struct Capture<R> {
    input: Input<R>,
    format: Format,
    /// The record that was read last.
    record: Vec<u8>,
    damages: Vec<Damage>,
    damaged: u64,
    ended: bool,
}

#[derive(Debug)]
enum Format {
    Pcap(Pcap),
    PcapNg(PcapNg),
}

/// What reading one record came to.
enum Step {
    /// A packet; its bytes are this part of the record.
    Packet { at: u64, link: u32, from: usize, to: usize },
    /// Something else, or damaged in a way that leaves the next record where it should be.
    Other,
    /// There is no next record.
    End,
}

/// Damage after which nothing more can be found.
struct Broken(Damage);

impl<R: Read> Capture<R> {
    /// Reads the header. `source` should be buffered.
    ///
    /// # Errors
    /// [`OpenError`] if it is no capture.
    pub fn open(source: R) -> Result<Self, OpenError> {
        let mut input = Input::new(source);
        let mut record = Vec::new();
        let magic = input.magic()?;
        let format = if let Some(pcap) = Pcap::of(magic) {
            Format::Pcap(pcap.open(&mut input, &mut record)?)
        } else if magic == pcapng::MAGIC {
            Format::PcapNg(PcapNg::open(&mut input, &mut record)?)
        } else {
            return Err(match magic {
                [0x1f, 0x8b, ..] => OpenError::Compressed("gzip"),
                [0x28, 0xb5, 0x2f, 0xfd] => OpenError::Compressed("zstd"),
                [0xfd, b'7', b'z', b'X'] => OpenError::Compressed("xz"),
                _ => OpenError::NotACapture,
            });
        };
        Ok(Self { input, format, record, damages: Vec::new(), damaged: 0, ended: false })
    }

    /// The next packet; `None` at the end, or where damage ends it. [`Capture::damages`] tells.
    pub fn next_packet(&mut self) -> Option<Packet<'_>> {
        while !self.ended {
            let step = match &mut self.format {
                Format::Pcap(pcap) => pcap.step(&mut self.input, &mut self.record),
                Format::PcapNg(ng) => {
                    let mut told = None;
                    let step = ng.step(&mut self.input, &mut self.record, &mut told);
                    if let Some(damage) = told {
                        self.note(damage);
                    }
                    step
                }
            };
            match step {
                Ok(Step::Packet { at, link, from, to }) => {
                    let bytes = self.record.get(from..to).unwrap_or_default();
                    return Some(Packet { at, link, bytes });
                }
                Ok(Step::Other) => {}
                Ok(Step::End) => self.ended = true,
                Err(Broken(damage)) => {
                    self.note(damage);
                    self.ended = true;
                }
            }
        }
        None
    }

    fn note(&mut self, damage: Damage) {
        self.damaged += 1;
        if self.damages.len() < TOLD {
            self.damages.push(damage);
        }
    }

    /// What was wrong so far: the first ten places.
    pub fn damages(&self) -> &[Damage] {
        &self.damages
    }

    /// In how many places something was wrong so far.
    pub fn damaged(&self) -> u64 {
        self.damaged
    }

    /// How far it has been read, in bytes.
    pub fn position(&self) -> u64 {
        self.input.position()
    }
}

#[cfg(test)]
mod tests;
