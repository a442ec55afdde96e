//! Ascending, non-overlapping ranges of addresses, each with a list number, and the search tree
//! above them.

use std::iter;

/// Keys per node of the tree. One level of u32 is a cache line; one of u128 is four in a row,
/// which the processor fetches together. Measured best among 8, 16 and 32.
const FANOUT: usize = 16;

/// An address as a number.
pub(super) trait Bits: Copy + Ord {
    /// The next address, unless this is the last.
    fn next(self) -> Option<Self>;
    /// The address before; only asked of addresses that are not the first.
    fn previous(self) -> Self;
}

impl Bits for u32 {
    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }

    fn previous(self) -> Self {
        self - 1
    }
}

impl Bits for u128 {
    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }

    fn previous(self) -> Self {
        self - 1
    }
}

/// The ranges of one address family. Equal when they hold the same addresses for the same lists.
#[derive(Clone, PartialEq)]
pub(super) struct Ranges<K> {
    starts: Vec<K>,
    ends: Vec<K>,
    lists: Vec<u16>,
    /// The tree: each level holds every sixteenth key of the one below; the lowest is above
    /// `starts`, the last fits one node.
    levels: Vec<Vec<K>>,
}

impl<K> Default for Ranges<K> {
    fn default() -> Self {
        Self { starts: Vec::new(), ends: Vec::new(), lists: Vec::new(), levels: Vec::new() }
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
        ranges.starts.shrink_to_fit();
        ranges.ends.shrink_to_fit();
        ranges.lists.shrink_to_fit();
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
        if let (Some(end), Some(own)) = (self.ends.last_mut(), self.lists.last())
            && *own == list
            && end.next() == Some(first)
        {
            *end = last;
            return;
        }
        self.starts.push(first);
        self.ends.push(last);
        self.lists.push(list);
    }

    /// Builds the tree above `starts`.
    fn plant(&mut self) {
        let above = |keys: &[K]| {
            (keys.len() > FANOUT).then(|| keys.iter().copied().step_by(FANOUT).collect::<Vec<K>>())
        };
        self.levels = iter::successors(above(&self.starts), |level| above(level)).collect();
    }

    /// The index of the last range that starts at `key` or before.
    #[inline]
    fn before(&self, key: K) -> Option<usize> {
        let mut node = 0;
        for level in self.levels.iter().rev().chain(iter::once(&self.starts)) {
            let keys = level.get(node * FANOUT..)?;
            let keys = &keys[..keys.len().min(FANOUT)];
            // Counting instead of searching: no branch to mispredict.
            let count = keys.iter().filter(|start| **start <= key).count();
            node = (node * FANOUT + count).checked_sub(1)?;
        }
        Some(node)
    }

    /// The list whose range contains `key`.
    #[inline]
    pub(super) fn find(&self, key: K) -> Option<u16> {
        let index = self.before(key)?;
        (key <= self.ends[index]).then(|| self.lists[index])
    }

    /// Does a range share an address with `first..=last`?
    pub(super) fn overlaps(&self, first: K, last: K) -> bool {
        self.before(last).is_some_and(|index| first <= self.ends[index])
    }
}
