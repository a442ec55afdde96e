//! The part of the service manager: reads what the daemon notifies, and knows when it was last fed.

use std::os::unix::net::UnixDatagram;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The manager of one daemon.
pub(crate) struct Manager {
    fed: Arc<Mutex<Instant>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Manager {
    /// Reads what comes to a socket whose reads do not wait long.
    pub(crate) fn attend(notices: UnixDatagram) -> Self {
        let fed = Arc::new(Mutex::new(Instant::now()));
        let stop = Arc::new(AtomicBool::new(false));
        let (told, ended) = (Arc::clone(&fed), Arc::clone(&stop));
        let listen = move || {
            let mut buffer = [0; 4096];
            while !ended.load(Relaxed) {
                let Ok(length) = notices.recv(&mut buffer) else { continue };
                if buffer[..length].starts_with(b"WATCHDOG=1") {
                    *told.lock().expect("nobody panics with it") = Instant::now();
                }
            }
        };
        Self { fed, stop, thread: Some(thread::spawn(listen)) }
    }

    /// For how long the watchdog has not been fed.
    pub(crate) fn hungry(&self) -> Duration {
        self.fed.lock().expect("nobody panics with it").elapsed()
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
