//! Captures made for a test: packets with headers of one's choice, written as pcap.

use std::path::{Path, PathBuf};

use etherparse::{PacketBuilder, TcpHeader, TcpOptionElement};

/// Microseconds and packet, in order.
#[derive(Default)]
pub(crate) struct Forge {
    packets: Vec<(u64, Vec<u8>)>,
    now: u64,
}

/// An IPv4 address and a port.
pub(crate) type End = ([u8; 4], u16);

impl Forge {
    /// Lets time pass.
    pub(crate) fn wait(&mut self, millis: u64) -> &mut Self {
        self.now += millis * 1000;
        self
    }

    /// A packet with these flags, as tcpdump abbreviates them: S F R P and `.` for ACK.
    pub(crate) fn tcp(&mut self, from: End, to: End, flags: &str, seq: u32) -> &mut Self {
        let mut tcp = TcpHeader::new(from.1, to.1, seq, 64240);
        tcp.syn = flags.contains('S');
        tcp.fin = flags.contains('F');
        tcp.rst = flags.contains('R');
        tcp.psh = flags.contains('P');
        tcp.ack = flags.contains('.');
        if tcp.syn {
            tcp.set_options(&[
                TcpOptionElement::MaximumSegmentSize(1460),
                TcpOptionElement::SelectiveAcknowledgementPermitted,
                TcpOptionElement::Timestamp(1, 0),
                TcpOptionElement::Noop,
                TcpOptionElement::WindowScale(7),
            ])
            .unwrap();
        }
        let data: &[u8] = if tcp.psh { b"SSH-2.0-x\r\n" } else { b"" };
        let mut bytes = Vec::new();
        let builder = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4(from.0, to.0, 64);
        builder.tcp_header(tcp).write(&mut bytes, data).unwrap();
        // PacketBuilder leaves DF out; every stack that makes such SYNs sets it.
        bytes[20] |= 0x40;
        self.packets.push((self.now, bytes));
        self.now += 100;
        self
    }

    /// A whole connection on which the server speaks.
    pub(crate) fn served(&mut self, client: End, server: End, seq: u32) -> &mut Self {
        self.tcp(client, server, "S", seq)
            .tcp(server, client, "S.", 7)
            .tcp(client, server, ".", seq + 1)
            .tcp(server, client, "P.", 8)
    }

    /// The file's bytes: pcap, microseconds, little-endian, Ethernet.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut file = vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0];
        [0u32, 0, 65535, 1].iter().for_each(|field| file.extend(field.to_le_bytes()));
        for (at, packet) in &self.packets {
            let length = packet.len() as u64;
            for field in [1_700_000_000 + at / 1_000_000, at % 1_000_000, length, length] {
                file.extend((field as u32).to_le_bytes());
            }
            file.extend_from_slice(packet);
        }
        file
    }

    /// Writes the file.
    pub(crate) fn write(&self, folder: &Path, name: &str) -> PathBuf {
        let path = folder.join(name);
        std::fs::write(&path, self.bytes()).unwrap();
        path
    }
}
