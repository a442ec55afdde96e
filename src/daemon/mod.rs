//! The composition root: which threads there are, and the order of start and stop.
//!
//! ```text
//!  main      signals: TERM and INT stop, HUP reloads
//!  queue-N   one per queue: packet → judge → verdict
//!  firewall  standings → ledger → kernel sets
//!  events    lines and JSON
//!  names     looks up the allow list's names
//!  learner   lets the anomaly detector learn, keeps its model
//!  ticker    which ports listen, the watchdog, rates, floods
//!  control   the socket that the command line talks to
//!  capture   refused packets in files, if the policy wants them
//!  metrics   numbers over HTTP, if the policy wants them; another one for the file
//! ```
//!
//! Start: the policy and the ledger are read, at the same time; then the state folder and the queues
//! are taken (no other gate is in the way; if the ledger is another by now, it is read again); then
//! the process locks itself up, before there is a second thread; then ledger and kernel table (bans
//! act), and only then the redirect hands packets to the queues. Where standings are many, the kernel's sets
//! are filled after that, and the judge stops those who are not in them yet: what a start waits for
//! is that everybody is known, not that the kernel knows. Stop is the reverse: the redirect is
//! removed, the queues are emptied, and what stays are the table and its
//! sets, so that bans outlive the daemon.

mod advice;
mod answers;
mod busiest;
mod capturing;
mod confined;
mod confirming;
mod floods;
mod gate;
mod learner;
mod lifeline;
mod listening;
mod manager;
mod measures;
mod model;
mod names;
mod never;
mod place;
mod reload;
mod sessions;
mod shared;
mod ticker;
mod trial;

use std::collections::BTreeSet;
use std::io;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use ipnet::IpNet;
use sd_notify::NotifyState;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};
use thiserror::Error;

use self::gate::Gate;
use self::lifeline::Lifeline;
use self::listening::Listening;
use self::manager::notify;
use self::measures::Measures;
use self::place::Place;
use self::reload::{Reloaded, Reloader};
use self::shared::{Rules, Shared};
use self::trial::Trials;
use crate::capture::{Capture, Tally, Taps};
use crate::config::{Config, ConfigErrors, Loaded, Mode};
use crate::confine::Confinement;
use crate::control;
use crate::events::{Event, Events, Level, Notice, Rates, Teller};
use crate::firewall::{self, Firewall, Orders, ReadAhead};
use crate::host;
use crate::memory::Moment;
use crate::names::Book;
use crate::queue::QueueError;

/// Why the daemon could not start, or had to end.
#[derive(Debug, Error)]
pub enum Failure {
    /// The policy has mistakes.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// The firewall room could not be set up: another instance, no permission, no nft, …
    #[error(transparent)]
    Firewall(#[from] firewall::StartError),
    /// Packets cannot be handed to the queues.
    #[error(transparent)]
    Redirect(#[from] firewall::OrderError),
    /// A queue could not be bound.
    #[error(transparent)]
    Queue(QueueError),
    /// Another program has the queue.
    #[error(
        "queue {number} belongs to {who}.\n\
         Stop that program, or give the gate another number: [queue] number = {free}{how}"
    )]
    QueueTaken {
        /// Its number.
        number: u16,
        /// The program, as far as this user may know.
        who: String,
        /// A number that is free, as far as this user may know.
        free: u16,
        /// How to see more.
        how: &'static str,
    },
    /// The control socket could not be opened.
    #[error(transparent)]
    Control(#[from] control::StartError),
    /// The system refused something that it should not refuse.
    #[error("cannot {step}: {error}")]
    System {
        /// What was attempted.
        step: &'static str,
        /// What the system said.
        error: io::Error,
    },
    /// Nobody confirmed the start (`portcullis run --confirm`).
    #[error(
        "nobody confirmed this start: the gate has ended, and nothing of it is in the kernel any \
         more{0}"
    )]
    Unconfirmed(String),
    /// A queue broke while it was in use.
    #[error("queue {number} can no longer be used: {error}")]
    Broken {
        /// Its number.
        number: u16,
        /// What the kernel said.
        error: io::Error,
    },
}

