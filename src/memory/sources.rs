//! A bounded table of sources: when it is full, who was not seen for longest makes room.

use std::hash::BuildHasher;
use std::hint::black_box;

use foldhash::quality::SeedableRandomState as RandomState;

use super::glimpse::Glimpse;
use super::{Moment, Source, SourceKey, among};

/// Two places for an index entry, one cache line each.
const WAYS: usize = 8;

/// Of a hundred places of the index, so many are used by a full table. More, and both places of a
/// newcomer would often be full while others are empty.
const LOAD: usize = 85;

/// Sources by key, at most as many as it has room for.
///
/// Of who came once, no more than a [`Glimpse`] is kept; who comes again is given a [`Row`]. Both lie
/// side by side in the order in which they came, and one that is given up is used again. An index
/// leads to them: each key has two sets of eight entries, by a keyed hash, and is in one of
/// them, the emptier one when it came (Azar, Broder, Karlin, Upfal 1999: so they fill evenly). A
/// known source costs one or two cache lines of the index and its own one or two; nothing of its
/// neighbours is touched, however many there are, where a linked list would move them about.
///
/// Who makes room is the one of the sixteen in both sets who was not seen for longest, to about a
/// quarter of a second: nearly always one of the oldest sixteenth of all. In a table for fewer than
/// fourteen it is exactly the oldest. It promises no more.
#[derive(Debug)]
pub(super) struct Sources {
    sets: Box<[Set]>,
    glimpses: Pool<Glimpse>,
    rows: Pool<Row>,
    guest: Option<Guest>,
    capacity: usize,
    hasher: RandomState,
}

/// Two cache lines.
#[derive(Debug)]
#[repr(align(64))]
struct Row {
    key: SourceKey,
    source: Source,
}

/// The source that was recalled last, if it came for the first time: only once the judgement is over,
/// it shows what there is to be kept of it.
#[derive(Debug)]
struct Guest {
    /// Its glimpse.
    number: usize,
    /// When it came.
    now: Moment,
    source: Source,
}

/// What lies side by side.
#[derive(Debug)]
struct Pool<T> {
    all: Vec<T>,
    /// Those that were given up.
    free: Vec<u32>,
}

impl<T> Pool<T> {
    /// Room that is not used yet costs no memory.
    fn new(capacity: usize) -> Self {
        Self { all: Vec::with_capacity(capacity), free: Vec::new() }
    }

    fn len(&self) -> usize {
        self.all.len() - self.free.len()
    }

    fn put(&mut self, one: T) -> usize {
        if let Some(number) = self.free.pop() {
            self.all[number as usize] = one;
            number as usize
        } else {
            self.all.push(one);
            self.all.len() - 1
        }
    }

    fn give_up(&mut self, number: usize) {
        self.free.push(number as u32);
    }
}

#[derive(Clone, Copy, Debug, Default)]
#[repr(align(64))]
struct Set([Entry; WAYS]);

/// From the upper end: where it is, never zero (26 bits), bits of the hash (16), when it was last seen
/// (22). All zero is an empty place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Entry(u64);

/// Where a source is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Home {
    Glimpse(usize),
    Row(usize),
}

/// A time in units of 2²⁸ ns, 268 ms, that wraps around after 13 days. Who comes back after that
/// long may be taken for younger than he is, and is kept longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Age(u32);

impl Age {
    const BITS: u32 = 22;
    const MASK: u32 = (1 << Self::BITS) - 1;
    /// Threads may come with a time that is a little older than the last one (11 s).
    const SKEW: u32 = 40;

    fn of(moment: Moment) -> Self {
        Self((moment.0 >> 28) as u32 & Self::MASK)
    }

    /// How long before `self` the other was.
    fn since(self, earlier: Age) -> u32 {
        let units = self.0.wrapping_sub(earlier.0) & Self::MASK;
        if units > Self::MASK - Self::SKEW { 0 } else { units }
    }
}

impl Entry {
    const TAG: u32 = 16;

    const HOME: u32 = Self::TAG + Age::BITS;

    fn new(home: Home, tag: u16, seen: Age) -> Self {
        let mut entry = Self(u64::from(tag) << Age::BITS | u64::from(seen.0));
        entry.set_home(home);
        entry
    }

    fn is_empty(self) -> bool {
        self.0 == 0
    }

    #[inline]
    fn home(self) -> Home {
        let home = (self.0 >> Self::HOME) as usize;
        if home.is_multiple_of(2) { Home::Glimpse(home / 2 - 1) } else { Home::Row(home / 2 - 1) }
    }

    fn set_home(&mut self, home: Home) {
        let home = match home {
            Home::Glimpse(number) => (number + 1) << 1,
            Home::Row(number) => (number + 1) << 1 | 1,
        };
        self.0 = self.0 & ((1 << Self::HOME) - 1) | (home as u64) << Self::HOME;
    }

