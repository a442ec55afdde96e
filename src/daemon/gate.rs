//! One queue thread: packet in, verdict out, then the telling.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant, SystemTime};

use arc_swap::Cache;

use super::shared::{Rules, Shared};
use crate::capture::{Taps, Wanted};
use crate::events::{Block, Event, Judged, Teller};
use crate::firewall::{Offence, Orders};
use crate::memory::SourceKey;
use crate::packet::{Syn, parse};
use crate::policy::{CheckId, Decision, Ruling, Scope, Standing, judge};
use crate::queue::{Held, Queue, Verdict};

/// How long a queue may take to become empty once nothing should come any more.
const DRAINING: Duration = Duration::from_secs(2);

/// What one queue thread works with.
pub(super) struct Gate {
    pub(super) queue: Queue,
    /// Its place among the queue threads.
    pub(super) index: usize,
    pub(super) shared: Arc<Shared>,
    pub(super) teller: Teller,
    pub(super) orders: Orders,
    /// Everybody who may want packets.
    pub(super) taps: Arc<Taps>,
}

impl Gate {
    /// Judges until the daemon drains and the queue is empty.
    ///
    /// # Errors
    /// What the kernel says when the queue can no longer be read or answered.
    pub(super) fn run(mut self) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        let counters = shared.counters.block(self.index);
        let progress = &shared.progress[self.index];
        let mut rules = Cache::new(&shared.rules);
        let mut drained_by: Option<Instant> = None;
        loop {
            progress.waiting();
            match self.queue.receive()? {
                Some(held) => {
                    let lost = self.queue.lost() - counters.lost.get();
                    if lost > 0 {
                        counters.lost.add(lost);
                    }
                    self.judge(held, rules.load(), counters)?;
                }
                None if drained_by.is_some() => return Ok(()),
                None => {}
            }
            match drained_by {
                // The redirect could not be removed: there is no end to what comes.
                Some(end) if Instant::now() >= end => return Ok(()),
                None if shared.draining.load(Relaxed) => {
                    self.queue.stop_waiting();
                    drained_by = Some(Instant::now() + DRAINING);
                }
                _ => {}
            }
        }
    }

    #[inline]
    fn judge(&mut self, held: Held, rules: &Rules, counters: &Block) -> io::Result<()> {
        let now = self.shared.now();
        self.shared.progress[self.index].busy(now);
        counters.received.add(1);
        let mark = held.mark();
        let interface = held.interface();

        let opinion = parse(held.bytes()).map(|syn| {
            let proven = mark & rules.proven != 0;
            let syn = Syn { proven, suspect: mark & rules.suspect != 0, ..syn };
            (syn, judge(&rules.policy, &self.shared.memory, &syn, now))
        });
        let ruling = opinion.map_or(Ruling::Drop, |(_, decision)| decision.ruling);
        let verdict = match ruling {
            Ruling::Drop if rules.enforce => Verdict::Drop,
            Ruling::Drop | Ruling::Accept => Verdict::Accept,
        };
        // A verdict gives the bytes back to the kernel.
        let wanted = opinion
            .as_ref()
            .ok()
            .and_then(|(syn, _)| self.taps.want(held.bytes(), syn, ruling == Ruling::Drop, now));
        self.queue.answer(held, verdict)?;

        // The kernel has its answer. Nothing from here on may wait.
        match opinion {
            Ok((syn, decision)) => {
                if self.shared.busiest.watched(now) {
                    let refused = (ruling == Ruling::Drop).then_some(decision.check);
                    self.shared.busiest.note(self.index, syn.src, syn.dport, refused);
                }
                self.tell(syn, decision, interface, rules, counters, wanted);
            }
            Err(kind) => {
                counters.malformed(kind);
                count(counters, CheckId::QUIRKS, ruling, rules.enforce);
            }
        }
        Ok(())
    }

    #[inline]
    fn tell(
        &self,
        syn: Syn,
        decision: Decision,
        interface: u32,
        rules: &Rules,
        counters: &Block,
        wanted: Option<Wanted>,
    ) {
        count(counters, decision.check, decision.ruling, rules.enforce);
        if decision.retransmission {
            counters.retransmissions.add(1);
        }
        let refused = decision.ruling == Ruling::Drop;
        if refused || wanted.is_some() {
            let enforced = rules.enforce;
            let judged = Judged { at: SystemTime::now(), interface, syn, decision, enforced };
            if refused && !self.teller.tell(Event::Judged(judged)) {
                counters.events_lost.add(1);
            }
            if let Some(wanted) = wanted {
                wanted.take(judged);
            }
        }
        if decision.earned != Standing::Clean {
            let offence = Offence {
                source: SourceKey::of(syn.src),
                earned: decision.earned,
                port: (decision.scope == Scope::Port).then_some(syn.dport),
                renew: decision.renew,
                check: decision.check.name(),
                evidence: decision.evidence,
                decided: Instant::now(),
            };
            if !self.orders.offence(offence) {
                counters.orders_lost.add(1);
            }
        }
    }
}

#[inline]
fn count(counters: &Block, check: CheckId, ruling: Ruling, enforce: bool) {
    match ruling {
        Ruling::Accept => counters.accepted.add(1),
        Ruling::Drop if enforce => counters.dropped(check),
        Ruling::Drop => counters.would_drop(check),
    }
}
