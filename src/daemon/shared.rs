//! What the threads of the daemon share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use crate::config::{Config, Mode};
use crate::events::{Busiest, Counters};
use crate::firewall::Owed;
use crate::memory::{Bounds, Memory, Moment};
use crate::policy::Policy;

/// Everything that more than one thread looks at.
pub(super) struct Shared {
    /// What the queue threads judge by. Swapped whole, so that no SYN meets half a policy.
    pub(super) rules: ArcSwap<Rules>,
    /// What is remembered of everybody; survives every reload.
    pub(super) memory: Memory,
    /// Standings that the kernel's sets do not hold yet.
    pub(super) owed: Arc<Owed>,
    /// What the queue threads count.
    pub(super) counters: Counters,
    /// What they count while somebody watches.
    pub(super) busiest: Busiest,
    /// How far each queue thread is.
    pub(super) progress: Box<[Progress]>,
    /// Set when the queue threads are to empty their queues and end.
    pub(super) draining: AtomicBool,
    birth: Instant,
    /// The clock minus the time since boot, in seconds, when the daemon started.
    clock: f64,
}

/// What a queue thread needs to know of the configuration.
#[derive(Debug)]
pub(super) struct Rules {
    /// The policy, with the ports that are served at this moment.
    pub(super) policy: Policy,
    /// False in observe mode.
    pub(super) enforce: bool,
    /// The mark bit of a proven source.
    pub(super) proven: u32,
    /// The mark bit of a suspect.
    pub(super) suspect: u32,
}

impl Rules {
    /// `config` with its served ports filled in.
    pub(super) fn new(config: &Config) -> Self {
        let marks = crate::firewall::Marks::from_bit(config.guard.mark_bit);
        Self {
            policy: config.policy.clone(),
            enforce: config.mode == Mode::Enforce,
            proven: marks.proven,
            suspect: marks.suspect,
        }
    }
}

impl Shared {
    pub(super) fn new(config: &Config) -> Arc<Self> {
        let threads = config.queue.threads;
        let memory = Memory::new(bounds(config));
        // The ticker will tell what is completed; until then nobody knows.
        memory.flood.rest(Moment(1));
        Arc::new(Self {
            rules: ArcSwap::from_pointee(Rules::new(config)),
            memory,
            owed: Arc::default(),
            counters: Counters::new(threads),
            busiest: Busiest::new(threads),
            progress: (0..threads).map(|_| Progress::default()).collect(),
            draining: AtomicBool::new(false),
            birth: Instant::now(),
            clock: clock(),
        })
    }

    /// The time, as the pure rooms count it.
    #[inline]
    pub(super) fn now(&self) -> Moment {
        Moment(1 + u64::try_from(self.birth.elapsed().as_nanos()).unwrap_or(u64::MAX - 1))
    }

    /// When the daemon started.
    pub(super) fn birth(&self) -> Instant {
        self.birth
    }

    /// Seconds by which the clock has been set since then. Sleeping machines do not count: their
    /// time since boot goes on.
    pub(super) fn clock_moved(&self) -> f64 {
        clock() - self.clock
    }

    /// The longest that a queue thread has been at one packet.
    pub(super) fn longest_verdict(&self) -> Duration {
        let now = self.now();
        let busy = self.progress.iter().filter_map(Progress::busy_since);
        busy.map(|since| now.since(since)).max().unwrap_or_default()
    }
}

fn clock() -> f64 {
    use rustix::time::{ClockId, clock_gettime};
    let seconds = |id| {
        let time = clock_gettime(id);
        time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
    };
    seconds(ClockId::Realtime) - seconds(ClockId::Boottime)
}

/// The bounds of memory that a configuration asks for.
pub(super) fn bounds(config: &Config) -> Bounds {
    Bounds { sources: config.memory.sources, networks: config.memory.networks }
}

/// How far a queue thread is: waiting for a packet, or at one since when.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Progress(AtomicU64);

impl Progress {
    /// The thread has taken a packet.
    #[inline]
    pub(super) fn busy(&self, now: Moment) {
        self.0.store(now.0, Relaxed);
    }

    /// The thread waits for the next one.
    #[inline]
    pub(super) fn waiting(&self) {
        self.0.store(0, Relaxed);
    }

    fn busy_since(&self) -> Option<Moment> {
        match self.0.load(Relaxed) {
            0 => None,
            since => Some(Moment(since)),
        }
    }
}
