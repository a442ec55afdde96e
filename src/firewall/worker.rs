//! The firewall's thread: takes orders in batches, keeps the ledger and its file, and has the
//! kernel follow.

mod failing;
mod house;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender};
use std::time::{Duration, Instant, SystemTime};

use ipnet::IpNet;

use self::failing::Failing;
use super::backlog::{self, Backlog, secs};
use super::child::ToolError;
use super::clock::Clock;
use super::entry::{Entry, Whom};
use super::kernel::Kernel;
use super::latency::Histogram;
use super::ledger::{Change, Ledger, Rules, Spared};
use super::names::{PROVEN, is_wide, stem_of};
use super::orders::{Counters, Filling, Message, Offence, Opened, Order, Told};
use super::owed::Owed;
use super::redirect::RedirectError;
use super::store::{Line, Store};
use super::tally::Tally;
use super::teller::Teller;
use super::transaction::Elem;
use super::watch::Sighting;
use crate::config::{Config, Mode};
use crate::events::Measured;
use crate::policy::{Evidence, PortSet, Standing};

/// The most messages that are worked on together.
const TOGETHER: usize = 20_000;
/// So many standings at a time are put into sets that are filled: a new ban waits no longer than
/// these take, about 30 ms.
const SLICE: usize = 4000;
/// Among so many standings one of each kind is looked for, to see whether the kernel holds it.
const SAMPLED: usize = 10_000;
/// If nobody opens the gate, large sets are filled after this.
const FILL_AFTER: Duration = Duration::from_secs(1);
/// How often there is housekeeping.
const TICK: Duration = Duration::from_secs(1);
/// Between two repairs, so that a quarrel with another tool does not fill the processor.
const REPAIR_PAUSE: Duration = Duration::from_millis(300);

pub(super) struct Worker {
    pub(super) ledger: Ledger,
    /// As of the last look. When it is set, standings move.
    pub(super) clock: Clock,
    pub(super) store: Store,
    pub(super) kernel: Kernel,
    pub(super) config: Arc<Config>,
    pub(super) protected: Vec<IpNet>,
    /// What the judge has to know because the kernel does not.
    pub(super) owed: Arc<Owed>,
    pub(super) teller: Teller,
    /// For the threads that count elements.
    pub(super) itself: SyncSender<Message>,
    /// Somebody else's changes are heard; if not, they are looked for.
    pub(super) watched: bool,
    pub(super) state: State,
}

/// What changes while the worker works.
#[derive(Default)]
pub(super) struct State {
    latency: Histogram,
    told: u64,
    repairs: u64,
    /// As [`Counters`] has them.
    unsaved_changes: u64,
    refused: u64,
    over_budget: u64,
    no_room: u64,
    tally: Tally,
    counting: bool,
    /// When elements are counted again, unless somebody asks before.
    count_at: Option<Instant>,
    asking: Vec<Sender<Arc<[Told]>>>,
    ticked: Option<Instant>,
    failing: Option<Failing>,
    /// Those who are still to be put into the kernel's sets.
    backlog: Backlog,
    /// The judge knows everybody since the start. Whoever came since then is among the newest, and so
    /// among the first that the sets get.
    owes_all: bool,
    /// When the sets are to be filled anew.
    renew: Option<Instant>,
    /// What is to be told when they are full.
    afterwards: Option<Restored>,
    repaired: Option<Instant>,
    /// The table has to be looked at; with what was heard of it.
    repair: Option<Option<String>>,
    /// The file is to be written anew.
    unsaved: bool,
    /// Since when the gate stands aside.
    aside: Option<SystemTime>,
    /// It does, but nft did not take all of it out of the kernel.
    left_behind: bool,
    /// Elements whose standing has ended, but which the kernel may hold for a moment longer.
    lingering: HashMap<(&'static str, Whom), Instant>,
}

impl State {
    /// Of a worker whose file is as it should be, or is still to be written anew.
    pub(super) fn new(unsaved: bool) -> Self {
        Self { unsaved, ..Self::default() }
    }
}

/// Why the kernel's sets are filled.
enum Restored {
    /// nft works again.
    Works,
    /// Somebody did this to the table.
    Repaired(String),
    /// The gate is back in its place.
    Back,
}

/// What a batch of messages leads to.
#[derive(Default)]
struct Batch {
    lines: Vec<Line>,
    elements: HashMap<(&'static str, Whom), Put>,
    wide: bool,
    served: Option<PortSet>,
    /// Others are trusted than before.
    trusted: bool,
    decided: Vec<Instant>,
    added: Vec<(Sender<Result<Told, Spared>>, Entry)>,
    removed: Vec<(Sender<Option<Told>>, Entry)>,
}

/// What becomes of an element: in until then, or out.
struct Put {
    until: Option<SystemTime>,
    fresh: bool,
}

impl Worker {
    /// Works until it is told to stop, or until nobody is left who could.
    pub(super) fn run(mut self, messages: &Receiver<Message>) {
        loop {
            let first = match messages.recv_timeout(self.patience()) {
                Ok(message) => Some(message),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return self.save(),
            };
            // First: what ends only because the clock was set has not ended. Until the next look
            // everything goes by the clock as it was at this one: it may be set meanwhile.
            self.watch_clock();
            self.look_aside();
            let mut batch = Batch::default();
            let more = messages.try_iter().take(TOGETHER);
            let mut stop = None;
            for message in first.into_iter().chain(more) {
                if let Message::Order(Order::Stop { reply }) = message {
                    stop = Some(reply);
                    break;
                }
                self.take(message, &mut batch);
            }
            for change in self.ledger.expire(self.time()) {
                self.note(change, &mut batch, true);
            }
            self.finish(batch);
            if let Some(reply) = stop {
                self.save();
                // Whoever asked may have gone.
                let _ = reply.send(());
                // The program ends. A million entries would take a second to be freed one by one.
                std::mem::forget(self.ledger);
                return;
            }
            self.keep_house();
            self.fill();
        }
    }

