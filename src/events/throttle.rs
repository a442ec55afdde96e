//! A log is never the attacker's weapon: what is written in full, and what is summed up.
//!
//! - **Refusals.** Of one source, `lines` lines per `every` are written in full; the rest is told
//!   once per span, with counts by reason. All sources together get 100 lines per second; what
//!   goes beyond is told once per span for all of them, with the number of sources.
//! - **Standing changes** have an allowance of their own, so that no flood of refusals can hide a
//!   ban, and a larger burst. Beyond it they too are summed up in the log. The JSON file, if there
//!   is one, gets every one of them, always.
//! - **Notices** are written by the gate alone, rarely, and never throttled.
//!
//! Pure: `now` is an argument. Memory is bounded by 4,096 sources, whatever is sent.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::num::NonZeroUsize;
use std::time::Duration;

use lru::LruCache;

use super::distinct::Distinct;
use super::summary::{StandingSummary, Summary};
use crate::memory::{Moment, SourceKey};
use crate::policy::{CheckId, Standing};

/// Refusals written in full per second, of all sources together.
const LINES_PER_SECOND: u32 = 100;
/// The most sources that are summed up one by one.
const SOURCES: NonZeroUsize = NonZeroUsize::new(4096).unwrap();
/// Refusals that may be written at once after a quiet time.
const BURST: u32 = 200;
/// Standing changes that may be written at once after a quiet time.
const STANDING_BURST: u32 = 500;
/// Checks are told apart up to this many.
const CHECKS: usize = 16;

/// Decides about every line. See the module's documentation.
pub struct Throttle {
    lines: u32,
    every: Duration,
    sources: LruCache<SourceKey, Tally>,
    /// When which source's summary is due, earliest first. A source that has been forgotten
    /// meanwhile is skipped.
    due: BinaryHeap<Reverse<(Moment, SourceKey)>>,
    allowance: Allowance,
    flood: Option<Flood>,
    standing_allowance: Allowance,
    standings: Option<StandingFlood>,
}

/// One source's current span.
struct Tally {
    start: Moment,
    written: u32,
    more: u64,
    by: [u32; CHECKS],
    enforced: bool,
}

/// What went beyond the allowance of all sources together.
struct Flood {
    start: Moment,
    more: u64,
    by: [u64; CHECKS],
    enforced: bool,
    sources: Distinct,
}

struct StandingFlood {
    start: Moment,
    clean: u64,
    suspect: u64,
    banned: u64,
    sources: Distinct,
}

impl Throttle {
    /// `lines` full lines of one source per `every`; then a summary.
    pub fn new(lines: u32, every: Duration) -> Self {
        Self {
            lines,
            every,
            sources: LruCache::new(SOURCES),
            due: BinaryHeap::new(),
            allowance: Allowance::new(BURST),
            flood: None,
            standing_allowance: Allowance::new(STANDING_BURST),
            standings: None,
        }
    }

    /// Changes the limits; spans that have begun keep their end.
    pub fn set(&mut self, lines: u32, every: Duration) {
        (self.lines, self.every) = (lines, every);
    }

    /// A refusal: is it written in full? If not, it is counted for a summary.
    pub fn judged(
        &mut self,
        now: Moment,
        source: SourceKey,
        check: CheckId,
        enforced: bool,
    ) -> bool {
        let check = usize::from(check.0).min(CHECKS - 1);
        let Some(tally) = self.sources.get_mut(&source) else {
            return self.newcomer(now, source, check, enforced);
        };
        if tally.more == 0 && now.since(tally.start) >= self.every {
            *tally = Tally::new(now, enforced);
        }
        tally.enforced = enforced;
        if tally.written < self.lines {
            if !self.allowance.take(now) {
                self.flood(now, enforced).add(source, check, 1);
                return false;
            }
            tally.written += 1;
            return true;
        }
        if tally.more == 0 {
            self.due.push(Reverse((tally.start + self.every, source)));
        }
        tally.more += 1;
        tally.by[check] = tally.by[check].saturating_add(1);
        false
    }

    fn newcomer(&mut self, now: Moment, source: SourceKey, check: usize, enforced: bool) -> bool {
        // Sources enter the table no faster than lines are written, so that forged ones cannot
        // push the others out.
        if self.lines == 0 || !self.allowance.take(now) {
            self.flood(now, enforced).add(source, check, 1);
            return false;
        }
        let tally = Tally { written: 1, ..Tally::new(now, enforced) };
        if let Some((gone, tally)) = self.sources.push(source, tally) {
            self.join_flood(now, gone, &tally);
        }
        true
    }

    /// A standing change: is it written in full? If not, it is counted for a summary.
    pub fn standing(&mut self, now: Moment, source: SourceKey, standing: Standing) -> bool {
        if self.standing_allowance.take(now) {
            return true;
        }
        let flood = self.standings.get_or_insert_with(|| StandingFlood {
            start: now,
            clean: 0,
            suspect: 0,
            banned: 0,
            sources: Distinct::new(),
        });
        match standing {
            Standing::Clean => flood.clean += 1,
            Standing::Suspect => flood.suspect += 1,
            Standing::Banned => flood.banned += 1,
        }
        flood.sources.insert(source.bits());
        false
    }

