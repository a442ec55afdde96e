//! Things of one kind side by side, in no more memory than they need.

use std::ops::{Index, IndexMut};

/// So many may be given up before the others close ranks. Whoever has to be told that one of them
/// moved needs memory that is far away: together these take hardly longer than one.
pub(super) const MOST_GAPS: usize = 16;

/// One was moved from the first number to the second.
pub(super) type Moved = (usize, usize);

/// Things of one kind, numbered from zero, with no more than a few gaps: those that are given up are
/// used again, and when there are too many, the last ones are moved into their places.
///
/// They lie in chunks of one size. So growing moves nothing, and a chunk that is no longer needed
/// goes back to the allocator, for another pool to take: what is here is what is paid for, but for
/// one chunk and a half. Room that was never used costs no memory.
#[derive(Debug)]
pub(super) struct Pool<T> {
    chunks: Vec<Vec<T>>,
    /// The binary logarithm of how many are in a chunk.
    shift: u32,
    /// How many there are, gaps among them.
    end: usize,
    /// Those that were given up.
    gaps: Gaps,
}

#[derive(Debug, Default)]
struct Gaps {
    numbers: [usize; MOST_GAPS],
    count: usize,
}

impl<T> Pool<T> {
    /// An empty one, with chunks of that many bytes, rounded down so that a power of two is in each.
    pub(super) fn new(chunk: usize) -> Self {
        let shift = (chunk / size_of::<T>()).max(1).ilog2();
        Self { chunks: Vec::new(), shift, end: 0, gaps: Gaps::default() }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.end - self.gaps.count
    }

    /// For how many there is memory.
    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        self.chunks.len() << self.shift
    }

    /// Adds one, and says which number it has.
    #[inline]
    pub(super) fn put(&mut self, one: T) -> usize {
        if let Some(count) = self.gaps.count.checked_sub(1) {
            self.gaps.count = count;
            let number = self.gaps.numbers[count];
            self[number] = one;
            return number;
        }
        let number = self.end;
        if number >> self.shift == self.chunks.len() {
            self.chunks.push(Vec::with_capacity(1 << self.shift));
        }
        self.chunks[number >> self.shift].push(one);
        self.end += 1;
        number
    }

    /// Gives one up. If there are too many gaps now, others are moved into them, each once. Returned
    /// are the moves, and how many they are.
    #[inline]
    pub(super) fn give_up(&mut self, number: usize) -> Option<([Moved; MOST_GAPS], usize)> {
        self.gaps.numbers[self.gaps.count] = number;
        self.gaps.count += 1;
        (self.gaps.count == MOST_GAPS).then(|| self.close_ranks())
    }

    fn close_ranks(&mut self) -> ([Moved; MOST_GAPS], usize) {
        let Gaps { mut numbers, .. } = std::mem::take(&mut self.gaps);
        numbers.sort_unstable();
        let (mut moved, mut count) = ([(0, 0); MOST_GAPS], 0);
        // From below the gaps are filled with what stands last; from above, those that stand last
        // themselves need none. So nobody is moved twice.
        let mut left = MOST_GAPS;
        while count < left {
            let last = self.end - 1;
            let one = self.chunks[last >> self.shift].pop();
            self.end = last;
            if numbers[left - 1] == last {
                left -= 1;
            } else if let Some(one) = one {
                self[numbers[count]] = one;
                moved[count] = (last, numbers[count]);
                count += 1;
            }
            // Not at once, for somebody who comes and goes would have it taken and given back all day.
            let half = 1 << self.shift >> 1;
            if last + half < (self.chunks.len() - 1) << self.shift {
                self.chunks.pop();
            }
        }
        (moved, count)
    }
}

impl<T> Index<usize> for Pool<T> {
    type Output = T;

    #[inline]
    fn index(&self, number: usize) -> &T {
        &self.chunks[number >> self.shift][number & ((1 << self.shift) - 1)]
    }
}

impl<T> IndexMut<usize> for Pool<T> {
    #[inline]
    fn index_mut(&mut self, number: usize) -> &mut T {
        &mut self.chunks[number >> self.shift][number & ((1 << self.shift) - 1)]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Everything is where it was said to be, and takes little more than it needs.
        #[test]
        fn it_knows_where_what_is(
            chunk in 1..70usize, steps in proptest::collection::vec((any::<u16>(), 0..5u8), 0..900),
        ) {
            let (mut pool, mut where_is) = (Pool::<u16>::new(chunk), BTreeMap::new());
            let per_chunk = 1 << pool.shift;
            prop_assert!(per_chunk * 2 <= chunk.max(2) && per_chunk * 4 > chunk);
            let most = steps.len();
            for (n, (one, what)) in steps.into_iter().enumerate() {
                // It grows in the first half, and shrinks in the second.
                if where_is.is_empty() || (what < 3) == (n < most / 2) {
                    prop_assert_eq!(where_is.insert(pool.put(one), one), None);
                } else {
                    let number = *where_is.keys().nth(usize::from(one) % where_is.len()).unwrap();
                    where_is.remove(&number);
                    let (moved, count) = pool.give_up(number).unwrap_or_default();
                    for (n, (from, to)) in moved[..count].iter().enumerate() {
                        prop_assert!(moved[..n].iter().all(|(_, earlier)| earlier != from));
                        let one = where_is.remove(from).expect("one that is there");
                        prop_assert_eq!(where_is.insert(*to, one), None);
                    }
                }
                prop_assert_eq!(pool.len(), where_is.len());
                prop_assert!(where_is.iter().all(|(number, one)| pool[*number] == *one));
                prop_assert!(pool.room() < where_is.len() + MOST_GAPS + 2 * per_chunk);
            }
        }
    }
}