    fn patience(&self) -> Duration {
        if !self.state.backlog.is_empty() && self.state.failing.is_none() {
            return Duration::ZERO;
        }
        let mut patience = TICK;
        if let Some(end) = self.ledger.next_end() {
            patience = patience.min(end.duration_since(self.time()).unwrap_or_default());
        }
        if self.state.repair.is_some() {
            patience = patience.min(REPAIR_PAUSE);
        }
        if let Some(renew) = &self.state.renew {
            patience = patience.min(renew.saturating_duration_since(Instant::now()));
        }
        if let Some(failing) = &self.state.failing {
            patience = patience.min(failing.left(Instant::now()));
        }
        patience.max(Duration::from_millis(1))
    }

    fn take(&mut self, message: Message, batch: &mut Batch) {
        // Without the watch nobody would tell of what others change.
        if matches!(message, Message::Seen(_)) || !self.watched {
            self.kernel.forget();
        }
        match message {
            Message::Order(order) => self.obey(order, batch),
            Message::Counted { elements, took } => self.counted(&elements, took, batch),
            Message::Seen(Sighting::Unsure) => {
                // Our own large batches can be too much for the socket, so this says little.
                self.state.repair.get_or_insert_default();
            }
            Message::Seen(Sighting::Changed { who, how, table: true }) => {
                self.state.repair = Some(Some(format!("{how} by {who}")));
            }
            Message::Seen(Sighting::Changed { who, .. }) => self.check_iptables(&who),
        }
    }

