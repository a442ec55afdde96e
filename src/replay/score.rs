//! How well sources were told apart: the arithmetic.

use std::collections::BTreeMap;
use std::time::Duration;

use super::labels::{Attackers, Label};
use super::track::{Track, Tracks};

/// The confusion matrix of some captures, source by source, and how long detection took.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Score {
    /// Captures.
    pub files: u64,
    /// Attackers that were flagged.
    pub caught: u64,
    /// Attackers that were not; among them those that are named but sent no opening.
    pub missed: u64,
    /// Others that were flagged all the same.
    pub wronged: u64,
    /// Others that were not.
    pub spared: u64,
    /// Of those wronged, the ones that were banned.
    pub wrongly_banned: u64,
    /// At which opening each of the caught was flagged, ascending.
    syns: Vec<u64>,
    /// How long after its first opening, ascending.
    times: Vec<Duration>,
}

impl Score {
    /// The share of attackers that were flagged (recall); `None` without attackers.
    pub fn detection_rate(&self) -> Option<f64> {
        share(self.caught, self.missed)
    }

    /// The share of others that were flagged; `None` if there are no others.
    pub fn false_positive_rate(&self) -> Option<f64> {
        share(self.wronged, self.spared)
    }

    /// Openings until detection: the median (of two in the middle, the greater) and the worst.
    pub fn syns(&self) -> Option<(u64, u64)> {
        middle_and_last(&self.syns)
    }

    /// Time until detection: the median (of two in the middle, the greater) and the worst.
    pub fn times(&self) -> Option<(Duration, Duration)> {
        middle_and_last(&self.times)
    }

    fn source(&mut self, track: &Track, attacks: bool) {
        match (attacks, track.flagged_at) {
            (true, Some(at)) => {
                self.caught += 1;
                self.syns.push(at);
                self.times.push(track.detection().unwrap_or_default());
            }
            (true, None) => self.missed += 1,
            (false, Some(_)) => {
                self.wronged += 1;
                self.wrongly_banned += u64::from(track.banned_at.is_some());
            }
            (false, None) => self.spared += 1,
        }
    }

    fn settle(&mut self) {
        self.syns.sort_unstable();
        self.times.sort_unstable();
    }
}

fn share(part: u64, rest: u64) -> Option<f64> {
    (part + rest > 0).then(|| part as f64 / (part + rest) as f64)
}

fn middle_and_last<T: Copy>(ascending: &[T]) -> Option<(T, T)> {
    Some((*ascending.get(ascending.len() / 2)?, *ascending.last()?))
}

/// The scores of all captures: per class, and together.
#[derive(Clone, Debug, Default)]
pub struct Scores {
    classes: BTreeMap<String, Score>,
    total: Score,
}

impl Scores {
    /// Takes one capture in.
    pub fn add(&mut self, tracks: &Tracks, label: &Label) {
        for score in [self.classes.entry(label.class.clone()).or_default(), &mut self.total] {
            score.files += 1;
            for track in tracks.rows() {
                score.source(track, label.attackers.has(track.source));
            }
            if let Attackers::These(these) = &label.attackers {
                let silent = these.iter().filter(|source| tracks.get(**source).is_none());
                score.missed += silent.count() as u64;
            }
            score.settle();
        }
    }

    /// The classes in the order of their names, then all together under `total`.
    pub fn rows(&self) -> impl Iterator<Item = (&str, &Score)> {
        let classes = self.classes.iter().map(|(class, score)| (class.as_str(), score));
        classes.chain([("total", &self.total)])
    }

    /// Was no capture taken in?
    pub fn is_empty(&self) -> bool {
        self.total.files == 0
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::memory::{Moment, SourceKey};

    fn key(n: u32) -> SourceKey {
        SourceKey::of(Ipv4Addr::from_bits(n).into())
    }

    /// Sources 1, 2, …: how many openings each needs to be flagged (0: never), one a second.
    fn tracks(flagged: &[u64]) -> Tracks {
        let mut tracks = Tracks::default();
        for (n, at) in flagged.iter().enumerate() {
            for syn in 1..=(*at).max(3) {
                let now = Moment(1_000_000_000 * (syn + 7));
                let track = tracks.opening(key(n as u32 + 1), now);
                if syn == *at {
                    track.flag("rate", "other", now);
                    track.banned_at = (n == 0).then_some(syn);
                }
            }
        }
        tracks
    }

    fn these(list: &[u32]) -> Attackers {
        Attackers::These(list.iter().map(|n| key(*n)).collect())
    }

    #[test]
    fn arithmetic() {
        let mut scores = Scores::default();
        assert!(scores.is_empty());
        let label = |class: &str, attackers| Label { class: class.into(), attackers };
        // One attacker of three is missed, one never came; one of two others is wronged.
        let scan = tracks(&[4, 0, 2, 9, 0]);
        scores.add(&scan, &label("scan", these(&[2, 3, 4, 99])));
        scores.add(&tracks(&[0, 0, 0, 0, 0, 0, 0, 0]), &label("benign", these(&[])));
        scores.add(&tracks(&[6]), &label("flood", Attackers::Everyone));

        let rows: BTreeMap<&str, &Score> = scores.rows().collect();
        let scan = rows["scan"];
        let counts = |s: &Score| (s.caught, s.missed, s.wronged, s.spared, s.wrongly_banned);
        assert_eq!(counts(scan), (2, 2, 1, 1, 1));
        assert_eq!((scan.detection_rate(), scan.false_positive_rate()), (Some(0.5), Some(0.5)));
        assert_eq!(scan.syns(), Some((9, 9)));
        assert_eq!(scan.times(), Some((Duration::from_secs(8), Duration::from_secs(8))));
        let benign = rows["benign"];
        assert_eq!(counts(benign), (0, 0, 0, 8, 0));
        assert_eq!((benign.detection_rate(), benign.syns()), (None, None));
        assert_eq!(benign.false_positive_rate(), Some(0.0));
        let total = rows["total"];
        assert_eq!(counts(total), (3, 2, 1, 9, 1));
        assert_eq!((total.files, total.detection_rate()), (3, Some(0.6)));
        assert_eq!(total.false_positive_rate(), Some(0.1));
        assert_eq!(total.syns(), Some((6, 9)));
        assert_eq!(total.times(), Some((Duration::from_secs(5), Duration::from_secs(8))));
        assert_eq!(scores.rows().last().unwrap().0, "total");
    }
}
