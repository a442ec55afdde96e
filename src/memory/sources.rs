//! A bounded table of sources: when it is full, who was not seen for longest makes room.

use std::hash::BuildHasher;

use foldhash::quality::SeedableRandomState as RandomState;

use super::glimpse::Glimpse;
use super::index::{Age, Entry, Home, Index, Places, Set, Spot};
use super::pool::{MOST_GAPS, Moved, Pool};
use super::{Moment, Source, SourceKey};

/// Sources by key, at most as many as it has room for.
///
/// Of who came once, no more than a [`Glimpse`] is kept; who comes again is given a [`Row`]. Each
/// kind lies side by side, in no more memory than it needs. An index leads to them: each key has two
/// sets of eight entries, by a keyed hash, and is in one of them, the emptier one when it came (Azar,
/// Broder, Karlin, Upfal 1999: so they fill evenly). A source that has a row costs one or two cache
/// lines of the index and its own two; nothing of its neighbours is touched, however many there are,
/// where a linked list would move them about.
///
/// Who makes room is the one of the sixteen in both sets who was not seen for longest, to about a
/// quarter of a second: nearly always one of the oldest sixteenth of all. In a table for fewer than
/// fourteen it is exactly the oldest. It promises no more.
#[derive(Debug)]
pub(super) struct Sources {
    index: Index,
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

/// Bytes of a chunk: for a sixteenth to an eighth of all glimpses, so that what is left of chunks is
/// little beside them, and no more than the allocator takes back in no time (1 MiB). Rows lie in
/// chunks of the same size, so that either kind can have what the other one gives up.
fn chunk(capacity: usize) -> usize {
    size_of::<Glimpse>() * (capacity / 16).next_power_of_two().clamp(64, 16_384)
}

impl Sources {
    /// Room for `capacity` sources, 1 to 33 million.
    pub(super) fn new(capacity: usize, hasher: RandomState) -> Self {
        let capacity = capacity.clamp(1, Index::MOST);
        Self {
            index: Index::new(capacity),
            glimpses: Pool::new(chunk(capacity)),
            rows: Pool::new(chunk(capacity)),
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
        let spot = self.find(key, self.places(key))?;
        Some(self.source(self.index.get(spot).home()).0)
    }

    /// What is known of a source, and when it came, if that was once.
    fn source(&self, home: Home) -> (Source, Option<Moment>) {
        match (home, &self.guest) {
            (Home::Row(number), _) => (self.rows[number].source, None),
            (Home::Glimpse(number), Some(guest)) if guest.number == number => {
                (guest.source, Some(guest.now))
            }
            (Home::Glimpse(number), _) => {
                let glimpse = &self.glimpses[number];
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
        let Some(spot) = self.find(key, places) else {
            let number = self.put(key, places, now);
            return &mut self.guest.insert(Guest { number, now, source: make() }).source;
        };
        let entry = self.index.get(spot);
        if entry.seen() != seen {
            self.index.change(spot, |entry| entry.set_seen(seen));
        }
        let row = match entry.home() {
            Home::Row(number) => number,
            Home::Glimpse(number) => {
                let source = self.glimpses[number].source();
                self.move_to_row(spot, number, Row { key, source })
            }
        };
        &mut self.rows[row].source
    }

    /// More is known of a source than its glimpse tells.
    fn move_to_row(&mut self, spot: Spot, glimpse: usize, row: Row) -> usize {
        let number = self.rows.put(row);
        self.index.change(spot, |entry| entry.set_home(Home::Row(number)));
        self.give_up(Home::Glimpse(glimpse));
        number
    }

    /// Keeps what is to be kept of the guest: a glimpse, if that tells all, or else a row.
    #[inline]
    fn settle(&mut self) {
        let Some(Guest { number, now, source }) = self.guest.take() else { return };
        let key = self.glimpses[number].key;
        if let Some(glimpse) = Glimpse::of(key, &source, now) {
            self.glimpses[number] = glimpse;
        } else if let Some(spot) = self.find(key, self.places(key)) {
            self.move_to_row(spot, number, Row { key, source });
        }
    }

    /// Forgets a source, and returns what was known of it.
    pub(super) fn take(&mut self, key: SourceKey) -> Option<Source> {
        self.settle();
        let spot = self.find(key, self.places(key))?;
        let home = self.index.get(spot).home();
        self.index.put(spot, Entry::default());
        let (source, _) = self.source(home);
        self.give_up(home);
        Some(source)
    }

    /// Gives up what no entry leads to any longer. There is no guest by now, so none is moved.
    fn give_up(&mut self, home: Home) {
        let (kind, moved): (fn(usize) -> Home, _) = match home {
            Home::Row(number) => (Home::Row, self.rows.give_up(number)),
            Home::Glimpse(number) => (Home::Glimpse, self.glimpses.give_up(number)),
        };
        if let Some((moved, count)) = moved {
            self.follow(kind, &moved[..count]);
        }
    }

    /// Has the index lead to those that were moved.
    fn follow(&mut self, kind: fn(usize) -> Home, moved: &[Moved]) {
        let mut sets = [[Set::default(); 2]; MOST_GAPS];
        for (sets, (_, is)) in sets.iter_mut().zip(moved) {
            *sets = self.places(self.key(kind(*is))).sets;
            self.index.fetch(*sets);
        }
        for (sets, (was, is)) in sets.into_iter().zip(moved) {
            if let Some(spot) = self.index.of(kind(*was), sets) {
                self.index.change(spot, |entry| entry.set_home(kind(*is)));
            }
        }
    }

    /// Makes room for more, or for fewer: then who was not seen for longest is forgotten.
    pub(super) fn resize(&mut self, capacity: usize, now: Moment) {
        let mut fresh = Self::new(capacity, self.hasher.clone());
        if fresh.capacity == self.capacity {
            return;
        }
        let mut known: Vec<Entry> = self.index.entries().collect();
        known.sort_by_key(|entry| Age::of(now).since(entry.seen()));
        for entry in known.into_iter().take(fresh.capacity) {
            let key = self.key(entry.home());
            let (source, came) = self.source(entry.home());
            // Put as if seen now, by its age then.
            fresh.recall(key, came.unwrap_or(now), || source);
            if let Some(spot) = fresh.find(key, fresh.places(key)) {
                fresh.index.change(spot, |fresh| fresh.set_seen(entry.seen()));
            }
        }
        fresh.settle();
        *self = fresh;
    }

    #[inline]
    fn key(&self, home: Home) -> SourceKey {
        match home {
            Home::Glimpse(number) => self.glimpses[number].key,
            Home::Row(number) => self.rows[number].key,
        }
    }

    #[inline]
    fn places(&self, key: SourceKey) -> Places {
        self.index.places(self.hasher.hash_one(key))
    }

    /// Has the processor fetch where a key may be, without waiting for it.
    #[inline]
    pub(super) fn fetch(&self, key: SourceKey) {
        self.index.fetch(self.places(key).sets);
    }

    #[inline]
    fn find(&self, key: SourceKey, Places { sets, tag }: Places) -> Option<Spot> {
        for set in sets {
            let mut alike = self.index.alike(set, tag);
            while alike != 0 {
                let spot = (set, alike.trailing_zeros() as usize);
                if self.key(self.index.get(spot).home()) == key {
                    return Some(spot);
                }
                alike &= alike - 1;
            }
        }
        None
    }

    /// Puts a source into the table of which nothing is known yet, and says which glimpse is its own.
    fn put(&mut self, key: SourceKey, Places { sets, tag }: Places, now: Moment) -> usize {
        let seen = Age::of(now);
        let [first, second] = sets.map(|set| self.index.empty(set));
        let (emptier, empty) = if second.count_ones() > first.count_ones() {
            (sets[1], second)
        } else {
            (sets[0], first)
        };
        let mut spot = (emptier, empty.trailing_zeros() as usize);
        if self.len() >= self.capacity || empty == 0 {
            let oldest = self.index.oldest(sets, seen);
            let home = self.index.get(oldest).home();
            self.index.put(oldest, Entry::default());
            self.give_up(home);
            // It is in one of both sets if they are full; if only the table is, perhaps not.
            if sets.contains(&oldest.0) {
                spot = oldest;
            }
        }
        let number = self.glimpses.put(Glimpse::blank(key, now));
        self.index.put(spot, Entry::new(Home::Glimpse(number), tag, seen));
        number
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
        assert_eq!((size_of::<Glimpse>(), size_of::<Row>()), (64, 128));
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
            assert_eq!(table.index.entries().count(), table.len());
        }
    }

    /// Whoever comes and comes again: memory is there for what is known, and not for what was.
    #[test]
    fn what_is_given_up_costs_nothing() {
        let (capacity, count) = (10_000, 8_000);
        let mut table = table(capacity);
        let bytes = |table: &Sources| {
            table.glimpses.room() * size_of::<Glimpse>() + table.rows.room() * size_of::<Row>()
        };
        let slack = 4 * chunk(capacity);
        // They learn one more thing each time, so a glimpse of them never tells all of it.
        for time in 0..3 {
            for n in 0..count {
                let now = second(time * count + n);
                table.recall(key(n * 77), now, Source::default).offences.denied += time as u16;
            }
            let known = [64, 128, 128][time as usize] * count as usize;
            assert!((known..known + slack).contains(&bytes(&table)), "{time}: {}", bytes(&table));
        }
        (0..count).for_each(|n| _ = table.take(key(n * 77)));
        assert!(table.len() == 0 && bytes(&table) < slack, "{}", bytes(&table));
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
                prop_assert!(table.len() <= capacity && table.index.entries().count() == table.len());
                prop_assert_eq!(table.peek(key(n)).map(|s| s.offences.denied), Some(n as u16));
            }
        }
    }
}