    fn obey(&mut self, order: Order, batch: &mut Batch) {
        let now = self.time();
        match order {
            Order::Offence(offence) => self.offence(&offence, now, batch),
            Order::Add { whom, standing, lasts, reason, reply } => {
                match self.ledger.add(whom, standing, lasts, reason.into(), now) {
                    Ok(change) => {
                        batch.added.push((reply, change.entry.clone()));
                        self.note(change, batch, false);
                    }
                    Err(spared) => drop(reply.send(Err(spared))),
                }
            }
            Order::Remove { whom, reply } => match self.ledger.remove(whom) {
                Some(change) if change.before != Standing::Clean => {
                    batch
                        .removed
                        .push((reply, Entry { standing: change.before, ..change.entry.clone() }));
                    self.note(change, batch, false);
                }
                Some(change) => {
                    // Nothing but a memory was left.
                    batch.lines.push(Line::Forgotten(change.entry.whom()));
                    drop(reply.send(None));
                }
                None => drop(reply.send(None)),
            },
            Order::List { reply } => {
                self.state.asking.push(reply);
                self.count();
            }
            Order::Get { address, port, reply } => {
                drop(reply.send(self.ledger.get_at(address, port, now).cloned()))
            }
            Order::GetMany { peers, reply } => {
                let get = |(address, port): &(IpAddr, Option<u16>)| match port {
                    Some(port) => self.ledger.get_at(*address, *port, now).cloned(),
                    None => self.ledger.get(*address, now).cloned(),
                };
                drop(reply.send(peers.iter().map(get).collect()));
            }
            Order::Served { ports } => batch.served = Some(ports),
            Order::Configure { config, protected, reply } => {
                let done = self.configure(config, protected, batch);
                if done.is_ok() {
                    // The policy knows the ports that are served, and is younger.
                    batch.served = None;
                }
                drop(reply.send(done));
            }
            Order::Trust { allowed } => {
                Arc::make_mut(&mut self.config).policy.allowlist = Arc::clone(&allowed);
                self.kernel.set_trusted(allowed);
                for change in self.ledger.follow(Rules::new(&self.config, &self.protected)) {
                    self.note(change, batch, false);
                }
                batch.trusted = true;
            }
            Order::Protect { nets } => {
                self.protected = nets;
                for change in self.ledger.follow(Rules::new(&self.config, &self.protected)) {
                    self.note(change, batch, false);
                }
            }
            Order::Counters { reply } => drop(reply.send(self.counters())),
            Order::Open { reply } => {
                let opened = self.kernel.open();
                if self.state.renew.is_some() || matches!(&opened, Ok((_, _, true))) {
                    self.state.renew = Some(Instant::now());
                }
                drop(reply.send(opened.map(|(path, words, _)| Opened { path, words })));
            }
            Order::Close { reply } => drop(reply.send(self.kernel.close())),
            Order::Stop { .. } => {}
        }
    }

    fn offence(&mut self, offence: &Offence, now: SystemTime, batch: &mut Batch) {
        let Evidence { what, seen, limit } = offence.evidence;
        let evidence = match (seen, limit) {
            (0.0, 0.0) => what.to_owned(),
            _ => format!("{what}: {}, limit {}", Measured(seen), Measured(limit)),
        };
        let Offence { source, port, earned, check, .. } = *offence;
        let outcome = self.ledger.offence(source, port, earned, check, evidence.into(), now);
        if offence.renew && !matches!(outcome, Err(Spared::Never)) {
            // A proof that is gone already is no harm.
            let whom = Whom::from(source.prefix());
            batch.elements.insert((PROVEN, whom), Put { until: None, fresh: false });
        }
        match outcome {
            Ok(change) => {
                batch.decided.push(offence.decided);
                self.note(change, batch, false);
            }
            Err(Spared::Budget) => {
                self.state.over_budget += 1;
                self.teller.budget_used_up(source);
            }
            Err(Spared::Full) => {
                self.state.no_room += 1;
                self.teller.list_full(self.config.guard.set_size);
            }
            Err(Spared::Never | Spared::Already | Spared::Wide | Spared::Port) => {}
        }
    }

    /// What follows from a change. `ended` by itself: the kernel has noticed too.
    fn note(&mut self, change: Change, batch: &mut Batch, ended: bool) {
        let Change { before, entry, forgotten } = change;
        let whom = entry.whom();
        let (was, is) = (stem_of(whom, before), stem_of(whom, entry.standing));
        if is_wide(entry.net) {
            batch.wide |= was.is_some() || is.is_some();
        } else {
            if let Some(stem) = was.filter(|stem| Some(*stem) != is && !ended) {
                batch.elements.insert((stem, whom), Put { until: None, fresh: false });
            }
            if let Some(stem) = was.filter(|_| ended) {
                self.state.lingering.insert((stem, whom), Instant::now());
            }
            if let Some(stem) = is {
                let key = (stem, whom);
                let fresh = was != is
                    && !batch.elements.contains_key(&key)
                    && !self.state.lingering.contains_key(&key);
                batch.elements.insert(key, Put { until: Some(entry.until), fresh });
            }
        }
        if before != entry.standing {
            let enforced = self.config.mode == Mode::Enforce;
            self.teller.standing(&entry, ended, enforced);
        }
        if entry.standing == Standing::Clean {
            self.state.tally.forget(whom);
        }
        batch.lines.push(if forgotten { Line::Forgotten(whom) } else { Line::Is(entry) });
    }

