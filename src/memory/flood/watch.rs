//! Interval by interval: which floods begin, last and end.

use std::time::Duration;

use super::sums::{Bars, Completions, Sum};
use super::tally::{Asked, CLOSED, Interval, SLOTS};
use super::{FloodKind, FloodReport, FloodRule, INTERVAL};
use crate::memory::Moment;

/// A flood is over when nothing of it was seen for so long: floods come in waves.
const HOLD: Duration = Duration::from_secs(3);
/// A flood lasts on half of what it took to begin: half the drift, half the bar.
const LASTS: f32 = 0.5;
/// Distinct sources are estimated: a share of repeated SYNs up to this may be the estimate's.
const ESTIMATED: f32 = 0.1;
/// A target that gets this share of a flood is named, up to three.
const NAMED: f32 = 0.2;
/// A sum is looked at early only for so many more.
const WORTH_A_LOOK: f32 = 8.0;
/// After so many intervals in which nothing came, nothing is left to be forgotten.
const FORGET: u32 = 100;

/// The state between intervals.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// When the last interval was closed; 0 before the first.
    closed: Moment,
    completions: Completions,
    forged: Sum,
    targets: Vec<Target>,
    lasting: Vec<Lasting>,
    /// SYNs per second.
    surplus: f32,
}

/// What is known of a slot of targets.
#[derive(Clone, Copy, Debug, Default)]
struct Target {
    busy: Sum,
    /// SYNs let in of late, for sharing out completions of nobody knows which target.
    share: f32,
}

#[derive(Debug)]
struct Lasting {
    report: FloodReport,
    /// As the sum that it began with, with less drift.
    sum: Sum,
    seen: Moment,
}

/// What an interval says of one kind of flood.
struct Sight {
    kind: FloodKind,
    /// The sum is over its bar…
    over: bool,
    /// …which is this.
    bar: f32,
    /// What it brought, refusals that are our own doing included.
    evidence: f32,
    /// All SYNs that may belong to it.
    asked: f32,
    /// SYNs per second since the sum was last zero, and how many.
    so_far: Sum,
}

impl Watch {
    /// When the last interval was closed.
    pub(super) fn closed(&self) -> Moment {
        self.closed
    }

    /// The kinds of floods that last.
    pub(super) fn kinds(&self) -> impl Iterator<Item = FloodKind> {
        self.lasting.iter().map(|flood| flood.report.kind)
    }

    /// The floods that last.
    pub(super) fn lasting(&self) -> Vec<FloodReport> {
        self.lasting.iter().map(|flood| flood.report.clone()).collect()
    }

    /// The surplus of the last interval, SYNs per second.
    pub(super) fn surplus(&self) -> f32 {
        self.surplus
    }

    /// So many sources, or SYNs at one target, can be a flood before the interval is over.
    pub(super) fn hot(&self, rule: FloodRule) -> [u32; 2] {
        let bars = Bars::of(rule, self.completions.ordinary(), 0.0);
        let fullest = self.targets.iter().map(|target| target.busy.value).fold(0.0, f32::max);
        let lasts = |kind| self.kinds().any(|lasting| lasting == kind);
        let room = |lasts: bool, room: f32| match lasts {
            true => u32::MAX,
            false => room.max(WORTH_A_LOOK) as u32,
        };
        let forged = lasts(FloodKind::Forged);
        let busy = forged || lasts(FloodKind::Busy);
        [room(forged, bars.forged - self.forged.value), room(busy, bars.busy - fullest)]
    }

    /// Closes an interval that was over 100 ms after the last, and those without anything that
    /// have followed it. Returns what began and ended.
    pub(super) fn close_due(
        &mut self,
        rule: FloodRule,
        interval: &Interval,
        now: Moment,
    ) -> Vec<FloodReport> {
        if self.closed == Moment::default() {
            self.closed = now;
            return Vec::new();
        }
        let mut changed = self.close(rule, interval, self.closed + INTERVAL);
        let nothing = Interval::default();
        let mut idle = now.since(self.closed).as_nanos() / INTERVAL.as_nanos();
        for _ in 0..FORGET {
            if idle == 0 {
                return changed;
            }
            idle -= 1;
            changed.extend(self.close(rule, &nothing, self.closed + INTERVAL));
        }
        self.closed = now;
        changed
    }

    /// Closes an interval here and now.
    pub(super) fn close_now(
        &mut self,
        rule: FloodRule,
        interval: &Interval,
        now: Moment,
    ) -> Vec<FloodReport> {
        if self.closed == Moment::default() {
            self.closed = now;
        }
        self.close(rule, interval, now)
    }

    /// Ends everything.
    pub(super) fn rest(&mut self, now: Moment) -> Vec<FloodReport> {
        let ended = std::mem::take(self).lasting.into_iter();
        self.closed = now;
        ended.map(|flood| FloodReport { until: Some(now), ..flood.report }).collect()
    }

