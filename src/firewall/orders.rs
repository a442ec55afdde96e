//! What the firewall can be told and asked.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, TrySendError, channel};
use std::time::{Duration, Instant, SystemTime};

use ipnet::IpNet;

use super::dump::Listed;
use super::entry::{Entry, Whom};
use super::latency::Spans;
use super::ledger::Spared;
use super::redirect::RedirectError;
use super::ruleset::Path;
use super::watch::Sighting;
use crate::config::Config;
use crate::memory::SourceKey;
use crate::policy::{Allowlist, Evidence, PortSet, Standing};

/// One order to the firewall's thread. Replies come when the kernel has been told.
#[derive(Debug)]
pub enum Order {
    /// A source has earned a standing.
    Offence(Offence),
    /// An admin gives a standing.
    Add {
        /// An address or a prefix, at all ports or at one; IPv6 addresses count as their /64.
        whom: Whom,
        /// Suspect or banned; only bans can be wider than a source.
        standing: Standing,
        /// How long; by default as long as the source's next offence would cost.
        lasts: Option<Duration>,
        /// In the admin's words.
        reason: String,
        /// The entry as it is now, or why there is none.
        reply: Sender<Result<Told, Spared>>,
    },
    /// An admin pardons.
    Remove {
        /// An address or a prefix, at all ports or at one, exactly as it was given.
        whom: Whom,
        /// The entry as it was; `None` if there was none.
        reply: Sender<Option<Told>>,
    },
    /// All standings.
    List {
        /// Sorted by their end. One list for all who ask at the same time.
        reply: Sender<Arc<[Told]>>,
    },
    /// What is known of one address that wants to one port.
    Get {
        /// Whose.
        address: IpAddr,
        /// Where it wants to: it may be banned there only.
        port: u16,
        /// Its standing, or the memory of one that has ended.
        reply: Sender<Option<Entry>>,
    },
    /// The same of many addresses at once.
    GetMany {
        /// Whose, and where each wants to; without a port, bans at one port do not count.
        peers: Vec<(IpAddr, Option<u16>)>,
        /// In the same order.
        reply: Sender<Vec<Option<Entry>>>,
    },
    /// Other ports are served from now on.
    Served {
        /// Those that suspects may knock at: served now, or until a moment ago.
        ports: PortSet,
    },
    /// Another policy holds from now on. The redirect is kept in step too.
    Configure {
        /// The policy.
        config: Arc<Config>,
        /// Prefixes that the host needs, if they were looked up anew.
        protected: Option<Vec<IpNet>>,
        /// Whether the kernel took it; if not, it is tried again.
        reply: Sender<Result<(), RedirectError>>,
    },
    /// Names of the allow list have other addresses than before; the policy is the same.
    Trust {
        /// The allow list.
        allowed: Arc<Allowlist>,
    },
    /// The host needs other prefixes than before: they get no standing, and lose what they have.
    Protect {
        /// All of them.
        nets: Vec<IpNet>,
    },
    /// How it is going.
    Counters {
        /// The numbers.
        reply: Sender<Counters>,
    },
    /// Hand SYNs to the queue from now on.
    Open {
        /// How it is done.
        reply: Sender<Result<Opened, RedirectError>>,
    },
    /// Hand no more SYNs to the queue.
    Close {
        /// Whether the kernel took it.
        reply: Sender<Result<(), RedirectError>>,
    },
    /// Save everything and end. The kernel's sets stay.
    Stop {
        /// It is saved.
        reply: Sender<()>,
    },
}

/// A source has earned a standing.
#[derive(Clone, Copy, Debug)]
pub struct Offence {
    /// Who.
    pub source: SourceKey,
    /// What it has earned.
    pub earned: Standing,
    /// A ban closes only this port to it; `None` for all.
    pub port: Option<u16>,
    /// It is proven, but on what grounds is not known: its next connection is to prove it anew.
    pub renew: bool,
    /// The check that found it.
    pub check: &'static str,
    /// What the check saw.
    pub evidence: Evidence,
    /// When it was decided, to measure how long the kernel has to wait for it.
    pub decided: Instant,
}

/// A standing, with what the kernel says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The entry.
    pub entry: Entry,
    /// Packets that the kernel stopped because of it, as far as they could be counted.
    pub stopped: u64,
    /// The kernel has been told. If not, nft fails at present and it will be told later.
    pub in_kernel: bool,
}

/// SYNs are handed to the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// By which way.
    pub path: Path,
    /// The way in words, with the tool's variant.
    pub words: String,
}

