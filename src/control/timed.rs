//! A stream with a deadline for the whole conversation, not only for its next byte.

use std::io::{self, Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use socket2::{Domain, SockAddr, Socket, Type};

/// Reads and writes fail with [`io::ErrorKind::TimedOut`] once the deadline has passed, however
/// slowly the other side dribbles.
pub(crate) struct Timed {
    stream: Socket,
    deadline: Instant,
}

impl Timed {
    pub(crate) fn new(stream: impl Into<Socket>, patience: Duration) -> Self {
        Self { stream: stream.into(), deadline: Instant::now() + patience }
    }

    /// Connects within the same patience: a daemon that is stopped accepts nobody, and a plain
    /// connect would wait for it for ever.
    pub(crate) fn connect(path: &Path, patience: Duration) -> io::Result<Self> {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        // Linux applies the timeout for sending to connecting too (unix(7), socket(7)).
        socket.set_write_timeout(Some(patience))?;
        socket.connect(&SockAddr::unix(path)?).map_err(timed_out)?;
        Ok(Self::new(socket, patience))
    }

    /// From now on, so much time again.
    pub(crate) fn extend(&mut self, patience: Duration) {
        self.deadline = Instant::now() + patience;
    }

    /// The same stream, for a thread that may want to end it.
    pub(super) fn stopper(&self) -> io::Result<Socket> {
        self.stream.try_clone()
    }

    fn left(&self) -> io::Result<Duration> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
    }
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(self.left()?))?;
        self.stream.read(buffer).map_err(timed_out)
    }
}

impl Write for Timed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(self.left()?))?;
        self.stream.write(bytes).map_err(timed_out)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// Socket timeouts come as "would block".
fn timed_out(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::WouldBlock { io::ErrorKind::TimedOut.into() } else { error }
}
