//! A packet off the wire: `packet::parse`, the link layers around it, and what `explain` says of it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use portcullis::memory::{Bounds, Memory, Moment};
use portcullis::packet::{Flags, Syn, parse};
use portcullis::policy::{Policy, explain};
use portcullis::replay::{ip_of, is_known};

thread_local! {
    /// Shared by all inputs, since `explain` learns nothing.
    static GATE: (Policy, Memory) = {
        let bounds = Bounds { sources: 320, networks: 64 };
        (Policy::default(), Memory::repeatable(bounds))
    };
}

/// Whatever is read of a packet stands in it, and nothing behind the headers matters.
pub fn check(bytes: &[u8]) {
    for link in 0..300 {
        if let Some(ip) = ip_of(link, bytes) {
            assert!(is_known(link), "link type {link} is not known, and yet it was read");
            assert!(bytes.ends_with(ip));
        }
    }
    let Ok(syn) = parse(bytes) else { return };
    facts(&syn, bytes);

    // A queue copies only the beginning of a packet; frames have padding behind it.
    let headers = (syn.length - syn.payload) as usize;
    assert!(headers <= bytes.len(), "headers of {headers} bytes in {} bytes", bytes.len());
    assert_eq!(parse(&bytes[..headers]), Ok(syn), "cut off behind its headers");
    if bytes.len() >= syn.length as usize {
        assert_eq!(parse(&[bytes, &[0x55; 9]].concat()), Ok(syn), "with padding");
    }
    for cut in 0..headers {
        assert!(parse(&bytes[..cut]).is_err(), "it needs {headers} bytes, and {cut} were enough");
    }
    GATE.with(|(policy, memory)| {
        for syn in [syn, Syn { proven: true, ..syn }, Syn { suspect: true, ..syn }] {
            let told = explain(policy, memory, &syn, Moment(1_000_000_000));
            assert_eq!(explain(policy, memory, &syn, Moment(1_000_000_000)).1, told.1);
        }
    });
}

/// Compares with a second, dumber reader.
fn facts(syn: &Syn, bytes: &[u8]) {
    assert!(!syn.proven && !syn.suspect, "these two are not for the sender to say");
    let opening = syn.flags.0 & (Flags::SYN | Flags::ACK) == Flags::SYN;
    assert!(opening || !syn.flags.any(Flags::SYN | Flags::RST | Flags::ACK));
    assert!(syn.options.length <= 40 && syn.options.length.is_multiple_of(4));
    let headers = (syn.length - syn.payload) as usize;
    let tcp = headers - 20 - usize::from(syn.options.length);
    let short = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
    let long = |at: usize| u32::from(short(at)) << 16 | u32::from(short(at + 2));
    if bytes[0] >> 4 == 4 {
        let address = |at: usize| IpAddr::from(Ipv4Addr::from_bits(long(at)));
        assert_eq!((syn.src, syn.dst), (address(12), address(16)));
        assert_eq!((syn.ttl, syn.ip_id), (bytes[8], short(4)));
        assert_eq!((syn.length, syn.dont_fragment), (short(2).into(), bytes[6] & 0x40 != 0));
        assert_eq!(short(6) & 0x3fff, 0, "a fragment");
    } else {
        let address = |at: usize| {
            let octets: [u8; 16] = bytes[at..at + 16].try_into().expect("sixteen bytes");
            IpAddr::from(Ipv6Addr::from(octets))
        };
        assert_eq!((syn.src, syn.dst), (address(8), address(24)));
        assert_eq!((syn.ttl, syn.ip_id, syn.dont_fragment), (bytes[7], 0, true));
        assert_eq!(syn.length, 40 + u32::from(short(4)));
    }
    assert_eq!((syn.sport, syn.dport), (short(tcp), short(tcp + 2)));
    assert_eq!((syn.seq, syn.ack), (long(tcp + 4), long(tcp + 8)));
    assert_eq!((syn.flags.0, syn.window), (bytes[tcp + 13], short(tcp + 14)));
    assert_eq!(syn.urgent, short(tcp + 18));
}