    fn has(self, tag: u16) -> bool {
        !self.is_empty() && (self.0 >> Age::BITS) as u16 == tag
    }

    fn seen(self) -> Age {
        Age(self.0 as u32 & Age::MASK)
    }

    fn set_seen(&mut self, seen: Age) {
        self.0 = self.0 & !u64::from(Age::MASK) | u64::from(seen.0);
    }
}

/// Where a key may be.
#[derive(Clone, Copy, Debug)]
struct Places {
    sets: [usize; 2],
    tag: u16,
}

/// Where an entry is: its set and its place there.
type Spot = (usize, usize);

impl Sources {
    /// The most sources that an index entry can tell apart.
    const MOST: usize = (1 << 25) - 2;

    /// Room for `capacity` sources, 1 to 33 million.
    pub(super) fn new(capacity: usize, hasher: RandomState) -> Self {
        let capacity = capacity.clamp(1, Self::MOST);
        let sets = (capacity * 100).div_ceil(LOAD * WAYS).max(2);
        Self {
            sets: vec![Set::default(); sets].into_boxed_slice(),
            glimpses: Pool::new(capacity),
            rows: Pool::new(capacity),
            guest: None,
            capacity,
            hasher,
        }
    }

    /// How many sources it has.
    pub(super) fn len(&self) -> usize {
        self.glimpses.len() + self.rows.len()
    }

    /// Of how many more is known than a glimpse tells.
    #[cfg(test)]
    pub(super) fn rows(&self) -> usize {
        self.rows.len()
    }

    /// How many it has room for.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    /// A source, if it is known.
    pub(super) fn peek(&self, key: SourceKey) -> Option<Source> {
        let (set, way) = self.find(key, self.places(key))?;
        Some(self.source(self.sets[set].0[way].home()).0)
    }

    /// What is known of a source, and when it came, if that was once.
    fn source(&self, home: Home) -> (Source, Option<Moment>) {
        match (home, &self.guest) {
            (Home::Row(number), _) => (self.rows.all[number].source, None),
            (Home::Glimpse(number), Some(guest)) if guest.number == number => {
                (guest.source, Some(guest.now))
            }
            (Home::Glimpse(number), _) => {
                let glimpse = &self.glimpses.all[number];
                (glimpse.source(), Some(glimpse.now()))
            }
        }
    }

    /// A source, seen now. If it is not known, it is what `make` makes, and another one may be
    /// forgotten for it.
    #[inline]
    pub(super) fn recall(
        &mut self,
        key: SourceKey,
        now: Moment,
        make: impl FnOnce() -> Source,
    ) -> &mut Source {
        self.settle();
        let (places, seen) = (self.places(key), Age::of(now));
        let Some((set, way)) = self.find(key, places) else {
            let number = self.put(key, places, now);
            return &mut self.guest.insert(Guest { number, now, source: make() }).source;
        };
        let entry = &mut self.sets[set].0[way];
        if entry.seen() != seen {
            entry.set_seen(seen);
        }
        match entry.home() {
            Home::Row(number) => &mut self.rows.all[number].source,
            Home::Glimpse(number) => {
                let source = self.glimpses.all[number].source();
                self.glimpses.give_up(number);
                let row = self.rows.put(Row { key, source });
                entry.set_home(Home::Row(row));
                &mut self.rows.all[row].source
            }
        }
    }

    /// Keeps what is to be kept of the guest: a glimpse, if that tells all, or else a row.
    #[inline]
    fn settle(&mut self) {
        let Some(Guest { number, now, source }) = self.guest.take() else { return };
        let key = self.glimpses.all[number].key;
        if let Some(glimpse) = Glimpse::of(key, &source, now) {
            self.glimpses.all[number] = glimpse;
        } else if let Some((set, way)) = self.find(key, self.places(key)) {
            self.glimpses.give_up(number);
            let row = self.rows.put(Row { key, source });
            self.sets[set].0[way].set_home(Home::Row(row));
        }
    }

    /// Forgets a source, and returns what was known of it.
    pub(super) fn take(&mut self, key: SourceKey) -> Option<Source> {
        let (set, way) = self.find(key, self.places(key))?;
        let home = std::mem::take(&mut self.sets[set].0[way]).home();
        let (source, _) = self.source(home);
        self.give_up(home);
        Some(source)
    }

    fn give_up(&mut self, home: Home) {
        match home {
            Home::Row(number) => self.rows.give_up(number),
            Home::Glimpse(number) => {
                self.guest.take_if(|guest| guest.number == number);
                self.glimpses.give_up(number);
            }
        }
    }

