//! One split of the honest sources, and what comes of it.

use portcullis::anomaly::{Digest, FEATURES, Histogram, Scorer};

use super::party::Life;

/// Honest sources in their roles.
pub(crate) struct Split<'a> {
    shipped: Vec<&'a Life>,
    teachers: Vec<&'a Life>,
    calibrators: Vec<&'a Life>,
    strangers: Vec<&'a Life>,
}

/// What is learnt from beside the honest teachers: one SYN of five is an attacker's.
pub(crate) enum Stream<'a> {
    /// Nothing.
    Clean,
    /// Attackers, as far as the gate before learning lets them.
    Gated(&'a [&'a Life]),
    /// Attackers, all of them; and they calibrate, too.
    Open(&'a [&'a Life]),
}

/// A model, and what it makes of the strangers.
pub(crate) struct Trial {
    scorer: Scorer,
    /// Honest strangers like those that calibrate, and how many of them were flagged.
    strangers: (usize, usize),
    /// The same, of all honest strangers.
    all: (usize, usize),
    /// The scores of all honest strangers.
    honest: Vec<f32>,
    /// Attackers' SYNs that were learnt.
    pub(crate) poison: usize,
}

/// Of 20 sources 3 are shipped, 3 teach, 8 calibrate, and 6 are strangers.
pub(crate) fn split<'a>(honest: &[&'a Life], seed: u64) -> Split<'a> {
    let mut order = honest.to_vec();
    shuffle(&mut order, seed);
    let mut take = |percent: usize| {
        let count = (honest.len() * percent / 100).min(order.len());
        order.drain(..count).collect::<Vec<_>>()
    };
    let (shipped, teachers, calibrators) = (take(15), take(15), take(40));
    Split { shipped, teachers, calibrators, strangers: order }
}

/// Fisher and Yates, with a generator of one line: the same for the same seed.
pub(crate) fn shuffle<T>(items: &mut [T], seed: u64) {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    for last in (1..items.len()).rev() {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        items.swap(last, (state >> 33) as usize % (last + 1));
    }
}

impl Split<'_> {
    pub(crate) fn run(&self, stream: &Stream<'_>, budget: f64) -> Trial {
        let shipped = shipped(&self.shipped);
        let (mut learnt, honest) =
            histogram(self.teachers.iter().copied().filter(|life| life.teaches));
        let mut calibrators: Vec<&Life> =
            self.calibrators.iter().copied().filter(|life| life.teaches).collect();
        let mut poison = 0;
        if let Stream::Gated(attackers) | Stream::Open(attackers) = stream {
            // Honest SYNs are four fifths of what is offered.
            let mut room = honest / 4;
            let mut extra = Vec::new();
            for life in *attackers {
                let offered = life.digests.len();
                if offered > room {
                    break;
                }
                room -= offered;
                if life.teaches || matches!(stream, Stream::Open(_)) {
                    life.digests.iter().for_each(|digest| learnt.learn(*digest));
                    poison += offered;
                    extra.push(*life);
                }
            }
            // As many calibrate, in proportion.
            calibrators.extend(extra.iter().take(calibrators.len() / 4));
        }
        let scorer = Scorer::new(&shipped, &learnt);
        let scores = calibrators.iter().map(|life| worst(&scorer, life)).collect();
        let scorer = scorer.calibrated(scores, budget);
        let count = |of: &dyn Fn(&Life) -> bool| {
            let asked = || self.strangers.iter().filter(|life| of(life));
            (asked().count(), asked().filter(|life| worst(&scorer, life) > scorer.limit()).count())
        };
        let (strangers, all) = (count(&|life| life.teaches), count(&|_| true));
        let honest = self.strangers.iter().map(|life| worst(&scorer, life)).collect();
        Trial { scorer, strangers, all, honest, poison }
    }
}

impl Trial {
    /// The share of honest strangers that were called unusual: of those like the calibration
    /// sources, who complete connections and whom no other check accuses; and of all.
    pub(crate) fn false_alarms(&self) -> (f64, f64) {
        let share = |(of, flagged): (usize, usize)| flagged as f64 / of.max(1) as f64;
        (share(self.strangers), share(self.all))
    }

    /// The area under the ROC curve: how often an attacker scores above an honest stranger.
    pub(crate) fn area(&self, attackers: &[&Life]) -> f64 {
        let mut honest = self.honest.clone();
        honest.sort_by(f32::total_cmp);
        let above = |life: &&Life| {
            let score = worst(&self.scorer, life);
            let below = honest.partition_point(|known| *known < score);
            let level = honest.partition_point(|known| *known <= score) - below;
            below as f64 + level as f64 / 2.0
        };
        let pairs = (honest.len() * attackers.len()).max(1) as f64;
        attackers.iter().map(above).sum::<f64>() / pairs
    }

    /// The share of these attackers that were.
    pub(crate) fn detection(&self, attackers: &[&Life]) -> f64 {
        let found = attackers.iter().filter(|life| worst(&self.scorer, life) > self.scorer.limit());
        found.count() as f64 / attackers.len().max(1) as f64
    }
}

/// The score of a source: its oddest SYN's.
fn worst(scorer: &Scorer, life: &Life) -> f32 {
    life.digests.iter().map(|digest| scorer.score(*digest)).fold(0.0, f32::max)
}

/// What would be shipped if these sources were all that is known.
///
/// Captures are made beside the client, where nobody is any distance away. To a server, clients
/// are a few to 30 routers away, so their distances are dealt out anew.
pub(crate) fn shipped(lives: &[&Life]) -> Histogram {
    let mut histogram = Histogram::default();
    let teachers = lives.iter().filter(|life| life.teaches);
    for (n, digest) in teachers.flat_map(|life| &life.digests).enumerate() {
        let mut levels: [u32; FEATURES] = std::array::from_fn(|at| digest.level(at).into());
        levels[0] = n as u32 % 10;
        histogram.learn(Digest::from_levels(levels));
    }
    histogram
}

fn histogram<'a>(lives: impl Iterator<Item = &'a Life>) -> (Histogram, usize) {
    let mut histogram = Histogram::default();
    let mut count = 0;
    for digest in lives.flat_map(|life| &life.digests) {
        histogram.learn(*digest);
        count += 1;
    }
    (histogram, count)
}
