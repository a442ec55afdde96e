//! Sends packets as they are written, forged addresses and all.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};

use super::probe::Probe;

/// `IPPROTO_RAW`: the kernel takes the whole packet, its IP header included (raw(7)). IPv6 knows
/// the same (net/ipv6/raw.c: `hdrincl`).
const WHOLE_PACKET: i32 = 255;

/// Sleeping is not more exact than this.
const COARSE: Duration = Duration::from_millis(2);

/// Raw sockets of both families, on the host whose thread opened them.
#[derive(Debug)]
pub struct Forge {
    v4: Socket,
    v6: Socket,
}

impl Forge {
    /// Opens the sockets on this thread's host.
    pub fn open() -> io::Result<Self> {
        let open = |domain| {
            let socket = Socket::new(domain, Type::RAW, Some(Protocol::from(WHOLE_PACKET)))?;
            socket.set_send_buffer_size(4 << 20)?;
            Ok::<_, io::Error>(socket)
        };
        Ok(Self { v4: open(Domain::IPV4)?, v6: open(Domain::IPV6)? })
    }

    /// Sends one packet.
    pub fn send(&self, probe: &Probe) -> io::Result<()> {
        let Some(bytes) = probe.bytes() else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "addresses of two families"));
        };
        let socket = if probe.to.is_ipv4() { &self.v4 } else { &self.v6 };
        // The kernel refuses a port here: IPv6 would take it for a protocol number.
        socket.send_to(&bytes, &SocketAddr::new(probe.to.ip(), 0).into()).map(drop)
    }

    /// Sends packets at so many a second, at most, evenly but for bursts of a few milliseconds;
    /// says how many were sent. A sender who was held up does not catch up: that would be a
    /// burst which the network itself drops.
    pub fn flood(
        &self,
        probes: impl IntoIterator<Item = Probe>,
        per_second: u32,
    ) -> io::Result<u64> {
        let gap = Duration::from_secs(1) / per_second.max(1);
        let mut due = Instant::now();
        let mut sent = 0_u64;
        for probe in probes {
            let now = Instant::now();
            if due > now + COARSE {
                std::thread::sleep(due - now);
            }
            due = (due + gap).max(now.checked_sub(COARSE).unwrap_or(now));
            self.send(&probe)?;
            sent += 1;
        }
        Ok(sent)
    }
}
