//! The truth about standings. Pure: the time is an argument, and what follows from a change is
//! returned, not done.

mod entries;
mod times;

use std::collections::BTreeSet;
use std::collections::btree_map::{BTreeMap, Entry as Place};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ipnet::IpNet;

use self::entries::Entries;
use self::times::Times;
use super::budget::Budget;
use super::clock::Jump;
use super::entry::{By, Entry, LATEST, REASONS, Whom, reason_word};
use super::names::{Family, is_wide, source_bits};
use super::sets::WIDE_LIMIT;
use super::store::Line;
use crate::config::Config;
use crate::memory::SourceKey;
use crate::policy::{Allowlist, Standing};

/// What the ledger goes by.
#[derive(Clone, Debug)]
pub struct Rules {
    /// How long the first, second, … standing lasts; the last repeats. Never empty.
    pub durations: Vec<Duration>,
    /// After so long without an offence, a source starts at the first duration again.
    pub forget_after: Duration,
    /// New bans per minute.
    pub budget: u32,
    /// New bans per minute and network.
    pub budget_network: u32,
    /// What a network is: bits of an IPv4 and of an IPv6 address.
    pub network: (u8, u8),
    /// Prefixes that never get a standing: the policy's and this host's own.
    pub never: Vec<IpNet>,
    /// Trusted prefixes never get one either.
    pub allowed: Arc<Allowlist>,
    /// The most standings, and as many ended ones.
    pub capacity: usize,
}

impl Rules {
    /// The rules of a policy; `protected` are the prefixes that the host itself needs.
    pub fn new(config: &Config, protected: &[IpNet]) -> Self {
        let rate = &config.policy.rate;
        let mut durations = config.bans.durations.clone();
        if durations.is_empty() {
            durations.push(Duration::from_secs(600));
        }
        Self {
            durations,
            forget_after: config.bans.forget_after,
            budget: config.bans.budget,
            budget_network: config.bans.budget_network,
            network: (rate.network_v4, rate.network_v6),
            never: config.bans.never.iter().chain(protected).copied().collect(),
            allowed: Arc::clone(&config.policy.allowlist),
            capacity: config.guard.set_size as usize,
        }
    }

    /// Do these spare just whom the others spare?
    fn spare_whom(&self, others: &Self) -> bool {
        let same = || self.allowed.prefixes == others.allowed.prefixes;
        self.never == others.never && (Arc::ptr_eq(&self.allowed, &others.allowed) || same())
    }

    /// May this prefix, whole, get a standing?
    pub fn spares(&self, net: IpNet) -> bool {
        let touches = |own: &IpNet| own.contains(&net) || net.contains(own);
        self.never.iter().any(touches) || self.allowed.prefixes.overlaps(net)
    }

    fn lasting(&self, offences: u32) -> Duration {
        let index = (offences.max(1) as usize - 1).min(self.durations.len() - 1);
        self.durations[index]
    }
}

/// Why nobody's standing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Spared {
    /// It is on the never list, the allow list, or the host needs it.
    #[error(
        "it is trusted, or this host needs it (allow list, bans.never, own addresses, gateways, resolvers, open SSH sessions)"
    )]
    Never,
    /// Too many bans in this minute.
    #[error("too many bans in this minute (bans.budget)")]
    Budget,
    /// The ledger holds as many standings as the kernel's sets can; or half as many, and this would
    /// be one more suspect.
    #[error("the ban list is full (guard.set_size; wide prefixes: 1,000)")]
    Full,
    /// A ban at one port is of one source.
    #[error(
        "only one address (IPv4) or one /64 (IPv6) can be banned at a single port, and not as a suspect"
    )]
    Port,
    /// Only bans can be wider than a source.
    #[error(
        "only bans can cover a whole prefix; a suspect is one address (IPv4) or one /64 (IPv6)"
    )]
    Wide,
    /// It has this standing, or a worse one, for as long or longer.
    #[error("it has that standing already")]
    Already,
}

/// An entry that changed, and what it had before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The standing before.
    pub before: Standing,
    /// The entry now; its standing is clean if it ended or was removed.
    pub entry: Entry,
    /// The entry is not even remembered any more.
    pub forgotten: bool,
}

/// What a jump of the clock came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// Standings that were moved with it.
    pub standings: usize,
    /// Standings that were not.
    pub stay: usize,
    /// What was moved in all, with the memories of those that have ended.
    pub entries: usize,
}

/// Where a standing's reason is counted.
fn row(entry: &Entry) -> usize {
    usize::from(entry.standing == Standing::Banned)
}