/// How the firewall is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// The table's named counters ([`super::COUNTERS`]) in packets; empty if nft fails.
    pub kernel: Vec<(&'static str, u64)>,
    /// Suspects.
    pub suspects: usize,
    /// Banned sources and prefixes.
    pub banned: usize,
    /// Ended standings that are remembered.
    pub remembered: usize,
    /// Standings that reached the kernel since the start.
    pub told: u64,
    /// From the decision to the kernel, half of them within…
    pub latency_p50: Option<Duration>,
    /// …and 99 % within this.
    pub latency_p99: Option<Duration>,
    /// The kernel holds what the ledger says.
    pub in_step: bool,
    /// The kernel's sets are being filled: after a start, or because they were lost.
    pub filling: Option<Filling>,
    /// How SYNs are handed over; `None` while they are not.
    pub path: Option<Path>,
    /// Since when the gate stands aside, because an admin said so (`portcullis panic`).
    pub aside: Option<SystemTime>,
    /// How often somebody else's change was repaired.
    pub repairs: u64,
    /// How many have which standing for which reason: a check's name, `admin`, or `other`.
    pub reasons: BTreeMap<(Standing, &'static str), u64>,
    /// From the decision to the kernel.
    pub delays: Spans,
    /// How often standings could not be written down.
    pub unsaved: u64,
    /// How often the kernel did not take a change.
    pub refused: u64,
    /// Standings that were earned and not given, because of the budget…
    pub over_budget: u64,
    /// …and because there was no room for more.
    pub no_room: u64,
}

/// How far the kernel's sets are filled. The judge stops those who are missing meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filling {
    /// Standings that are not in them yet…
    pub left: usize,
    /// …of so many.
    pub all: usize,
}

/// What reaches the firewall's thread.
#[derive(Debug)]
pub(super) enum Message {
    Order(Order),
    Seen(Sighting),
    /// Elements of the kernel's sets with their counters, and how long it took to read them.
    Counted {
        elements: Vec<Listed>,
        took: Duration,
    },
}

/// The way to the firewall's thread. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Orders(pub(super) SyncSender<Message>);

/// The firewall's thread has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the firewall thread has ended")]
pub struct Gone;

impl Orders {
    /// Tells of an offence without ever waiting. False if it is lost because too many wait: the
    /// source will offend again.
    pub fn offence(&self, offence: Offence) -> bool {
        self.0.try_send(Message::Order(Order::Offence(offence))).is_ok()
    }

    /// Tells which ports are served, without waiting. False if too many orders wait; tell again.
    pub fn served(&self, ports: PortSet) -> bool {
        let order = Message::Order(Order::Served { ports });
        !matches!(self.0.try_send(order), Err(TrySendError::Full(_)))
    }

    /// Sends an order without waiting. False if too many wait; try again later.
    pub fn tell(&self, order: Order) -> bool {
        !matches!(self.0.try_send(Message::Order(order)), Err(TrySendError::Full(_)))
    }

    /// Sends an order, waiting for room.
    pub fn send(&self, order: Order) -> Result<(), Gone> {
        self.0.send(Message::Order(order)).map_err(|_| Gone)
    }

    /// Sends an order that is answered, and waits for the answer.
    pub fn ask<T>(&self, order: impl FnOnce(Sender<T>) -> Order) -> Result<T, Gone> {
        let (reply, answer): (Sender<T>, Receiver<T>) = channel();
        self.send(order(reply))?;
        answer.recv().map_err(|_| Gone)
    }

    /// As [`Self::ask`], but waits only so long: `None` if the thread is busy, because nft does
    /// not answer it. The order is carried out all the same when it is its turn.
    ///
    /// # Errors
    /// [`Gone`] if the thread has ended.
    pub fn ask_within<T>(
        &self,
        patience: Duration,
        order: impl FnOnce(Sender<T>) -> Order,
    ) -> Result<Option<T>, Gone> {
        let deadline = Instant::now() + patience;
        let (reply, answer): (Sender<T>, Receiver<T>) = channel();
        let mut message = Message::Order(order(reply));
        loop {
            match self.0.try_send(message) {
                Ok(()) => break,
                Err(TrySendError::Disconnected(_)) => return Err(Gone),
                Err(TrySendError::Full(_)) if Instant::now() >= deadline => return Ok(None),
                Err(TrySendError::Full(back)) => message = back,
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        match answer.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(told) => Ok(Some(told)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(Gone),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_thread_keeps_nobody_waiting() {
        let (sender, waiting) = std::sync::mpsc::sync_channel(1);
        let orders = Orders(sender);
        let ask =
            || orders.ask_within(Duration::from_millis(20), |reply| Order::Counters { reply });
        // Taken but not answered; then not even taken.
        assert_eq!((ask(), ask()), (Ok(None), Ok(None)));
        assert_eq!(waiting.try_iter().count(), 1);
        drop(waiting);
        assert_eq!(ask(), Err(Gone));
    }
}
