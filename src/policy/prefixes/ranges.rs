//! Ascending, non-overlapping ranges of addresses, each with a list number, and the index above
//! them.
//!
//! What a question costs is cache misses, so what a question touches is kept small: a table that
//! narrows the search down, the words of a few neighbours (an IPv4 address, or the upper half of
//! an IPv6 one) and four bytes for the entry found. Only what those four bytes cannot tell is
//! kept as ranges. Measured against search trees with 8 to 32 keys per node,
//! which were slower: a plain binary search lets the processor run ahead.

/// The index has at most 2^BITS buckets.
const BITS: u32 = 16;

/// An address as a number.
pub(super) trait Bits: Copy + Ord {
    /// As much of an address as is searched at once.
    type Word: Copy + Ord + Into<u64>;
    /// The upper bits of the address.
    fn word(self) -> Self::Word;
    /// How many words there are from `first` to `last` besides the first one, if those are
    /// whole words.
    fn whole_words(first: Self, last: Self) -> Option<u64>;
    /// The next address, unless this is the last.
    fn next(self) -> Option<Self>;
    /// The address before; only asked of addresses that are not the first.
    fn previous(self) -> Self;
}

impl Bits for u32 {
    type Word = u32;

    #[inline]
    fn word(self) -> u32 {
        self
    }

