//! Packets in files, if the policy wants them, and captures that somebody asks for.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::answers::timestamp;
use super::{Daemon, Failure, lock};
use crate::capture::{Bounds, Capture, Filter, MOST_TAPS, Stream, Tally, Tap, Taps};
use crate::config;
use crate::control::{CaptureRow, CaptureWish, Done, Refusal, Reply, Response, Trouble};
use crate::events::{Event, Level, Notice, Span, Teller};
use crate::memory::Limit;
use crate::policy::PortSet;

/// The longest that a capture on request can last.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);
/// The most prefixes that it can name: each is looked at for every packet.
const MOST_PREFIXES: usize = 16;

/// Starts the thread that writes them, if the policy wants it.
///
/// # Errors
/// Only if the system has no room for another thread.
pub(super) fn start(
    taps: &Arc<Taps>,
    config: &config::Capture,
    teller: &Teller,
    tally: &Arc<Tally>,
) -> Result<Option<Capture>, Failure> {
    let Some(dir) = config.dir.clone() else { return Ok(None) };
    let (teller, own) = (teller.clone(), dir.clone());
    let tell = move |error: Option<&io::Error>| {
        let (level, text) = match error {
            None => (Level::Notice, "refused packets are captured again".to_owned()),
            Some(error) => (Level::Warning, unwritten(&own, error)),
        };
        let notice = Notice { at: SystemTime::now(), level, what: "capture", text };
        // What cannot be told is seen in the metrics.
        let _ = teller.tell_patiently(Event::Notice(notice));
    };
    Capture::start(taps, &dir, config, Arc::clone(tally), tell)
        .map(Some)
        .map_err(|error| Failure::System { step: "start a thread", error })
}

fn unwritten(dir: &Path, error: &io::Error) -> String {
    format!(
        "refused packets are not captured: {} cannot be written to: {error}. The gate itself works. \
         See that the folder exists and that the daemon's user may write there (ReadWritePaths= in \
         the systemd unit); it is tried again",
        dir.display()
    )
}

impl Daemon {
    /// The policy's capture as a new policy wants it. What waits is written before.
    pub(super) fn recapture(&self, config: &config::Capture) -> Result<(), Failure> {
        let mut capture = lock(&self.capture);
        if let Some(old) = capture.take() {
            old.stop();
        }
        *capture = start(&self.taps, config, &self.teller, &self.captured)?;
        Ok(())
    }

    /// The policy's capture ends; what waits is written.
    pub(super) fn end_capture(&self) {
        if let Some(capture) = lock(&self.capture).take() {
            capture.stop();
        }
    }

    /// Shows what comes to whoever asks, through their own conversation.
    pub(super) fn capture(&self, wish: &CaptureWish) -> Reply {
        let refuse = |kind, text: String| Response::Error(Refusal::new(kind, text)).into();
        if wish.from.len() > MOST_PREFIXES || wish.lasts > LONGEST {
            let text = format!(
                "a capture lasts at most {}, and names at most {MOST_PREFIXES} prefixes",
                Span(LONGEST)
            );
            return refuse(Trouble::Usage, text);
        }
        let bounds = Bounds { lasts: wish.lasts, count: wish.count.unwrap_or(u64::MAX) };
        let (filter, limit) = (filter(wish), limit(wish.rate));
        let what = filter.to_string();
        let Some(stream) = Stream::open(&self.taps, filter, limit, bounds) else {
            let text = format!(
                "there are {MOST_TAPS} captures already (portcullis status shows them); end one \
                 with Ctrl-C, or try again later"
            );
            return refuse(Trouble::Unavailable, text);
        };
        // Who talks to this host is nobody else's business: that it was looked at is told.
        let begun = format!("a capture has begun: {what}, for {} at most", Span(wish.lasts));
        self.say(Level::Info, "capture", begun);
        let done = Done { changed: 0, text: format!("capturing: {what}"), warnings: Vec::new() };
        let write = move |out: &mut dyn Write| stream.write(out);
        Reply::Stream(Response::Done(done), Box::new(write))
    }

    /// The captures that last.
    pub(super) fn capture_rows(&self) -> Vec<CaptureRow> {
        let row = |tap: &Arc<Tap>| {
            let tally = tap.tally();
            CaptureRow {
                what: tap.filter().to_string(),
                since: timestamp(tap.since()),
                packets: tally.written.get(),
                missing: tally.passed_over.get() + tally.lost.get(),
            }
        };
        self.taps.asked().iter().map(row).collect()
    }
}

fn filter(wish: &CaptureWish) -> Filter {
    let mut ports = PortSet::default();
    wish.ports.iter().for_each(|(first, last)| ports.insert_range(*first..=*last));
    let from = wish.from.iter().map(|net| net.trunc()).collect();
    Filter { all: wish.all, from, ports: (!wish.ports.is_empty()).then_some(ports) }
}

/// So many packets a second, and as many at once.
fn limit(rate: u32) -> Option<Limit> {
    (rate > 0).then(|| Limit::new(rate, 1_000_000_000, rate))
}
