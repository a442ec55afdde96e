//! Packets → pcapng (draft-ietf-opsawg-pcapng), in the byte order of this format's examples: little
//! endian. Only the four blocks that are needed; reading files of others is `replay`'s.

use std::io::{self, Read};

/// The type of a section header block.
const SECTION: u32 = 0x0a0d_0d0a;
/// The type of an interface description block.
const INTERFACE: u32 = 1;
/// The type of an interface statistics block.
const STATISTICS: u32 = 5;
/// The type of an enhanced packet block.
const PACKET: u32 = 6;
/// `opt_comment`: a text about the packet.
const COMMENT: u16 = 1;
/// `shb_userappl`: the program that wrote the file.
const PROGRAM: u16 = 4;
/// `if_tsresol`: the unit of times, as a negative power of ten.
const RESOLUTION: u16 = 9;
/// LINKTYPE_RAW: packets begin with their IP header.
const RAW: u16 = 101;
/// The most bytes of a packet that are kept.
pub(super) const SNAP: usize = 256;

/// `isb_ifdrop`: packets that were wanted and are over the rate.
const OVER: u16 = 5;
/// `isb_filteraccept`: packets that were wanted.
const WANTED: u16 = 6;
/// `isb_osdrop`: packets for which there was no room on the way.
const LOST: u16 = 7;
/// The longest block that is read: none that is written comes near it.
const LONGEST: u32 = 1 << 20;

/// What became of packets so far, as an interface statistics block tells it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// They were wanted.
    pub wanted: u64,
    /// They were over the rate, and are not there.
    pub passed_over: u64,
    /// There was no room for them on the way, and they are not there.
    pub lost: u64,
}

/// One block of such a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Block {
    /// A packet.
    Packet {
        /// The whole block.
        bytes: Vec<u8>,
        /// When it came, in nanoseconds since 1970.
        at: u64,
        /// What there is to say about it.
        comment: String,
    },
    /// How many packets there were.
    Statistics(Vec<u8>, Statistics),
    /// What stands at the beginning.
    Other(Vec<u8>),
}

impl Block {
    /// Reads the next block of a stream that this program writes; `None` at its end.
    ///
    /// # Errors
    /// What the system said, or [`io::ErrorKind::InvalidData`] if this is no such stream.
    pub fn read(stream: &mut impl Read) -> io::Result<Option<Self>> {
        let mut bytes = vec![0; 8];
        loop {
            match stream.read(&mut bytes[..1]) {
                Ok(0) => return Ok(None),
                Ok(_) => break,
                // A process that was stopped goes on with this.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        stream.read_exact(&mut bytes[1..])?;
        let kind = word(&bytes, 0)?;
        let length = word(&bytes, 4)?;
        if !(12..=LONGEST).contains(&length) || length % 4 != 0 {
            return Err(nonsense());
        }
        bytes.resize(length as usize, 0);
        stream.read_exact(&mut bytes[8..])?;
        let body = &bytes[8..bytes.len() - 4];
        Ok(Some(match kind {
            PACKET => {
                let at = u64::from(word(body, 4)?) << 32 | u64::from(word(body, 8)?);
                let kept = (word(body, 12)? as usize).next_multiple_of(4);
                let comment = option(body.get(20 + kept..).ok_or_else(nonsense)?, COMMENT);
                let comment = String::from_utf8_lossy(comment.unwrap_or_default()).into_owned();
                Self::Packet { bytes, at, comment }
            }
            STATISTICS => {
                let list = body.get(12..).ok_or_else(nonsense)?;
                let number = |code| {
                    let value = option(list, code).and_then(|value| value.first_chunk());
                    value.map_or(0, |value| u64::from_le_bytes(*value))
                };
                let told = Statistics {
                    wanted: number(WANTED),
                    passed_over: number(OVER),
                    lost: number(LOST),
                };
                Self::Statistics(bytes, told)
            }
            _ => Self::Other(bytes),
        }))
    }
}

fn nonsense() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "this is no pcapng of this program")
}

