//! A syslog daemon of the lab, which can go away, or stop reading.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Where it listens.
const PATH: &str = "/run/log";

/// Reads lines and throws them away.
pub(crate) struct Syslog {
    stop: Arc<AtomicBool>,
    asleep: Arc<AtomicBool>,
    lines: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Syslog {
    pub(crate) fn start() -> Self {
        let (stop, asleep, lines) = (Arc::default(), Arc::default(), Arc::default());
        let mut syslog = Self { stop, asleep, lines, thread: None };
        syslog.come();
        syslog
    }

    /// How many lines it got.
    pub(crate) fn lines(&self) -> u64 {
        self.lines.load(Relaxed)
    }

    /// It does not read for a while.
    pub(crate) fn sleep(&self, asleep: bool) {
        self.asleep.store(asleep, Relaxed);
    }

    /// It goes, and its socket with it.
    pub(crate) fn go(&mut self) {
        self.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("it does not panic");
        }
        let _ = fs::remove_file(PATH);
    }

    /// It comes again.
    pub(crate) fn come(&mut self) {
        let socket = UnixDatagram::bind(PATH).expect("a socket");
        socket.set_read_timeout(Some(Duration::from_millis(50))).expect("a timeout");
        self.stop = Arc::default();
        let (stop, asleep, lines) =
            (Arc::clone(&self.stop), Arc::clone(&self.asleep), Arc::clone(&self.lines));
        self.thread = Some(thread::spawn(move || {
            let mut buffer = [0; 4096];
            while !stop.load(Relaxed) {
                if asleep.load(Relaxed) {
                    thread::sleep(Duration::from_millis(20));
                } else if socket.recv(&mut buffer).is_ok() {
                    lines.fetch_add(1, Relaxed);
                }
            }
        }));
    }
}

impl Drop for Syslog {
    fn drop(&mut self) {
        self.sleep(false);
        self.go();
    }
}
