//! Ordinary clients: people with curl, and a load on open connections.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use portcullis::lab::Host;

use super::{SERVER, Wrk};

/// From one fetch to the next.
const PACE: Duration = Duration::from_millis(200);

/// What somebody with curl saw.
#[derive(Clone, Debug, Default)]
pub(crate) struct Curl {
    /// Fetches that were answered well…
    pub(crate) ok: usize,
    /// …of all.
    pub(crate) all: usize,
    /// How long each took to connect, shortest first.
    connects: Vec<Duration>,
}

/// Somebody who goes on fetching.
pub(crate) struct Fetching {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<std::io::Result<Curl>>,
}

impl Curl {
    /// Fetches a page every 200 ms from an address of `host`, each with a connection of its own.
    pub(crate) fn start(host: &Host, from: &'static str) -> Fetching {
        let stop = Arc::<AtomicBool>::default();
        let told = Arc::clone(&stop);
        let thread = host.spawn(move || fetches(from, &told)).expect("a thread");
        Fetching { stop, thread }
    }

    /// The usual time to connect.
    pub(crate) fn median(&self) -> Duration {
        self.connects.get(self.connects.len() / 2).copied().unwrap_or_default()
    }

    /// The longest time to connect.
    pub(crate) fn longest(&self) -> Duration {
        self.connects.last().copied().unwrap_or_default()
    }
}

impl Fetching {
    /// Ends it after the fetch that is under way.
    pub(crate) fn stop(self) -> Curl {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("it does not panic").expect("it is in its host")
    }
}

fn fetches(from: &str, stop: &AtomicBool) -> Curl {
    let mut seen = Curl::default();
    let url = format!("http://{SERVER}/");
    while !stop.load(Ordering::Relaxed) {
        let begun = Instant::now();
        let mut curl = Command::new("curl");
        curl.args(["-s", "--max-time", "5", "--interface", from, "-o", "/dev/null"]);
        curl.args(["-w", "%{http_code} %{time_connect}", &url]).stdin(Stdio::null());
        let said = curl.output().map(|output| output.stdout).unwrap_or_default();
        let said = String::from_utf8_lossy(&said).into_owned();
        let (code, seconds) = said.split_once(' ').unwrap_or_default();
        seen.all += 1;
        if code == "200" {
            seen.ok += 1;
            seen.connects.extend(seconds.parse().ok().map(Duration::from_secs_f64));
        }
        std::thread::sleep(PACE.saturating_sub(begun.elapsed()));
    }
    seen.connects.sort_unstable();
    seen
}

/// Two seconds of wrk's load from `host`, on two connections that it keeps open.
pub(super) fn load(host: &Host) -> JoinHandle<Wrk> {
    let load = || {
        let mut wrk = Command::new("wrk");
        let output = wrk.args(["-t1", "-c2", "-d2s", &format!("http://{SERVER}/")]).output();
        output.map(|output| Wrk::read(&String::from_utf8_lossy(&output.stdout)).unwrap_or_default())
    };
    let thread = host.spawn(load).expect("a thread");
    std::thread::spawn(|| thread.join().expect("no panic").expect("a host").unwrap_or_default())
}
