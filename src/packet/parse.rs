//! Bytes → [`Syn`].

use etherparse::{IpNumber, LaxIpSlice, TcpHeaderSlice};
use thiserror::Error;

use super::{Flags, Options, Syn};

/// Why bytes are no [`Syn`]. Each is counted under its own name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Malformed {
    /// No byte at all, or a version that is neither 4 nor 6.
    #[error("not an IP packet")]
    NotIp,
    /// The IP header or one of its extensions contradicts itself.
    #[error("broken IP header")]
    IpHeader,
    /// The packet ends before its headers do.
    #[error("truncated headers")]
    Truncated,
    /// A fragment. The kernel puts fragments together before the gate sees them, so one that
    /// still arrives was made to slip through.
    #[error("fragment")]
    Fragment,
    /// Whole, but not TCP.
    #[error("not TCP")]
    NotTcp,
    /// The TCP header states an impossible length.
    #[error("broken TCP header")]
    TcpHeader,
    /// TCP, but neither an opening nor a stealth probe: nothing the gate judges.
    #[error("not an opening packet")]
    NotOpening,
}

impl Malformed {
    /// Every kind, in the order of [`Malformed::index`].
    pub const ALL: [Malformed; 7] = [
        Malformed::NotIp,
        Malformed::IpHeader,
        Malformed::Truncated,
        Malformed::Fragment,
        Malformed::NotTcp,
        Malformed::TcpHeader,
        Malformed::NotOpening,
    ];

    /// The place in [`Malformed::ALL`], for counters.
    pub fn index(self) -> usize {
        self as usize
    }

    /// The name in counters and logs.
    pub fn name(self) -> &'static str {
        match self {
            Malformed::NotIp => "not_ip",
            Malformed::IpHeader => "ip_header",
            Malformed::Truncated => "truncated",
            Malformed::Fragment => "fragment",
            Malformed::NotTcp => "not_tcp",
            Malformed::TcpHeader => "tcp_header",
            Malformed::NotOpening => "not_opening",
        }
    }
}

/// Reads an IP packet that starts at the first byte of `bytes`, as NFQUEUE hands it over.
///
/// The payload may be cut off behind the TCP header (a queue copies only the beginning); lengths
/// are then taken from the IP header. The two marks, [`Syn::proven`] and [`Syn::suspect`], do not
/// stand in the packet: they are left false for the caller to set.
///
/// # Errors
/// [`Malformed`], for everything that is not a whole TCP header of an opening packet.
pub fn parse(bytes: &[u8]) -> Result<Syn, Malformed> {
    let version = bytes.first().map(|byte| byte >> 4);
    if !matches!(version, Some(4 | 6)) {
        return Err(Malformed::NotIp);
    }
    let (ip, broken_extension) = LaxIpSlice::from_slice(bytes).map_err(|error| match error {
        etherparse::err::ip::LaxHeaderSliceError::Len(_) => Malformed::Truncated,
        etherparse::err::ip::LaxHeaderSliceError::Content(_) => Malformed::IpHeader,
    })?;
    if let Some((error, _)) = broken_extension {
        return Err(match error {
            etherparse::err::ipv6_exts::HeaderSliceError::Len(_) => Malformed::Truncated,
            etherparse::err::ipv6_exts::HeaderSliceError::Content(_) => Malformed::IpHeader,
        });
    }
    let payload = ip.payload();
    if payload.fragmented {
        return Err(Malformed::Fragment);
    }
    if payload.ip_number != IpNumber::TCP {
        return Err(Malformed::NotTcp);
    }

    // What the headers say of the packet's length, without the IP header and its extensions.
    let (length, headers, ttl, ip_id, dont_fragment, ip_options) = match &ip {
        LaxIpSlice::Ipv4(v4) => {
            let header = v4.header();
            let authentication = v4.extensions().auth.map_or(0, |auth| auth.slice().len());
            let headers = header.slice().len() + authentication;
            if usize::from(header.total_len()) < headers {
                return Err(Malformed::IpHeader);
            }
            (
                u32::from(header.total_len()),
                headers,
                header.ttl(),
                header.identification(),
                header.dont_fragment(),
                header.slice().len() > 20 || authentication > 0,
            )
        }
        LaxIpSlice::Ipv6(v6) => {
            let header = v6.header();
            let extensions = v6.extensions().slice().len();
            let length = 40 + u32::from(header.payload_length());
            if (length as usize) < 40 + extensions {
                return Err(Malformed::IpHeader);
            }
            (length, 40 + extensions, header.hop_limit(), 0, true, extensions > 0)
        }
    };

    let tcp = TcpHeaderSlice::from_slice(payload.payload).map_err(|error| match error {
        etherparse::err::tcp::HeaderSliceError::Len(_) => Malformed::Truncated,
        etherparse::err::tcp::HeaderSliceError::Content(_) => Malformed::TcpHeader,
    })?;
    let flags = Flags(tcp.slice()[13]);
    let opening = flags.0 & (Flags::SYN | Flags::ACK) == Flags::SYN;
    let stealth = !flags.any(Flags::SYN | Flags::RST | Flags::ACK);
    if !opening && !stealth {
        return Err(Malformed::NotOpening);
    }
    let behind_ip = length - headers as u32;
    let payload_length = behind_ip.checked_sub(tcp.slice().len() as u32);

    Ok(Syn {
        src: ip.source_addr(),
        dst: ip.destination_addr(),
        sport: tcp.source_port(),
        dport: tcp.destination_port(),
        seq: tcp.sequence_number(),
        ack: tcp.acknowledgment_number(),
        flags,
        window: tcp.window_size(),
        urgent: tcp.urgent_pointer(),
        ttl,
        ip_id,
        dont_fragment,
        ip_options,
        length,
        payload: payload_length.ok_or(Malformed::TcpHeader)?,
        options: options(tcp.options()),
        proven: false,
        suspect: false,
        banned: false,
    })
}