    /// Makes room for more, or for fewer: then who was not seen for longest is forgotten.
    pub(super) fn resize(&mut self, capacity: usize, now: Moment) {
        let mut fresh = Self::new(capacity, self.hasher.clone());
        if fresh.capacity == self.capacity {
            return;
        }
        let mut known: Vec<Entry> = self.entries().collect();
        known.sort_by_key(|entry| Age::of(now).since(entry.seen()));
        for entry in known.into_iter().take(fresh.capacity) {
            let key = self.key(entry);
            let (source, came) = self.source(entry.home());
            // Put as if seen now, by its age then.
            fresh.recall(key, came.unwrap_or(now), || source);
            if let Some((set, way)) = fresh.find(key, fresh.places(key)) {
                fresh.sets[set].0[way].set_seen(entry.seen());
            }
        }
        fresh.settle();
        *self = fresh;
    }

    fn entries(&self) -> impl Iterator<Item = Entry> {
        self.sets.iter().flat_map(|set| set.0).filter(|entry| !entry.is_empty())
    }

    #[inline]
    fn key(&self, entry: Entry) -> SourceKey {
        match entry.home() {
            Home::Glimpse(number) => self.glimpses.all[number].key,
            Home::Row(number) => self.rows.all[number].key,
        }
    }

    #[inline]
    fn places(&self, key: SourceKey) -> Places {
        let hash = self.hasher.hash_one(key);
        let count = self.sets.len();
        let first = among(count, hash);
        // Never the same one twice.
        let second = (first + 1 + among(count - 1, hash >> 32)) % count;
        Places { sets: [first, second], tag: (hash << 8) as u16 | u16::from((hash >> 32) as u8) }
    }

    /// Has the processor fetch where a key may be, without waiting for it.
    #[inline]
    pub(super) fn fetch(&self, key: SourceKey) {
        for set in self.places(key).sets {
            black_box(self.sets[set].0[0]);
        }
    }

    #[inline]
    fn find(&self, key: SourceKey, Places { sets, tag }: Places) -> Option<Spot> {
        for set in sets {
            // All eight at a time, and then one jump: which of them it is cannot be foreseen.
            let has = |mask, (way, entry): (usize, &Entry)| mask | u8::from(entry.has(tag)) << way;
            let mut alike = self.sets[set].0.iter().enumerate().fold(0u8, has);
            while alike != 0 {
                let way = alike.trailing_zeros() as usize;
                if self.key(self.sets[set].0[way]) == key {
                    return Some((set, way));
                }
                alike &= alike - 1;
            }
        }
        None
    }

    /// Puts a source into the table of which nothing is known yet, and says which glimpse is its own.
    fn put(&mut self, key: SourceKey, Places { sets, tag }: Places, now: Moment) -> usize {
        let seen = Age::of(now);
        let empty = |set: usize| self.sets[set].0.iter().filter(|entry| entry.is_empty()).count();
        let [first, second] = sets.map(empty);
        let emptier = if second > first { sets[1] } else { sets[0] };
        let mut spot = None;
        if self.len() >= self.capacity || first + second == 0 {
            let (set, way) = self.oldest(sets, seen);
            let given_up = std::mem::take(&mut self.sets[set].0[way]);
            self.give_up(given_up.home());
            spot = sets.contains(&set).then_some((set, way));
        }
        let number = self.glimpses.put(Glimpse::blank(key, now));
        let (set, way) = spot.unwrap_or_else(|| {
            let empty = self.sets[emptier].0.iter().position(|entry| entry.is_empty());
            (emptier, empty.unwrap_or_default())
        });
        self.sets[set].0[way] = Entry::new(Home::Glimpse(number), tag, seen);
        number
    }

