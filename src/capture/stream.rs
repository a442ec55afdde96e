//! A capture that somebody asked for, on its way to them.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::blocks::{Statistics, head, statistics};
use super::taker::Taken;
use super::tap::{Filter, Tap, Taps};
use super::worker::block;
use crate::events::Interfaces;
use crate::memory::{Limit, Moment};

/// How often the reader hears how many packets there were, so that both sides see that the other
/// is still there.
const PULSE: Duration = Duration::from_secs(1);
/// How often it is looked whether the gate ends.
const LOOK: Duration = Duration::from_millis(200);
/// Packets that are written together.
const TOGETHER: usize = 64;

/// Where a capture ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// After so long.
    pub lasts: Duration,
    /// After so many packets.
    pub count: u64,
}

/// A capture. It is open from its beginning until it is dropped.
#[derive(Debug)]
pub struct Stream {
    taps: Arc<Taps>,
    tap: Arc<Tap>,
    receiver: Receiver<Taken>,
    bounds: Bounds,
}

impl Stream {
    /// Begins to capture. `None` if there are too many captures already.
    pub fn open(
        taps: &Arc<Taps>,
        filter: Filter,
        limit: Option<Limit>,
        bounds: Bounds,
    ) -> Option<Self> {
        let (tap, receiver) = taps.open(filter, limit)?;
        Some(Self { taps: Arc::clone(taps), tap, receiver, bounds })
    }

    /// What became of the packets that it wants.
    pub fn told(&self) -> Statistics {
        let tally = self.tap.tally();
        let (passed_over, lost) = (tally.passed_over.get(), tally.lost.get());
        Statistics { wanted: tally.written.get() + passed_over + lost, passed_over, lost }
    }

    /// Writes what is captured until a bound is reached, the gate ends, or nobody reads any more.
    /// Whoever reads too slowly loses packets, and hears how many.
    ///
    /// # Errors
    /// What the system said when nobody reads any more.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let begun = Instant::now();
        let mut interfaces = Interfaces::default();
        let tally = self.tap.tally();
        out.write_all(&head())?;
        let mut pulse = begun;
        let mut blocks = Vec::new();
        while begun.elapsed() < self.bounds.lasts
            && tally.written.get() < self.bounds.count
            && !self.taps.is_closed()
        {
            let patience = LOOK.min(self.bounds.lasts.saturating_sub(begun.elapsed()));
            let first = match self.receiver.recv_timeout(patience) {
                Ok(taken) => Some(taken),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => break,
            };
            let now = Moment(u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX));
            let left = self.bounds.count - tally.written.get();
            let most = usize::try_from(left).unwrap_or(TOGETHER).min(TOGETHER);
            for taken in first.into_iter().chain(self.receiver.try_iter()).take(most) {
                let interface = interfaces.name(now, taken.judged.interface);
                blocks.extend(block(&taken, interface));
                tally.written.add(1);
            }
            if pulse.elapsed() >= PULSE {
                pulse = Instant::now();
                blocks.extend(self.pulse());
            }
            if !blocks.is_empty() {
                out.write_all(&blocks)?;
                out.flush()?;
                blocks.clear();
            }
        }
        out.write_all(&self.pulse())?;
        out.flush()
    }

    fn pulse(&self) -> Vec<u8> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        statistics(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX), self.told())
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.taps.remove(&self.tap);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::capture::Block;
    use crate::events::sample;

    /// A gate that sees one refused opening after the other.
    fn see(taps: &Taps, count: usize) {
        let judged = sample::judged("203.0.113.7");
        for _ in 0..count {
            if let Some(wanted) = taps.want(&[0x45; 60], &judged.syn, true, Moment(1)) {
                wanted.take(judged);
            }
        }
    }

    fn read(bytes: Vec<u8>) -> (usize, Statistics) {
        let mut stream = Cursor::new(bytes);
        let (mut packets, mut last) = (0, Statistics::default());
        while let Some(block) = Block::read(&mut stream).unwrap() {
            match block {
                Block::Packet { at, comment, .. } => {
                    assert_eq!(at, 1_790_000_000_250_000_000);
                    assert!(comment.starts_with("DROP IN="), "{comment}");
                    packets += 1;
                }
                Block::Statistics(_, told) => last = told,
                Block::Other(_) => {}
            }
        }
        (packets, last)
    }

    #[test]
    fn it_ends_at_its_bounds_and_tells_what_is_missing() {
        let taps: Arc<Taps> = Arc::default();
        let open = |limit, lasts, count| {
            let bounds = Bounds { lasts, count };
            Stream::open(&taps, Filter::default(), limit, bounds).unwrap()
        };
        let long = Duration::from_secs(3600);
        // By the number of packets: the rest is not written.
        let stream = open(None, long, 100);
        see(&taps, 150);
        let mut file = Vec::new();
        stream.write(&mut file).unwrap();
        assert_eq!(read(file), (100, Statistics { wanted: 100, ..Statistics::default() }));
        drop(stream);
        assert!(taps.asked().is_empty());
        // Over its rate, and over what may wait.
        let stream = open(Some(Limit::new(1, 1_000_000_000, 10)), Duration::ZERO, 100);
        see(&taps, 30);
        let mut file = Vec::new();
        stream.write(&mut file).unwrap();
        assert_eq!(read(file).1, Statistics { wanted: 20, passed_over: 20, lost: 0 });
        drop(stream);
        let stream = open(None, long, 1024);
        see(&taps, 1030);
        let mut file = Vec::new();
        stream.write(&mut file).unwrap();
        assert_eq!(read(file), (1024, Statistics { wanted: 1030, passed_over: 0, lost: 6 }));
        drop(stream);
        // When the gate ends.
        let stream = open(None, long, u64::MAX);
        taps.close();
        let mut file = Vec::new();
        stream.write(&mut file).unwrap();
        assert_eq!(read(file).0, 0);
    }

    #[test]
    fn nobody_who_went_away_is_written_to() {
        let taps: Arc<Taps> = Arc::default();
        let bounds = Bounds { lasts: Duration::from_secs(3600), count: u64::MAX };
        let stream = Stream::open(&taps, Filter::default(), None, bounds).unwrap();
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        drop(theirs);
        assert_eq!(stream.write(&mut &ours).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