/// The exit code of a start, or of a reload, that nobody confirmed. Behind those of sysexits.h, and
/// in the systemd unit's RestartPreventExitStatus.
pub const UNCONFIRMED: u8 = 79;

impl Failure {
    /// The exit code (sysexits.h).
    pub fn code(&self) -> ExitCode {
        ExitCode::from(match self {
            Failure::Config(errors) if errors.missing => 66,
            Failure::Config(_) => 78,
            Failure::Firewall(error) => error.code(),
            Failure::Redirect(_) => 77,
            Failure::Queue(QueueError::Forbidden) => 77,
            Failure::Queue(_) | Failure::QueueTaken { .. } | Failure::Control(_) => 69,
            Failure::System { .. } | Failure::Broken { .. } => 71,
            Failure::Unconfirmed(_) => UNCONFIRMED,
        })
    }
}

/// What the control thread, the ticker and the signals work on.
struct Daemon {
    path: PathBuf,
    shared: Arc<Shared>,
    state: Mutex<State>,
    /// Held from reading a policy until it is in force: the one that was read last counts.
    reloading: Mutex<()>,
    reloads: Reloaded,
    /// Locked while `reloading` is, or for a moment.
    trials: Mutex<Trials>,
    /// The policy on disk failed its trial, or it was not over, when the daemon started: it only
    /// observes.
    doubtful: AtomicBool,
    /// Ends the daemon.
    end: Handle,
    captured: Arc<Tally>,
    /// The policy's capture, and those that were asked for.
    taps: Arc<Taps>,
    /// The policy's capture.
    capture: Mutex<Option<Capture>>,
    /// The allow list's names. Locked after the state where both are.
    names: Mutex<Book>,
    orders: Orders,
    teller: Teller,
    events: Mutex<Option<Events>>,
    /// What each queue was given.
    queues: Vec<(u16, u32)>,
    /// How packets come to the queues.
    redirect: String,
    /// What this process has locked itself up with.
    confinement: Confinement,
}

/// What a reload replaces, and what has to be told apart from it.
struct State {
    config: Arc<Config>,
    loaded: SystemTime,
    listening: Listening,
    /// The policy's files.
    files: Vec<PathBuf>,
    /// The state folder, and those that policies on trial have named for the next start.
    folders: BTreeSet<PathBuf>,
    /// SSH sessions, and who is spared because of one.
    lifeline: Lifeline,
    /// Addresses that must never be locked out, as last looked up.
    indispensable: Vec<IpNet>,
    rates: Rates,
}

