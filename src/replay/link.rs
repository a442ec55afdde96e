//! Link layer → where the IP packet begins.

/// EtherTypes (IEEE 802 numbers at IANA).
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
/// Customer tag, service tag (802.1ad), and the old number for an outer tag.
const TAGS: [u16; 3] = [0x8100, 0x88a8, 0x9100];

/// Is this link type (a LINKTYPE number of tcpdump.org) one that [`ip_of`] understands?
pub fn is_known(link: u32) -> bool {
    matches!(link, 0 | 1 | 12 | 14 | 101 | 108 | 113 | 228 | 229 | 276)
}

/// The IP packet in a frame; `None` if there is something else in it, or nothing known.
///
/// VLAN tags are passed over, however many: whoever captures before they are taken off judges
/// what comes after. Bytes behind the IP packet (Ethernet padding) are left where they are.
pub fn ip_of(link: u32, frame: &[u8]) -> Option<&[u8]> {
    match link {
        // Ethernet
        1 => behind_tags(short(frame, 12)?, frame.get(14..)?),
        // Linux cooked, versions 1 and 2
        113 => behind_tags(short(frame, 14)?, frame.get(16..)?),
        276 => behind_tags(short(frame, 0)?, frame.get(20..)?),
        // Raw IP; 12 and 14 are what BSDs call it
        12 | 14 | 101 | 228 | 229 => ip(frame),
        // Loopback: the protocol family of the system that captured, 0 in its own byte order, 108
        // in network order. Every family number of IP there is fits one byte.
        0 | 108 => match frame.first_chunk::<4>()? {
            [2 | 10 | 23 | 24 | 26 | 28 | 30, 0, 0, 0]
            | [0, 0, 0, 2 | 10 | 23 | 24 | 26 | 28 | 30] => ip(frame.get(4..)?),
            _ => None,
        },
        _ => None,
    }
}

fn behind_tags(mut kind: u16, mut rest: &[u8]) -> Option<&[u8]> {
    while TAGS.contains(&kind) {
        kind = short(rest, 2)?;
        rest = rest.get(4..)?;
    }
    if matches!(kind, IPV4 | IPV6) { ip(rest) } else { None }
}

fn ip(packet: &[u8]) -> Option<&[u8]> {
    matches!(packet.first()? >> 4, 4 | 6).then_some(packet)
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two bytes are enough to see where a packet begins.
    const V4: [u8; 2] = [0x45, 7];
    const V6: [u8; 2] = [0x60, 9];

    fn frame(head: &[u8], ip: [u8; 2]) -> Vec<u8> {
        [head, &ip].concat()
    }

    #[test]
    fn every_link_type() {
        let macs = [2u8; 12];
        let eth = |tail: &[u8]| [&macs[..], tail].concat();
        let sll = |tail: &[u8]| [&[0u8; 14][..], tail].concat();
        let sll2 = |kind: [u8; 2]| [&kind[..], &[0; 18]].concat();
        /// Link type, frame, the packet in it.
        type Row = (u32, Vec<u8>, Option<[u8; 2]>);
        let table: &[Row] = &[
            (1, frame(&eth(&[0x08, 0]), V4), Some(V4)),
            (1, frame(&eth(&[0x86, 0xdd]), V6), Some(V6)),
            (1, frame(&eth(&[0x81, 0, 0, 5, 0x08, 0]), V4), Some(V4)),
            (1, frame(&eth(&[0x88, 0xa8, 0, 5, 0x81, 0, 0, 6, 0x86, 0xdd]), V6), Some(V6)),
            (1, frame(&eth(&[0x91, 0, 0, 5, 0x81, 0, 0, 6, 0x08, 0]), V4), Some(V4)),
            (1, frame(&eth(&[0x08, 6]), V4), None),
            (1, eth(&[0x08, 0]), None),
            (1, eth(&[0x81, 0, 0]), None),
            (113, frame(&sll(&[0x08, 0]), V4), Some(V4)),
            (113, frame(&sll(&[0x81, 0, 0, 1, 0x86, 0xdd]), V6), Some(V6)),
            (276, frame(&sll2([0x08, 0]), V4), Some(V4)),
            (276, frame(&sll2([0x86, 0xdd]), V6), Some(V6)),
            (276, frame(&sll2([0x08, 6]), V4), None),
            (101, V4.to_vec(), Some(V4)),
            (12, V6.to_vec(), Some(V6)),
            (14, V4.to_vec(), Some(V4)),
            (228, V4.to_vec(), Some(V4)),
            (229, V6.to_vec(), Some(V6)),
            (101, vec![0x15], None),
            (101, vec![], None),
            (0, frame(&[2, 0, 0, 0], V4), Some(V4)),
            (0, frame(&[0, 0, 0, 2], V4), Some(V4)),
            (0, frame(&[30, 0, 0, 0], V6), Some(V6)),
            (108, frame(&[0, 0, 0, 24], V6), Some(V6)),
            (108, frame(&[0, 0, 0, 1], V4), None),
            (147, V4.to_vec(), None),
        ];
        for (link, bytes, expected) in table {
            let found = ip_of(*link, bytes);
            assert_eq!(found, expected.as_ref().map(|ip| &ip[..]), "{link} {bytes:02x?}");
            assert!(found.is_none() || is_known(*link));
            for cut in 0..bytes.len() {
                let _ = ip_of(*link, &bytes[..cut]);
            }
        }
    }
}
