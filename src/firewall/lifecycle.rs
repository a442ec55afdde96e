//! Start, open, close, stop.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::SystemTime;

use ipnet::IpNet;

use super::boot;
use super::child::{OwnTools, ToolError};
use super::clock::Clock;
use super::kernel::Kernel;
use super::ledger::{Change, Ledger, Rules};
use super::lock::{Lock, LockError};
use super::orders::{Gone, Message, Opened, Order, Orders};
use super::owed::Owed;
use super::read_ahead::ReadAhead;
use super::redirect::RedirectError;
use super::store::{Damage, Line, Store, StoreError};
use super::teller::Teller;
use super::watch::Watch;
use super::worker::{State, Worker};
use crate::config::{Config, Mode};
use crate::events::{Event, Level};
use crate::policy::Standing;

/// The firewall did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A second instance, or no usable state folder.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The ledger cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// nft is missing.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// The table cannot be installed.
    #[error(transparent)]
    Table(#[from] RedirectError),
    /// No thread can be started.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] std::io::Error),
}

impl StartError {
    /// The exit code (sysexits.h).
    pub fn code(&self) -> u8 {
        match self {
            StartError::Lock(LockError::Taken { .. }) | StartError::Tool(_) => 69,
            StartError::Lock(LockError::Open { .. }) => 73,
            StartError::Store(_) => 74,
            StartError::Table(_) => 77,
            StartError::Thread(_) => 71,
        }
    }
}

/// An order was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// The thread has ended.
    #[error(transparent)]
    Gone(#[from] Gone),
    /// The kernel did not take it.
    #[error(transparent)]
    Redirect(#[from] RedirectError),
}

/// Room for orders that wait.
const WAITING: usize = 16_384;

/// The running firewall: the ledger, the kernel's table, and the thread that keeps them together.
#[derive(Debug)]
pub struct Firewall {
    orders: Orders,
    worker: Option<JoinHandle<()>>,
    watcher: Option<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
    _lock: Lock,
}

impl Firewall {
    /// Takes the state folder's lock, loads the ledger and installs the table without the
    /// redirect, adopting what an earlier run left. `protected` are the prefixes that this host
    /// cannot do without: its addresses, gateways, resolvers, the peers of open SSH sessions.
    /// `events` is told what happens; it must not wait.
    pub fn start(
        config: &Arc<Config>,
        protected: Vec<IpNet>,
        events: impl Fn(Event) + Send + 'static,
    ) -> Result<Self, StartError> {
        let lock = Lock::take(&config.bans.state_dir)?;
        Self::start_alone(lock, config, protected, None, Arc::default(), events)
    }

    /// The same, for a caller who has taken the lock of the state folder and then looked whether
    /// there is anything else in the way. If the ledger was read ahead and is still the same, it is
    /// not read again. Until the kernel's sets are full, `owed` has what they do not.
    ///
    /// # Errors
    /// As for [`Self::start`].
    pub fn start_alone(
        lock: Lock,
        config: &Arc<Config>,
        protected: Vec<IpNet>,
        ahead: Option<ReadAhead>,
        owed: Arc<Owed>,
        events: impl Fn(Event) + Send + 'static,
    ) -> Result<Self, StartError> {
        let folder = &config.bans.state_dir;
        let looked = boot::look();
        let now = looked.wall;
        let mut teller = Teller::new(events);
        let rules = Rules::new(config, &protected);
        let ahead = ahead.map(|ahead| ahead.settle(folder, &rules)).transpose()?.flatten();
        let (mut store, mut ledger) = match ahead {
            Some(both) => both,
            None => open(folder, rules, &teller, now)?,
        };
        // First: what was given by the clock as it was does not end only because it was set.
        let (clock, jump) = Clock::begin(store.clock(), &boot::boot(), looked);
        if clock.boot.is_empty() {
            let text = format!(
                "the system does not tell which boot of the machine this is (neither {} nor {}, \
                 which the systemd unit sets): a clock that is set between two runs makes bans \
                 shorter or longer",
                boot::KERNELS,
                boot::TOLD
            );
            teller.notice(Level::Info, "clock", text);
        }
        let moved = jump.map(|jump| ledger.clock_was_set(&jump)).unwrap_or_default();
        // What ended while nobody was there, and who is spared by now.
        ledger.expire(now);
        if let Some(jump) = jump {
            teller.clock_was_set(&jump, moved, true);
        }
        let enforced = config.mode == Mode::Enforce;
        let mut spared = Vec::new();
        for Change { before, entry, .. } in ledger.follow(Rules::new(config, &protected)) {
            spared.push(Line::Forgotten(entry.whom()));
            if before != Standing::Clean {
                teller.standing(&entry, false, enforced);
            }
        }
        if moved.entries == 0 && clock.differs(store.clock()) {
            spared.push(Line::Clock(clock.clone()));
        }
        // If it cannot be written, the next start will do the same.
        let mut saved = store.append(&spared);
        if moved.entries > 0 {
            store.go_by(clock.clone());
        }
        if moved.entries > 0 || store.is_bloated(ledger.len()) {
            saved = store.compact(ledger.entries());
        }
        if let Err(error) = &saved {
            teller.cannot_save(&error.to_string());
        }

        let own = OwnTools::default();
        let kernel = Kernel::new(Arc::clone(config), own.clone())?;
        let (sender, messages) = sync_channel(WAITING);
        let stop = Arc::new(AtomicBool::new(false));
        // Before the table is installed, so that no change of it is missed.
        let watch = Watch::open(own).ok();
        let mut worker = Worker {
            ledger,
            clock,
            store,
            kernel,
            config: Arc::clone(config),
            protected,
            owed,
            teller,
            itself: sender.clone(),
            watched: watch.is_some(),
            state: State::new(saved.is_err()),
        };
        // It must be read while the sets are filled: the kernel slows down whoever changes rules
        // while somebody who wants to hear of it does not listen (netlink_broadcast yields).
        let watcher = match watch {
            Some(watch) => Some(start_watcher(watch, Arc::clone(&stop), sender.clone())?),
            None => None,
        };
        if let Err(error) = worker.begin() {
            stop.store(true, Ordering::Relaxed);
            return Err(error.into());
        }
        let thread = std::thread::Builder::new().name("portcullis-firewall".into());
        let worker = thread.spawn(move || worker.run(&messages))?;
        let orders = Orders(sender);
        Ok(Self { orders, worker: Some(worker), watcher, stop, _lock: lock })
    }

    /// The way to tell and ask it things.
    pub fn orders(&self) -> Orders {
        self.orders.clone()
    }

    /// Hands SYNs to the queue from now on. To be called when the queues are bound.
    pub fn open(&self) -> Result<Opened, OrderError> {
        Ok(self.orders.ask(|reply| Order::Open { reply })??)
    }

    /// Hands no more SYNs to the queue; bans go on acting.
    pub fn close(&self) -> Result<(), OrderError> {
        Ok(self.orders.ask(|reply| Order::Close { reply })??)
    }

    /// Saves the ledger and ends the thread. The table stays as it is, so that bans survive.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // An error means that it has ended already.
        let _ = self.orders.ask(|reply| Order::Stop { reply });
        for thread in [self.worker.take(), self.watcher.take()].into_iter().flatten() {
            let _ = thread.join();
        }
    }
}