/// Runs the daemon until it is told to stop. With `confirm`, it takes everything out of the kernel
/// again and ends after so long, unless somebody confirms that all is well.
///
/// # Errors
/// [`Failure`]. Whatever was installed by then is removed again, except standings and their sets.
pub fn run(path: &Path, confirm: Option<Duration>) -> Result<(), Failure> {
    let system = |step| move |error| Failure::System { step, error };
    // Signals first: one that comes during the start is not lost.
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP]).map_err(system("catch signals"))?;
    let (loaded, ahead) = read(path);
    let Loaded { mut config, warnings, files } = loaded?;
    // It shut somebody out, perhaps; until somebody says that it is good, it shuts out nobody.
    let doubtful = trial::is_marked(&config.bans.state_dir, &files);
    if doubtful {
        config.mode = Mode::Observe;
    }
    let place = Place::take(&config, ahead)?;
    // While there is one thread: those that it starts are confined with it.
    let confinement = confined::enter(&config, &files)?;
    let (teller, events) = Events::start(&config.events).map_err(system("start a thread"))?;
    let handle = signals.handle();
    let start = Start { path, config: &config, files, confinement, teller: &teller, handle };
    let (daemon, running) = match start.everything(place) {
        Ok(started) => started,
        Err(failure) => {
            events.stop();
            return Err(failure);
        }
    };
    let reloader = match Reloader::start(&daemon) {
        Ok(reloader) => reloader,
        Err(error) => {
            // As for any other thread that does not start: nobody judges, bans act.
            let stopped = running.stop(&daemon);
            events.stop();
            return stopped.and(Err(system("start a thread")(error)));
        }
    };
    for warning in &warnings {
        daemon.say(Level::Warning, "policy", warning.in_a_line());
    }
    daemon.keep(events);
    daemon.announce(&config);
    daemon.say_confined(&config);
    if doubtful {
        daemon.doubtful.store(true, Relaxed);
        daemon.say_doubtful();
    }
    if let Some(lasts) = confirm {
        daemon.begin_start_trial(lasts);
    }
    notify(&[NotifyState::Ready]);

    for signal in &mut signals {
        match signal {
            SIGHUP => reloader.reload(),
            _ => break,
        }
    }
    notify(&[NotifyState::Stopping]);
    // Whoever ends it before it was confirmed has not confirmed it.
    let unconfirmed = daemon.is_start_unconfirmed();
    let outcome = running.stop(&daemon);
    if !unconfirmed {
        return outcome;
    }
    let left = match firewall::unload(&config) {
        Ok(_) => String::new(),
        Err(error) => format!(", except what could not be removed ({error})"),
    };
    Err(Failure::Unconfirmed(left))
}

/// Reads the policy with its lists, and meanwhile the ledger: each takes its time if it is long. The
/// second thread has ended when this returns.
fn read(path: &Path) -> (Result<Loaded, ConfigErrors>, Option<ReadAhead>) {
    let folder = crate::config::state_dir(path);
    thread::scope(|scope| {
        let ledger = thread::Builder::new().spawn_scoped(scope, || ReadAhead::of(&folder));
        let policy = crate::config::load(path);
        // Whatever went wrong: it is read again.
        (policy, ledger.ok().and_then(|ledger| ledger.join().ok()).flatten())
    })
}

/// What a start needs at every step.
struct Start<'a> {
    path: &'a Path,
    config: &'a Config,
    files: Vec<PathBuf>,
    confinement: Confinement,
    teller: &'a Teller,
    handle: Handle,
}

/// The threads, and how to end them.
struct Running {
    firewall: Firewall,
    gates: Vec<JoinHandle<()>>,
    /// Where a queue thread says that its queue broke.
    broken: Receiver<Failure>,
    control: control::Server,
    ticker: ticker::Ticker,
    learner: learner::Learner,
    resolver: names::Resolver,
    measures: Measures,
}