fn word(bytes: &[u8], at: usize) -> io::Result<u32> {
    let bytes = bytes.get(at..).and_then(|rest| rest.first_chunk()).ok_or_else(nonsense)?;
    Ok(u32::from_le_bytes(*bytes))
}

/// The value of the first option with this code.
fn option(mut list: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let (head, rest) = list.split_first_chunk::<4>()?;
        let code = u16::from_le_bytes([head[0], head[1]]);
        let length = usize::from(u16::from_le_bytes([head[2], head[3]]));
        if code == wanted {
            return rest.get(..length);
        }
        list = rest.get(length.next_multiple_of(4)..).filter(|_| code != 0)?;
    }
}

/// How a file begins: a section, and its only interface with times in nanoseconds.
pub fn head() -> Vec<u8> {
    let mut section = Vec::new();
    section.extend(0x1a2b_3c4d_u32.to_le_bytes());
    // Version 1.0; the length of the section is not known.
    section.extend([1, 0, 0, 0]);
    section.extend(u64::MAX.to_le_bytes());
    let program = concat!("portcullis ", env!("CARGO_PKG_VERSION"));
    options(&mut section, &[(PROGRAM, program.as_bytes())]);

    let mut interface = Vec::new();
    interface.extend(RAW.to_le_bytes());
    interface.extend([0, 0]);
    interface.extend((SNAP as u32).to_le_bytes());
    options(&mut interface, &[(RESOLUTION, &[9])]);
    [block(SECTION, &section), block(INTERFACE, &interface)].concat()
}

/// One packet: when it came, in nanoseconds since 1970, what was kept of it, how long it was, and
/// what there is to say about it.
pub(super) fn packet(at: u64, bytes: &[u8], length: u32, comment: &str) -> Vec<u8> {
    let bytes = &bytes[..bytes.len().min(SNAP)];
    let kept = bytes.len() as u32;
    let mut body = Vec::new();
    for number in [0, (at >> 32) as u32, at as u32, kept, length.max(kept)] {
        body.extend(number.to_le_bytes());
    }
    body.extend(bytes);
    pad(&mut body);
    options(&mut body, &[(COMMENT, comment.as_bytes())]);
    block(PACKET, &body)
}

/// How many packets there were until `at`, in nanoseconds since 1970.
pub fn statistics(at: u64, told: Statistics) -> Vec<u8> {
    let mut body = Vec::new();
    for number in [0, (at >> 32) as u32, at as u32] {
        body.extend(number.to_le_bytes());
    }
    let numbers = [(OVER, told.passed_over), (WANTED, told.wanted), (LOST, told.lost)];
    let values = numbers.map(|(code, number)| (code, number.to_le_bytes()));
    options(&mut body, &values.each_ref().map(|(code, value)| (*code, value.as_slice())));
    block(STATISTICS, &body)
}

fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u32 + 12).to_le_bytes();
    [&kind.to_le_bytes(), &length, body, &length].concat()
}

fn options(body: &mut Vec<u8>, list: &[(u16, &[u8])]) {
    for (code, value) in list {
        let value = &value[..value.len().min(usize::from(u16::MAX))];
        body.extend(code.to_le_bytes());
        body.extend((value.len() as u16).to_le_bytes());
        body.extend_from_slice(value);
        pad(body);
    }
    body.extend([0; 4]);
}

