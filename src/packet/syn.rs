//! The checked facts of one connection attempt.

use std::net::{IpAddr, SocketAddr};

/// The TCP flags of a packet, as they stand in byte 13 of the TCP header (RFC 9293 §3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(pub u8);

impl Flags {
    /// No more data from sender.
    pub const FIN: u8 = 0x01;
    /// Synchronize sequence numbers: the first packet of a connection.
    pub const SYN: u8 = 0x02;
    /// Reset the connection.
    pub const RST: u8 = 0x04;
    /// Push.
    pub const PSH: u8 = 0x08;
    /// The acknowledgement field is significant.
    pub const ACK: u8 = 0x10;
    /// The urgent pointer is significant.
    pub const URG: u8 = 0x20;
    /// ECN-Echo (RFC 3168).
    pub const ECE: u8 = 0x40;
    /// Congestion window reduced (RFC 3168).
    pub const CWR: u8 = 0x80;

    /// Are all of `bits` set?
    #[inline]
    pub fn has(self, bits: u8) -> bool {
        self.0 & bits == bits
    }

    /// Is any of `bits` set?
    #[inline]
    pub fn any(self, bits: u8) -> bool {
        self.0 & bits != 0
    }
}

/// What the TCP options of a packet say (RFC 9293 §3.2 and the RFC named at each field).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Kinds in the order they stand, four bits each, lowest nibble first: 1 NOP, 2 MSS,
    /// 3 window scale, 4 SACK permitted, 5 SACK, 8 timestamps, 9 Fast Open, 15 anything else;
    /// 0 ends the list. Longer lists keep their first 16.
    pub layout: u64,
    /// Maximum segment size in bytes.
    pub mss: Option<u16>,
    /// Window scale shift (RFC 7323), as sent.
    pub window_scale: Option<u8>,
    /// Selective acknowledgement permitted (RFC 2018).
    pub sack_permitted: bool,
    /// Timestamps option present (RFC 7323).
    pub timestamps: bool,
    /// TCP Fast Open: option 34 (RFC 7413), or the experimental 254 with Fast Open's magic.
    pub fast_open: bool,
    /// The list ends in the middle of an option or states an impossible length.
    pub malformed: bool,
    /// Length of the options in bytes, 0–40.
    pub length: u8,
}

/// The facts of one packet that wants to open a connection, or pretends to: a SYN without ACK,
/// or a stealth probe (none of SYN, RST and ACK: FIN, NULL and XMAS scans).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Syn {
    /// Source address. A claim: anyone can forge it.
    pub src: IpAddr,
    /// Destination address, before any DNAT.
    pub dst: IpAddr,
    /// Source port.
    pub sport: u16,
    /// Destination port, before any DNAT.
    pub dport: u16,
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement number; without the ACK flag an honest stack sends 0.
    pub ack: u32,
    /// TCP flags.
    pub flags: Flags,
    /// Window, unscaled.
    pub window: u16,
    /// Urgent pointer.
    pub urgent: u16,
    /// Time to live (IPv4) or hop limit (IPv6), as received.
    pub ttl: u8,
    /// IPv4 identification; 0 for IPv6, which has none outside fragments.
    pub ip_id: u16,
    /// IPv4 "don't fragment"; always true for IPv6, whose routers never fragment.
    pub dont_fragment: bool,
    /// IPv4 options or IPv6 extension headers are present.
    pub ip_options: bool,
    /// Length of the IP packet in bytes, as the header states it.
    pub length: u32,
    /// Bytes behind the TCP header.
    pub payload: u32,
    /// TCP options.
    pub options: Options,
    /// The kernel saw our side send data to this source: it completed a real handshake
    /// (see [`crate::firewall`]). Travels with the packet as a mark bit.
    pub proven: bool,
    /// The source stands in the kernel's suspect set. Travels with the packet as a mark bit.
    pub suspect: bool,
    /// The source is banned, here or altogether, but the kernel's sets do not say so yet: they are
    /// being filled, or cannot be changed at present (see [`crate::firewall::Owed`]).
    pub banned: bool,
}

impl Syn {
    /// The SYN of an honest Linux host, as it leaves it: sequence number 0, no mark. To ask what
    /// would become of a connection, and to tell stories with.
    pub fn linux(from: SocketAddr, to: SocketAddr) -> Self {
        Self {
            src: from.ip(),
            dst: to.ip(),
            sport: from.port(),
            dport: to.port(),
            seq: 0,
            ack: 0,
            flags: Flags(Flags::SYN),
            window: 64240,
            urgent: 0,
            ttl: 64,
            ip_id: 0,
            dont_fragment: true,
            ip_options: false,
            length: 60,
            payload: 0,
            options: Options {
                layout: 0x31842,
                mss: Some(1460),
                window_scale: Some(7),
                sack_permitted: true,
                timestamps: true,
                length: 20,
                ..Options::default()
            },
            proven: false,
            suspect: false,
            banned: false,
        }
    }

    /// Is this an honest opening: SYN set; FIN, RST and ACK not?
    #[inline]
    pub fn opens(&self) -> bool {
        self.flags.0 & (Flags::SYN | Flags::FIN | Flags::RST | Flags::ACK) == Flags::SYN
    }
}
