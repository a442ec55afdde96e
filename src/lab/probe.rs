//! One packet as an attacker's tool would write it, byte by byte.

use std::net::{IpAddr, SocketAddr};

use etherparse::{
    IpHeaders, IpNumber, Ipv4Header, Ipv6Header, PacketBuilder, TcpHeader, TcpOptionElement,
};

use crate::packet::Flags;

/// Whose SYNs the packet resembles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// The options that Linux sends.
    Linux,
    /// No options but a segment size and a small window, as scanners send.
    Scanner,
}

/// A TCP packet in the making. Every field may lie, the source address included.
#[derive(Clone, Debug)]
pub struct Probe {
    /// Source address and port.
    pub from: SocketAddr,
    /// Destination address and port; of the same family as `from`.
    pub to: SocketAddr,
    /// Sequence number.
    pub seq: u32,
    /// TCP flags.
    pub flags: Flags,
    /// Time to live or hop limit when it is sent.
    pub ttl: u8,
    /// Options and window.
    pub manner: Manner,
    /// Data.
    pub payload: Vec<u8>,
}

impl Probe {
    /// An ordinary-looking SYN, as Linux writes them. The sequence number follows from the ports.
    pub fn syn(from: SocketAddr, to: SocketAddr) -> Self {
        Self {
            from,
            to,
            seq: (u32::from(from.port()) << 16) ^ u32::from(to.port()) ^ 0x5bd1_e995,
            flags: Flags(Flags::SYN),
            ttl: 64,
            manner: Manner::Linux,
            payload: Vec::new(),
        }
    }

    /// The same with other flags.
    pub fn flags(self, bits: u8) -> Self {
        Self { flags: Flags(bits), ..self }
    }

    /// The same in another manner.
    pub fn manner(self, manner: Manner) -> Self {
        Self { manner, ..self }
    }

    /// The same with another time to live.
    pub fn ttl(self, ttl: u8) -> Self {
        Self { ttl, ..self }
    }

    /// The IP packet. `None` if the addresses are of different families.
    pub fn bytes(&self) -> Option<Vec<u8>> {
        let ip = match (self.from.ip(), self.to.ip()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                let mut header =
                    Ipv4Header::new(0, self.ttl, IpNumber::TCP, from.octets(), to.octets()).ok()?;
                header.dont_fragment = self.manner == Manner::Linux;
                // Not 0: the kernel would fill it in.
                header.identification = (self.seq as u16) | 1;
                IpHeaders::Ipv4(header, Default::default())
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                let header = Ipv6Header {
                    hop_limit: self.ttl,
                    next_header: IpNumber::TCP,
                    source: from.octets(),
                    destination: to.octets(),
                    ..Default::default()
                };
                IpHeaders::Ipv6(header, Default::default())
            }
            _ => return None,
        };
        let mut bytes = Vec::with_capacity(128);
        PacketBuilder::ip(ip).tcp_header(self.tcp()?).write(&mut bytes, &self.payload).ok()?;
        Some(bytes)
    }

    fn tcp(&self) -> Option<TcpHeader> {
        use TcpOptionElement::{
            MaximumSegmentSize, Noop, SelectiveAcknowledgementPermitted, Timestamp, WindowScale,
        };
        let (window, options): (u16, &[TcpOptionElement]) = match self.manner {
            Manner::Linux => (
                64_240,
                &[
                    MaximumSegmentSize(1460),
                    SelectiveAcknowledgementPermitted,
                    Timestamp(self.seq, 0),
                    Noop,
                    WindowScale(7),
                ],
            ),
            Manner::Scanner => (1024, &[MaximumSegmentSize(1460)]),
        };
        let mut tcp = TcpHeader::new(self.from.port(), self.to.port(), self.seq, window);
        tcp.set_options(options).ok()?;
        tcp.fin = self.flags.any(Flags::FIN);
        tcp.syn = self.flags.any(Flags::SYN);
        tcp.rst = self.flags.any(Flags::RST);
        tcp.psh = self.flags.any(Flags::PSH);
        tcp.ack = self.flags.any(Flags::ACK);
        tcp.urg = self.flags.any(Flags::URG);
        tcp.ece = self.flags.any(Flags::ECE);
        tcp.cwr = self.flags.any(Flags::CWR);
        Some(tcp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn syn(from: &str, to: &str) -> Probe {
        Probe::syn(from.parse().unwrap(), to.parse().unwrap())
    }

    #[test]
    fn what_is_asked_for_is_written() {
        let bytes = syn("203.0.113.7:40000", "198.51.100.2:22").ttl(51).bytes().unwrap();
        let ip = etherparse::Ipv4HeaderSlice::from_slice(&bytes).unwrap();
        assert_eq!(ip.source(), [203, 0, 113, 7]);
        assert_eq!((ip.ttl(), ip.dont_fragment(), bytes.len()), (51, true, 60));
        let tcp = etherparse::TcpHeaderSlice::from_slice(&bytes[20..]).unwrap();
        assert!(tcp.syn() && !tcp.ack());
        assert_eq!((tcp.source_port(), tcp.destination_port()), (40000, 22));
        assert_eq!(tcp.checksum(), tcp.calc_checksum_ipv4(&ip, &[]).unwrap());
    }

    #[test]
    fn six_and_mixed_families() {
        let flags = Flags::FIN | Flags::PSH | Flags::URG;
        let probe = syn("[2001:db8::1]:1", "[2001:db8::2]:80").flags(flags);
        let bytes = probe.manner(Manner::Scanner).bytes().unwrap();
        let tcp = etherparse::TcpHeaderSlice::from_slice(&bytes[40..]).unwrap();
        assert!(tcp.fin() && tcp.psh() && tcp.urg() && !tcp.syn());
        assert_eq!((tcp.window_size(), tcp.options()), (1024, &[2, 4, 5, 180][..]));
        assert_eq!(syn("[2001:db8::1]:1", "192.0.2.1:80").bytes(), None);
    }
}
