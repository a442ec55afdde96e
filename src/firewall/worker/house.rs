//! What the worker does between orders: repairs, retries, counts, saves.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::super::aside::aside_since;
use super::super::backlog::Backlog;
use super::super::boot;
use super::super::dump::Listed;
use super::super::entry::Whom;
use super::super::kernel;
use super::super::ledger::as_counted;
use super::super::orders::{Message, Told};
use super::super::store::Line;
use super::{Batch, REPAIR_PAUSE, Restored, TICK, Worker};

/// How often the kernel's element counters are read without being asked, at most.
const COUNT_EVERY: Duration = Duration::from_secs(60);
/// The kernel needs half a second of a processor to list 65,000 elements. So that this is about one
/// second in so many, large sets are read less often.
const COUNT_SHARE: u32 = 200;
/// But before any of their elements ends, which it does five minutes after its last packet; and twice
/// while a standing lasts, because whoever goes on probing stays a suspect.
const COUNT_LATEST: Duration = Duration::from_secs(240);
/// The kernel is told whole seconds, so an element may outlast its standing by one.
const LINGER: Duration = Duration::from_secs(3);
/// What the kernel's table is after such a jump, or not.
const OUT_OF_STEP: &str = "out of step after a jump of the clock";

impl Worker {
    /// Has the elements' counters read, on a thread of its own: large sets take their time.
    pub(super) fn count(&mut self) {
        if self.state.counting {
            return;
        }
        let back = self.itself.clone();
        let read = move || {
            let begun = Instant::now();
            let elements = kernel::stopped();
            // If nobody is there any more, nobody wants to know.
            let _ = back.send(Message::Counted { elements, took: begun.elapsed() });
        };
        let reader = std::thread::Builder::new().name("portcullis-count".into());
        self.state.counting = reader.spawn(read).is_ok();
    }

    pub(super) fn counted(&mut self, elements: &[Listed], took: Duration, batch: &mut Batch) {
        let now = self.time();
        let shortest = self.config.bans.durations.iter().min().copied().unwrap_or(COUNT_LATEST);
        self.state.counting = false;
        self.state.count_at = Some(Instant::now() + count_after(took, shortest));
        let after = u64::from(self.config.policy.offences.after.max(1));
        for element in elements {
            let whom = Whom { net: as_counted(element.whom.net), port: element.whom.port };
            if self.ledger.entry(whom).is_some_and(|entry| entry.is_live(now)) {
                let probing = self.state.tally.count(whom, element.packets, after);
                let suspect = probing && whom.port.is_none();
                let prolonged = if suspect { self.ledger.prolong(whom.net, now) } else { None };
                if let Some(change) = prolonged {
                    self.note(change, batch, false);
                }
            }
        }
    }

    /// Tells who asked, once the elements are counted.
    pub(super) fn answer_lists(&mut self) {
        if self.state.counting || self.state.asking.is_empty() {
            return;
        }
        let asking = std::mem::take(&mut self.state.asking);
        let now = self.time();
        let live = self.ledger.entries().filter(|entry| entry.is_live(now));
        let mut all: Vec<Told> = live
            .map(|entry| Told {
                stopped: self.state.tally.total(entry.whom()),
                entry: entry.clone(),
                in_kernel: self.is_in_kernel(entry.whom()),
            })
            .collect();
        all.sort_by_key(|told| (told.entry.until, told.entry.whom()));
        let all: Arc<[Told]> = all.into();
        for reply in asking {
            drop(reply.send(Arc::clone(&all)));
        }
    }

    /// Has an admin told the gate to stand aside, or to come back? To be asked before anything is
    /// put into the kernel.
    pub(super) fn look_aside(&mut self) {
        let since = aside_since(&self.config.bans.state_dir);
        match (std::mem::replace(&mut self.state.aside, since), since) {
            (None, Some(since)) => {
                // Most of it is gone already; what an unlucky moment put back goes now.
                let done = self.kernel.step_aside();
                self.state.left_behind = done.is_err();
                (self.state.failing, self.state.repair) = (None, None);
                (self.state.renew, self.state.afterwards) = (None, None);
                self.state.backlog = Backlog::default();
                self.owed.set(std::iter::empty(), 0);
                self.owed.set_wide(std::iter::empty());
                self.teller.steps_aside(since, done.err());
            }
            (Some(_), None) => {
                self.kernel.step_back();
                match self.rebuild() {
                    Ok(_) => self.restored(Restored::Back),
                    Err(error) => self.failed(&error.to_string()),
                }
            }
            (None, None) | (Some(_), Some(_)) => {}
        }
    }

    pub(super) fn check_iptables(&mut self, who: &str) {
        match self.kernel.repair_iptables() {
            Ok(false) => {}
            Ok(true) => {
                self.state.repairs += 1;
                self.teller.iptables_gone(who);
            }
            Err(error) => self.failed(&error.to_string()),
        }
    }

