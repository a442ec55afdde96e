//! The last good answer of each name, and what is to be asked when. Pure.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use super::answer::{Answer, Checked, Family};
use super::news::{News, Trouble, What};

#[cfg(test)]
mod tests;

/// So long the addresses of a name that is gone stay trusted.
pub const GONE_FOR: Duration = Duration::from_secs(24 * 3600);
/// So long an answer stays trusted that nobody confirms.
pub const STALE_FOR: Duration = Duration::from_secs(30 * 24 * 3600);
/// The most names that are remembered although the policy no longer has them.
const MOST_UNWANTED: usize = 256;
/// A failed look-up is tried again after this, then after twice as long, and so on up to the usual
/// interval: a machine that starts before its network is there need not wait for minutes.
const RETRY: Duration = Duration::from_secs(2);
/// So many failures in a row are told. Fewer are everyday life, at a start above all.
const TOLD_AFTER: u32 = 3;

/// What is known of names.
#[derive(Clone, Debug)]
pub struct Book {
    every: Duration,
    pub(super) entries: BTreeMap<String, Entry>,
}

/// What is known of one name.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Entry {
    /// By family, in the order of [`Family::ALL`].
    pub(super) halves: [Half; 2],
    /// Nobody knows it, since then.
    pub(super) gone_since: Option<SystemTime>,
    /// The policy does not have it, since then. What is known of it is kept for a while: a roll-back
    /// or the next reload may bring it back when no resolver answers.
    pub(super) unwanted: Option<SystemTime>,
    /// When both questions were asked last.
    asked: Option<SystemTime>,
    /// Rounds in a row that failed.
    failures: u32,
    /// What was told to be wrong.
    told: Option<Trouble>,
    /// What it was before this round, if it has changed since.
    was: Option<Vec<IpAddr>>,
}

/// What is known of a name's addresses of one family.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Half {
    /// The last good answer.
    pub(super) addresses: Vec<IpAddr>,
    /// When it was given.
    pub(super) confirmed: Option<SystemTime>,
    /// The question is on its way.
    pending: bool,
    /// What came of it in this round.
    outcome: Option<Checked>,
}

/// How a name is, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Its addresses are known.
    Good,
    /// There was no answer yet.
    Unknown,
    /// It cannot be looked up, or the answer is not believed.
    Failing,
    /// There is no such name.
    Gone,
}

/// How a name is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The name.
    pub name: String,
    /// The addresses that are trusted for it.
    pub addresses: Vec<IpAddr>,
    /// When the last of them was confirmed.
    pub confirmed: Option<SystemTime>,
    /// How it is.
    pub state: State,
}

impl Book {
    /// An empty one.
    pub fn new(every: Duration) -> Self {
        Self { every, entries: BTreeMap::new() }
    }

    /// These names are wanted from now on, and confirmed so often. The addresses of others are
    /// trusted no longer, and forgotten after [`GONE_FOR`].
    pub fn follow(&mut self, names: &[&str], every: Duration, now: SystemTime) {
        self.every = every;
        for (name, entry) in &mut self.entries {
            if !names.contains(&name.as_str()) {
                entry.unwanted.get_or_insert(now);
            } else if entry.unwanted.take().is_some() {
                // Much may have happened meanwhile.
                entry.asked = None;
            }
        }
        for name in names {
            if !self.entries.contains_key(*name) {
                self.entries.insert((*name).to_owned(), Entry::default());
            }
        }
        self.forget(now);
    }

    /// Forgets names that are not wanted: for long, or without anything to remember, or too many.
    pub(super) fn forget(&mut self, now: SystemTime) {
        self.entries.retain(|_, entry| {
            entry.unwanted.is_none_or(|since| {
                let young = now.duration_since(since).map_or(true, |age| age < GONE_FOR);
                young && !entry.addresses().is_empty()
            })
        });
        let unwanted = |(name, entry): (&String, &Entry)| Some((entry.unwanted?, name.clone()));
        let mut unwanted: Vec<_> = self.entries.iter().filter_map(unwanted).collect();
        if let Some(over) = unwanted.len().checked_sub(MOST_UNWANTED) {
            unwanted.sort();
            for (_, name) in &unwanted[..over] {
                self.entries.remove(name);
            }
        }
    }

    /// The addresses that are trusted for a name if it is wanted.
    pub fn addresses(&self, name: &str) -> Vec<IpAddr> {
        self.entries.get(name).map(Entry::addresses).unwrap_or_default()
    }

    /// The questions whose time has come. Each is to be answered, if only by a failure, before the
    /// same is asked again.
    pub fn due(&mut self, now: SystemTime) -> Vec<(String, Family)> {
        let every = self.every;
        let mut questions = Vec::new();
        for (name, entry) in self.entries.iter_mut().filter(|(_, e)| e.unwanted.is_none()) {
            // A clock that was set back makes it due.
            let elapsed = entry.asked.map(|asked| now.duration_since(asked).unwrap_or(every));
            let rested = elapsed.is_none_or(|elapsed| elapsed >= entry.pause(every));
            if rested && !entry.halves.iter().any(|half| half.pending) {
                entry.asked = Some(now);
                entry.halves.iter_mut().for_each(|half| half.pending = true);
                questions.extend(Family::ALL.map(|family| (name.clone(), family)));
            }
        }
        questions
    }

