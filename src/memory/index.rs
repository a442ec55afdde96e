//! Where which source is kept: an index of cache lines, eight entries in each.

use std::hint::black_box;

use super::among;

/// How many entries are in a set, one cache line.
const WAYS: usize = 8;

/// Of a hundred places, so many are used by a full table. More, and both places of a newcomer would
/// often be full while others are empty.
const LOAD: usize = 85;

/// Sets of eight entries. Memory that no entry was ever put into costs nothing.
#[derive(Debug)]
pub(super) struct Index {
    /// As they come from the allocator, zeroed pages that nobody has touched yet. It does not see to
    /// cache lines.
    words: Box<[u64]>,
    /// So many words before the first cache line begins.
    skipped: usize,
    /// How many sets there are.
    count: usize,
}

/// A set, by its first word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Set(usize);

/// From the upper end: where it is, never zero (26 bits), bits of the hash (16), when it was last seen
/// (22). All zero is an empty place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Entry(u64);

/// Where a source is kept: its number among those of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Home {
    Glimpse(usize),
    Row(usize),
}

/// Where a key may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places {
    pub(super) sets: [Set; 2],
    pub(super) tag: u16,
}

/// Where an entry is: its set and its place there.
pub(super) type Spot = (Set, usize);

/// A time in units of 2²⁸ ns, 268 ms, that wraps around after 13 days. Who comes back after that
/// long may be taken for younger than he is, and is kept longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Age(u32);

impl Index {
    /// The most sources that an entry can tell apart.
    pub(super) const MOST: usize = (1 << 25) - 2;

    /// One for so many sources.
    pub(super) fn new(capacity: usize) -> Self {
        let count = (capacity * 100).div_ceil(LOAD * WAYS).max(2);
        let words = vec![0u64; (count + 1) * WAYS].into_boxed_slice();
        let skipped = words.as_ptr().align_offset(64).min(WAYS);
        Self { words, skipped, count }
    }

    #[inline]
    fn at(&self, number: usize) -> Set {
        Set(self.skipped + number * WAYS)
    }

    /// All sets, from this one on and round.
    fn sets_from(&self, number: usize) -> impl Iterator<Item = Set> {
        (0..self.count).map(move |step| self.at((number + step) % self.count))
    }

    /// The two places of a key with this hash, never the same one twice.
    #[inline]
    pub(super) fn places(&self, hash: u64) -> Places {
        let first = among(self.count, hash);
        let second = first + 1 + among(self.count - 1, hash >> 32);
        let second = if second < self.count { second } else { second - self.count };
        Places {
            sets: [self.at(first), self.at(second)],
            tag: (hash << 8) as u16 | u16::from((hash >> 32) as u8),
        }
    }

    /// Has the processor fetch two sets, without waiting for them.
    #[inline]
    pub(super) fn fetch(&self, sets: [Set; 2]) {
        for set in sets {
            black_box(self.get((set, 0)));
        }
    }

    #[inline]
    fn set(&self, set: Set) -> &[u64] {
        &self.words[set.0..set.0 + WAYS]
    }

    /// The places in a set whose entries are so, the lowest bit for the first one.
    #[inline]
    fn which(&self, set: Set, is: impl Fn(Entry) -> bool) -> u8 {
        let words = self.set(set).iter().enumerate();
        words.fold(0, |which, (way, word)| which | u8::from(is(Entry(*word))) << way)
    }

    /// The places in a set whose entries have this tag. All eight are looked at together, and then
    /// there is one jump: which of them it is cannot be foreseen.
    #[inline]
    pub(super) fn alike(&self, set: Set, tag: u16) -> u8 {
        self.which(set, |entry| entry.has(tag))
    }

    /// The empty places in a set.
    #[inline]
    pub(super) fn empty(&self, set: Set) -> u8 {
        self.which(set, Entry::is_empty)
    }

    /// One entry.
    #[inline]
    pub(super) fn get(&self, (set, way): Spot) -> Entry {
        Entry(self.words[set.0 + way])
    }

    /// Puts an entry into its place.
    #[inline]
    pub(super) fn put(&mut self, (set, way): Spot, Entry(word): Entry) {
        self.words[set.0 + way] = word;
    }

    /// The entry becomes another one.
    #[inline]
    pub(super) fn change(&mut self, (set, way): Spot, with: impl FnOnce(&mut Entry)) {
        let word = &mut self.words[set.0 + way];
        let mut entry = Entry(*word);
        with(&mut entry);
        *word = entry.0;
    }

    /// The entry of what is kept there, which is in one of two sets.
    #[inline]
    pub(super) fn of(&self, home: Home, sets: [Set; 2]) -> Option<Spot> {
        let in_set = |set| {
            let which = self.which(set, |entry| entry.is_at(home));
            (which != 0).then(|| (set, which.trailing_zeros() as usize))
        };
        sets.into_iter().find_map(in_set)
    }

    /// All of them.
    pub(super) fn entries(&self) -> impl Iterator<Item = Entry> {
        let words = self.sets_from(0).flat_map(|set| self.set(set));
        words.map(|word| Entry(*word)).filter(|entry| !entry.is_empty())
    }

