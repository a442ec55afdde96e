//! The numbers over HTTP.
//!
//! A server of our own, because what it has to do is little and what it must never do is much:
//! `tiny_http`, the small server that is at hand, has no timeouts and starts a thread for every
//! client that is slow. Here at most a few clients are answered at a time, each has a few seconds
//! for everything together, and the rest is turned away.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use super::Recent;
use super::http::{Heard, LONGEST, Refusal, hear, metrics};
use crate::control::{Doorman, Host, Timed};

#[cfg(test)]
mod tests;

/// Clients that are answered at the same time.
const CLIENTS: usize = 8;
/// The time a client has for its request, and then for taking in the answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a client may go on talking when it has its answer.
const FAREWELL: Duration = Duration::from_secs(1);

/// Answers over HTTP until it is stopped.
#[derive(Debug)]
pub struct Server {
    doorman: Doorman<TcpListener>,
}

impl Server {
    /// Listens at `address` and answers from threads of its own.
    ///
    /// # Errors
    /// If the address is taken, or the system has no room for another thread.
    pub fn start(address: SocketAddr, recent: Arc<Recent>) -> io::Result<Self> {
        Self::start_with(address, recent, PATIENCE)
    }

    fn start_with(
        address: SocketAddr,
        recent: Arc<Recent>,
        patience: Duration,
    ) -> io::Result<Self> {
        let doorman = Doorman::start(listen(address)?, Desk { recent, patience })?;
        Ok(Self { doorman })
    }

    /// Listens no more and ends the thread. Clients that are being answered get their answer.
    pub fn stop(self) {
        self.doorman.stop();
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    // The gate starts before the network is up: an address of this host may come later.
    match address {
        SocketAddr::V4(_) => socket.set_freebind_v4(true)?,
        SocketAddr::V6(_) => socket.set_freebind_v6(true)?,
    }
    socket.bind(&address.into())?;
    socket.listen(CLIENTS as i32)?;
    Ok(socket.into())
}

/// What every client's thread needs.
struct Desk {
    recent: Arc<Recent>,
    patience: Duration,
}

impl Host<TcpStream> for Desk {
    const NAME: &str = "metrics";
    const SEATS: usize = CLIENTS;

    fn serve(&self, client: TcpStream) -> io::Result<()> {
        self.answer(client)
    }

    fn turn_away(&self, client: TcpStream) {
        let _ = client.set_nonblocking(true);
        let _ = (&client).write(&Refusal::Busy.answer());
    }
}

impl Desk {
    fn answer(&self, stream: TcpStream) -> io::Result<()> {
        let closing = stream.try_clone()?;
        let mut stream = Timed::new(stream, self.patience);
        let answer = match read(&mut stream)? {
            Heard::Part => return Ok(()),
            Heard::Metrics { body } => metrics(&self.recent.text(Instant::now()), body),
            Heard::Other(refusal) => refusal.answer(),
        };
        stream.extend(self.patience);
        stream.write_all(&answer)?;
        // Closing while something unread has come would tell the client to forget the answer
        // (RFC 9112 section 9.6).
        closing.shutdown(Shutdown::Write)?;
        stream.extend(FAREWELL.min(self.patience));
        io::copy(&mut stream.take(8 * LONGEST as u64), &mut io::sink()).map(drop)
    }
}

/// Reads until it is clear what is asked; [`Heard::Part`] if the client goes away before.
fn read(stream: &mut impl Read) -> io::Result<Heard> {
    let mut bytes = [0; LONGEST];
    let mut length = 0;
    loop {
        let more = stream.read(&mut bytes[length..])?;
        length += more;
        match hear(&bytes[..length]) {
            Heard::Part if more == 0 => return Ok(Heard::Part),
            Heard::Part => {}
            heard => return Ok(heard),
        }
    }
}