    fn close(&mut self, rule: FloodRule, interval: &Interval, now: Moment) -> Vec<FloodReport> {
        let seconds = now.since(self.closed).as_secs_f32();
        if seconds <= 0.0 {
            return Vec::new();
        }
        self.closed = now;
        let calm = self.forged.value <= 0.0 && self.lasting.is_empty();
        let completed = self.completions.settle(interval, seconds, calm);
        let bars = Bars::of(rule, self.completions.ordinary(), seconds);

        let (forged, asked) = self.look_for_forged(interval, completed, bars, seconds);
        let busy = self.look_for_busy(interval, completed, bars, seconds);
        self.surplus = match self.kinds().max() {
            Some(FloodKind::Busy) => busy.asked / seconds,
            _ => forged.evidence.max(0.0) / seconds,
        };
        let distinct = (interval.let_in + interval.shut_out) / asked.max(1.0);
        let busiest = self.busiest();
        let mut changed = Vec::new();
        for sight in [forged, busy] {
            let ports = match sight.kind {
                FloodKind::Forged => crowded(interval),
                FloodKind::Busy => busiest
                    .and_then(|at| interval.slots.get(at))
                    .map(|asked| asked.port)
                    .into_iter()
                    .collect(),
            };
            changed.extend(self.follow(sight, bars.drift, (ports, distinct.min(1.0)), seconds));
        }
        changed
    }

    /// Distinct sources less completions. Returns also all SYNs that these sources sent.
    fn look_for_forged(
        &mut self,
        interval: &Interval,
        completed: f32,
        bars: Bars,
        seconds: f32,
    ) -> (Sight, f32) {
        let asked: f32 = interval.slots.iter().map(|asked| asked.let_in + asked.closed).sum();
        let throttled: f32 = interval.slots.iter().map(|asked| asked.throttled).sum();
        let evidence = interval.let_in - completed + interval.shut_out;
        let over = self.forged.add(evidence, bars.drift, bars.forged, (asked, seconds));
        let sight = Sight {
            kind: FloodKind::Forged,
            over,
            bar: bars.forged,
            evidence,
            asked: asked + throttled,
            so_far: self.forged,
        };
        (sight, asked)
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
        let sum = |of: fn(&Asked) -> f32| interval.slots.iter().map(of).sum::<f32>();
        let (let_in, closed) = (sum(|asked| asked.let_in), sum(|asked| asked.closed));
        let repeated = 1.0 - (interval.let_in + interval.shut_out) / (let_in + closed).max(1.0);
        let repeated = (repeated - ESTIMATED) / (1.0 - ESTIMATED);
        let known = sum(|asked| asked.completed);
        let known_share = if known + interval.completed > 0.0 {
            known / (known + interval.completed)
        } else {
            0.0
        };
        for (place, target) in self.targets.iter_mut().enumerate() {
            let asked = interval.slots.get(place).copied().unwrap_or_default();
            target.share += (asked.let_in - target.share) / 4.0;
        }
        let shares: f32 = self.targets.iter().map(|target| target.share).sum();

        let mut sight = Sight {
            kind: FloodKind::Busy,
            over: false,
            bar: bars.busy,
            evidence: 0.0,
            asked: 0.0,
            so_far: Sum::default(),
        };
        for (place, target) in self.targets.iter_mut().enumerate() {
            let asked = interval.slots.get(place).copied().unwrap_or_default();
            let knocked = if 2.0 * asked.closed >= closed { asked.closed } else { 0.0 };
            let of_known = if known > 0.0 { asked.completed / known } else { 0.0 };
            let of_others = if shares > 0.0 { target.share / shares } else { 0.0 };
            let done = completed * (known_share * of_known + (1.0 - known_share) * of_others);
            let evidence = (asked.let_in + knocked * CLOSED as f32) * repeated - done;
            let syns = asked.let_in + knocked + asked.throttled;
            sight.over |= target.busy.add(evidence, bars.drift, bars.busy, (syns, seconds));
            if evidence + asked.throttled > sight.evidence {
                (sight.evidence, sight.asked) = (evidence + asked.throttled, syns);
            }
        }
        if let Some(busiest) = self.busiest() {
            sight.so_far = self.targets[busiest].busy;
        }
        sight
    }

    /// The slot with the greatest sum.
    fn busiest(&self) -> Option<usize> {
        let value = |place: &usize| self.targets[*place].busy.value;
        (0..self.targets.len()).max_by(|a, b| value(a).total_cmp(&value(b)))
    }

    /// What begins or ends with an interval. `ports` and the share of `distinct` sources are those
    /// of a flood that begins.
    fn follow(
        &mut self,
        sight: Sight,
        drift: f32,
        (ports, share): (Vec<u16>, f32),
        seconds: f32,
    ) -> Option<FloodReport> {
        let Sight { kind, over, bar, evidence, asked, so_far } = sight;
        let now = self.closed;
        let Some(place) = self.lasting.iter().position(|flood| flood.report.kind == kind) else {
            // While everything is frozen already, there is no more to say.
            let frozen = || self.kinds().any(|kind| kind == FloodKind::Forged);
            if !over || frozen() {
                return None;
            }
            let rate = so_far.rate();
            let report = FloodReport {
                kind,
                since: now,
                until: None,
                ports,
                rate,
                peak: rate,
                syns: so_far.syns as u64,
                share,
            };
            let sum = Sum { value: bar, ..Sum::default() };
            self.lasting.push(Lasting { report: report.clone(), sum, seen: now });
            return Some(report);
        };
        let flood = &mut self.lasting[place];
        flood.report.syns += asked as u64;
        // A part of an interval says little of the rate.
        if seconds >= INTERVAL.as_secs_f32() / 2.0 {
            flood.report.rate = asked / seconds;
            flood.report.peak = flood.report.peak.max(flood.report.rate);
        }
        let drift = drift * LASTS;
        flood.sum.add(evidence, drift, bar, (asked, seconds));
        if evidence > drift && flood.sum.value >= bar * LASTS {
            flood.seen = now;
        }
        (now.since(flood.seen) >= HOLD).then(|| {
            let flood = self.lasting.swap_remove(place);
            FloodReport { until: Some(flood.seen), ..flood.report }
        })
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