    /// Writes it down, tells the kernel, answers.
    fn finish(&mut self, batch: Batch) {
        self.write(&batch.lines);
        let now = self.time();
        // Whoever only observes keeps the kernel's sets empty.
        let enforced = self.config.mode == Mode::Enforce;
        let elements: Vec<Elem> = batch
            .elements
            .iter()
            .filter(|(_, put)| enforced || put.until.is_none())
            .map(|((stem, whom), put)| {
                let lasts = put.until.map(|end| secs(end, now));
                Elem { stem, whom: *whom, lasts, fresh: put.fresh }
            })
            .collect();
        if let Some(ports) = &batch.served {
            self.kernel.set_served(ports);
        }
        // While nft fails, everything is set right at once when it works again; and so it is when
        // the gate comes back to its place.
        if self.state.failing.is_none() && !self.kernel.is_aside() {
            let mut done = self.kernel.change(&elements);
            if batch.wide {
                done = done.and_then(|()| self.refuse(now));
            }
            if batch.served.is_some() {
                done = done.and_then(|()| self.kernel.serve());
            }
            if batch.trusted {
                done = done.and_then(|()| self.kernel.trust());
            }
            match done {
                Ok(()) => {
                    self.owed.settle(batch.elements.keys().map(|(_, whom)| *whom));
                    self.state.told += batch.decided.len() as u64;
                    batch.decided.iter().for_each(|at| self.state.latency.record(at.elapsed()));
                }
                Err(error) => {
                    self.owe(&batch);
                    self.failed(&error.to_string());
                }
            }
        } else if enforced && !self.kernel.is_aside() {
            self.owe(&batch);
        }
        let told =
            |entry: Entry| Told { stopped: 0, in_kernel: self.is_in_kernel(entry.whom()), entry };
        for (reply, entry) in batch.added {
            drop(reply.send(Ok(told(entry))));
        }
        for (reply, entry) in batch.removed {
            drop(reply.send(Some(told(entry))));
        }
        // What was ordered before is in the kernel by now.
        self.answer_lists();
    }

    fn write(&mut self, lines: &[Line]) {
        if self.state.unsaved {
            // All of it is written at the next tick, if the disk takes it then.
            return;
        }
        if self.store.append(lines).is_err() {
            // The disk may have been full for a moment only.
            self.rewrite();
        }
    }

    fn rewrite(&mut self) {
        if let Err(error) = self.store.compact(self.ledger.entries()) {
            self.teller.cannot_save(&error.to_string());
            self.state.unsaved_changes += 1;
            self.state.unsaved = true;
        }
    }

    fn failed(&mut self, why: &str) {
        self.state.refused += 1;
        // Whoever asks next is told whether nft works, even if nothing is to be done for him.
        self.kernel.forget();
        if self.state.failing.is_none() {
            self.teller.kernel_fails(why);
            self.state.failing = Some(Failing::since(Instant::now()));
        }
    }

    /// The judge has to know what the kernel could not be told.
    fn owe(&self, batch: &Batch) {
        let of_ledger = || batch.elements.iter().filter(|((stem, _), _)| *stem != PROVEN);
        let gone = of_ledger().filter(|(_, put)| put.until.is_none());
        self.owed.settle(gone.map(|((_, whom), _)| *whom));
        let entries = of_ledger().filter(|(_, put)| put.until.is_some());
        let entries = entries.filter_map(|((_, whom), _)| self.ledger.entry(*whom));
        self.owed.owe(entries.map(|entry| (entry.whom(), entry.standing, entry.until)));
        if batch.wide {
            self.owe_wide();
        }
    }

    /// The judge is to know the banned prefixes: the kernel may not.
    fn owe_wide(&self) {
        self.owed.set_wide(self.wide(self.time()).map(|entry| (entry.net, entry.until)));
    }

    /// The kernel is to refuse the banned prefixes, and no others.
    fn refuse(&mut self, now: SystemTime) -> Result<(), ToolError> {
        let wide = self.wide(now).map(|entry| (entry.net, secs(entry.until, now)));
        let wide: Vec<(IpNet, u32)> = wide.collect();
        let done = self.kernel.refuse(&wide);
        match &done {
            Ok(()) => self.owed.set_wide(std::iter::empty()),
            Err(_) => self.owe_wide(),
        }
        done
    }