    pub(super) fn keep_house(&mut self) {
        let now = Instant::now();
        if self.kernel.is_aside() {
            // It is meant to be gone.
            (self.state.failing, self.state.repair) = (None, None);
        }
        let since = |at: Option<Instant>| at.map_or(Duration::MAX, |at| now.duration_since(at));
        if self.state.failing.is_some_and(|failing| failing.left(now).is_zero()) {
            match self.rebuild() {
                Ok(_) => {
                    self.state.failing = None;
                    self.state.repair = None;
                    self.restored(Restored::Works);
                }
                Err(_) => self.fails_still(),
            }
        } else if self.state.failing.is_none()
            && since(self.state.repaired) >= REPAIR_PAUSE
            && let Some(what) = self.state.repair.take()
        {
            self.state.repaired = Some(now);
            self.repair(what);
        } else if self.state.failing.is_none()
            && self.state.renew.is_some_and(|at| at <= now)
            && let Err(error) = self.renew()
        {
            self.failed(&error.to_string());
        }
        if since(self.state.ticked) < TICK {
            return;
        }
        self.state.ticked = Some(now);
        if self.kernel.is_aside() && self.state.left_behind {
            self.state.left_behind = self.kernel.step_aside().is_err();
            if !self.state.left_behind {
                self.teller.is_out();
            }
        }
        self.state.lingering.retain(|_, since| now.duration_since(*since) < LINGER);
        if !self.watched && !matches!(self.kernel.is_whole(), Ok(true)) {
            self.state.repair = Some(Some("changed by somebody".into()));
        }
        if self.kernel.must_poll_iptables() {
            self.check_iptables("somebody");
        }
        if self.ledger.live() > 0 && self.state.count_at.is_none_or(|at| at <= now) {
            self.count();
        }
        if self.state.unsaved || self.store.is_bloated(self.ledger.len()) {
            self.state.unsaved = self.store.compact(self.ledger.entries()).is_err();
        }
        if self.clock.differs(self.store.clock()) {
            self.write(&[Line::Clock(self.clock.clone())]);
        }
        self.store.sync_aside();
    }

    /// What was wrong has been told.
    fn fails_still(&mut self) {
        self.state.refused += 1;
        self.kernel.forget();
        if let Some(failing) = &mut self.state.failing {
            failing.tried(Instant::now());
        }
    }

    /// Somebody did this to our table; or too much was told of changes at once, and it has to be
    /// looked at.
    fn repair(&mut self, what: Option<String>) {
        if what.is_none() {
            match self.kernel.holds(&self.sample()) {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => return self.failed(&error.to_string()),
            }
        }
        match self.rebuild() {
            Ok(0) if what.as_ref().is_some_and(|what| what == OUT_OF_STEP) => {}
            Ok(_) => {
                self.state.repairs += 1;
                self.restored(Restored::Repaired(what.unwrap_or_else(|| "changed".into())));
            }
            Err(error) => self.failed(&error.to_string()),
        }
    }

    /// When the clock was set, standings move along, and the kernel, which counts down by itself, is
    /// brought in step with those that do not. It is looked at in any case: what moved may be
    /// memories only.
    pub(super) fn watch_clock(&mut self) {
        let now = boot::look();
        if let Some(jump) = self.clock.look(now) {
            let moved = self.ledger.clock_was_set(&jump);
            self.teller.clock_was_set(&jump, moved, false);
            // The next run is to find what was moved and the clock that it was moved with, or neither;
            // and nothing that is given from now on may stand before that.
            self.store.go_by(self.clock.clone());
            if moved.entries > 0 {
                self.rewrite();
            } else {
                self.write(&[Line::Clock(self.clock.clone())]);
            }
            self.state.repair.get_or_insert_with(|| Some(OUT_OF_STEP.into()));
        }
    }

    /// The time, by the clock as it was at the last look. Standings are given and ended by this
    /// alone: somebody may set the clock at any moment, and what is given by one and ended by another
    /// would not last.
    pub(super) fn time(&self) -> SystemTime {
        self.clock.reads(boot::since_boot())
    }
}

/// How long it is until elements are counted again, if that took so long and no standing is shorter.
fn count_after(took: Duration, shortest: Duration) -> Duration {
    (took * COUNT_SHARE).min(COUNT_LATEST).min(shortest / 2).max(COUNT_EVERY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_sets_are_counted_less_often() {
        for (took, shortest, after) in [
            (3, 600, 60),
            (300, 600, 60),
            (500, 600, 100),
            (1200, 600, 240),
            (9000, 600, 240),
            (9000, 300, 150),
            (9000, 30, 60),
        ] {
            let [shortest, after] = [shortest, after].map(Duration::from_secs);
            assert_eq!(count_after(Duration::from_millis(took), shortest), after, "{took} ms");
        }
    }
}
