//! Ascending, non-overlapping ranges of addresses, each with a list number, and the search tree
//! above them.
//!
//! What a question costs is cache misses, so what a question touches is kept small: a tree of
//! words (an IPv4 address, or the upper half of an IPv6 one) and four bytes for each of its
//! entries. The ranges themselves are only asked where those four bytes do not tell all.

use std::iter;

/// Words per node of the tree: one cache line for IPv4, two neighbours for IPv6.
const FANOUT: usize = 16;

/// An address as a number.
pub(super) trait Bits: Copy + Ord {
    /// What the tree compares: as much of an address as the processor compares at once.
    type Word: Copy + Ord;
    /// The last word there is.
    const LAST: Self::Word;
    /// The upper bits of the address.
    fn word(self) -> Self::Word;
    /// The binary logarithm of the number of words from `first` to `last`, if they are whole
    /// words and a power of two of them.
    fn whole_words(first: Self, last: Self) -> Option<u8>;
    /// Is `word` one of the 2^`size` words from `base` on? It is never before `base`.
    fn within(word: Self::Word, base: Self::Word, size: u8) -> bool;
    /// The next address, unless this is the last.
    fn next(self) -> Option<Self>;
    /// The address before; only asked of addresses that are not the first.
    fn previous(self) -> Self;
}

impl Bits for u32 {
    type Word = u32;
    const LAST: u32 = u32::MAX;

    #[inline]
    fn word(self) -> u32 {
        self
    }

    fn whole_words(first: Self, last: Self) -> Option<u8> {
        let others = last - first;
        (others & others.wrapping_add(1) == 0).then(|| others.count_ones() as u8)
    }

    #[inline]
    fn within(word: u32, base: u32, size: u8) -> bool {
        word.wrapping_sub(base).checked_shr(size.into()).unwrap_or(0) == 0
    }

    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }

    fn previous(self) -> Self {
        self - 1
    }
}

impl Bits for u128 {
    type Word = u64;
    const LAST: u64 = u64::MAX;

    #[inline]
    fn word(self) -> u64 {
        (self >> 64) as u64
    }

    fn whole_words(first: Self, last: Self) -> Option<u8> {
        let whole = first as u64 == 0 && last as u64 == u64::MAX;
        let others = last.word() - first.word();
        (whole && others & others.wrapping_add(1) == 0).then(|| others.count_ones() as u8)
    }

    #[inline]
    fn within(word: u64, base: u64, size: u8) -> bool {
        word.wrapping_sub(base).checked_shr(size.into()).unwrap_or(0) == 0
    }

    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }

    fn previous(self) -> Self {
        self - 1
    }
}

/// Addresses from `first` to `last`, and the list they are in.
#[derive(Clone, Copy, PartialEq)]
struct Range<K> {
    first: K,
    last: K,
    list: u16,
}

/// What an entry of the tree stands for, in four bytes: either 2^size whole words, all in one
/// list, or, with the top bit set, the number of a group.
#[derive(Clone, Copy, PartialEq)]
struct Entry(u32);

impl Entry {
    const GROUP: u32 = 1 << 31;

    fn plain(size: u8, list: u16) -> Self {
        Self(u32::from(size) << 16 | u32::from(list))
    }

    /// There are fewer than 2^31 groups: they would fill 100 GB.
    fn group(number: usize) -> Self {
        Self(Self::GROUP | number as u32)
    }
}

/// Some ranges in a row, as indices of the first and the one behind the last.
type Group = (u32, u32);

/// Whole cache lines, so that a node never lies across one more than it must.
#[derive(Clone, PartialEq)]
#[repr(align(64))]
struct Node<W>([W; FANOUT]);

/// One level of the tree: the first word of every node of the level below, or, on the lowest, of
/// every entry.
#[derive(Clone, PartialEq)]
struct Level<W> {
    /// The last node is filled up with the last word there is.
    nodes: Vec<Node<W>>,
    /// How many words are real.
    len: usize,
}

/// The ranges of one address family. Equal when they hold the same addresses for the same lists.
#[derive(Clone, PartialEq)]
pub(super) struct Ranges<K: Bits> {
    ranges: Vec<Range<K>>,
    entries: Vec<Entry>,
    groups: Vec<Group>,
    /// From the root, which is one node, to the words of every entry.
    levels: Vec<Level<K::Word>>,
}

impl<K: Bits> Default for Ranges<K> {
    fn default() -> Self {
        let (ranges, entries, groups, levels) = Default::default();
        Self { ranges, entries, groups, levels }
    }
}

