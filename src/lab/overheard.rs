//! What a scanner learns: the SYN-ACKs that come back to its host.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use etherparse::{IpNumber, Ipv4HeaderSlice, TcpHeaderSlice};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{RecvFlags, SocketAddrAny, recvfrom};
use socket2::{Domain, Protocol, Socket, Type};

use super::host::Host;

const TICK: Timespec = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };

/// Who said SYN-ACK, and to which local port.
type Heard = BTreeSet<(SocketAddr, u16)>;

/// Ears on a host.
#[derive(Debug)]
pub struct Overheard {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<io::Result<Heard>>>,
}

impl Overheard {
    /// Listens on `host` from now on.
    pub fn start(host: &Host) -> io::Result<Self> {
        let both = || Ok::<_, io::Error>([open(Domain::IPV4)?, open(Domain::IPV6)?]);
        let sockets = host.run(both).map_err(io::Error::other)??;
        let stop = Arc::<AtomicBool>::default();
        let told = Arc::clone(&stop);
        let thread = host.spawn(move || hear(&sockets, &told)).map_err(io::Error::other)?;
        Ok(Self { stop, thread: Some(thread) })
    }

    /// Listens for `linger` more, then tells everything that was heard: remote address and port,
    /// local port.
    pub fn stop(mut self, linger: Duration) -> Heard {
        std::thread::sleep(linger);
        self.stop.store(true, Ordering::Relaxed);
        let heard = self.thread.take().map(JoinHandle::join);
        heard.and_then(Result::ok).and_then(Result::ok).unwrap_or_default()
    }
}

impl Drop for Overheard {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A raw socket that gets a copy of every TCP packet delivered to this host.
fn open(domain: Domain) -> io::Result<Socket> {
    let socket = Socket::new(domain, Type::RAW, Some(Protocol::TCP))?;
    socket.set_recv_buffer_size(8 << 20)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn hear(sockets: &[Socket; 2], stop: &AtomicBool) -> Heard {
    let mut heard = Heard::new();
    loop {
        // Looked at before the sockets are emptied, so that nothing already there is missed.
        let last = stop.load(Ordering::Relaxed);
        for socket in sockets {
            empty(socket, &mut heard);
        }
        if last {
            return heard;
        }
        let mut wanted = sockets.each_ref().map(|socket| PollFd::new(socket, PollFlags::IN));
        let _ = poll(&mut wanted, Some(&TICK));
    }
}

fn empty(socket: &Socket, heard: &mut Heard) {
    let mut buffer = [0_u8; 256];
    while let Ok((_, length, from)) = recvfrom(socket, &mut buffer[..], RecvFlags::empty()) {
        let Some(from) = from.and_then(ip) else { continue };
        let packet = &buffer[..length.min(buffer.len())];
        heard.extend(syn_ack(packet, from));
    }
}

fn ip(address: SocketAddrAny) -> Option<IpAddr> {
    SocketAddr::try_from(address).ok().map(|address| address.ip())
}

/// Raw IPv4 sockets deliver the IP header, raw IPv6 sockets do not (raw(7), ipv6(7)).
fn syn_ack(packet: &[u8], from: IpAddr) -> Option<(SocketAddr, u16)> {
    let tcp = match from {
        IpAddr::V4(_) => {
            let ip = Ipv4HeaderSlice::from_slice(packet).ok()?;
            (ip.protocol() == IpNumber::TCP).then_some(&packet[ip.slice().len()..])?
        }
        IpAddr::V6(_) => packet,
    };
    let tcp = TcpHeaderSlice::from_slice(tcp).ok()?;
    (tcp.syn() && tcp.ack())
        .then(|| (SocketAddr::new(from, tcp.source_port()), tcp.destination_port()))
}