    /// When [`Throttle::due`] will have something to tell; `None` while nothing waits.
    pub fn next(&self) -> Option<Moment> {
        let source = self.due.peek().map(|Reverse((when, _))| *when);
        let flood = self.flood.as_ref().map(|flood| flood.start + self.every);
        let standings = self.standings.as_ref().map(|flood| flood.start + self.every);
        source.into_iter().chain(flood).chain(standings).min()
    }

    /// The summaries whose time has come.
    pub fn due(&mut self, now: Moment) -> Vec<Summary> {
        self.tell(now, |when| when <= now)
    }

    /// All summaries, before the end of their spans: the program stops.
    pub fn flush(&mut self, now: Moment) -> Vec<Summary> {
        self.tell(now, |_| true)
    }

    fn tell(&mut self, now: Moment, is_due: impl Fn(Moment) -> bool) -> Vec<Summary> {
        let mut summaries = Vec::new();
        while self.due.peek().is_some_and(|Reverse((when, _))| is_due(*when)) {
            let Some(Reverse((_, source))) = self.due.pop() else { break };
            let Some(tally) = self.sources.peek_mut(&source).filter(|tally| tally.more > 0) else {
                continue;
            };
            let told = std::mem::replace(tally, Tally::new(now, tally.enforced));
            if self.allowance.take(now) {
                summaries.push(Summary::Source {
                    source,
                    more: told.more,
                    within: now.since(told.start),
                    by: by_check(told.by.map(u64::from)),
                    enforced: told.enforced,
                });
            } else {
                self.join_flood(now, source, &told);
            }
        }
        if let Some(flood) = self.flood.take_if(|flood| is_due(flood.start + self.every)) {
            summaries.push(Summary::Flood {
                sources: flood.sources.estimate(),
                more: flood.more,
                within: now.since(flood.start),
                by: by_check(flood.by),
                enforced: flood.enforced,
            });
        }
        if let Some(flood) = self.standings.take_if(|flood| is_due(flood.start + self.every)) {
            summaries.push(Summary::Standings(StandingSummary {
                sources: flood.sources.estimate(),
                clean: flood.clean,
                suspect: flood.suspect,
                banned: flood.banned,
                within: now.since(flood.start),
            }));
        }
        summaries
    }

    fn flood(&mut self, now: Moment, enforced: bool) -> &mut Flood {
        let flood = self.flood.get_or_insert_with(|| Flood {
            start: now,
            more: 0,
            by: [0; CHECKS],
            enforced,
            sources: Distinct::new(),
        });
        flood.enforced = enforced;
        flood
    }

    fn join_flood(&mut self, now: Moment, source: SourceKey, tally: &Tally) {
        for (check, count) in tally.by.iter().enumerate().filter(|(_, count)| **count > 0) {
            self.flood(now, tally.enforced).add(source, check, u64::from(*count));
        }
    }
}

impl Tally {
    fn new(start: Moment, enforced: bool) -> Self {
        Self { start, written: 0, more: 0, by: [0; CHECKS], enforced }
    }
}

impl Flood {
    fn add(&mut self, source: SourceKey, check: usize, count: u64) {
        self.more += count;
        self.by[check] += count;
        self.sources.insert(source.bits());
    }
}

/// Lines that may still be written: a bucket that refills by 100 lines per second.
struct Allowance {
    burst: u32,
    /// When the bucket will be full again.
    full: Moment,
}

impl Allowance {
    fn new(burst: u32) -> Self {
        Self { burst, full: Moment(0) }
    }

    fn take(&mut self, now: Moment) -> bool {
        let one = Duration::from_secs(1) / LINES_PER_SECOND;
        let full = self.full.max(now) + one;
        let allowed = full.since(now) <= one * self.burst;
        if allowed {
            self.full = full;
        }
        allowed
    }
}

