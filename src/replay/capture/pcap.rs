//! pcap, as tcpdump has written it since 1998 (draft-ietf-opsawg-pcap): a header of 24 bytes,
//! then records of 16 bytes and a packet each.

use std::io::Read;

use super::input::{Got, Input, broken, unreadable};
use super::{Broken, LONGEST_PACKET, OpenError, Step};

const HEADER: usize = 24;
const RECORD: usize = 16;

/// What is to be known of a pcap file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pcap {
    big_endian: bool,
    /// Nanoseconds in one unit of a timestamp's fraction.
    unit: u64,
    link: u32,
}

impl Pcap {
    /// Do these four bytes begin a pcap file, and of which kind?
    pub(super) fn of(magic: [u8; 4]) -> Option<Self> {
        let (big_endian, unit) = match magic {
            [0xa1, 0xb2, 0xc3, 0xd4] => (true, 1000),
            [0xa1, 0xb2, 0x3c, 0x4d] => (true, 1),
            [0xd4, 0xc3, 0xb2, 0xa1] => (false, 1000),
            [0x4d, 0x3c, 0xb2, 0xa1] => (false, 1),
            _ => return None,
        };
        Some(Self { big_endian, unit, link: 0 })
    }

    pub(super) fn open<R: Read>(
        mut self,
        input: &mut Input<R>,
        record: &mut Vec<u8>,
    ) -> Result<Self, OpenError> {
        record.clear();
        if let Got::Only(got) = input.take(HEADER, record)? {
            return Err(OpenError::Header(format!("{got} bytes instead of {HEADER}")));
        }
        // The upper bits say whether packets end with a checksum of the link layer.
        self.link = self.number(record, 20) & 0x03ff_ffff;
        Ok(self)
    }

    pub(super) fn step<R: Read>(
        &self,
        input: &mut Input<R>,
        record: &mut Vec<u8>,
    ) -> Result<Step, Broken> {
        let start = input.position();
        record.clear();
        match input.take(RECORD, record).map_err(|error| unreadable(start, &error))? {
            Got::All => {}
            Got::Only(0) => return Ok(Step::End),
            Got::Only(_) => return Err(broken(start, "the file ends in the header of a packet")),
        }
        let [seconds, fraction, length] = [0, 4, 8].map(|at| self.number(record, at));
        let length = length as usize;
        if length > LONGEST_PACKET {
            let what = format!(
                "a packet claims to have {length} bytes (at most {LONGEST_PACKET} are possible)"
            );
            return Err(broken(start, what));
        }
        let at = u64::from(seconds) * 1_000_000_000 + u64::from(fraction) * self.unit;
        match input.take(length, record).map_err(|error| unreadable(start, &error))? {
            Got::All => Ok(Step::Packet { at, link: self.link, from: RECORD, to: RECORD + length }),
            Got::Only(got) => {
                let what = format!("the file ends in a packet, with {got} of its {length} bytes");
                Err(broken(start, what))
            }
        }
    }

    /// Four bytes as a number; 0 where there are none.
    fn number(self, bytes: &[u8], at: usize) -> u32 {
        let four = bytes.get(at..).and_then(|rest| rest.first_chunk::<4>()).copied();
        let four = four.unwrap_or_default();
        if self.big_endian { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) }
    }
}
