//! Plain connects, timed one by one, and what is told of such a sample.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

/// A SYN that was lost is sent again after 1 s, 3 s and 7 s; whoever waits longer has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(8);

/// Connects from this thread's host, and says how long the handshake took. The connection is
/// reset, so that no port has to wait before it can be used again.
pub(crate) fn connect(to: SocketAddr) -> io::Result<Duration> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
    socket.set_linger(Some(Duration::ZERO))?;
    let begun = Instant::now();
    socket.connect_timeout(&to.into(), PATIENCE)?;
    let took = begun.elapsed();
    drop(TcpStream::from(socket));
    Ok(took)
}

/// Times of many connects.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sample(Vec<Duration>);

impl Sample {
    /// Any times.
    pub(crate) fn new(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Self(times)
    }

    /// The times, the shortest first.
    #[allow(dead_code, reason = "not all who measure need them")]
    pub(crate) fn times(&self) -> &[Duration] {
        &self.0
    }

    /// This share (0–1) of them took at most so long; zero for an empty sample.
    pub(crate) fn quantile(&self, share: f64) -> Duration {
        let rank = (self.0.len() as f64 * share).ceil() as usize;
        self.0.get(rank.saturating_sub(1)).copied().unwrap_or_default()
    }
}

/// The middle one, or the mean of the two in the middle; not a number if there is none.
pub(crate) fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    let middle = |place: usize| numbers.get(place).copied().unwrap_or(f64::NAN);
    let half = numbers.len() / 2;
    if numbers.len().is_multiple_of(2) {
        (middle(half.wrapping_sub(1)) + middle(half)) / 2.0
    } else {
        middle(half)
    }
}

/// Microseconds, for tables.
pub(crate) fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
