//! Packets → pcapng (draft-ietf-opsawg-pcapng), in the byte order of this format's examples: little
//! endian. Only the three blocks that are needed; reading is `replay`'s.

/// The type of a section header block.
const SECTION: u32 = 0x0a0d_0d0a;
/// The type of an interface description block.
const INTERFACE: u32 = 1;
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

/// How a file begins: a section, and its only interface with times in nanoseconds.
pub(super) fn head() -> Vec<u8> {
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

    proptest! {
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