    fn whole_words(first: Self, last: Self) -> Option<u64> {
        Some(u64::from(last - first))
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

    #[inline]
    fn word(self) -> u64 {
        (self >> 64) as u64
    }

    fn whole_words(first: Self, last: Self) -> Option<u64> {
        let whole = first as u64 == 0 && last as u64 == u64::MAX;
        whole.then(|| last.word() - first.word())
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

/// What a word stands for, in four bytes: either 2^size whole words, all in one
/// list, or, with the top bit set, the number of a group.
#[derive(Clone, Copy, PartialEq)]
struct Entry(u32);

impl Entry {
    const GROUP: u32 = 1 << 31;

    fn plain(size: u32, list: u16) -> Self {
        Self(size << 16 | u32::from(list))
    }

    /// There are fewer than 2^31 groups: they would fill 100 GB.
    fn group(number: usize) -> Self {
        Self(Self::GROUP | number as u32)
    }
}

/// Some odd ranges in a row, as indices of the first and the one behind the last.
type Group = (u32, u32);

/// The ranges of one address family. Equal when they hold the same addresses for the same lists.
#[derive(Clone, PartialEq)]
pub(super) struct Ranges<K: Bits> {
    /// The first word of each entry, ascending.
    words: Vec<K::Word>,
    entries: Vec<Entry>,
    /// How many words stand before each bucket; a bucket is `(word - first word) >> shift`.
    buckets: Vec<u32>,
    shift: u32,
    /// Ranges of single IPv6 addresses and of odd sizes,
    odd: Vec<Range<K>>,
    /// in groups that share an entry.
    groups: Vec<Group>,
}

impl<K: Bits> Default for Ranges<K> {
    fn default() -> Self {
        let (words, entries, buckets, odd, groups) = Default::default();
        Self { words, entries, buckets, shift: 0, odd, groups }
    }
}

impl<K: Bits> Ranges<K> {
    /// Flattens prefixes, given as (first address, last address, list) and sorted so that each
    /// stands before those it contains. Where they overlap, the lowest list is kept.
    pub(super) fn flatten(nested: impl Iterator<Item = (K, K, u16)>) -> Self {
        let mut flat = Flat(Vec::new());
        // Prefixes that are still open, each inside the one before, with the lowest list so far.
        let mut open: Vec<(K, u16)> = Vec::new();
        // The first address that is not written yet; `None` beyond the last address there is.
        let mut from = None;
        for (first, last, list) in nested {
            flat.close(&mut open, &mut from, Some(first));
            if let (Some((_, outer)), Some(from)) = (open.last(), from)
                && from < first
            {
                flat.push(from, first.previous(), *outer);
            }
            from = Some(first);
            open.push((last, open.last().map_or(list, |(_, outer)| list.min(*outer))));
        }
        flat.close(&mut open, &mut from, None);
        Self::plant(flat.0)
    }

    /// Turns ascending ranges into entries with an index above them.
    fn plant(flat: Vec<Range<K>>) -> Self {
        let mut all = Self {
            words: Vec::with_capacity(flat.len()),
            entries: Vec::with_capacity(flat.len()),
            ..Self::default()
        };
        // The last word of the last group, as long as the next range may share it.
        let mut shared = None;
        for range in flat {
            let (first, last) = (range.first.word(), range.last.word());
            if let (Some(group), true) = (all.groups.last_mut(), shared == Some(first)) {
                all.odd.push(range);
                group.1 += 1;
                shared = Some(last);
                continue;
            }
            all.words.push(first);
            match K::whole_words(range.first, range.last) {
                // A power of two of words.
                Some(others) if others & others.wrapping_add(1) == 0 => {
                    all.entries.push(Entry::plain(others.count_ones(), range.list));
                    shared = None;
                }
                _ => {
                    let index = all.odd.len() as u32;
                    all.entries.push(Entry::group(all.groups.len()));
                    all.groups.push((index, index + 1));
                    all.odd.push(range);
                    shared = Some(last);
                }
            }
        }
        all.words.shrink_to_fit();
        all.entries.shrink_to_fit();
        all.odd.shrink_to_fit();
        all.groups.shrink_to_fit();
        all.index();
        all
    }

    /// Spreads the words over about as many buckets as there are words.
    fn index(&mut self) {
        let (Some(&first), Some(&last)) = (self.words.first(), self.words.last()) else { return };
        let span = last.into() - first.into();
        let bits = self.words.len().ilog2().min(BITS);
        self.shift = (u64::BITS - span.leading_zeros()).saturating_sub(bits);
        let count = (span >> self.shift) as usize + 1;
        self.buckets = vec![0; count + 1];
        for word in &self.words {
            self.buckets[(((*word).into() - first.into()) >> self.shift) as usize + 1] += 1;
        }
        let mut before = 0;
        for bucket in &mut self.buckets {
            before += *bucket;
            *bucket = before;
        }
    }

    /// The index of the last entry whose word is `word` or before.
    #[inline]
    fn entry_before(&self, word: u64) -> Option<usize> {
        let first = (*self.words.first()?).into();
        let bucket = (word.checked_sub(first)? >> self.shift) as usize;
        let behind = match self.buckets.get(bucket..).unwrap_or_default() {
            [from, to, ..] => {
                let (from, to) = (*from as usize, *to as usize);
                from + self.words[from..to].partition_point(|own| (*own).into() <= word)
            }
            _ => self.words.len(),
        };
        behind.checked_sub(1)
    }

    /// The list whose range contains `key`.
    #[inline]
    pub(super) fn find(&self, key: K) -> Option<u16> {
        let word = key.word().into();
        let index = self.entry_before(word)?;
        let Entry(entry) = self.entries[index];
        if entry & Entry::GROUP == 0 {
            let distance = word - self.words[index].into();
            let beyond = distance.checked_shr(entry >> 16).unwrap_or(0);
            return (beyond == 0).then_some(entry as u16);
        }
        let range = self.in_group(entry, key)?;
        (key <= range.last).then_some(range.list)
    }

    /// Does a range share an address with `first..=last`?
    pub(super) fn overlaps(&self, first: K, last: K) -> bool {
        let Some(index) = self.entry_before(last.word().into()) else { return false };
        // A group may begin behind `last`, though in the same word; then the entry before counts.
        for index in [Some(index), index.checked_sub(1)].into_iter().flatten() {
            let Entry(entry) = self.entries[index];
            if entry & Entry::GROUP == 0 {
                let distance = first.word().into().saturating_sub(self.words[index].into());
                return distance.checked_shr(entry >> 16).unwrap_or(0) == 0;
            }
            if let Some(range) = self.in_group(entry, last) {
                return first <= range.last;
            }
        }
        false
    }

    /// The last range of an entry's group that starts at `key` or before.
    fn in_group(&self, entry: u32, key: K) -> Option<&Range<K>> {
        let (from, to) = self.groups[(entry & !Entry::GROUP) as usize];
        let group = &self.odd[from as usize..to as usize];
        group[..group.partition_point(|range| range.first <= key)].last()
    }
}

/// Ascending ranges while they are written.
struct Flat<K>(Vec<Range<K>>);

impl<K: Bits> Flat<K> {
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
        match self.0.last_mut() {
            Some(own) if own.list == list && own.last.next() == Some(first) => own.last = last,
            _ => self.0.push(Range { first, last, list }),
        }
    }
}
