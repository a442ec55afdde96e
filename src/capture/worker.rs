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
