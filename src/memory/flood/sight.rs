//! What an interval says of floods.

use super::sums::{Bars, Completions, Sum};
use super::tally::{Asked, CLOSED, Interval, SLOTS};
use super::{FloodKind, FloodRule};

/// Distinct sources are estimated: a share of repeated SYNs up to this may be the estimate's.
const ESTIMATED: f32 = 0.1;
/// A port that gets this share of a flood is named, up to three.
const NAMED: f32 = 0.2;
/// A sum is looked at early only for so many more.
const WORTH_A_LOOK: f32 = 8.0;

/// What an interval says of one kind of flood.
#[derive(Debug)]
pub(super) struct Sight {
    pub(super) kind: FloodKind,
    /// The sum is over its bar…
    pub(super) over: bool,
    /// …which is this…
    pub(super) bar: f32,
    /// …after this was taken off.
    pub(super) drift: f32,
    /// What it brought, refusals that are our own doing included.
    pub(super) evidence: f32,
    /// All SYNs that may belong to it.
    pub(super) asked: f32,
    /// The SYNs since the sum was last zero.
    pub(super) so_far: Sum,
    /// The ports that get most of it.
    pub(super) ports: Vec<u16>,
}

/// The sums.
#[derive(Debug, Default)]
pub(super) struct Eyes {
    completions: Completions,
    forged: Sum,
    targets: Vec<Target>,
}

/// What is known of a slot of targets.
#[derive(Clone, Copy, Debug, Default)]
struct Target {
    busy: Sum,
    /// SYNs let in of late, for sharing out completions of nobody knows which target.
    share: f32,
}

impl Target {
    fn take_share(&mut self, let_in: f32) {
        self.share += (let_in - self.share) / 4.0;
    }
}

impl Eyes {
    /// Looks at an interval. `quiet` says that no flood lasts.
    pub(super) fn look(
        &mut self,
        rule: FloodRule,
        interval: &Interval,
        seconds: f32,
        quiet: bool,
    ) -> [Sight; 2] {
        let calm = quiet && self.forged.value <= 0.0;
        let completed = self.completions.settle(interval, seconds, calm);
        let bars = Bars::of(rule, self.completions.ordinary(), seconds);
        [
            self.look_for_forged(interval, completed, bars, seconds),
            self.look_for_busy(interval, completed, bars, seconds),
        ]
    }

    /// So many sources, or SYNs at one target, may be a flood before the interval is over.
    pub(super) fn hot(&self, rule: FloodRule) -> [u32; 2] {
        let bars = Bars::of(rule, self.completions.ordinary(), 0.0);
        let fullest = self.targets.iter().map(|target| target.busy.value).fold(0.0, f32::max);
        let room = |room: f32| room.max(WORTH_A_LOOK) as u32;
        [room(bars.forged - self.forged.value), room(bars.busy - fullest)]
    }

    /// Is every sum zero? While nothing comes, it stays.
    pub(super) fn at_rest(&self) -> bool {
        self.forged.value <= 0.0 && self.targets.iter().all(|target| target.busy.value <= 0.0)
    }

    /// As [`Eyes::look`] at so many intervals of so many seconds in which nothing came, for eyes
    /// at rest.
    pub(super) fn rest(&mut self, intervals: u32, seconds: f32) {
        for _ in 0..intervals {
            self.completions.settle(&Interval::default(), seconds, true);
        }
        for target in self.targets.iter_mut().filter(|target| target.share > 0.0) {
            for _ in 0..intervals {
                target.take_share(0.0);
            }
        }
    }

    /// Distinct sources less completions.
    fn look_for_forged(
        &mut self,
        interval: &Interval,
        completed: f32,
        bars: Bars,
        seconds: f32,
    ) -> Sight {
        let (asked, throttled) = (interval.asked(), interval.sum(|asked| asked.throttled));
        let evidence = interval.let_in - completed + interval.shut_out;
        Sight {
            kind: FloodKind::Forged,
            over: self.forged.add(evidence, bars.drift, (0.0, bars.forged), (asked, seconds)),
            bar: bars.forged,
            drift: bars.drift,
            evidence,
            asked: asked + throttled,
            so_far: self.forged,
            ports: crowded(interval),
        }
    }

    /// SYNs at a target beyond the first of each source, less completions. At closed ports only
    /// where one target gets most of them: somebody who tries many scans.
    fn look_for_busy(
        &mut self,
        interval: &Interval,
        completed: f32,
        bars: Bars,
        seconds: f32,
    ) -> Sight {
        self.targets.resize(SLOTS, Target::default());
        let closed = interval.sum(|asked| asked.closed);
        let repeated = (1.0 - interval.distinct() - ESTIMATED) / (1.0 - ESTIMATED);
        let known = interval.sum(|asked| asked.completed);
        let known_share = if known + interval.completed > 0.0 {
            known / (known + interval.completed)
        } else {
            0.0
        };
        for (place, target) in self.targets.iter_mut().enumerate() {
            let asked = interval.slots.get(place).copied().unwrap_or_default();
            target.take_share(asked.let_in);
        }
        let shares: f32 = self.targets.iter().map(|target| target.share).sum();

        let mut sight = Sight {
            kind: FloodKind::Busy,
            over: false,
            bar: bars.busy,
            drift: bars.drift,
            evidence: 0.0,
            asked: 0.0,
            so_far: Sum::default(),
            ports: Vec::new(),
        };
        for (place, target) in self.targets.iter_mut().enumerate() {
            let asked = interval.slots.get(place).copied().unwrap_or_default();
            let knocked = if 2.0 * asked.closed >= closed { asked.closed } else { 0.0 };
            let of_known = if known > 0.0 { asked.completed / known } else { 0.0 };
            let of_others = if shares > 0.0 { target.share / shares } else { 0.0 };
            let done = completed * (known_share * of_known + (1.0 - known_share) * of_others);
            let evidence = (asked.let_in + knocked * CLOSED as f32) * repeated - done;
            let syns = asked.let_in + knocked + asked.throttled;
            sight.over |= target.busy.add(evidence, bars.drift, (0.0, bars.busy), (syns, seconds));
            if evidence + asked.throttled > sight.evidence {
                (sight.evidence, sight.asked) = (evidence + asked.throttled, syns);
            }
        }
        if let Some(busiest) = self.busiest() {
            sight.so_far = self.targets[busiest].busy;
            sight.ports.extend(interval.slots.get(busiest).map(|asked| asked.port));
        }
        sight
    }

    /// The slot with the greatest sum.
    fn busiest(&self) -> Option<usize> {
        let value = |place: &usize| self.targets[*place].busy.value;
        (0..self.targets.len()).max_by(|a, b| value(a).total_cmp(&value(b)))
    }
}

/// The ports that get most of an interval's SYNs; none if no port gets much.
fn crowded(interval: &Interval) -> Vec<u16> {
    let syns = |asked: &Asked| asked.let_in + asked.closed;
    let all: f32 = interval.slots.iter().map(syns).sum();
    let mut slots: Vec<&Asked> = interval
        .slots
        .iter()
        .filter(|asked| syns(asked) >= all * NAMED && syns(asked) > 1.0)
        .collect();
    slots.sort_by(|a, b| syns(b).total_cmp(&syns(a)));
    let mut ports: Vec<u16> = slots.iter().take(3).map(|asked| asked.port).collect();
    ports.dedup();
    ports
}