    /// The entry that was not seen for longest in two sets, or in the next set that has any.
    fn oldest(&self, sets: [usize; 2], now: Age) -> Spot {
        let of = |set: usize| {
            let ages = self.sets[set].0.iter().enumerate().filter(|(_, entry)| !entry.is_empty());
            ages.map(move |(way, entry)| (now.since(entry.seen()), (set, way)))
        };
        let oldest = of(sets[0]).chain(of(sets[1])).max_by_key(|(age, _)| *age);
        let elsewhere = || {
            let count = self.sets.len();
            (1..count).find_map(|step| of((sets[0] + step) % count).max_by_key(|(age, _)| *age))
        };
        oldest.or_else(elsewhere).map_or((sets[0], 0), |(_, spot)| spot)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;

    fn key(n: u32) -> SourceKey {
        SourceKey::of(Ipv4Addr::from_bits(n).into())
    }

    fn table(capacity: usize) -> Sources {
        Sources::new(capacity, RandomState::fixed())
    }

    fn second(n: u32) -> Moment {
        Moment(u64::from(n) * 1_000_000_000)
    }

    /// A source that says which one it is.
    fn named(n: u32) -> Source {
        let mut source = Source::default();
        source.offences.denied = n as u16;
        source
    }

    #[test]
    fn a_row_costs_what_it_says() {
        assert_eq!((size_of::<Set>(), size_of::<Glimpse>(), size_of::<Row>()), (64, 64, 128));
    }

    #[test]
    fn a_large_table_uses_its_room_and_no_more() {
        for capacity in [100, 1000, 20_000] {
            let mut table = table(capacity);
            for n in 0..capacity as u32 * 3 {
                table.recall(key(n * 77), second(n), Source::default);
            }
            assert!(table.len() <= capacity);
            assert!(table.len() * 1000 >= capacity * 995, "{} of {capacity}", table.len());
            assert_eq!(table.entries().count(), table.len());
        }
    }

    /// As sampling sixteen does: what is forgotten is among the oldest, and hardly anything recent
    /// ever is.
    #[test]
    fn the_recently_seen_stay() {
        let capacity = 10_000;
        let mut table = table(capacity);
        for n in 0..60_000 {
            table.recall(key(n * 77), second(n), Source::default);
        }
        let kept = |range: std::ops::Range<u32>| {
            let count = range.len();
            let kept = range.filter(|n| table.peek(key(n * 77)).is_some()).count();
            kept as f64 / count as f64
        };
        // The half of its room that was seen last, and what came before its room is full.
        assert!(kept(55_000..60_000) > 0.995, "{}", kept(55_000..60_000));
        assert!(kept(0..40_000) < 0.02, "{}", kept(0..40_000));
    }

    #[test]
    fn small_tables_forget_the_oldest() {
        for capacity in 1..=13 {
            let mut table = table(capacity);
            for n in 0..100 {
                table.recall(key(n), second(n), Source::default);
                // Somebody who is seen all the time stays.
                table.recall(key(1000), second(n), Source::default);
            }
            let known: Vec<u32> = (0..100).filter(|n| table.peek(key(*n)).is_some()).collect();
            assert_eq!(known, (101 - capacity as u32..100).collect::<Vec<_>>(), "{capacity}");
        }
    }

    #[test]
    fn a_time_that_is_a_little_older_makes_nobody_the_oldest() {
        let mut table = table(2);
        table.recall(key(1), second(100), Source::default);
        table.recall(key(2), second(109), Source::default);
        table.recall(key(3), second(101), Source::default);
        let known = [1, 2, 3].map(|n| table.peek(key(n)).is_some());
        assert_eq!(known.iter().filter(|known| **known).count(), 2);
        assert!(known[2]);
    }

    #[test]
    fn resizing_keeps_the_latest() {
        let mut table = table(5000);
        (0..5000).for_each(|n| _ = table.recall(key(n), second(n), || named(n)));
        table.resize(9000, second(5000));
        assert!(table.len() > 4990 && table.capacity() == 9000, "{}", table.len());
        table.resize(10, second(5000));
        for n in 4990..5000 {
            assert_eq!(table.peek(key(n)).map(|source| source.offences.denied), Some(n as u16));
        }
        assert_eq!((table.len(), table.capacity()), (10, 10));
    }

    proptest! {
        /// Whatever comes and goes: a table that never fills is a map.
        #[test]
        fn it_is_a_map(steps in proptest::collection::vec((0..60u32, 0..3u8), 0..400)) {
            let (mut table, mut map) = (table(100), HashMap::new());
            for (now, (n, what)) in steps.into_iter().enumerate() {
                match what {
                    0 => {
                        let taken = table.take(key(n)).map(|source| source.offences.denied);
                        prop_assert_eq!(taken, map.remove(&n));
                    }
                    _ => {
                        let source = table.recall(key(n), second(now as u32), Source::default);
                        let known = map.entry(n).or_insert(0);
                        prop_assert_eq!(source.offences.denied, *known);
                        (source.offences.denied, *known) = (now as u16, now as u16);
                    }
                }
                prop_assert_eq!(table.len(), map.len());
            }
            for (n, denied) in map {
                prop_assert_eq!(table.peek(key(n)).map(|s| s.offences.denied), Some(denied));
            }
        }

        /// And one that does knows whom it was told of last, and never more than it has room for.
        #[test]
        fn it_keeps_its_bound(
            capacity in 1..40usize, keys in proptest::collection::vec(0..200u32, 1..400),
        ) {
            let mut table = table(capacity);
            for (now, n) in keys.into_iter().enumerate() {
                table.recall(key(n), second(now as u32), || named(n)).offences.denied = n as u16;
                prop_assert!(table.len() <= capacity && table.entries().count() == table.len());
                prop_assert_eq!(table.peek(key(n)).map(|s| s.offences.denied), Some(n as u16));
            }
        }
    }
}
