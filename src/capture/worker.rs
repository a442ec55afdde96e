//! The policy's capture: a thread that writes what is refused to files.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, UNIX_EPOCH};

use super::blocks::packet;
use super::files::Files;
use super::taker::{Prefix, Taken, Tally};
use super::tap::{Tap, Taps};
use crate::config;
use crate::events::{Event, Interfaces, Line, Record};
use crate::memory::{Limit, Moment};
use crate::policy::Rate;

/// How often the thread looks whether it should end.
const LOOK: Duration = Duration::from_millis(200);

/// The thread that writes.
#[derive(Debug)]
pub struct Capture {
    taps: Arc<Taps>,
    tap: Arc<Tap>,
    stopping: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Capture {
    /// Starts it. `tell` gets what became of writing when that changes: an error, or none when it
    /// works again.
    ///
    /// # Errors
    /// Only if the system has no room for another thread, or there is a policy's capture already.
    pub fn start(
        taps: &Arc<Taps>,
        dir: &Path,
        config: &config::Capture,
        tally: Arc<Tally>,
        tell: impl Fn(Option<&io::Error>) + Send + 'static,
    ) -> io::Result<Self> {
        let (tap, receiver) = taps
            .open_own(config.rate.map(limit), Arc::clone(&tally))
            .ok_or(io::ErrorKind::AlreadyExists)?;
        let stopping = Arc::new(AtomicBool::new(false));
        let path = dir.join("portcullis.pcapng");
        let mut files = Files::new(&path, config.max_size, config.files);
        let thread = {
            let stopping = Arc::clone(&stopping);
            let work = move || write(&receiver, &stopping, &mut files, &tally, &tell);
            thread::Builder::new().name("capture".into()).spawn(work)
        };
        let thread = thread.inspect_err(|_| taps.remove(&tap))?;
        Ok(Self { taps: Arc::clone(taps), tap, stopping, thread })
    }

    /// Writes what waits, and ends.
    pub fn stop(self) {
        self.taps.remove(&self.tap);
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
pub(super) fn block(taken: &Taken, interface: &str) -> Vec<u8> {
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
    use crate::capture::blocks::SNAP;
    use crate::events::sample;
    use crate::replay;

    fn taken() -> Taken {
        Taken { packet: Prefix::of(&[0x45; 300]), judged: sample::judged("203.0.113.7") }
    }

    #[test]
    fn a_stop_writes_what_waits() {
        let folder = tempfile::tempdir().unwrap();
        let (sender, told) = channel();
        let tell = move |error: Option<&io::Error>| {
            let _ = sender.send(error.map(io::Error::kind));
        };
        let config = config::Capture { rate: None, ..config::Capture::default() };
        let (taps, tally): (Arc<Taps>, Arc<Tally>) = Default::default();
        let start = |tell| Capture::start(&taps, folder.path(), &config, Arc::clone(&tally), tell);
        let capture = start(tell).unwrap();
        let judged = sample::judged("203.0.113.7");
        let see = |refused| {
            let wanted = taps.want(&[0x45; 300], &judged.syn, refused, Moment(1));
            wanted.map(|wanted| wanted.take(judged)).is_some()
        };
        assert!((0..50).all(|_| see(true)) && !see(false), "only what is refused");
        capture.stop();
        assert!(!see(true));
        assert_eq!((tally.written.get(), tally.lost.get()), (50, 0));
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
