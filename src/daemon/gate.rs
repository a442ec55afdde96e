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
use crate::memory::{Moment, SourceKey};
use crate::packet::{Malformed, Syn, parse};
use crate::policy::{CheckId, Decision, Ruling, Scope, Standing, judge};
use crate::queue::{Moderation, Queue, Verdict};

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
        let mut opinions = Vec::with_capacity(Queue::MOST);
        let mut moderation = Moderation::default();
        loop {
            progress.waiting();
            match self.queue.receive()? {
                None if drained_by.is_some() => return Ok(()),
                None | Some(0) => {}
                Some(held) => {
                    let lost = self.queue.lost() - counters.lost.get();
                    if lost > 0 {
                        counters.lost.add(lost);
                    }
                    let now = shared.now();
                    self.judge(held, now, rules.load(), counters, &mut opinions)?;
                    if drained_by.is_none()
                        && let Some(pause) = moderation.pause(held, now.0)
                    {
                        progress.waiting();
                        std::thread::sleep(pause);
                    }
                }
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

    /// Judges the packets that the queue holds, and answers them.
    #[inline]
    fn judge(
        &mut self,
        held: usize,
        now: Moment,
        rules: &Rules,
        counters: &Block,
        opinions: &mut Vec<Result<(Syn, Decision), Malformed>>,
    ) -> io::Result<()> {
        // Those that wait together have come at once, for all that the judge cares.
        self.shared.progress[self.index].busy(now);
        counters.received.add(held as u64);
        opinions.clear();
        opinions.extend((0..held).map(|place| {
            let held = self.queue.held(place);
            parse(held.bytes()).map(|syn| {
                let (proven, suspect) =
                    (held.mark() & rules.proven != 0, held.mark() & rules.suspect != 0);
                // What the kernel is to know and does not yet.
                let owed = self.shared.owed.standing(SourceKey::of(syn.src), syn.dport);
                let suspect = suspect || owed == Standing::Suspect;
                let syn = Syn { proven, suspect, banned: owed == Standing::Banned, ..syn };
                (syn, judge(&rules.policy, &self.shared.memory, &syn, now))
            })
        }));
        self.queue.answer(opinions.iter().map(|opinion| match ruling(opinion) {
            Ruling::Drop if rules.enforce => Verdict::Drop,
            Ruling::Drop | Ruling::Accept => Verdict::Accept,
        }))?;

        // The kernel has its answers. Nothing from here on may wait.
        let watched = self.shared.busiest.watched(now);
        for (place, opinion) in opinions.iter().enumerate() {
            match opinion {
                Ok((syn, decision)) => {
                    let held = self.queue.held(place);
                    let refused = decision.ruling == Ruling::Drop;
                    if watched {
                        let refused = refused.then_some(decision.check);
                        self.shared.busiest.note(self.index, syn.src, syn.dport, refused);
                    }
                    let wanted = self.taps.want(held.bytes(), syn, refused, now);
                    self.tell(syn, decision, held.interface(), rules, counters, wanted);
                }
                Err(kind) => {
                    counters.malformed(*kind);
                    count(counters, CheckId::QUIRKS, Ruling::Drop, rules.enforce);
                }
            }
        }
        Ok(())
    }

    #[inline]
    fn tell(
        &self,
        syn: &Syn,
        decision: &Decision,
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
            let judged = Judged {
                at: SystemTime::now(),
                interface,
                syn: *syn,
                decision: *decision,
                enforced,
            };
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

/// What is no SYN is refused.
fn ruling(opinion: &Result<(Syn, Decision), Malformed>) -> Ruling {
    opinion.as_ref().map_or(Ruling::Drop, |(_, decision)| decision.ruling)
}

#[inline]
fn count(counters: &Block, check: CheckId, ruling: Ruling, enforce: bool) {
    match ruling {
        Ruling::Accept => counters.accepted.add(1),
        Ruling::Drop if enforce => counters.dropped(check),
        Ruling::Drop => counters.would_drop(check),
    }
}