impl<K: Bits> Ranges<K> {
    /// Flattens prefixes, given as (first address, last address, list) and sorted so that each
    /// stands before those it contains. Where they overlap, the lowest list is kept.
    pub(super) fn flatten(nested: impl Iterator<Item = (K, K, u16)>) -> Self {
        let mut ranges = Self::default();
        // Prefixes that are still open, each inside the one before, with the lowest list so far.
        let mut open: Vec<(K, u16)> = Vec::new();
        // The first address that is not written yet; `None` beyond the last address there is.
        let mut from = None;
        for (first, last, list) in nested {
            ranges.close(&mut open, &mut from, Some(first));
            if let (Some((_, outer)), Some(from)) = (open.last(), from)
                && from < first
            {
                ranges.push(from, first.previous(), *outer);
            }
            from = Some(first);
            open.push((last, open.last().map_or(list, |(_, outer)| list.min(*outer))));
        }
        ranges.close(&mut open, &mut from, None);
        ranges.ranges.shrink_to_fit();
        ranges.plant();
        ranges
    }

    /// Writes what is left of every open prefix that ends before `next`, innermost first.
    fn close(&mut self, open: &mut Vec<(K, u16)>, from: &mut Option<K>, next: Option<K>) {
        while let Some((last, list)) = open.pop_if(|(last, _)| next.is_none_or(|next| *last < next))
        {
            if let Some(first) = from.filter(|first| *first <= last) {
                self.push(first, last, list);
                *from = last.next();
            }
        }
    }

    /// Appends a range, or makes the last one longer.
    fn push(&mut self, first: K, last: K, list: u16) {
        match self.ranges.last_mut() {
            Some(own) if own.list == list && own.last.next() == Some(first) => own.last = last,
            _ => self.ranges.push(Range { first, last, list }),
        }
    }

    /// Builds the entries and the tree above them.
    fn plant(&mut self) {
        let mut words = Vec::with_capacity(self.ranges.len());
        self.entries = Vec::with_capacity(self.ranges.len());
        // The last word of the last group, as long as the next range may share it.
        let mut shared = None;
        for (index, range) in (0_u32..).zip(&self.ranges) {
            let word = range.first.word();
            if let (Some(group), true) = (self.groups.last_mut(), shared == Some(word)) {
                group.1 = index + 1;
                shared = Some(range.last.word());
                continue;
            }
            words.push(word);
            if let Some(size) = K::whole_words(range.first, range.last) {
                self.entries.push(Entry::plain(size, range.list));
                shared = None;
            } else {
                self.entries.push(Entry::group(self.groups.len()));
                self.groups.push((index, index + 1));
                shared = Some(range.last.word());
            }
        }
        self.entries.shrink_to_fit();
        if words.is_empty() {
            return;
        }
        let above = |level: &Level<K::Word>| {
            let firsts = level.nodes.iter().map(|node| node.0[0]);
            (level.nodes.len() > 1).then(|| Level::new(firsts, K::LAST))
        };
        let lowest = Level::new(words.into_iter(), K::LAST);
        self.levels = iter::successors(Some(lowest), above).collect();
        self.levels.reverse();
    }

    /// The list whose range contains `key`.
    #[inline]
    pub(super) fn find(&self, key: K) -> Option<u16> {
        let word = key.word();
        let mut index = 0;
        let mut base = None;
        for level in &self.levels {
            let node = &level.nodes[index].0;
            // Counting instead of searching: no branch to mispredict.
            let count: usize = node.iter().map(|w| usize::from(*w <= word)).sum();
            // The last word there is fills up nodes, so it may be counted too often.
            index = (index * FANOUT + count).checked_sub(1)?.min(level.len - 1);
            base = Some(node[index % FANOUT]);
        }
        let Entry(entry) = self.entries.get(index)?;
        if entry & Entry::GROUP == 0 {
            let size = (entry >> 16) as u8;
            return K::within(word, base?, size).then_some(*entry as u16);
        }
        let (from, to) = self.groups[(entry & !Entry::GROUP) as usize];
        let group = &self.ranges[from as usize..to as usize];
        last_before(group, key).filter(|range| key <= range.last).map(|range| range.list)
    }

    /// Does a range share an address with `first..=last`?
    pub(super) fn overlaps(&self, first: K, last: K) -> bool {
        last_before(&self.ranges, last).is_some_and(|range| first <= range.last)
    }
}

/// The last range that starts at `key` or before.
fn last_before<K: Bits>(ranges: &[Range<K>], key: K) -> Option<&Range<K>> {
    ranges[..ranges.partition_point(|range| range.first <= key)].last()
}

impl<W: Copy> Level<W> {
    fn new(words: impl ExactSizeIterator<Item = W>, filler: W) -> Self {
        let len = words.len();
        let mut words = words;
        let nodes = (0..len.div_ceil(FANOUT))
            .map(|_| Node(std::array::from_fn(|_| words.next().unwrap_or(filler))))
            .collect();
        Self { nodes, len }
    }
}