impl Start<'_> {
    fn everything(&self, place: Place) -> Result<(Arc<Daemon>, Running), Failure> {
        let Place { alone, ahead, queues } = place;
        let mut listening = Listening::default();
        let ports = host::listening_ports()
            .map_err(|error| Failure::System { step: "read the listening sockets", error })?;
        listening.note(ports, self.config.policy.ports.closed_grace, Moment::default());
        let mut config = Config::clone(self.config);
        config.policy.ports.serve(listening.listening(), &listening.closing());
        let mut lifeline = Lifeline::begin(&config, Moment(1));
        // A start before the network is up must not lock out who was trusted until now.
        let (book, names_unread) =
            names::restore(&config.bans.state_dir, &config, SystemTime::now());
        names::fill(&mut config, &book);
        let config = Arc::new(config);
        let shared = Shared::new(&config);

        let unread = model::restore(
            &self.config.bans.state_dir,
            &shared.memory.anomaly,
            config.policy.anomaly.budget(),
            SystemTime::now(),
        );
        let facts = queues.iter().map(|queue| (queue.number(), queue.holds())).collect();

        let (teller, lost) = (self.teller.clone(), Arc::clone(&shared));
        let owed = Arc::clone(&shared.owed);
        let own = host::indispensable(&[]);
        let firewall = Firewall::start_alone(alone, &config, own, ahead, owed, move |event| {
            if !teller.tell(event) {
                lost.counters.block(0).events_lost.add(1);
            }
        })?;
        // Only now is it known who has a standing.
        let kept = lifeline.leave_out_standings(&firewall.orders());
        let indispensable = host::indispensable(&lifeline.peers());
        firewall
            .orders()
            .send(firewall::Order::Protect { nets: indispensable.clone() })
            .map_err(firewall::OrderError::from)?;
        let mut config = Config::clone(&config);
        config.policy.lifelines = lifeline.lifelines();
        let config = Arc::new(config);
        shared.rules.store(Arc::new(Rules::new(&config)));

        let captured = Arc::default();
        let taps: Arc<Taps> = Arc::default();
        let capture = capturing::start(&taps, &self.config.capture, self.teller, &captured)?;
        let (report, broken) = channel();
        let mut gates = Vec::new();
        for (index, queue) in queues.into_iter().enumerate() {
            let gate = Gate {
                queue,
                index,
                shared: Arc::clone(&shared),
                teller: self.teller.clone(),
                orders: firewall.orders(),
                taps: Arc::clone(&taps),
            };
            gates.push(self.queue_thread(gate, report.clone())?);
        }
        let redirect = firewall.open()?.words;

        let daemon = Arc::new(Daemon {
            path: self.path.to_owned(),
            shared,
            state: Mutex::new(State {
                config: Arc::clone(&config),
                loaded: SystemTime::now(),
                listening,
                files: self.files.clone(),
                folders: BTreeSet::from([config.bans.state_dir.clone()]),
                lifeline,
                indispensable,
                rates: Rates::default(),
            }),
            reloading: Mutex::new(()),
            reloads: Reloaded::default(),
            trials: Mutex::default(),
            doubtful: AtomicBool::new(false),
            end: self.handle.clone(),
            captured,
            taps,
            capture: Mutex::new(capture),
            names: Mutex::new(book),
            orders: firewall.orders(),
            teller: self.teller.clone(),
            events: Mutex::new(None),
            queues: facts,
            redirect,
            confinement: self.confinement.clone(),
        });
        if let Err(text) = unread {
            daemon.say(Level::Warning, "anomaly", text);
        }
        if let Some(text) = names_unread {
            daemon.say(Level::Warning, "names", text);
        }
        for peer in kept {
            let text = format!(
                "{peer} has an SSH session open and a standing on record, which it keeps: a new \
                 session may be refused. If it is to get in: portcullis bans remove {peer}"
            );
            daemon.say(Level::Warning, "lifeline", text);
        }
        match attendants(&daemon, &config) {
            Ok((control, ticker, learner, resolver)) => {
                let measures = Measures::start(&daemon, &config);
                let running = Running {
                    firewall,
                    gates,
                    broken,
                    control,
                    ticker,
                    learner,
                    resolver,
                    measures,
                };
                Ok((daemon, running))
            }
            Err(failure) => {
                // Nobody will listen to the queues. If this fails too, the rules' bypass is left.
                let _ = firewall.close();
                Err(failure)
            }
        }
    }

    /// Starts a queue thread. If its queue breaks, it says so and wakes the main thread.
    fn queue_thread(&self, gate: Gate, report: Sender<Failure>) -> Result<JoinHandle<()>, Failure> {
        let number = gate.queue.number();
        let handle = self.handle.clone();
        thread::Builder::new()
            .name(format!("queue-{number}"))
            .spawn(move || {
                // A pause of 50 µs is to be one of 50, not of 100 (prctl(2), PR_SET_TIMERSLACK).
                let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
                if let Err(error) = gate.run() {
                    // If nobody listens any more, the daemon is ending already.
                    let _ = report.send(Failure::Broken { number, error });
                    handle.close();
                }
            })
            .map_err(|error| Failure::System { step: "start a thread", error })
    }
}