/// Reads TCP options: one pass, no allocation. (etherparse's own iterator stops at kinds it does
/// not know, and Fast Open is one of them.)
fn options(mut bytes: &[u8]) -> Options {
    /// The experimental option's magic number for Fast Open (RFC 7413 §4.1.1, RFC 6994).
    const FAST_OPEN_MAGIC: [u8; 2] = [0xf9, 0x89];

    let mut found = Options { length: bytes.len() as u8, ..Options::default() };
    let mut places = (0..64).step_by(4);
    loop {
        let kind = match bytes.first() {
            None | Some(0) => return found,
            Some(kind) => *kind,
        };
        let known = match kind {
            1..=5 | 8 => u64::from(kind),
            34 => 9,
            254 if bytes.get(2..4) == Some(&FAST_OPEN_MAGIC) => 9,
            _ => 15,
        };
        if let Some(place) = places.next() {
            found.layout |= known << place;
        }
        if kind == 1 {
            bytes = &bytes[1..];
            continue;
        }
        let Some(option) = bytes.get(1).and_then(|length| bytes.get(..usize::from(*length))) else {
            found.malformed = true;
            return found;
        };
        match (known, option) {
            (2, [_, 4, high, low]) => found.mss = Some(u16::from_be_bytes([*high, *low])),
            (3, [_, 3, shift]) => found.window_scale = Some(*shift),
            (4, [_, 2]) => found.sack_permitted = true,
            (8, [_, 10, ..]) => found.timestamps = true,
            (9, [_, _, ..]) => found.fast_open = true,
            (5 | 15, [_, _, ..]) => {}
            _ => {
                found.malformed = true;
                // A length below 2 would never get on.
                if option.len() < 2 {
                    return found;
                }
            }
        }
        bytes = &bytes[option.len()..];
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use etherparse::{
        IpFragOffset, Ipv4Header, Ipv6FragmentHeader, Ipv6RawExtHeader, PacketBuilder, TcpHeader,
        TcpOptionElement as Opt,
    };
    use proptest::prelude::*;

    use super::*;

    fn header(flags: u8) -> TcpHeader {
        let mut tcp = TcpHeader::new(40312, 22, 7, 64240);
        tcp.fin = flags & Flags::FIN != 0;
        tcp.syn = flags & Flags::SYN != 0;
        tcp.rst = flags & Flags::RST != 0;
        tcp.psh = flags & Flags::PSH != 0;
        tcp.ack = flags & Flags::ACK != 0;
        tcp.urg = flags & Flags::URG != 0;
        tcp
    }

    fn v4(tcp: TcpHeader, payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        PacketBuilder::ipv4([203, 0, 113, 7], [198, 51, 100, 2], 61)
            .tcp_header(tcp)
            .write(&mut bytes, payload)
            .unwrap();
        bytes
    }

    fn v6(tcp: TcpHeader) -> Vec<u8> {
        let mut bytes = Vec::new();
        PacketBuilder::ipv6([1; 16], [2; 16], 55).tcp_header(tcp).write(&mut bytes, &[]).unwrap();
        bytes
    }

    /// Puts an extension header between the IPv6 header and the TCP header of `packet`.
    fn extend(packet: &[u8], kind: u8, extension: &[u8]) -> Vec<u8> {
        let mut bytes = packet[..40].to_vec();
        bytes[6] = kind;
        bytes.extend_from_slice(extension);
        bytes.extend_from_slice(&packet[40..]);
        let length = (bytes.len() - 40) as u16;
        bytes[4..6].copy_from_slice(&length.to_be_bytes());
        bytes
    }

    #[test]
    fn a_linux_syn() {
        let mut tcp = header(Flags::SYN);
        tcp.set_options(&[
            Opt::MaximumSegmentSize(1460),
            Opt::SelectiveAcknowledgementPermitted,
            Opt::Timestamp(1, 0),
            Opt::Noop,
            Opt::WindowScale(7),
        ])
        .unwrap();
        let syn = parse(&v4(tcp, &[])).unwrap();
        assert_eq!(syn.src, "203.0.113.7".parse::<IpAddr>().unwrap());
        assert_eq!((syn.sport, syn.dport, syn.seq, syn.ttl), (40312, 22, 7, 61));
        assert_eq!((syn.length, syn.payload), (60, 0));
        assert!(syn.opens() && syn.dont_fragment && !syn.ip_options);
        assert_eq!(
            syn.options,
            Options {
                layout: 0x31842,
                mss: Some(1460),
                window_scale: Some(7),
                sack_permitted: true,
                timestamps: true,
                fast_open: false,
                malformed: false,
                length: 20,
            }
        );
    }

    #[test]
    fn options_table() {
        let table: &[(&[u8], u64, bool, bool)] = &[
            // bytes, layout, fast open, malformed
            (&[], 0, false, false),
            (&[1, 1, 0, 9], 0x11, false, false),
            (&[34, 2, 1, 1], 0x119, true, false),
            (&[34, 10, 1, 2, 3, 4, 5, 6, 7, 8], 0x9, true, false),
            (&[254, 4, 0xf9, 0x89], 0x9, true, false),
            (&[254, 4, 1, 2], 0xf, false, false),
            (&[2, 4, 5], 0x2, false, true),
            (&[2, 5, 5, 180, 1, 1, 1, 1], 0x1112, false, true),
            (&[3, 0, 1, 1], 0x3, false, true),
            (&[8, 1, 0, 0], 0x8, false, true),
            (&[8], 0x8, false, true),
            (&[1; 40], 0x1111_1111_1111_1111, false, false),
        ];
        for (bytes, layout, fast_open, malformed) in table {
            let found = options(bytes);
            assert_eq!(
                (found.layout, found.fast_open, found.malformed),
                (*layout, *fast_open, *malformed),
                "{bytes:?}"
            );
        }
    }

    #[test]
    fn only_openings_and_stealth_probes() {
        use Flags as F;
        for (flags, taken) in [
            (F::SYN, true),
            (F::SYN | F::FIN, true),
            (F::SYN | F::RST, true),
            (F::FIN, true),
            (0, true),
            (F::FIN | F::PSH | F::URG, true),
            (F::SYN | F::ACK, false),
            (F::ACK, false),
            (F::FIN | F::ACK, false),
            (F::RST, false),
        ] {
            let parsed = parse(&v4(header(flags), &[]));
            assert_eq!(parsed.is_ok(), taken, "{flags:#x}");
            assert!(taken || parsed == Err(Malformed::NotOpening));
        }
    }

    #[test]
    fn payload_is_told_even_when_it_was_cut_off() {
        let whole = v4(header(Flags::SYN), &[9; 1000]);
        assert_eq!(parse(&whole).unwrap().payload, 1000);
        assert_eq!(parse(&whole[..64]).unwrap().payload, 1000);
        assert_eq!(parse(&whole[..64]).unwrap().length, 1040);
    }

    #[test]
    fn broken_packets() {
        let whole = v4(header(Flags::SYN), &[]);
        let with = |place: usize, byte: u8| {
            let mut bytes = whole.clone();
            bytes[place] = byte;
            bytes
        };
        let udp = with(9, 17);
        let mut fragment = whole.clone();
        Ipv4Header {
            fragment_offset: IpFragOffset::try_new(3).unwrap(),
            protocol: IpNumber::TCP,
            ..Default::default()
        }
        .write(&mut fragment.as_mut_slice())
        .unwrap();
        for (bytes, why) in [
            (vec![], Malformed::NotIp),
            (vec![0x70; 40], Malformed::NotIp),
            (whole[..12].to_vec(), Malformed::Truncated),
            (whole[..39].to_vec(), Malformed::Truncated),
            (with(0, 0x43), Malformed::IpHeader),
            (with(3, 10), Malformed::IpHeader),
            (with(3, 30), Malformed::Truncated),
            (udp, Malformed::NotTcp),
            (with(32, 0x40), Malformed::TcpHeader),
            (with(6, 0x20), Malformed::Fragment),
            (fragment, Malformed::Fragment),
        ] {
            assert_eq!(parse(&bytes), Err(why), "{bytes:02x?}");
        }
    }

    #[test]
    fn ipv6_extension_headers() {
        let plain = v6(header(Flags::SYN));
        let syn = parse(&plain).unwrap();
        assert_eq!((syn.length, syn.ttl, syn.ip_id, syn.payload), (60, 55, 0, 0));
        assert!(!syn.ip_options && syn.dont_fragment);

        let mut options = Vec::new();
        Ipv6RawExtHeader::new_raw(IpNumber::TCP, &[1, 4, 0, 0, 0, 0])
            .unwrap()
            .write(&mut options)
            .unwrap();
        for kind in [0, 43, 60] {
            let syn = parse(&extend(&plain, kind, &options)).unwrap();
            assert!(syn.ip_options && syn.dport == 22 && syn.payload == 0, "{kind}");
        }

        let fragment = |offset: u16, more: bool| {
            let mut bytes = Vec::new();
            Ipv6FragmentHeader::new(IpNumber::TCP, IpFragOffset::try_new(offset).unwrap(), more, 9)
                .write(&mut bytes)
                .unwrap();
            extend(&plain, 44, &bytes)
        };
        assert_eq!(parse(&fragment(1, false)), Err(Malformed::Fragment));
        assert_eq!(parse(&fragment(0, true)), Err(Malformed::Fragment));
        // An "atomic" fragment (RFC 6946) is whole.
        assert!(parse(&fragment(0, false)).is_ok());
        // A chain that ends in the middle.
        assert_eq!(parse(&extend(&plain, 0, &options)[..44]), Err(Malformed::Truncated));
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn never_panics_on_nearly_good_packets(
            v6_packet: bool, place in 0usize..60, byte: u8, cut in 0usize..=60,
        ) {
            let mut bytes = if v6_packet { v6(header(Flags::SYN)) } else { v4(header(Flags::SYN), &[1; 20]) };
            let place = place % bytes.len();
            bytes[place] = byte;
            bytes.truncate(bytes.len().saturating_sub(cut));
            if let Ok(syn) = parse(&bytes) {
                prop_assert!(syn.payload <= syn.length);
            }
        }
    }
}