impl Drop for Firewall {
    fn drop(&mut self) {
        if self.worker.is_some() {
            self.end();
        }
    }
}

/// Reads the ledger, and says so if it is damaged.
fn open(
    folder: &Path,
    rules: Rules,
    teller: &Teller,
    now: SystemTime,
) -> Result<(Store, Ledger), StoreError> {
    let (store, loaded) = Store::open(folder, now)?;
    if let Some(Damage { aside, because }) = loaded.damage {
        let (lines, aside) = (loaded.lines.len(), aside.display());
        let kept = match because {
            None => format!("The damaged file is kept as {aside}"),
            Some(error) => {
                format!("It is mended, and kept as {aside}, as soon as it can be: {error}")
            }
        };
        let text =
            format!("the ban list on disk was damaged: {lines} lines of it could be read. {kept}");
        teller.notice(Level::Error, "ledger", text);
    }
    let mut ledger = Ledger::new(rules);
    ledger.restore(loaded.lines);
    Ok((store, ledger))
}

fn start_watcher(
    watch: Watch,
    stop: Arc<AtomicBool>,
    sender: SyncSender<Message>,
) -> std::io::Result<JoinHandle<()>> {
    let watching = move || {
        watch.run(&stop, |sighting| {
            // Waits for room: the kernel's messages wait too, and if they become too many, that is
            // told as well. An error means that the worker has ended.
            let _ = sender.send(Message::Seen(sighting));
        });
    };
    std::thread::Builder::new().name("portcullis-watch".into()).spawn(watching)
}