/// The threads that are not needed for judging.
fn attendants(
    daemon: &Arc<Daemon>,
    config: &Config,
) -> Result<(control::Server, ticker::Ticker, learner::Learner, names::Resolver), Failure> {
    let answering = Arc::clone(daemon);
    let control = control::Server::start(
        &config.control.socket,
        config.control.group.as_deref(),
        Arc::new(move |request| answering.answer(request)),
    )?;
    let failed = |error| Failure::System { step: "start a thread", error };
    let ticker = ticker::Ticker::start(daemon).map_err(failed)?;
    let learner = learner::Learner::start(daemon).map_err(failed)?;
    let resolver = names::Resolver::start(daemon).map_err(failed)?;
    Ok((control, ticker, learner, resolver))
}

impl Running {
    /// Ends everything in order: no more packets, empty queues, then the rest.
    fn stop(self, daemon: &Daemon) -> Result<(), Failure> {
        let Running { firewall, gates, broken, control, ticker, learner, resolver, measures } =
            self;
        control.stop();
        daemon.taps.close();
        measures.stop();
        ticker.stop();
        resolver.stop();
        let closed = firewall.close();
        daemon.shared.draining.store(true, Relaxed);
        for gate in gates {
            // A gate that panicked has ended the process already (panic = "abort").
            let _ = gate.join();
        }
        learner.stop();
        daemon.end_capture();
        firewall.stop();
        let outcome = broken.try_recv().map_or(Ok(()), Err).and(closed.map_err(Failure::from));
        match &outcome {
            Ok(()) => daemon.say(
                Level::Notice,
                "stop",
                "new connections are no longer judged; standings and their sets stay".to_owned(),
            ),
            Err(failure) => daemon.say(Level::Error, "stop", failure.to_string()),
        }
        daemon.last_words();
        outcome
    }
}

impl Daemon {
    fn say(&self, level: Level, what: &'static str, text: String) {
        let notice = Notice { at: SystemTime::now(), level, what, text };
        if !self.teller.tell_patiently(Event::Notice(notice)) {
            self.shared.counters.block(0).events_lost.add(1);
        }
    }

    /// The ports that are served at this moment, in words.
    fn served(&self) -> String {
        let ports = &self.shared.rules.load().policy.ports;
        match ports.served.to_string() {
            _ if ports.any => "any".to_owned(),
            none if none.is_empty() => "none".to_owned(),
            list => list,
        }
    }

    /// Takes charge of the thread that tells.
    fn keep(&self, events: Events) {
        *lock(&self.events) = Some(events);
    }

    /// Lets the thread that tells finish.
    fn last_words(&self) {
        if let Some(events) = lock(&self.events).take() {
            events.stop();
        }
    }

    /// Says what the gate is and does, once it does it.
    fn announce(&self, config: &Config) {
        let served = self.served();
        let mode = match config.mode {
            Mode::Enforce => "enforcing",
            Mode::Observe => "observing only",
        };
        self.say(
            Level::Notice,
            "start",
            format!(
                "portcullis {} is {mode}, packets come {}, served ports: {served}",
                env!("CARGO_PKG_VERSION"),
                self.redirect
            ),
        );
        for (number, holds) in &self.queues {
            if *holds < config.queue.length {
                let text = format!(
                    "queue {number} has room for only {holds} of {} waiting SYNs: without \
                     CAP_NET_ADMIN on the host its buffer is bounded by the sysctl \
                     net.core.rmem_max; raise that, or lower [queue] length",
                    config.queue.length
                );
                self.say(Level::Warning, "buffer", text);
            }
        }
    }
}

/// A lock whose holder can only have panicked together with the whole process.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
