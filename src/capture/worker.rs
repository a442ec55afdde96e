//! From the thread that holds packets to the thread that writes them.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, UNIX_EPOCH};

use super::blocks::{SNAP, packet};
use super::files::Files;
use crate::config;
use crate::events::{Count, Event, Interfaces, Judged, Line, Record};
use crate::memory::{Limit, Moment, SharedBucket};
use crate::policy::Rate;

/// Packets that may wait to be written.
const WAITING: usize = 1024;
/// How often the thread looks whether it should end.
const LOOK: Duration = Duration::from_millis(200);

/// The beginning of a packet.
#[derive(Clone, Copy, Debug)]
pub struct Prefix {
    bytes: [u8; SNAP],
    length: usize,
}

impl Prefix {
    /// A copy of what fits.
    #[inline]
    pub fn of(packet: &[u8]) -> Self {
        let mut bytes = [0; SNAP];
        let length = packet.len().min(SNAP);
        bytes[..length].copy_from_slice(&packet[..length]);
        Self { bytes, length }
    }
}

/// A packet with what was made of it.
#[derive(Clone, Copy, Debug)]
pub struct Taken {
    /// Its first bytes.
    pub packet: Prefix,
    /// The decision and its evidence.
    pub judged: Judged,
}

/// What became of packets that were to be captured.
#[derive(Debug, Default)]
pub struct Tally {
    /// They are in a file.
    pub written: Count,
    /// They were over the rate.
    pub passed_over: Count,
    /// There was no room in the channel, or none on the disk.
    pub lost: Count,
}

/// Hands packets over. Cheap to clone, one for each queue thread.
#[derive(Clone, Debug)]
pub struct Taker {
    sender: SyncSender<Taken>,
    limit: Option<Limit>,
    bucket: Arc<SharedBucket>,
    tally: Arc<Tally>,
}

impl Taker {
    /// Is there room for another packet in the rate? If so it is charged; if not, counted.
    #[inline]
    pub fn wants(&self, now: Moment) -> bool {
        let Some(limit) = self.limit else { return true };
        // Two threads may be told the same at once: then one more is written.
        let fits = self.bucket.test(limit, now).is_ok();
        if fits {
            self.bucket.charge(limit, now);
        } else {
            self.tally.passed_over.add(1);
        }
        fits
    }

    /// Hands a packet over without ever waiting; one for which there is no room is counted.
    #[inline]
    pub fn take(&self, taken: Taken) {
        if self.sender.try_send(taken).is_err() {
            self.tally.lost.add(1);
        }
    }
}

/// The thread that writes.
#[derive(Debug)]
pub struct Capture {
    stopping: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Capture {
    /// Starts it. `tell` gets what became of writing when that changes: an error, or none when it
    /// works again.
    ///
    /// # Errors
    /// Only if the system has no room for another thread.
    pub fn start(
        dir: &Path,
        config: &config::Capture,
        tally: Arc<Tally>,
        tell: impl Fn(Option<&io::Error>) + Send + 'static,
    ) -> io::Result<(Taker, Self)> {
        let (sender, receiver) = sync_channel(WAITING);
        let limit = config.rate.map(limit);
        let taker = Taker { sender, limit, bucket: Arc::default(), tally: Arc::clone(&tally) };
        let stopping = Arc::new(AtomicBool::new(false));
        let mut files = Files::new(dir, config.max_size, config.files);
        let thread = {
            let stopping = Arc::clone(&stopping);
            let work = move || write(&receiver, &stopping, &mut files, &tally, &tell);
            thread::Builder::new().name("capture".into()).spawn(work)?
        };
        Ok((taker, Self { stopping, thread }))
    }

    /// Writes what waits, and ends.
    pub fn stop(self) {
        self.stopping.store(true, Relaxed);
        let _ = self.thread.join();
    }
}

fn limit(rate: Rate) -> Limit {
    let nanoseconds = u64::try_from(rate.per.as_nanos()).unwrap_or(u64::MAX);
    Limit::new(rate.count, nanoseconds, rate.burst)
}

fn write(
    receiver: &Receiver<Taken>,
    stopping: &AtomicBool,
    files: &mut Files,
    tally: &Tally,
    tell: &impl Fn(Option<&io::Error>),
) {
    let mut failing = false;
    let (begun, mut interfaces) = (Instant::now(), Interfaces::default());
    loop {
        let taken = match receiver.recv_timeout(LOOK) {
            Ok(taken) => taken,
            Err(RecvTimeoutError::Timeout) if !stopping.load(Relaxed) => continue,
            Err(_) => return,
        };
        let now = Moment(u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX));
        let interface = interfaces.name(now, taken.judged.interface);
        let written = files.write(&block(&taken, interface));
        if written.is_ok() { &tally.written } else { &tally.lost }.add(1);
        if written.is_err() != failing {
            failing = !failing;
            tell(written.as_ref().err());
        }
    }
}