    /// Takes an answer. New addresses hold at once; what there is to tell is told when both
    /// questions of a round are answered. [`Self::addresses`] may differ whenever the first part is
    /// true.
    pub fn answer(
        &mut self,
        name: &str,
        family: Family,
        answer: Answer,
        now: SystemTime,
    ) -> (bool, Vec<News>) {
        // It may have been taken out of the policy meanwhile.
        let Some(entry) = self.entries.get_mut(name) else { return (false, Vec::new()) };
        if entry.unwanted.is_some() {
            // Nobody wants to know, but the question is answered.
            entry.halves[family as usize].pending = false;
            return (false, Vec::new());
        }
        let was = entry.addresses();
        let checked = answer.check(family);
        let half = &mut entry.halves[family as usize];
        half.pending = false;
        // New addresses need not wait for the other question.
        if let Checked::Good(addresses) = &checked {
            half.addresses.clone_from(addresses);
            half.confirmed = Some(now);
            entry.gone_since = None;
        }
        half.outcome = Some(checked);
        let other = &entry.halves[1 - family as usize];
        let settled = !other.pending && other.outcome.is_some();
        let trouble = if settled { entry.settle(now) } else { None };
        let changed = entry.addresses() != was;
        if changed {
            entry.was.get_or_insert(was);
        }
        if !settled {
            return (changed, Vec::new());
        }
        let is = entry.addresses();
        let change = entry.was.take().filter(|was| *was != is);
        let news = change.map(|was| What::Changed { was, is }).into_iter().chain(trouble);
        let news = news.map(|what| News { name: name.to_owned(), what }).collect();
        (changed, news)
    }

    /// Takes out what was kept long enough. Returns what there is to tell.
    pub fn expire(&mut self, now: SystemTime) -> Vec<News> {
        let over = |since: Option<SystemTime>, limit| {
            since.is_some_and(|since| now.duration_since(since).is_ok_and(|age| age >= limit))
        };
        let mut news = Vec::new();
        for (name, entry) in &mut self.entries {
            let was = entry.addresses();
            let gone = over(entry.gone_since, GONE_FOR);
            for half in &mut entry.halves {
                if gone || over(half.confirmed, STALE_FOR) {
                    half.addresses.clear();
                }
            }
            if entry.addresses() != was && entry.unwanted.is_none() {
                let failing = || Trouble::Failing(String::new());
                let trouble = if gone { Trouble::Gone } else { failing() };
                news.push(News { name: name.clone(), what: What::Dropped { trouble, was } });
            }
        }
        news
    }

    /// How all names are that are wanted.
    pub fn rows(&self) -> Vec<Row> {
        let row = |(name, entry): (&String, &Entry)| {
            let addresses = entry.addresses();
            let state = match &entry.told {
                Some(Trouble::Gone) => State::Gone,
                Some(_) => State::Failing,
                None if addresses.is_empty() => State::Unknown,
                None => State::Good,
            };
            let known = entry.halves.iter().filter(|half| !half.addresses.is_empty());
            let confirmed = known.filter_map(|half| half.confirmed).min();
            Row { name: name.clone(), addresses, confirmed, state }
        };
        self.entries.iter().filter(|(_, entry)| entry.unwanted.is_none()).map(row).collect()
    }
}

impl Entry {
    /// Of a name that the policy does not have, since then.
    pub(super) fn left_out(since: SystemTime) -> Self {
        Self { unwanted: Some(since), ..Self::default() }
    }

    fn addresses(&self) -> Vec<IpAddr> {
        self.halves.iter().flat_map(|half| half.addresses.iter().copied()).collect()
    }

    /// From one round of questions to the next.
    fn pause(&self, every: Duration) -> Duration {
        match self.failures {
            0 => every,
            failures => (RETRY * 2_u32.saturating_pow(failures - 1)).min(every),
        }
    }

    /// Both questions of a round are answered. Takes out what the name no longer has, and says what
    /// has become wrong or well.
    fn settle(&mut self, now: SystemTime) -> Option<What> {
        let outcomes = self.halves.each_mut().map(|half| half.outcome.take());
        let good = outcomes.iter().flatten().any(|o| matches!(o, Checked::Good(_)));
        let gone = outcomes.iter().flatten().all(|o| *o == Checked::Nothing);
        let mut trouble = gone.then_some(Trouble::Gone);
        for (half, outcome) in self.halves.iter_mut().zip(outcomes) {
            // A question that fails matters if the other one says nothing either, or if what it
            // would confirm is trusted. A resolver that knows no AAAA at all is common.
            let matters = !good || !half.addresses.is_empty();
            match outcome {
                Some(Checked::Nothing) if good => half.addresses.clear(),
                Some(Checked::Refused(why)) => trouble = Some(Trouble::Refused(why)),
                Some(Checked::Failed(why)) if matters && trouble.is_none() => {
                    trouble = Some(Trouble::Failing(why));
                }
                _ => {}
            }
        }
        if gone {
            self.gone_since.get_or_insert(now);
        } else if matches!(trouble, Some(Trouble::Refused(_))) {
            // It is there, whoever it is.
            self.gone_since = None;
        }
        let failed = matches!(trouble, Some(Trouble::Failing(_) | Trouble::Refused(_)));
        self.failures = if failed { self.failures.saturating_add(1) } else { 0 };
        let tell = match &trouble {
            Some(Trouble::Failing(_)) => self.failures >= TOLD_AFTER,
            Some(_) => true,
            None => false,
        };
        match (trouble, &self.told) {
            (Some(trouble), told)
                if tell && !told.as_ref().is_some_and(|t| t.is_like(&trouble)) =>
            {
                self.told = Some(trouble.clone());
                Some(What::Troubled { trouble, kept: self.addresses() })
            }
            (None, Some(_)) => {
                self.told = None;
                Some(What::Well)
            }
            _ => None,
        }
    }
}
