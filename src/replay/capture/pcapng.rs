//! pcapng (draft-ietf-opsawg-pcapng): blocks of type, length, body and length again. Sections
//! start with a header that sets the byte order; each has interfaces, and packets name theirs.

use std::io::Read;

use super::input::{Got, Input, broken, unreadable};
use super::{Broken, Damage, LONGEST_PACKET, OpenError, Step};

/// How every file begins: the type of the section header reads the same in both byte orders.
pub(super) const MAGIC: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
/// Written before 2009, read to this day.
const OBSOLETE: u32 = 2;
const SIMPLE: u32 = 3;
const ENHANCED: u32 = 6;

/// Type and length in front, length behind.
const FRAME: usize = 12;
/// The longest body that is looked at: a packet, and options beside it. Blocks that are only
/// passed over can be longer.
const LONGEST_BODY: usize = LONGEST_PACKET + 131_072;
/// The most interfaces of a section; Linux itself hardly goes beyond.
const INTERFACES: usize = 65_536;

#[derive(Debug)]
pub(super) struct PcapNg {
    big_endian: bool,
    interfaces: Vec<Interface>,
    /// The time of the last packet: simple packets have none of their own.
    last: u64,
}

#[derive(Clone, Copy, Debug)]
struct Interface {
    link: u32,
    snap: u32,
    /// Units of a timestamp in a second.
    units: u128,
    /// Seconds to be added to every timestamp.
    offset: i64,
}

impl PcapNg {
    /// Reads the first section header.
    pub(super) fn open<R: Read>(
        input: &mut Input<R>,
        record: &mut Vec<u8>,
    ) -> Result<Self, OpenError> {
        let mut ng = Self { big_endian: false, interfaces: Vec::new(), last: 0 };
        match ng.step(input, record, &mut None) {
            Ok(_) => Ok(ng),
            Err(Broken(damage)) => Err(OpenError::Header(damage.what)),
        }
    }

    /// Reads one block. What is wrong inside a block whose frame is whole goes to `told`, and the
    /// block is passed over.
    pub(super) fn step<R: Read>(
        &mut self,
        input: &mut Input<R>,
        record: &mut Vec<u8>,
        told: &mut Option<Damage>,
    ) -> Result<Step, Broken> {
        let start = input.position();
        let lost = |error: std::io::Error| unreadable(start, &error);
        record.clear();
        match input.take(8, record).map_err(lost)? {
            Got::All => {}
            Got::Only(0) => return Ok(Step::End),
            Got::Only(_) => return Err(broken(start, "the file ends in the header of a block")),
        }
        if record.starts_with(&MAGIC) {
            // The byte order stands behind the length, and the length needs it.
            let whole = matches!(input.take(4, record).map_err(lost)?, Got::All);
            self.big_endian = match record.get(8..12) {
                Some([0x1a, 0x2b, 0x3c, 0x4d]) => true,
                Some([0x4d, 0x3c, 0x2b, 0x1a]) => false,
                _ if whole => return Err(broken(start, "a section without a byte order")),
                _ => return Err(broken(start, "the file ends in a section header")),
            };
        }
        let (kind, length) = (self.number(record, 0), self.number(record, 4) as usize);
        if length < FRAME.max(record.len() + 4) || !length.is_multiple_of(4) {
            let what = format!("a block claims to have {length} bytes, which no block can have");
            return Err(broken(start, what));
        }
        let wanted = matches!(kind, SECTION | INTERFACE | OBSOLETE | SIMPLE | ENHANCED);
        if !wanted {
            return match input.skip((length - record.len()) as u64).map_err(lost)? {
                true => Ok(Step::Other),
                false => Err(broken(start, "the file ends in a block")),
            };
        }
        if length > LONGEST_BODY + FRAME {
            let what = format!("a block claims to have {length} bytes, which cannot be");
            return Err(broken(start, what));
        }
        if let Got::Only(_) = input.take(length - record.len(), record).map_err(lost)? {
            let what = format!("the file ends in a block, with {} of {length} bytes", record.len());
            return Err(broken(start, what));
        }
        let again = self.number(record, length - 4) as usize;
        if again != length {
            let what = format!("a block says {length} bytes in front and {again} behind");
            return Err(broken(start, what));
        }
        let body = record.get(8..length - 4).unwrap_or_default();
        let step = match kind {
            SECTION => {
                self.interfaces.clear();
                Ok(Step::Other)
            }
            INTERFACE => self.interface(body),
            SIMPLE => self.simple(body),
            OBSOLETE => self.packet(body, self.short(body, 0).unwrap_or_default().into()),
            _ => self.packet(body, self.number(body, 0)),
        };
        Ok(step.unwrap_or_else(|what| {
            *told = Some(Damage { offset: start, what: what.into() });
            Step::Other
        }))
    }

