//! The thread that lets the anomaly detector learn, tells what it found, and keeps its model.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::{Daemon, lock, model};
use crate::anomaly::{Alarm, Tended, Unusual, explain};
use crate::events::{Grouped, Level};
use crate::memory::SourceKey;

/// How often it looks.
const STEP: Duration = Duration::from_secs(20);
/// How often the model is saved.
const SAVE_EVERY: Duration = Duration::from_secs(300);
/// Features that are told of an unusual source.
const FEATURES_TOLD: usize = 3;

/// The thread.
pub(super) struct Learner {
    stop: SyncSender<()>,
    thread: JoinHandle<()>,
}

impl Learner {
    pub(super) fn start(daemon: &Arc<Daemon>) -> io::Result<Self> {
        let daemon = Arc::clone(daemon);
        let (stop, stopped) = sync_channel(1);
        let thread = thread::Builder::new().name("learner".into()).spawn(move || {
            let mut keeper = Keeper { saved: Instant::now(), failing: false };
            while stopped.recv_timeout(STEP) == Err(RecvTimeoutError::Timeout) {
                look(&daemon);
                if keeper.saved.elapsed() >= SAVE_EVERY {
                    keeper.save(&daemon);
                }
            }
            look(&daemon);
            keeper.save(&daemon);
        })?;
        Ok(Self { stop, thread })
    }

    /// Saves once more and ends.
    pub(super) fn stop(self) {
        // If the thread has ended already, there is nothing to stop.
        let _ = self.stop.try_send(());
        let _ = self.thread.join();
    }
}

/// Learns, and tells what there is to tell.
fn look(daemon: &Daemon) {
    let shared = &daemon.shared;
    let budget = shared.rules.load().policy.anomaly.budget();
    let Tended { alarm, unusual } = shared.memory.learn(shared.now(), budget);
    for one in unusual {
        daemon.say(Level::Notice, "anomaly", about(daemon, one));
    }
    if let Some(alarm) = alarm {
        daemon.say(Level::Warning, "anomaly", words(alarm));
    }
}

/// An unusual source in a sentence.
fn about(daemon: &Daemon, Unusual { source, digest, score, .. }: Unusual) -> String {
    let scorer = daemon.shared.memory.anomaly.scorer();
    let shares = scorer.shares(digest);
    let because: Vec<String> = shares.iter().take(FEATURES_TOLD).map(explain).collect();
    format!(
        "{} behaves like no other here (score {score:.1}, limit {:.1}): it {}",
        SourceKey::from_bits(source),
        scorer.limit(),
        because.join("; ")
    )
}

fn words(alarm: Alarm) -> String {
    match alarm {
        Alarm::Drift { distance } => format!(
            "what the anomaly detector learnt today departs by {:.0} % from what it knew; it has \
             forgotten it again and learns nothing for a day. If visitors of a new kind are \
             expected, nothing needs to be done",
            100.0 * distance
        ),
        Alarm::Flagged { flagged, of } => format!(
            "{} of {} proven sources behave like no other today, far more than foreseen; the \
             anomaly detector learns nothing for a day. See: portcullis status",
            Grouped(flagged),
            Grouped(of)
        ),
    }
}

struct Keeper {
    saved: Instant,
    /// The last attempt failed, and the admin knows.
    failing: bool,
}

impl Keeper {
    fn save(&mut self, daemon: &Daemon) {
        self.saved = Instant::now();
        let folder = lock(&daemon.state).config.bans.state_dir.clone();
        match model::save(&folder, &daemon.shared.memory.anomaly) {
            Ok(()) => self.failing = false,
            Err(_) if self.failing => {}
            Err(error) => {
                self.failing = true;
                let text = format!(
                    "cannot save what the anomaly detector learnt in {}: {error}; it is tried \
                     again every five minutes",
                    folder.display()
                );
                daemon.say(Level::Warning, "anomaly", text);
            }
        }
    }
}