/// Counts by check, largest first, without those that are zero.
fn by_check(by: [u64; CHECKS]) -> Vec<(CheckId, u64)> {
    let mut by: Vec<(CheckId, u64)> =
        (0u8..).map(CheckId).zip(by).filter(|(_, count)| *count > 0).collect();
    by.sort_by_key(|(_, count)| Reverse(*count));
    by
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::super::line::Line;
    use super::super::sample::check;
    use super::*;

    fn at(millis: u64) -> Moment {
        Moment(1_000_000_000_000 + millis * 1_000_000)
    }

    fn source(n: u32) -> SourceKey {
        SourceKey::of(std::net::Ipv4Addr::from_bits(0xcb00_7100 + n).into())
    }

    fn lines(summaries: &[Summary]) -> Vec<String> {
        summaries
            .iter()
            .map(|summary| {
                let line = Line(&summary.record(UNIX_EPOCH)).to_string();
                line.rsplit_once(" id=").expect("every line has an id").0.to_owned()
            })
            .collect()
    }

    #[test]
    fn one_source_is_summed_up_once_per_span() {
        let mut throttle = Throttle::new(3, Duration::from_secs(10));
        let mut full = 0;
        for i in 0..1207 {
            let check = check(if i % 3 == 0 { "ports" } else { "rate" });
            full += u32::from(throttle.judged(at(i), source(7), check, true));
        }
        assert_eq!(full, 3);
        assert_eq!(throttle.next(), Some(at(10_000)));
        assert_eq!(throttle.due(at(9_999)), []);
        assert_eq!(
            lines(&throttle.due(at(10_000))),
            ["DROP-MORE SRC=203.0.113.7 count=1204 within=10s by=rate:802,ports:402 \
              text=\"and 1,204 more in 10 s\""]
        );
        // Told once; then a new span with lines of its own.
        assert_eq!((throttle.due(at(30_000)), throttle.next()), (vec![], None));
        assert!(throttle.judged(at(30_000), source(7), check("rate"), true));
        // A span without anything held back ends in silence.
        assert!(throttle.judged(at(40_000), source(7), check("rate"), true));
        assert!(throttle.judged(at(40_001), source(7), check("rate"), true));
        assert_eq!(throttle.next(), None);
    }

    #[test]
    fn stopping_tells_what_waits() {
        let mut throttle = Throttle::new(1, Duration::from_secs(3600));
        for i in 0..3 {
            throttle.judged(at(i * 1000), source(1), check("rate"), false);
        }
        assert_eq!(
            lines(&throttle.flush(at(2_000))),
            ["WOULD-DROP-MORE SRC=203.0.113.1 count=2 within=2s by=rate:2 enforced=no \
              text=\"and 2 more in 2 s\""]
        );
        assert_eq!(throttle.flush(at(2_000)), []);
    }

    #[test]
    fn a_million_forged_sources_write_a_handful_of_lines() {
        let mut throttle = Throttle::new(3, Duration::from_secs(10));
        assert!(throttle.judged(at(0), source(0), check("rate"), true));
        let (mut full, mut told) = (0u64, 0u64);
        let mut summaries = Vec::new();
        for i in 0..1_000_000u32 {
            // 100,000 a second, each source once.
            let now = Moment(at(0).0 + u64::from(i) * 10_000);
            full += u64::from(throttle.judged(now, source(i + 1), check("ports"), true));
            summaries.extend(throttle.due(now));
        }
        summaries.extend(throttle.flush(at(10_000)));
        for summary in &summaries {
            let Summary::Flood { sources, more, .. } = summary else { panic!("{summary:?}") };
            told += more;
            assert!(sources.abs_diff(*more) < more / 15, "{summary:?}");
        }
        assert_eq!(full + told, 1_000_000, "nothing is lost");
        assert!(full <= u64::from(BURST) + 10 * u64::from(LINES_PER_SECOND) + 1, "{full}");
        assert!(summaries.len() <= 2, "{summaries:?}");
        assert!(throttle.sources.len() <= SOURCES.get() && throttle.due.is_empty());
    }

    #[test]
    fn a_flood_reads_as_one_line() {
        let mut throttle = Throttle::new(0, Duration::from_secs(10));
        for i in 0..2500 {
            assert!(!throttle.judged(at(u64::from(i)), source(i % 5), check("rate"), true));
        }
        assert_eq!(
            lines(&throttle.due(at(10_000))),
            ["DROP-MORE sources=5 count=2500 within=10s by=rate:2500 \
              text=\"and 2,500 more from about 5 sources in 10 s\""]
        );
    }

    #[test]
    fn nothing_is_lost_when_the_table_is_full() {
        // Slow enough for every source to get its lines, more sources than the table holds.
        let mut throttle = Throttle::new(1, Duration::from_secs(100_000));
        let count = SOURCES.get() as u32 + 100;
        for i in 0..count {
            let now = at(u64::from(i) * 20);
            assert!(throttle.judged(now, source(i), check("rate"), true));
            assert!(!throttle.judged(now, source(i), check("rate"), true));
        }
        assert_eq!(throttle.sources.len(), SOURCES.get());
        let told: u64 = throttle
            .flush(at(10_000_000))
            .iter()
            .map(|summary| match summary {
                Summary::Source { more, .. } | Summary::Flood { more, .. } => *more,
                Summary::Standings(_) => 0,
            })
            .sum();
        assert_eq!(told, u64::from(count));
    }

    #[test]
    fn bans_are_told_through_a_flood_and_summed_up_in_their_own() {
        let mut throttle = Throttle::new(3, Duration::from_secs(10));
        for i in 0..10_000 {
            throttle.judged(at(0), source(i), check("rate"), true);
        }
        assert!(throttle.standing(at(0), source(1), Standing::Banned));
        throttle.flush(at(0));
        let full =
            (0..10_000).filter(|i| throttle.standing(at(0), source(i % 4), Standing::Suspect));
        assert_eq!(full.count(), 499);
        assert_eq!(
            lines(&throttle.due(at(10_000))),
            ["STANDINGS-MORE sources=4 banned=0 suspect=9501 clean=0 within=10s \
              text=\"and 9,501 more changes of standing in 10 s; see: portcullis bans list\""]
        );
    }
}