/// Everything ends on 32 bits.
fn pad(body: &mut Vec<u8>) {
    body.resize(body.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};
    use std::process::{Command, Stdio};

    use proptest::prelude::*;

    use super::*;
    use crate::replay::Capture;

    #[test]
    fn tshark_reads_packet_and_comment() {
        // An IPv4 SYN from 192.0.2.66:40312 to 192.0.2.1:23.
        let syn = [
            0x45, 0, 0, 40, 0x12, 0x34, 0x40, 0, 64, 6, 0, 0, 192, 0, 2, 66, 192, 0, 2, 1, 0x9d,
            0x78, 0, 23, 0, 0, 0, 7, 0, 0, 0, 0, 0x50, 2, 4, 0, 0, 0, 0, 0,
        ];
        let comment = "DROP SRC=192.0.2.66 reason=scan what=\"a \\\"b\\\"\" seen=5 limit=4 id=x";
        let file = [head(), packet(1_790_000_000_123_456_789, &syn, 40, comment)].concat();
        let fields =
            ["frame.time_epoch", "ip.src", "tcp.dstport", "tcp.flags.syn", "frame.comment"];
        let mut tshark = Command::new("tshark");
        tshark.args(["-r", "-", "-T", "fields"]).args(fields.iter().flat_map(|name| ["-e", name]));
        tshark.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let Ok(mut child) = tshark.spawn() else {
            let all = std::env::var("PORTCULLIS_TEST_TOOLS").is_ok_and(|tools| tools == "all");
            assert!(!all, "apt-get install tshark");
            // Past the test harness, which would swallow it.
            let _ = writeln!(std::io::stderr(), "\nSKIPPED: this package is not installed: tshark");
            return;
        };
        child.stdin.take().unwrap().write_all(&file).unwrap();
        let done = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&done.stdout);
        let told: Vec<&str> = said.trim_end().split('\t').collect();
        let why = String::from_utf8_lossy(&done.stderr);
        assert_eq!(told[..3], ["1790000000.123456789", "192.0.2.66", "23"], "{said} {why}");
        assert!(matches!(told[3], "1" | "True"), "{said}");
        assert_eq!(told[4].replace("\\\\", "\\"), comment, "{said}");
    }

    #[test]
    fn blocks_are_read_as_they_were_written() {
        let told = Statistics { wanted: 7, passed_over: 1 << 40, lost: 3 };
        let blocks = [
            packet(7, &[0x45; 39], 39, "DROP SRC=\"é\""),
            packet(1 << 33, &[], 0, ""),
            statistics(u64::MAX, told),
        ];
        let file = [head(), blocks.concat()].concat();
        let mut stream = Cursor::new(&file);
        let mut read = Vec::new();
        while let Some(block) = Block::read(&mut stream).unwrap() {
            read.push(block);
        }
        assert!(matches!(read[..2], [Block::Other(_), Block::Other(_)]));
        let [first, second, third] = blocks;
        assert_eq!(
            read[2..],
            [
                Block::Packet { bytes: first, at: 7, comment: "DROP SRC=\"é\"".into() },
                Block::Packet { bytes: second, at: 1 << 33, comment: String::new() },
                Block::Statistics(third, told),
            ]
        );
        // A signal in between is no end.
        struct Interrupted(bool);
        impl Read for Interrupted {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                self.0 = !self.0;
                if self.0 { Err(io::ErrorKind::Interrupted.into()) } else { Ok(0) }
            }
        }
        assert_eq!(Block::read(&mut Interrupted(false)).unwrap(), None);
        for cut in 1..file.len() {
            let mut stream = Cursor::new(&file[..cut]);
            while let Ok(Some(_)) = Block::read(&mut stream) {}
        }
        let error = Block::read(&mut Cursor::new(b"HTTP/1.1 200 OK")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }

    proptest! {
        #[test]
        fn blocks_of_noise_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), kind in 0u32..8) {
            let whole = block(kind, &bytes[..bytes.len() / 4 * 4]);
            for noise in [bytes, whole] {
                let mut stream = Cursor::new(noise);
                while let Ok(Some(_)) = Block::read(&mut stream) {}
            }
        }

        #[test]
        fn our_own_reader_reads_what_is_written(
            packets in prop::collection::vec(
                (any::<u64>(), prop::collection::vec(any::<u8>(), 0..300), any::<u32>(), ".{0,80}"),
                0..8,
            ),
        ) {
            let mut file = head();
            for (at, bytes, length, comment) in &packets {
                file.extend(packet(*at, bytes, *length, comment));
            }
            let mut capture = Capture::open(Cursor::new(file)).unwrap();
            for (at, bytes, ..) in &packets {
                let read = capture.next_packet().unwrap();
                prop_assert_eq!((read.at, read.link), (*at, u32::from(RAW)));
                prop_assert_eq!(read.bytes, &bytes[..bytes.len().min(SNAP)]);
            }
            prop_assert!(capture.next_packet().is_none());
            prop_assert!(capture.damages().is_empty());
        }
    }
}