    fn is_in_kernel(&self, whom: Whom) -> bool {
        self.state.failing.is_none() && !self.kernel.is_aside() && !self.owed.has(whom)
    }

    /// Brings the kernel in step with the ledger, whatever it holds now. Returns how many standings
    /// it will hold when its sets are full, which takes a while if they are many.
    fn rebuild(&mut self) -> Result<usize, RedirectError> {
        self.renew().map_err(RedirectError::Table)?;
        self.kernel.repair_iptables()?;
        Ok(self.state.backlog.all())
    }

    /// Installs the table with new sets for the standings, has banned prefixes refused, and begins to
    /// fill the sets; until they are full, the judge knows what is missing.
    fn renew(&mut self) -> Result<(), ToolError> {
        self.state.renew = None;
        self.owe_wide();
        let now = self.time();
        match (std::mem::take(&mut self.state.owes_all), self.config.mode) {
            (true, _) => {}
            (false, Mode::Observe) => self.owed.set(std::iter::empty(), 0),
            (false, Mode::Enforce) => owe_all(&self.owed, &self.ledger, now),
        }
        self.state.backlog = match self.config.mode {
            Mode::Observe => Backlog::default(),
            Mode::Enforce => Backlog::of(&self.ledger, now, self.room()),
        };
        let first = self.state.backlog.next(&self.ledger, now, SLICE);
        self.kernel.renew(&first)?;
        self.refuse(now)?;
        self.told(&first);
        Ok(())
    }

    /// How many standings each set can hold.
    fn room(&self) -> usize {
        self.config.guard.set_size as usize
    }

    /// Puts some more standings into the sets that are being filled.
    fn fill(&mut self) {
        if self.state.backlog.is_empty() || self.state.failing.is_some() {
            return;
        }
        let now = self.time();
        let some = self.state.backlog.next(&self.ledger, now, SLICE);
        match self.kernel.change(&some) {
            Ok(()) => self.told(&some),
            // Somebody has removed the table. Who it was, is told in a moment.
            Err(ToolError::Refused { .. }) if matches!(self.kernel.is_whole(), Ok(false)) => {
                self.state.backlog = Backlog::default();
                self.state.repair.get_or_insert_default();
                self.state.repaired = Some(Instant::now());
            }
            Err(error) => {
                self.state.afterwards = None;
                self.failed(&error.to_string());
            }
        }
    }

    /// The kernel has taken these.
    fn told(&mut self, some: &[Elem]) {
        self.owed.settle(some.iter().map(|elem| elem.whom));
        if !self.state.backlog.is_empty() {
            return;
        }
        if self.state.backlog.fits() {
            self.owed.set(std::iter::empty(), 0);
        }
        if let Some(restored) = self.state.afterwards.take() {
            self.restored(restored);
        }
    }

    /// Tells that the sets are whole again, when they are.
    fn restored(&mut self, restored: Restored) {
        if !self.state.backlog.is_empty() {
            self.state.afterwards = Some(restored);
            return;
        }
        match restored {
            Restored::Works => self.teller.kernel_works_again(self.ledger.live()),
            Restored::Repaired(what) => self.teller.repaired(&what, self.state.backlog.all()),
            Restored::Back => self.teller.steps_back(self.ledger.live()),
        }
    }

    /// Some elements that the kernel must hold, one of each kind: if these are there, nobody has
    /// emptied the sets.
    fn sample(&self) -> Vec<Elem> {
        let now = self.time();
        let mut sample: Vec<Elem> = Vec::new();
        let kind = |elem: &Elem| (elem.stem, elem.whom.net.addr().is_ipv4());
        for entry in backlog::standings(&self.ledger, now).take(SAMPLED) {
            let lasting = entry.left(now) > Duration::from_secs(5) && !self.owed.has(entry.whom());
            let elem = backlog::element(entry, now).filter(|_| lasting);
            if let Some(elem) = elem
                && !sample.iter().any(|other| kind(other) == kind(&elem))
            {
                sample.push(elem);
            }
        }
        if self.config.mode == Mode::Observe {
            sample.clear();
        }
        sample
    }

