//! An honest client: the kernel's own TCP, from a chosen address.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

/// What became of one visit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Visit {
    /// The connection was made and the server said something.
    Served {
        /// Time until the handshake was complete.
        connected: Duration,
        /// What the server said, up to its end or 64 KiB.
        said: String,
    },
    /// The connection was made, but the server said nothing.
    Silent {
        /// Time until the handshake was complete.
        connected: Duration,
    },
    /// The server's host answered that nobody listens there.
    Refused,
    /// No answer at all within the client's patience.
    TimedOut,
    /// Something else went wrong, in the system's words.
    Failed(String),
}

impl Visit {
    /// Was the visitor let in?
    pub fn is_served(&self) -> bool {
        matches!(self, Visit::Served { .. })
    }

    /// How long the handshake took, if there was one.
    pub fn connected(&self) -> Option<Duration> {
        match self {
            Visit::Served { connected, .. } | Visit::Silent { connected } => Some(*connected),
            _ => None,
        }
    }
}

/// Connects `from` an address of this thread's host `to` a service, sends a short request and
/// reads the answer to its end. Waits at most `patience` for the handshake, and as long again for
/// the answer.
pub fn visit(from: IpAddr, to: SocketAddr, patience: Duration) -> Visit {
    let begun = Instant::now();
    let connected = connect(from, to, patience);
    match connected {
        Ok(stream) => listen(stream, begun.elapsed(), patience),
        Err(error) => match error.kind() {
            ErrorKind::ConnectionRefused => Visit::Refused,
            ErrorKind::TimedOut | ErrorKind::WouldBlock => Visit::TimedOut,
            _ => Visit::Failed(error.to_string()),
        },
    }
}

fn connect(from: IpAddr, to: SocketAddr, patience: Duration) -> std::io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
    socket.bind(&SocketAddr::new(from, 0).into())?;
    socket.connect_timeout(&to.into(), patience)?;
    Ok(socket.into())
}

fn listen(mut stream: TcpStream, connected: Duration, patience: Duration) -> Visit {
    let mut said = Vec::new();
    // A service that speaks first and closes makes the write fail; what it said counts.
    let _ = stream.set_read_timeout(Some(patience));
    let _ = stream.write_all(b"GET / HTTP/1.0\r\n\r\n");
    let _ = stream.take(65_536).read_to_end(&mut said);
    if said.is_empty() {
        return Visit::Silent { connected };
    }
    Visit::Served { connected, said: String::from_utf8_lossy(&said).into_owned() }
}