/// Nobody's standing may last longer than this, so that no sum of times overflows.
const LONGEST: Duration = Duration::from_secs(100 * 366 * 24 * 3600);

/// All standings, and the memory of those that ended.
#[derive(Clone, Debug)]
pub struct Ledger {
    rules: Rules,
    entries: Entries,
    /// How many of them have a standing; the others are the memory of one.
    live: usize,
    /// Standings by their end.
    ends: Times,
    /// Ended standings by the last offence.
    offended: Times,
    /// Banned prefixes that are wider than a source; few.
    wide: Vec<IpNet>,
    /// How many have a standing for each reason, suspects first: asked every second, so counted
    /// along.
    reasons: [[u64; REASONS]; 2],
    /// How many entries there are at each port.
    at_ports: BTreeMap<u16, usize>,
    /// Nobody has an entry whom the rules spare.
    followed: bool,
    budget: Budget,
}

/// The prefix as the ledger counts it: a whole /64 at least, host bits cleared.
pub fn as_counted(net: IpNet) -> IpNet {
    let most = source_bits(Family::of(net.addr()));
    if net.prefix_len() >= most { SourceKey::of(net.addr()).prefix() } else { net.trunc() }
}

impl Ledger {
    /// An empty ledger.
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            entries: Entries::default(),
            live: 0,
            ends: Times::default(),
            offended: Times::default(),
            wide: Vec::new(),
            reasons: Default::default(),
            at_ports: BTreeMap::new(),
            followed: true,
            budget: Budget::default(),
        }
    }

    /// Takes what stands on disk, line by line: the last about the same counts. In one go, because a
    /// million of them are sooner put in order than put in one by one.
    pub fn restore(&mut self, lines: impl IntoIterator<Item = Line>) {
        self.entries = Entries::of(lines.into_iter().collect());
        (self.wide, self.reasons, self.live) = Default::default();
        (self.at_ports, self.followed) = Default::default();
        // Whoever is read from one file has the very same text: most need no comparison.
        let mut known: Option<(&Arc<str>, By, usize)> = None;
        for entry in self.entries.iter() {
            if let Some(port) = entry.port {
                *self.at_ports.entry(port).or_default() += 1;
            }
            if entry.standing == Standing::Clean {
                continue;
            }
            let number = match known {
                Some((reason, by, number))
                    if Arc::ptr_eq(reason, &entry.reason) && by == entry.by =>
                {
                    number
                }
                _ => entry.reason_number(),
            };
            known = Some((&entry.reason, entry.by, number));
            self.live += 1;
            self.reasons[row(entry)][number] += 1;
            if is_wide(entry.net) {
                self.wide.push(entry.net);
            }
        }
        self.ends = self.by_end();
        self.offended = self.by_offence();
    }

    fn by_end(&self) -> Times {
        let live = self.entries.iter().filter(|entry| entry.standing != Standing::Clean);
        Times::of(live.map(|entry| (entry.until, entry.whom())), self.live)
    }

    fn by_offence(&self) -> Times {
        let ended = self.entries.iter().filter(|entry| entry.standing == Standing::Clean);
        Times::of(ended.map(|entry| (entry.last_offence, entry.whom())), self.remembered())
    }

    /// A source has offended and earned a standing; with a `port`, a ban at that port only, beside
    /// what standing it has. A ban at all ports lies over those at single ones, which go on below.
    pub fn offence(
        &mut self,
        source: SourceKey,
        port: Option<u16>,
        earned: Standing,
        reason: &str,
        evidence: Arc<str>,
        now: SystemTime,
    ) -> Result<Change, Spared> {
        let net = source.prefix();
        if self.rules.spares(net) || earned == Standing::Clean {
            return Err(Spared::Never);
        }
        if self.wide_ban_over(source.base(), now).is_some() {
            return Err(Spared::Already);
        }
        let whom = Whom { net, port: port.filter(|_| earned == Standing::Banned) };
        if whom.port.is_some() && self.is_banned(net.into(), now) {
            return Err(Spared::Already);
        }
        let known = self.entry(whom).cloned();
        let before =
            known.as_ref().filter(|e| e.is_live(now)).map_or(Standing::Clean, |e| e.standing);
        if before > earned {
            return Err(Spared::Already);
        }
        if before == earned {
            return self.again(whom, now).ok_or(Spared::Already);
        }
        // Suspects may be forged by the thousand. Half of the room is left to those who are not.
        let room = match earned {
            Standing::Suspect => self.rules.capacity / 2,
            _ => self.rules.capacity,
        };
        if before == Standing::Clean && self.live >= room {
            return Err(Spared::Full);
        }
        if earned == Standing::Banned {
            let network = source.network(self.rules.network.0, self.rules.network.1);
            if !self.budget.take(network, self.rules.budget, self.rules.budget_network, now) {
                return Err(Spared::Budget);
            }
        }
        let offences = known.as_ref().map_or(0, |e| self.offences_of(e, now)).saturating_add(1);
        let until = now + self.rules.lasting(offences).min(LONGEST);
        let until = known
            .as_ref()
            .filter(|_| before != Standing::Clean)
            .map_or(until, |e| e.until.max(until));
        let entry = Entry {
            net,
            port: whom.port,
            standing: earned,
            since: now,
            until,
            offences,
            last_offence: now,
            reason: reason.into(),
            by: By::Gate,
            evidence,
        };
        Ok(self.change(before, entry))
    }

    /// The same offence while its standing lasts: it lasts longer, but counts no further.
    fn again(&mut self, whom: Whom, now: SystemTime) -> Option<Change> {
        let mut entry = self.entry(whom)?.clone();
        let before = entry.standing;
        let until = now + self.rules.lasting(entry.offences).min(LONGEST);
        // A second is too little to tell the kernel about.
        if until < entry.until + Duration::from_secs(1) {
            return None;
        }
        entry.until = until;
        entry.last_offence = now;
        Some(self.change(before, entry))
    }

    /// A suspect goes on probing: its standing begins anew. Nothing happens to others.
    pub fn prolong(&mut self, net: IpNet, now: SystemTime) -> Option<Change> {
        let whom = Whom::from(net);
        let entry = self.entries.get(whom)?;
        if entry.standing == Standing::Suspect && entry.is_live(now) {
            self.again(whom, now)
        } else {
            None
        }
    }

    /// An admin gives a standing. Without `lasts` it lasts as long as the source's next one would.
    /// No budget applies, but what must never be banned is not banned by admins either.
    pub fn add(
        &mut self,
        whom: impl Into<Whom>,
        standing: Standing,
        lasts: Option<Duration>,
        reason: Arc<str>,
        now: SystemTime,
    ) -> Result<Change, Spared> {
        let Whom { net, port } = whom.into();
        let net = as_counted(net);
        let whom = Whom { net, port };
        if self.rules.spares(net) {
            return Err(Spared::Never);
        }
        if is_wide(net) && standing != Standing::Banned {
            return Err(Spared::Wide);
        }
        if port.is_some() && (is_wide(net) || standing != Standing::Banned) {
            return Err(Spared::Port);
        }
        let known = self.entry(whom).cloned();
        let before =
            known.as_ref().filter(|e| e.is_live(now)).map_or(Standing::Clean, |e| e.standing);
        if before == Standing::Clean {
            let wide_full = is_wide(net) && self.wide.len() >= WIDE_LIMIT;
            if wide_full || self.live >= self.rules.capacity {
                return Err(Spared::Full);
            }
        }
        let offences = known.as_ref().map_or(0, |e| self.offences_of(e, now));
        let lasts = lasts.unwrap_or_else(|| self.rules.lasting(offences.saturating_add(1)));
        let entry = Entry {
            net,
            port,
            standing,
            since: now,
            until: now + lasts.min(LONGEST),
            offences,
            last_offence: known.map_or(now, |e| e.last_offence),
            reason,
            by: By::Admin,
            evidence: Arc::default(),
        };
        Ok(self.change(before, entry))
    }

    /// Pardons a source or prefix, at all ports or at one: that standing ends and its offences are
    /// forgotten.
    pub fn remove(&mut self, whom: impl Into<Whom>) -> Option<Change> {
        let Whom { net, port } = whom.into();
        let entry = self.drop_entry(Whom { net: as_counted(net), port })?;
        let before = entry.standing;
        Some(Change {
            before,
            entry: Entry { standing: Standing::Clean, ..entry },
            forgotten: true,
        })
    }

    /// Ends what has ended by `now`, and forgets what is to be forgotten. Ended standings come
    /// first in the answer.
    pub fn expire(&mut self, now: SystemTime) -> Vec<Change> {
        let mut changes = Vec::new();
        while let Some((_, whom)) = self.first_end().filter(|(until, _)| *until <= now) {
            let Some(mut entry) = self.drop_entry(whom) else { break };
            let before = std::mem::replace(&mut entry.standing, Standing::Clean);
            let forgotten = entry.offences == 0;
            if !forgotten {
                self.put(entry.clone());
            }
            changes.push(Change { before, entry, forgotten });
        }
        while let Some((at, whom)) = self.first_offence() {
            let old = now.duration_since(at).is_ok_and(|age| age >= self.rules.forget_after);
            if self.remembered() <= self.rules.capacity && !old {
                break;
            }
            let Some(entry) = self.drop_entry(whom) else { break };
            changes.push(Change { before: Standing::Clean, entry, forgotten: true });
        }
        changes
    }

    /// The standing that ends first.
    fn first_end(&mut self) -> Option<(SystemTime, Whom)> {
        let live = |entry: &&Entry| entry.standing != Standing::Clean;
        self.ends.first(|whom| Some(self.entries.get(whom).filter(live)?.until))
    }

    /// The ended standing whose offence is the longest ago.
    fn first_offence(&mut self) -> Option<(SystemTime, Whom)> {
        let ended = |entry: &&Entry| entry.standing == Standing::Clean;
        self.offended.first(|whom| Some(self.entries.get(whom).filter(ended)?.last_offence))
    }

    /// The clock was set. Standings that were given, or prolonged, by the clock that is known move
    /// along, so that they last as long as they were meant to. What is older was given by a clock of
    /// which nothing is known (a machine that boots without one gets the right time from the network
    /// later), and stays.
    pub fn clock_was_set(&mut self, jump: &Jump) -> Moved {
        let Jump { began, expected, says, .. } = *jump;
        let moved = |at: SystemTime| match at.duration_since(expected) {
            // No later than it can tell,
            Ok(ahead) => (says + ahead).min(SystemTime::UNIX_EPOCH + LATEST),
            // and no earlier.
            Err(behind) => says
                .checked_sub(behind.duration())
                .map_or(SystemTime::UNIX_EPOCH, |at| at.max(SystemTime::UNIX_EPOCH)),
        };
        let own = |at: SystemTime| (began..=expected).contains(&at);
        let is_own = |entry: &&Entry| own(entry.since) || own(entry.last_offence);
        let whose: Vec<Whom> = self.entries().filter(is_own).map(Entry::whom).collect();
        let live = self.live();
        let mut standings = 0;
        for whom in &whose {
            if let Some(mut entry) = self.drop_entry(*whom) {
                standings += usize::from(entry.standing != Standing::Clean);
                for at in [&mut entry.since, &mut entry.last_offence] {
                    *at = if own(*at) { moved(*at) } else { *at };
                }
                entry.until = moved(entry.until);
                self.put(entry);
            }
        }
        Moved { standings, stay: live - standings, entries: whose.len() }
    }

    /// Goes by other rules from now on; whoever has a standing keeps it.
    pub(super) fn go_by(&mut self, rules: Rules) {
        self.followed &= rules.spare_whom(&self.rules);
        self.rules = rules;
    }

    /// Goes by other rules from now on, and ends the standings of those that are now spared.
    pub fn follow(&mut self, rules: Rules) -> Vec<Change> {
        self.go_by(rules);
        if std::mem::replace(&mut self.followed, true) {
            return Vec::new();
        }
        let spared = self.spared();
        spared.into_iter().filter_map(|whom| self.remove(whom)).collect()
    }

    /// The entries of those who are spared by now. Where no whole networks are spared, or banned,
    /// the few who are spared are looked for among the many entries, and not the other way round.
    fn spared(&self) -> Vec<Whom> {
        let rules = &self.rules;
        let sources = rules.never.iter().all(|net| !is_wide(as_counted(*net)));
        let looks = rules.never.len() * (self.at_ports.len() + 1);
        let few = sources && rules.allowed.nets.is_empty() && looks < self.entries.len();
        if !few || !self.wide.is_empty() {
            let whose = self.entries.iter().map(Entry::whom);
            return whose.filter(|whom| rules.spares(whom.net)).collect();
        }
        let never: BTreeSet<SourceKey> =
            rules.never.iter().map(|net| SourceKey::of(net.addr())).collect();
        let places = || [None].into_iter().chain(self.at_ports.keys().copied().map(Some));
        let whose = never
            .into_iter()
            .flat_map(|source| places().map(move |port| Whom { net: source.prefix(), port }));
        whose.filter(|whom| self.entries.get(*whom).is_some()).collect()
    }

    /// What is known about an address: its own entry if it has a standing, a banned prefix around
    /// it, or the memory of an earlier standing.
    pub fn get(&self, address: IpAddr, now: SystemTime) -> Option<&Entry> {
        let own = self.entry(SourceKey::of(address).prefix());
        own.filter(|entry| entry.is_live(now)).or_else(|| self.wide_ban_over(address, now)).or(own)
    }

    /// The same, of an address that wants to a port: if it is not banned altogether, it may be
    /// there.
    pub fn get_at(&self, address: IpAddr, port: u16, now: SystemTime) -> Option<&Entry> {
        let all = self.get(address, now);
        if all.is_some_and(|entry| entry.standing == Standing::Banned && entry.is_live(now)) {
            return all;
        }
        let there = Whom { net: SourceKey::of(address).prefix(), port: Some(port) };
        self.entry(there).filter(|entry| entry.is_live(now)).or(all)
    }

    fn is_banned(&self, whom: Whom, now: SystemTime) -> bool {
        let entry = self.entry(whom);
        entry.is_some_and(|entry| entry.standing == Standing::Banned && entry.is_live(now))
    }

    fn wide_ban_over(&self, address: IpAddr, now: SystemTime) -> Option<&Entry> {
        let around = self.wide.iter().filter(|net| net.contains(&address));
        around.filter_map(|net| self.entry(*net)).find(|entry| entry.is_live(now))
    }

    /// Every entry, live ones and remembered ones, in no order.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    /// The entry that [`Self::entries`] names so many others before; another one after a change.
    pub(super) fn entry_at(&self, place: u32) -> Option<&Entry> {
        self.entries.at(place)
    }

    /// The entry about exactly this.
    pub fn entry(&self, whom: impl Into<Whom>) -> Option<&Entry> {
        self.entries.get(whom.into())
    }

    /// The banned prefixes that are wider than a source.
    pub fn wide(&self) -> impl Iterator<Item = &Entry> {
        self.wide.iter().filter_map(|net| self.entry(*net))
    }

    /// How many have which standing for which reason: a check's name, `admin`, or `other`. Those
    /// that have ended count until [`Self::expire`] is called.
    pub fn reasons(&self) -> BTreeMap<(Standing, &'static str), u64> {
        let both = [Standing::Suspect, Standing::Banned].into_iter().zip(&self.reasons);
        let all = both.flat_map(|(standing, counts)| {
            counts.iter().enumerate().map(move |(n, count)| ((standing, reason_word(n)), *count))
        });
        all.filter(|(_, count)| *count > 0).collect()
    }

    /// How many ended standings are remembered.
    pub fn remembered(&self) -> usize {
        self.entries.len() - self.live
    }

    /// How many entries there are, live and remembered.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Is nothing known of anybody?
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many standings there are.
    pub fn live(&self) -> usize {
        self.live
    }

    /// When the next standing ends, or sooner.
    pub fn next_end(&self) -> Option<SystemTime> {
        self.ends.earliest()
    }

    fn offences_of(&self, entry: &Entry, now: SystemTime) -> u32 {
        let age = now.duration_since(entry.last_offence).unwrap_or_default();
        if age >= self.rules.forget_after { 0 } else { entry.offences }
    }

    fn change(&mut self, before: Standing, entry: Entry) -> Change {
        self.drop_entry(entry.whom());
        self.put(entry.clone());
        Change { before, entry, forgotten: false }
    }

    fn put(&mut self, entry: Entry) {
        if let Some(port) = entry.port {
            *self.at_ports.entry(port).or_default() += 1;
        }
        if entry.standing == Standing::Clean {
            self.offended.push(entry.last_offence, entry.whom());
        } else {
            self.live += 1;
            self.ends.push(entry.until, entry.whom());
            self.reasons[row(&entry)][entry.reason_number()] += 1;
            if is_wide(entry.net) {
                self.wide.push(entry.net);
            }
        }
        self.entries.insert(entry);
        if self.ends.is_bloated(self.live) {
            self.ends = self.by_end();
        }
        if self.offended.is_bloated(self.remembered()) {
            self.offended = self.by_offence();
        }
    }

    fn drop_entry(&mut self, whom: Whom) -> Option<Entry> {
        let entry = self.entries.remove(whom)?;
        if let Some(at) = entry.port
            && let Place::Occupied(mut count) = self.at_ports.entry(at)
        {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
        if entry.standing != Standing::Clean {
            self.live -= 1;
            self.reasons[row(&entry)][entry.reason_number()] -= 1;
        }
        if is_wide(whom.net) {
            self.wide.retain(|other| *other != whom.net);
        }
        Some(entry)
    }
}

#[cfg(test)]
mod tests;