    /// The entry that was not seen for longest in two sets, or in the next set that has any.
    pub(super) fn oldest(&self, sets: [Set; 2], now: Age) -> Spot {
        let of = |set: Set| {
            let entries = self.set(set).iter().map(|word| Entry(*word)).enumerate();
            let taken = entries.filter(|(_, entry)| !entry.is_empty());
            taken.map(move |(way, entry)| (now.since(entry.seen()), (set, way)))
        };
        let oldest = of(sets[0]).chain(of(sets[1])).max_by_key(|(age, _)| *age);
        let elsewhere = || {
            let mut others = self.sets_from((sets[0].0 - self.skipped) / WAYS);
            others.find_map(|set| of(set).max_by_key(|(age, _)| *age))
        };
        oldest.or_else(elsewhere).map_or((sets[0], 0), |(_, spot)| spot)
    }
}

impl Age {
    const BITS: u32 = 22;
    const MASK: u32 = (1 << Self::BITS) - 1;
    /// Threads may come with a time that is a little older than the last one (11 s).
    const SKEW: u32 = 40;

    pub(super) fn of(moment: super::Moment) -> Self {
        Self((moment.0 >> 28) as u32 & Self::MASK)
    }

    /// How long before `self` the other was.
    pub(super) fn since(self, earlier: Age) -> u32 {
        let units = self.0.wrapping_sub(earlier.0) & Self::MASK;
        if units > Self::MASK - Self::SKEW { 0 } else { units }
    }
}

impl Home {
    fn bits(self) -> u64 {
        let bits = match self {
            Home::Glimpse(number) => (number + 1) << 1,
            Home::Row(number) => (number + 1) << 1 | 1,
        };
        bits as u64
    }
}

impl Entry {
    const TAG: u32 = 16;

    const HOME: u32 = Self::TAG + Age::BITS;

    pub(super) fn new(home: Home, tag: u16, seen: Age) -> Self {
        Self(home.bits() << Self::HOME | u64::from(tag) << Age::BITS | u64::from(seen.0))
    }

    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    #[inline]
    pub(super) fn home(self) -> Home {
        let home = (self.0 >> Self::HOME) as usize;
        if home.is_multiple_of(2) { Home::Glimpse(home / 2 - 1) } else { Home::Row(home / 2 - 1) }
    }

    fn is_at(self, home: Home) -> bool {
        self.0 >> Self::HOME == home.bits()
    }

    pub(super) fn set_home(&mut self, home: Home) {
        self.0 = self.0 & ((1 << Self::HOME) - 1) | home.bits() << Self::HOME;
    }

    pub(super) fn has(self, tag: u16) -> bool {
        !self.is_empty() && (self.0 >> Age::BITS) as u16 == tag
    }

    pub(super) fn seen(self) -> Age {
        Age(self.0 as u32 & Age::MASK)
    }

    pub(super) fn set_seen(&mut self, seen: Age) {
        self.0 = self.0 & !u64::from(Age::MASK) | u64::from(seen.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Moment;

    #[test]
    fn a_set_is_a_cache_line() {
        for capacity in [1, 13, 100, 5000, 200_000] {
            let index = Index::new(capacity);
            assert!(index.count * WAYS * LOAD >= capacity * 100, "{capacity}");
            let mut sets: Vec<Set> = index.sets_from(1).collect();
            assert!(
                sets.iter().all(|set| index.set(*set).as_ptr().addr().is_multiple_of(64)),
                "{capacity}"
            );
            sets.sort_by_key(|set| set.0);
            sets.dedup();
            assert_eq!(sets.len(), index.count, "{capacity}");
        }
    }

    #[test]
    fn two_places_are_never_one() {
        let hashes = [0, 1, u64::MAX, 0xffff_ffff, 0xffff_ffff_0000_0000, 0x8000_0000_8000_0000];
        for index in [1, 13, 14, 5000].map(Index::new) {
            let all: Vec<Set> = index.sets_from(0).collect();
            for hash in hashes {
                let [first, second] = index.places(hash).sets;
                assert!(first != second && all.contains(&first) && all.contains(&second));
            }
        }
    }

    #[test]
    fn an_entry_tells_what_it_was_told() {
        let ages = [0, 1, (1 << 50) - 1].map(|time| Age::of(Moment(time)));
        for number in [0, 1, 77, Index::MOST - 1] {
            for (home, other) in [
                (Home::Glimpse(number), Home::Row(number)),
                (Home::Row(number), Home::Glimpse(number)),
            ] {
                let mut entry = Entry::new(home, 0xbeef, ages[1]);
                assert_eq!((entry.home(), entry.seen()), (home, ages[1]));
                assert!(entry.has(0xbeef) && !entry.has(0xbeee) && !entry.is_empty());
                assert!(entry.is_at(home) && !entry.is_at(other));
                entry.set_seen(ages[2]);
                entry.set_home(other);
                assert!(entry.has(0xbeef));
                assert_eq!((entry.home(), entry.seen()), (other, ages[2]));
            }
        }
    }
}