    /// The first time: takes over what an earlier run left. A few standings are put into new sets at
    /// once. If there are many, the old sets go on acting until the gate is open, because then the
    /// judge knows those who are not in the new ones yet.
    pub(super) fn begin(&mut self) -> Result<(), RedirectError> {
        self.watch_clock();
        self.look_aside();
        let now = self.time();
        if self.config.mode == Mode::Enforce && self.ledger.live() > SLICE {
            let (owed, ledger, kernel) = (&self.owed, &self.ledger, &mut self.kernel);
            std::thread::scope(|scope| {
                scope.spawn(|| owe_all(owed, ledger, now));
                kernel.adopt(None)
            })?;
            self.state.owes_all = true;
            self.state.renew = Some(Instant::now() + FILL_AFTER);
        } else {
            let enforced = self.config.mode == Mode::Enforce;
            let all = enforced.then(|| Backlog::of(&self.ledger, now, self.room()));
            let first = all.unwrap_or_default().next(&self.ledger, now, SLICE);
            self.kernel.adopt(Some(&first))?;
        }
        self.refuse(now).map_err(RedirectError::Table)
    }

    /// The banned prefixes that are wider than a source: in observe mode, none.
    fn wide(&self, now: SystemTime) -> impl Iterator<Item = &Entry> {
        let enforced = self.config.mode == Mode::Enforce;
        self.ledger.wide().filter(move |entry| enforced && entry.is_live(now))
    }

    fn configure(
        &mut self,
        config: Arc<Config>,
        protected: Option<Vec<IpNet>>,
        batch: &mut Batch,
    ) -> Result<(), RedirectError> {
        // Whom the host needs is so whatever becomes of the policy.
        self.protected = protected.unwrap_or_else(|| std::mem::take(&mut self.protected));
        let before = self.kernel.configure(Arc::clone(&config));
        let done = if self.kernel.path().is_some() {
            self.kernel.open().map(|(_, _, lost)| lost)
        } else {
            self.kernel.install()
        };
        let mut others = matches!(done, Ok(true));
        match &done {
            Ok(_) => {
                others |= self.config.mode != config.mode;
                self.config = config;
                if let Some(failing) = &mut self.state.failing {
                    failing.works(Instant::now());
                }
            }
            Err(error) => {
                // The old policy holds on, and is what will be put into the kernel.
                self.kernel.configure(before);
                self.failed(&error.to_string());
            }
        }
        for change in self.ledger.follow(Rules::new(&self.config, &self.protected)) {
            self.note(change, batch, false);
        }
        // A set whose size changed is a new one, and who only observes has empty ones. If its elements
        // cannot be set now, they are later.
        if others && let Err(error) = self.rebuild() {
            self.failed(&error.to_string());
        }
        done.map(drop)
    }

    fn counters(&self) -> Counters {
        let reasons = self.ledger.reasons();
        let of = |standing| {
            let those = reasons.iter().filter(|((is, _), _)| *is == standing);
            those.map(|(_, count)| *count as usize).sum()
        };
        Counters {
            kernel: self.kernel.counters().unwrap_or_default(),
            suspects: of(Standing::Suspect),
            banned: of(Standing::Banned),
            remembered: self.ledger.remembered(),
            told: self.state.told,
            latency_p50: self.state.latency.quantile(0.5),
            latency_p99: self.state.latency.quantile(0.99),
            in_step: self.state.failing.is_none() && self.state.repair.is_none(),
            filling: (!self.state.backlog.is_empty())
                .then(|| Filling { left: self.state.backlog.len(), all: self.state.backlog.all() }),
            path: self.kernel.path(),
            aside: self.state.aside,
            repairs: self.state.repairs,
            delays: self.state.latency.spread(),
            unsaved: self.state.unsaved_changes,
            refused: self.state.refused,
            over_budget: self.state.over_budget,
            no_room: self.state.no_room,
            reasons,
        }
    }

    fn save(&mut self) {
        let saved = if self.state.unsaved {
            self.store.compact(self.ledger.entries())
        } else {
            self.store.sync()
        };
        if let Err(error) = saved {
            self.teller.cannot_save(&error.to_string());
            self.state.unsaved_changes += 1;
        }
    }
}

/// The judge is to know everybody's standing.
fn owe_all(owed: &Owed, ledger: &Ledger, now: SystemTime) {
    let all = backlog::standings(ledger, now);
    let all = all.map(|entry| (entry.whom(), entry.standing, entry.until));
    owed.set(all, ledger.live());
}
