//! SYNs by the hundred thousand, from whatever sources are wanted.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use portcullis::lab::Probe;
use socket2::{Domain, Protocol, Socket, Type};

/// Sends SYNs to one service, from the host whose thread opened it.
pub(crate) struct Generator {
    socket: Socket,
    to: SocketAddr,
    bytes: Vec<u8>,
    serial: u32,
}

impl Generator {
    /// For SYNs of a Linux client to an IPv4 service.
    pub(crate) fn open(to: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(255)))?;
        let template = Probe::syn(SocketAddr::from(([192, 0, 2, 1], 1024)), to);
        let bytes = template.bytes().ok_or(io::ErrorKind::InvalidInput)?;
        Ok(Self { socket, to: SocketAddr::new(to.ip(), 0), bytes, serial: 0 })
    }

    /// Lets the sequence numbers begin elsewhere, so that no SYN is the repetition of one that
    /// another generator has sent.
    #[allow(dead_code, reason = "not all who measure need it")]
    pub(crate) fn beginning(self, serial: u32) -> Self {
        Self { serial, ..self }
    }

    /// Sends one. What finds no room in the sender's own buffers is left out, as on any network.
    pub(crate) fn send(&mut self, source: Ipv4Addr, sport: u16) -> io::Result<()> {
        self.serial = self.serial.wrapping_add(1);
        self.bytes[12..16].copy_from_slice(&source.octets());
        self.bytes[20..22].copy_from_slice(&sport.to_be_bytes());
        self.bytes[24..28].copy_from_slice(&self.serial.to_be_bytes());
        match self.socket.send_to(&self.bytes, &self.to.into()) {
            // ENOBUFS of errno(3).
            Err(error) if error.raw_os_error() == Some(105) => Ok(()),
            sent => sent.map(drop),
        }
    }

    /// Sends so many a second, `u32::MAX` for as many as can be, in bursts of a few that keep to the
    /// rate, until `done` says so of how many were sent; says how long it took.
    pub(crate) fn stream(
        &mut self,
        per_second: u32,
        source: impl Fn(u32) -> (Ipv4Addr, u16),
        mut done: impl FnMut(u32) -> bool,
    ) -> io::Result<Duration> {
        // A millisecond's worth: sleeping is not more exact than a fraction of that.
        let burst = (per_second / 1000).clamp(1, 64);
        let begun = Instant::now();
        let mut sent = 0;
        while !done(sent) {
            if sent.is_multiple_of(burst) {
                let due = Duration::from_secs_f64(f64::from(sent) / f64::from(per_second));
                std::thread::sleep(due.saturating_sub(begun.elapsed()));
            }
            let (source, sport) = source(sent);
            self.send(source, sport)?;
            sent += 1;
        }
        Ok(begun.elapsed())
    }
}
