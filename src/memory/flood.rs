//! SYN floods: when far more connections are asked for than are ever completed.
//!
//! A nonparametric CUSUM (Wang, Zhang and Shin, "Detecting SYN Flooding Attacks", INFOCOM 2002)
//! over intervals of 100 ms: each adds what is left of its SYNs when the completed handshakes are
//! taken off, less a drift that ordinary days have too, and a sum over its bar is a flood. There
//! are two such sums, because two things deserve two answers:
//!
//! - **forged**: the *unproven sources* of an interval, less completions; one that comes back
//!   within a second counts for nothing. Addresses that were made up do not answer. While this
//!   lasts nobody earns a standing and nothing is learnt.
//! - **busy**: the SYNs at one target beyond the first of each source, less completions. The
//!   sources are real or at least few; rates and standings deal with them.
//!
//! One sum cannot hide the other: a forged flood with a busy one in it is a forged flood.
//!
//! What it does not promise: a hundred real machines that send SYNs and complete nothing look as
//! if they were forged, and are spared like forged ones. SYNs in the name of proven sources never
//! count, because those would have completed; whoever knows such addresses can forge them, and
//! meets their rates. And a crowd of newcomers that appears from one tenth of a second to the
//! next and needs 300 ms to answer cannot be told from a flood until it answers.

mod sight;
mod sums;
mod tally;
mod watch;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use self::tally::Tally;
use self::watch::Watch;
use super::{Moment, Target};

/// The length of an interval.
const INTERVAL: Duration = Duration::from_millis(100);
/// A source that was seen counts for nothing for up to so long: a few dozen addresses that somebody
/// scans behind are no crowd, however often they come.
const REMEMBERED: Duration = Duration::from_secs(1);
/// Beginnings and ends that wait to be told; more are forgotten, the oldest first.
const NEWS: usize = 64;

/// From how many SYNs on it is a flood.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FloodRule {
    surplus: f32,
}

impl FloodRule {
    /// The least surplus that can be asked for: below it, a few honest visitors are a flood.
    pub const LEAST: u32 = 20;

    /// A flood is so many SYNs a second more than are completed; at least [`FloodRule::LEAST`].
    pub fn new(surplus: f32) -> Self {
        Self { surplus: surplus.max(Self::LEAST as f32) }
    }

    /// SYNs a second more than are completed.
    pub fn surplus(self) -> f32 {
        self.surplus
    }
}

/// What a flood looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FloodKind {
    /// From many sources, none of which sends much: surely forged, or as good as that.
    Forged,
    /// From few sources at one target.
    Busy,
}

impl FloodKind {
    /// The word used in logs and listings.
    pub fn word(self) -> &'static str {
        match self {
            FloodKind::Forged => "forged",
            FloodKind::Busy => "busy",
        }
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// A flood, as far as it has come.
#[derive(Clone, Debug, PartialEq)]
pub struct FloodReport {
    /// What it looks like.
    pub kind: FloodKind,
    /// When it was recognised.
    pub since: Moment,
    /// When the last of it was seen, if it is over.
    pub until: Option<Moment>,
    /// The ports that got most of it when it was recognised, at most three; none if it was spread.
    pub ports: Vec<u16>,
    /// SYNs per second in the last interval…
    pub rate: f32,
    /// …and in the worst.
    pub peak: f32,
    /// SYNs so far, with all that came between them.
    pub syns: u64,
    /// Distinct sources per SYN when it was recognised, 0 to 1.
    pub share: f32,
}

/// What became of an attempt, as far as floods are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Let in to a served port: it should be completed.
    LetIn,
    /// Refused, because the port is closed: nobody can complete it.
    Closed,
    /// Refused at a served port, for its rate or standing. That it is not completed is our own
    /// doing, so it makes no flood, but it keeps one going.
    Throttled,
}

/// One first attempt.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// A keyed hash of its source.
    pub source: u64,
    /// Where it wants to.
    pub target: Target,
    /// The port of that.
    pub port: u16,
    /// The source has completed connections.
    pub proven: bool,
    /// What became of it.
    pub fate: Fate,
}

/// The one watch for floods, shared by all threads.
///
/// Counting a SYN takes a few relaxed atomic operations. When an interval is over, one thread
/// takes the lock and closes it. Either somebody [`tick`](Flood::tick)s, or whoever
/// [`step`](Flood::step)s next does it.
#[derive(Debug)]
pub struct Flood {
    tally: Tally,
    /// When the interval is over; `u64::MAX` while somebody ticks.
    due: AtomicU64,
    /// Somebody ticks, or will.
    ticked: AtomicBool,
    /// So many sources, or SYNs at one target, are worth a look before the interval is over.
    hot: [AtomicU32; 2],
    /// The floods that last, a bit for each kind.
    mode: AtomicU8,
    /// The surplus of the last interval, SYNs per second.
    surplus: AtomicU32,
    news: AtomicU32,
    closing: Mutex<Closing>,
}

impl Default for Flood {
    fn default() -> Self {
        Self {
            tally: Tally::default(),
            due: AtomicU64::new(0),
            ticked: AtomicBool::new(false),
            // Until the first interval has begun there is nothing to compare with.
            hot: [AtomicU32::new(u32::MAX), AtomicU32::new(u32::MAX)],
            mode: AtomicU8::new(0),
            surplus: AtomicU32::new(0),
            news: AtomicU32::new(0),
            closing: Mutex::default(),
        }
    }
}