    fn interface(&mut self, body: &[u8]) -> Result<Step, &'static str> {
        let link = self.short(body, 0).ok_or("an interface without a link type")?;
        if self.interfaces.len() >= INTERFACES {
            return Err("more interfaces than there can be");
        }
        let snap = self.number(body, 4);
        let mut interface = Interface { link: link.into(), snap, units: 1_000_000, offset: 0 };
        let mut sound = Ok(Step::Other);
        let mut options = body.get(8..).unwrap_or_default();
        while let (Some(code), Some(length)) = (self.short(options, 0), self.short(options, 2)) {
            let value = options.get(4..4 + usize::from(length));
            match (code, value) {
                (0, _) => break,
                // if_tsresol: a power of 10, or with the upper bit of 2.
                (9, Some([power])) => {
                    let (base, power) = (if power & 0x80 != 0 { 2u128 } else { 10 }, power & 0x7f);
                    match base.checked_pow(power.into()) {
                        Some(units) => interface.units = units,
                        // Its packets are still worth reading; their times will be odd.
                        None => sound = Err("an interface whose clock ticks impossibly fast"),
                    }
                }
                // if_tsoffset
                (14, Some(value)) => {
                    interface.offset = value.first_chunk().map_or(0, |eight| {
                        if self.big_endian {
                            i64::from_be_bytes(*eight)
                        } else {
                            i64::from_le_bytes(*eight)
                        }
                    });
                }
                _ => {}
            }
            let padded = usize::from(length).next_multiple_of(4);
            options = options.get(4 + padded..).unwrap_or_default();
        }
        self.interfaces.push(interface);
        sound
    }

    /// An enhanced packet block, or the obsolete one: they differ in how the interface is told.
    fn packet(&mut self, body: &[u8], interface: u32) -> Result<Step, &'static str> {
        if body.len() < 20 {
            return Err("a packet block that is too short");
        }
        let [high, low, length] = [4, 8, 12].map(|at| self.number(body, at));
        let interface = self
            .interfaces
            .get(interface as usize)
            .ok_or("a packet of an interface that was not described")?;
        let length = length as usize;
        if length > body.len() - 20 {
            return Err("a packet that is longer than its block");
        }
        let stamp = u128::from(high) << 32 | u128::from(low);
        let nanos = stamp * 1_000_000_000 / interface.units;
        let nanos = i128::try_from(nanos).unwrap_or(i128::MAX);
        let at = nanos.saturating_add(i128::from(interface.offset) * 1_000_000_000);
        self.last = u64::try_from(at.max(0)).unwrap_or(u64::MAX);
        Ok(Step::Packet { at: self.last, link: interface.link, from: 28, to: 28 + length })
    }

    fn simple(&self, body: &[u8]) -> Result<Step, &'static str> {
        let interface =
            self.interfaces.first().ok_or("a packet of an interface that was not described")?;
        if body.len() < 4 {
            return Err("a packet block that is too short");
        }
        let mut length = self.number(body, 0) as usize;
        if interface.snap > 0 {
            length = length.min(interface.snap as usize);
        }
        let length = length.min(body.len() - 4);
        Ok(Step::Packet { at: self.last, link: interface.link, from: 12, to: 12 + length })
    }

    /// Four bytes as a number; 0 where there are none.
    fn number(&self, bytes: &[u8], at: usize) -> u32 {
        let four = bytes.get(at..).and_then(|rest| rest.first_chunk::<4>()).copied();
        let four = four.unwrap_or_default();
        if self.big_endian { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) }
    }

    fn short(&self, bytes: &[u8], at: usize) -> Option<u16> {
        let two = *bytes.get(at..)?.first_chunk::<2>()?;
        Some(if self.big_endian { u16::from_be_bytes(two) } else { u16::from_le_bytes(two) })
    }
}
