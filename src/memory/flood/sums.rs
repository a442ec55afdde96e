//! The arithmetic: what an ordinary day is, and how much more is a flood.

use super::FloodRule;
use super::tally::Interval;

/// Drift and bars grow with what the server completes anyway, in the proportions of Wang, Zhang
/// and Shin: a = 0.35 of the completions are tolerated unanswered, all the time…
const DRIFT: f32 = 0.35;
/// …and three intervals' worth at once: handshakes take up to 300 ms, so that much is on its way.
const ON_THE_WAY: f32 = 0.3;
/// Half the surplus that the admin calls a flood is tolerated for ever.
const TOLERATED: f32 = 0.5;
/// The sum of distinct sources may hold so many seconds' worth of that surplus. Twice the surplus
/// is then recognised in some 130 ms, three times in 80; and a few dozen addresses that somebody
/// forges to hide a scan among them are nothing.
const FORGED: f32 = 0.2;
/// The sum of a target may hold more: one honest client opens hundreds at once, and waits.
const BUSY: f32 = 0.75;

/// The average of completions follows a rise within half a second and a fall within some 13.
const RISES: f32 = 0.4;
const FALLS: f32 = 13.0;
/// What is completed elsewhere is learnt in seconds and, while there is a surplus, forgotten in
/// minutes.
const LEARNT: f32 = 1.6;
const FORGOTTEN: f32 = 100.0;
/// A proven source's SYN waits for its completion for about so many seconds.
const WAITS: f32 = 0.4;
/// A SYN may have been completed for so many intervals: a second.
const LATELY: usize = 10;

/// How much evidence an interval may bring, and how much may add up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bars {
    /// Taken off in every interval.
    pub(super) drift: f32,
    /// Distinct sources.
    pub(super) forged: f32,
    /// SYNs at one target.
    pub(super) busy: f32,
}

impl Bars {
    /// The bars of an interval of so many seconds, where so many connections a second are ordinary.
    pub(super) fn of(rule: FloodRule, ordinary: f32, seconds: f32) -> Self {
        let surplus = rule.surplus();
        let at_least = |share: f32| (surplus * share).max(ordinary * ON_THE_WAY);
        Self {
            drift: (surplus * TOLERATED).max(ordinary * DRIFT) * seconds,
            forged: at_least(FORGED),
            busy: at_least(BUSY),
        }
    }
}

/// A cumulative sum that is held within bounds, and what it is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Sum {
    pub(super) value: f32,
    /// SYNs since it was last zero…
    pub(super) syns: f32,
    /// …and seconds.
    pub(super) seconds: f32,
}

impl Sum {
    /// Adds an interval. True if the sum is over the bar; it goes no higher, so that what follows
    /// a long flood is not judged by the flood. It falls to `floor` at most.
    pub(super) fn add(
        &mut self,
        evidence: f32,
        drift: f32,
        (floor, bar): (f32, f32),
        (syns, seconds): (f32, f32),
    ) -> bool {
        self.value = (self.value + evidence - drift).clamp(floor, bar);
        if self.value > 0.0 {
            self.syns += syns;
            self.seconds += seconds;
        } else {
            (self.syns, self.seconds) = (0.0, 0.0);
        }
        self.value >= bar
    }

    /// SYNs per second since it was last zero.
    pub(super) fn rate(&self) -> f32 {
        self.syns / self.seconds.max(0.1)
    }
}

/// Which completions belong to the SYNs that are counted here.
///
/// Those of proven sources are taken off first. What is left over time and again has no SYN here
/// at all: connections over loopback and from trusted sources complete as well. How many these
/// are is learnt while there is no surplus, so that they do not hide one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Completions {
    /// All of them, per second, on average.
    ordinary: f32,
    /// Those without a SYN here, per second.
    elsewhere: f32,
    /// SYNs of proven sources that wait for theirs.
    proven: f32,
    /// Other SYNs that may wait for theirs, by interval.
    waiting: [f32; LATELY],
    oldest: usize,
}

impl Completions {
    /// How many completions of an interval belong to its SYNs of unproven sources, or to those
    /// of intervals before. `calm` says that there is no surplus.
    pub(super) fn settle(&mut self, interval: &Interval, seconds: f32, calm: bool) -> f32 {
        let known = interval.sum(|asked| asked.completed);
        let all = known + interval.completed;
        // Fewer complete than usual, and no flood makes that: what completed without a SYN here has
        // ended. Were the visitors' completions taken for it, they would look like a flood.
        let fall = (self.ordinary - all / seconds).max(0.0);
        self.average(all / seconds, seconds);

        self.proven = self.proven * (1.0 - seconds / WAITS).max(0.0) + interval.proven;
        let theirs = all.min(self.proven);
        self.proven -= theirs;
        let rest = all - theirs;

        let excess = self.match_up(interval, rest).min(interval.completed) / seconds;
        if calm {
            self.elsewhere += (excess - self.elsewhere) * (seconds / LEARNT).min(1.0);
        } else {
            self.elsewhere *= 1.0 - (seconds / FORGOTTEN).min(1.0);
        }
        (rest - (self.elsewhere - fall).max(0.0) * seconds).max(0.0)
    }

    /// Completions per second on an ordinary day.
    pub(super) fn ordinary(&self) -> f32 {
        self.ordinary
    }

    fn average(&mut self, now: f32, seconds: f32) {
        let pace = if now > self.ordinary { RISES } else { FALLS };
        self.ordinary += (now - self.ordinary) * (seconds / pace).min(1.0);
    }

    /// Gives completions to the SYNs that have waited longest; returns what no SYN has waited for.
    fn match_up(&mut self, interval: &Interval, mut rest: f32) -> f32 {
        self.waiting[self.oldest] = interval.sum(|asked| asked.let_in);
        self.oldest = (self.oldest + 1) % LATELY;
        for n in 0..LATELY {
            let waiting = &mut self.waiting[(self.oldest + n) % LATELY];
            let given = rest.min(*waiting);
            *waiting -= given;
            rest -= given;
        }
        rest
    }
}
