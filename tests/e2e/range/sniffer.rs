//! The packets with which somebody knocks, as they arrive and before any rule sees them.

use std::io::{self, Read};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use etherparse::{IpNumber, Ipv4HeaderSlice, TcpHeaderSlice};
use portcullis::lab::Host;
use socket2::{Domain, Protocol, Socket, Type};

/// `ETH_P_IP`, IPv4 packets, in network order (packet(7)).
const ETH_P_IP: u16 = 0x0800;
/// More are not needed to find the first that gave somebody away, and reading them costs those time
/// who are measured.
const MOST: usize = 20_000;

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Knock {
    pub(super) at: SystemTime,
    pub(super) sport: u16,
    pub(super) dport: u16,
    pub(super) seq: u32,
}

/// Eyes on a host's link.
pub(super) struct Sniffer {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<io::Result<Vec<Knock>>>,
}

impl Sniffer {
    /// Watches what `from` sends to `host`, from now on.
    pub(super) fn start(host: &Host, from: IpAddr) -> Self {
        let socket = host.run(open).expect("a host").expect("a packet socket");
        let stop = Arc::<AtomicBool>::default();
        let told = Arc::clone(&stop);
        let thread = host.spawn(move || watch(socket, from, &told)).expect("a thread");
        Self { stop, thread }
    }

    /// Everything that was seen.
    pub(super) fn stop(self) -> Vec<Knock> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("it does not panic").expect("it is in its host")
    }
}

fn open() -> io::Result<Socket> {
    // Without link headers.
    let protocol = Protocol::from(i32::from(ETH_P_IP.to_be()));
    let socket = Socket::new(Domain::PACKET, Type::DGRAM, Some(protocol))?;
    socket.set_recv_buffer_size(8 << 20)?;
    socket.set_read_timeout(Some(Duration::from_millis(20)))?;
    Ok(socket)
}

fn watch(mut socket: Socket, from: IpAddr, stop: &AtomicBool) -> Vec<Knock> {
    let (mut seen, mut buffer) = (Vec::new(), [0_u8; 128]);
    while seen.len() < MOST {
        match socket.read(&mut buffer) {
            Ok(length) => seen.extend(knock(&buffer[..length], from)),
            // Nothing came for a while.
            Err(_) if stop.load(Ordering::Relaxed) => break,
            Err(_) => {}
        }
    }
    seen
}

/// A packet that asks for a connection or pretends to belong to one: the gate judges no others.
fn knock(packet: &[u8], from: IpAddr) -> Option<Knock> {
    let ip = Ipv4HeaderSlice::from_slice(packet).ok()?;
    let ours = IpAddr::from(ip.source_addr()) == from && ip.protocol() == IpNumber::TCP;
    let tcp = ours.then(|| TcpHeaderSlice::from_slice(&packet[ip.slice().len()..]).ok())??;
    (!tcp.ack() && !tcp.rst()).then(|| Knock {
        at: SystemTime::now(),
        sport: tcp.source_port(),
        dport: tcp.destination_port(),
        seq: tcp.sequence_number(),
    })
}