#[derive(Debug, Default)]
struct Closing {
    watch: Watch,
    /// Since when sources are remembered.
    remembered: Moment,
    news: VecDeque<FloodReport>,
}

/// How an interval comes to its end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// After 100 ms.
    Due,
    /// Before, because much has come.
    Early,
    /// Whenever somebody ticks.
    Tick,
}

impl Flood {
    /// Counts a first attempt.
    #[inline]
    pub fn note(&self, rule: FloodRule, arrival: &Arrival, now: Moment) {
        let [sources, syns] = self.tally.note(arrival);
        if sources >= self.hot[0].load(Relaxed) || syns >= self.hot[1].load(Relaxed) {
            self.close(rule, now, End::Early);
        }
    }

    /// Takes note of completed handshakes; of this target, if that is known.
    #[inline]
    pub fn completed(&self, count: u64, target: Option<Target>) {
        self.tally.completed(count, target);
    }

    /// Closes the interval if it is over. To be called with every SYN, before anything is asked.
    /// Does nothing where somebody ticks.
    #[inline]
    pub fn step(&self, rule: FloodRule, now: Moment) {
        if now.0 >= self.due.load(Relaxed) {
            self.close(rule, now, End::Due);
        }
    }

    /// Closes the interval, however long it was. To be called about every 100 ms by one who has
    /// just told what was [`completed`](Flood::completed), where completions are told in lumps:
    /// the sum must not run ahead of them. From then on `step` leaves it to the ticks.
    pub fn tick(&self, rule: FloodRule, now: Moment) {
        self.ticked.store(true, Relaxed);
        self.close(rule, now, End::Tick);
    }

    /// Forgets everything; floods that last are over. Nothing is looked for until somebody
    /// [`tick`](Flood::tick)s: for as long as nobody knows what is completed.
    pub fn rest(&self, now: Moment) {
        self.ticked.store(true, Relaxed);
        self.due.store(u64::MAX, Relaxed);
        self.hot.iter().for_each(|hot| hot.store(u32::MAX, Relaxed));
        let mut closing = self.lock();
        self.tally.take();
        let ended = closing.watch.rest(now);
        self.settle(&mut closing, ended);
    }

    /// Does a forged flood last, so that nobody may earn a standing and nothing may be learnt?
    #[inline]
    pub fn is_frozen(&self) -> bool {
        self.mode.load(Relaxed) & FloodKind::Forged.bit() != 0
    }

    /// The flood that lasts; the forged one if there are two.
    #[inline]
    pub fn kind(&self) -> Option<FloodKind> {
        match self.mode.load(Relaxed) {
            0 => None,
            mode if mode & FloodKind::Forged.bit() != 0 => Some(FloodKind::Forged),
            _ => Some(FloodKind::Busy),
        }
    }

    /// The surplus of the last interval, in SYNs per second.
    pub fn surplus(&self) -> f32 {
        f32::from_bits(self.surplus.load(Relaxed))
    }

    /// The floods that last.
    pub fn lasting(&self) -> Vec<FloodReport> {
        if self.kind().is_none() { Vec::new() } else { self.lock().watch.lasting() }
    }

    /// What began or ended since this was last asked, in order. Meant for one listener.
    pub fn news(&self) -> Vec<FloodReport> {
        if self.news.load(Relaxed) == 0 {
            return Vec::new();
        }
        let mut closing = self.lock();
        self.news.store(0, Relaxed);
        closing.news.drain(..).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Closing> {
        // Whoever panicked there left counters, no more.
        self.closing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cold]
    fn close(&self, rule: FloodRule, now: Moment, end: End) {
        // Somebody else is at it.
        let Ok(mut closing) = self.closing.try_lock() else { return };
        if end == End::Due && now.0 < self.due.load(Relaxed) {
            return;
        }
        let interval = self.tally.take();
        if now.since(closing.remembered) >= REMEMBERED {
            closing.remembered = now;
            self.tally.forget_crowds();
        }
        let changed = match end {
            End::Due => closing.watch.close_due(rule, &interval, now),
            End::Early | End::Tick => closing.watch.close_now(rule, &interval, now),
        };
        let ticked = self.ticked.load(Relaxed);
        let due = if ticked { u64::MAX } else { (closing.watch.closed() + INTERVAL).0 };
        self.due.store(due, Relaxed);
        let hot = if ticked { [u32::MAX; 2] } else { closing.watch.hot(rule) };
        self.hot.iter().zip(hot).for_each(|(place, hot)| place.store(hot, Relaxed));
        self.settle(&mut closing, changed);
    }

    /// Makes known what closing an interval came to.
    fn settle(&self, closing: &mut Closing, changed: Vec<FloodReport>) {
        self.mode.store(closing.watch.kinds().fold(0, |mode, kind| mode | kind.bit()), Relaxed);
        self.surplus.store(closing.watch.surplus().to_bits(), Relaxed);
        for report in changed {
            if closing.news.len() == NEWS {
                closing.news.pop_front();
            }
            closing.news.push_back(report);
            self.news.fetch_add(1, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests;