/// The packet as a file has it: its comment is the line that the log has for it.
fn block(taken: &Taken, interface: &str) -> Vec<u8> {
    let Taken { packet: Prefix { bytes, length }, judged } = taken;
    let since = judged.at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let at = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
    let comment = Line(&Record::of(&Event::Judged(*judged), interface)).to_string();
    packet(at, &bytes[..*length], judged.syn.length, &comment)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::sync::mpsc::channel;

    use super::*;
    use crate::events::sample;
    use crate::replay;

    fn taken() -> Taken {
        Taken { packet: Prefix::of(&[0x45; 300]), judged: sample::judged("203.0.113.7") }
    }

    fn taker(room: usize, rate: Option<Rate>) -> (Taker, Receiver<Taken>) {
        let (sender, receiver) = sync_channel(room);
        let (bucket, tally) = Default::default();
        (Taker { sender, limit: rate.map(limit), bucket, tally }, receiver)
    }

    #[test]
    fn what_finds_no_room_is_counted_and_keeps_nobody_waiting() {
        let (taker, receiver) = taker(2, None);
        // Nobody takes anything out: waiting would never end.
        (0..5).for_each(|_| taker.take(taken()));
        assert_eq!((taker.tally.lost.get(), receiver.try_iter().count()), (3, 2));
        drop(receiver);
        taker.take(taken());
        assert_eq!(taker.tally.lost.get(), 4);
    }

    #[test]
    fn no_more_than_the_rate_is_wanted() {
        let rate = Rate { count: 10, per: Duration::from_secs(1), burst: 3 };
        let (taker, _receiver) = taker(1, Some(rate));
        let wanted = |millis: u64| taker.clone().wants(Moment(1 + millis * 1_000_000));
        let times = [0, 0, 0, 0, 99, 100, 101, 1_000, 1_000, 1_000, 1_000];
        let expected = [1, 1, 1, 0, 0, 1, 0, 1, 1, 1, 0].map(|wanted| wanted == 1);
        assert_eq!(times.map(wanted), expected);
        assert_eq!(taker.tally.passed_over.get(), 4);
    }

    #[test]
    fn a_stop_writes_what_waits() {
        let folder = tempfile::tempdir().unwrap();
        let (sender, told) = channel();
        let tell = move |error: Option<&io::Error>| {
            let _ = sender.send(error.map(io::Error::kind));
        };
        let config = config::Capture { rate: None, ..config::Capture::default() };
        let (taker, capture) =
            Capture::start(folder.path(), &config, Arc::default(), tell).unwrap();
        (0..50).for_each(|_| taker.take(taken()));
        capture.stop();
        assert_eq!((taker.tally.written.get(), taker.tally.lost.get()), (50, 0));
        let file = File::open(folder.path().join("portcullis.pcapng")).unwrap();
        let mut file = replay::Capture::open(file).unwrap();
        let mut packets = 0;
        while let Some(packet) = file.next_packet() {
            assert_eq!(packet.bytes, [0x45; SNAP]);
            assert_eq!(packet.at, 1_790_000_000_250_000_000);
            packets += 1;
        }
        assert_eq!((packets, file.damages()), (50, [].as_slice()));
        assert!(told.recv().is_err(), "nothing went wrong");
    }

    #[test]
    fn the_comment_is_the_lines_of_the_log() {
        let file = block(&taken(), "eth0");
        let line = "DROP IN=eth0 SRC=203.0.113.7 DST=198.51.100.2 PROTO=TCP SPT=40312 DPT=23 \
                    reason=rate what=login seen=5 limit=4.25";
        let found = file.windows(line.len()).any(|part| part == line.as_bytes());
        assert!(found, "{}", String::from_utf8_lossy(&file));
    }
}
