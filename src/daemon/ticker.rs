//! What has to be looked at now and then: floods, listening sockets, the watchdog, rates.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use sd_notify::NotifyState;

use super::floods::Floods;
use super::manager::notify;
use super::shared::Rules;
use super::{Daemon, State};
use crate::config::Config;
use crate::events::{Grouped, Level};
use crate::host;

/// How often completed connections are counted: the interval in which floods are looked for.
const BEAT: Duration = Duration::from_millis(100);
/// After so many of these the listening sockets are looked at: a new service is reachable after a
/// fifth of a second.
const STEP: u32 = 2;
/// How often own addresses, gateways and resolvers are read again: networks come and go.
const INDISPENSABLE: Duration = Duration::from_secs(60);
/// How often it is looked which SSH sessions are open. A peer that reloads is looked for at once.
const SESSIONS: Duration = Duration::from_secs(10);
/// The same alarm is not raised more often.
const ALARM_EVERY: Duration = Duration::from_secs(60);
/// A verdict takes microseconds; a thread that is at one for this long is stuck.
const STUCK: Duration = Duration::from_secs(2);

/// The thread.
pub(super) struct Ticker {
    stop: SyncSender<()>,
    thread: JoinHandle<()>,
}

impl Ticker {
    pub(super) fn start(daemon: &Arc<Daemon>) -> io::Result<Self> {
        let daemon = Arc::clone(daemon);
        let (stop, stopped) = sync_channel(1);
        let thread = thread::Builder::new().name("ticker".into()).spawn(move || {
            let mut ticks = Ticks::new();
            let mut floods = Floods::default();
            let mut beat = 0_u32;
            while stopped.recv_timeout(BEAT) == Err(RecvTimeoutError::Timeout) {
                floods.tick(&daemon);
                beat = (beat + 1) % STEP;
                if beat == 0 {
                    ticks.tick(&daemon);
                }
            }
        })?;
        Ok(Self { stop, thread })
    }

    pub(super) fn stop(self) {
        // If the thread has ended already, there is nothing to stop.
        let _ = self.stop.try_send(());
        let _ = self.thread.join();
    }
}

struct Ticks {
    /// How often systemd wants to hear from us; half of what it allows.
    watchdog: Option<Duration>,
    fed: Instant,
    refreshed: Instant,
    sessions: Instant,
    stuck: bool,
    unreadable: bool,
    /// The kernel has not been told of the last change of served ports.
    untold: bool,
    /// Losses that were told.
    lost: u64,
    alarmed: Option<Instant>,
}

impl Ticks {
    fn new() -> Self {
        let now = Instant::now();
        let watchdog = sd_notify::watchdog_enabled().map(|limit| limit / 2);
        Self {
            watchdog,
            fed: now,
            refreshed: now,
            sessions: now,
            stuck: false,
            unreadable: false,
            untold: false,
            lost: 0,
            alarmed: None,
        }
    }

    fn tick(&mut self, daemon: &Arc<Daemon>) {
        self.watch(daemon);
        daemon.look_at_trial();
        // A reload may hold the state while it waits for nft; the watchdog must not wait with it.
        let Ok(mut state) = daemon.state.try_lock() else { return };
        self.look_at_ports(daemon, &mut state);
        let counters = daemon.shared.counters.sum();
        state.rates.note(daemon.shared.now(), &counters);
        self.look_at_losses(daemon, counters.lost);
        if self.refreshed.elapsed() >= INDISPENSABLE {
            self.refreshed = Instant::now();
            daemon.look_at_addresses(&mut state);
        }
        if self.sessions.elapsed() >= SESSIONS {
            self.sessions = Instant::now();
            daemon.look_at_sessions(&mut state);
        }
    }

    /// Feeds systemd's watchdog, as long as verdicts make progress.
    fn watch(&mut self, daemon: &Daemon) {
        let stuck = daemon.shared.longest_verdict() > STUCK;
        if stuck && !self.stuck {
            let text =
                "a verdict does not come to an end; systemd's watchdog will restart the gate";
            daemon.say(Level::Error, "stuck", text.to_owned());
        }
        self.stuck = stuck;
        if self.watchdog.is_some_and(|every| self.fed.elapsed() >= every) && !stuck {
            notify(&[NotifyState::Watchdog]);
            self.fed = Instant::now();
        }
    }

    /// Raises an alarm, at most once a minute, when packets passed the gate unjudged.
    fn look_at_losses(&mut self, daemon: &Daemon, lost: u64) {
        if lost > self.lost && self.alarmed.is_none_or(|at| at.elapsed() >= ALARM_EVERY) {
            let text = format!(
                "{} SYNs found no room in the queue's buffer and were not judged (when_full says \
                 what became of them); raise [queue] length or threads, or net.core.rmem_max",
                Grouped(lost - self.lost)
            );
            daemon.say(Level::Warning, "lost", text);
            self.alarmed = Some(Instant::now());
            self.lost = lost;
        }
    }

    /// Brings the served ports of the policy and of the kernel in step with what listens.
    fn look_at_ports(&mut self, daemon: &Daemon, state: &mut State) {
        let listening = match host::listening_ports() {
            Ok(listening) => listening,
            Err(error) => {
                if !self.unreadable {
                    let text = format!(
                        "the listening sockets cannot be read: {error}; the served ports stay as they are"
                    );
                    daemon.say(Level::Error, "ports", text);
                }
                self.unreadable = true;
                return;
            }
        };
        self.unreadable = false;
        let grace = state.config.policy.ports.closed_grace;
        let changed = state.listening.note(listening, grace, daemon.shared.now());
        if !(changed || self.untold) || !state.config.policy.ports.listening {
            return;
        }
        let mut config = Config::clone(&state.config);
        config.policy.ports.serve(state.listening.listening(), &state.listening.closing());
        let served = config.policy.ports.reachable();
        daemon.shared.rules.store(Arc::new(Rules::new(&config)));
        state.config = Arc::new(config);
        // Too many orders wait: the next tick will do.
        self.untold = !daemon.orders.served(served);
    }
}
