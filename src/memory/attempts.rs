//! Which connection attempts were seen a moment ago: how retransmissions are known.
//!
//! A stack that gets no answer sends the same SYN again, same 4-tuple and sequence number, after
//! about one second and then ever more slowly. That is one attempt, however many packets.

use std::hint::black_box;
use std::time::Duration;

use super::{Moment, among};

/// Linux gives up after six retransmissions, 127 s after the first SYN (`tcp_syn_retries`).
const FORGET_MS: u32 = 130_000;
/// The most retransmissions of an honest stack: Linux since 6.5 sends ten, macOS eleven. What goes
/// on repeating is a new attempt each time this is exceeded.
const MOST: u8 = 12;
const WAYS: usize = 4;

/// What is known of an attempt that was seen before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Time since its first SYN.
    pub age: Duration,
    /// Which retransmission this is, from 1.
    pub repeat: u8,
    /// It was charged against the rates.
    pub charged: bool,
    /// It was counted as an offence.
    pub counted: bool,
}

/// A set-associative cache of recent attempts: fixed size, the oldest of four is replaced.
///
/// It promises no memory under a flood: then a retransmission may count as a new attempt. It
/// never takes one attempt for another except by a 32-bit hash collision within a set of four.
#[derive(Debug)]
pub struct Attempts {
    sets: Box<[[Slot; WAYS]]>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    /// Upper half of the attempt's hash; 0 marks an empty slot.
    tag: u32,
    /// From the lowest bit: two flags, retransmissions so far (4 bits), milliseconds (26 bits, so
    /// they wrap after 18 hours).
    stamp: u32,
}

const CHARGED: u32 = 1;
const COUNTED: u32 = 2;
const REPEAT: u32 = 4;
const TIME: u32 = 6;

impl Slot {
    fn new(tag: u32, now_ms: u32) -> Self {
        Self { tag, stamp: now_ms << TIME }
    }

    fn age(self, now_ms: u32) -> u32 {
        now_ms.wrapping_sub(self.stamp >> TIME) & (u32::MAX >> TIME)
    }

    fn repeats(self) -> u8 {
        (self.stamp / REPEAT % 16) as u8
    }
}

/// Where an attempt stands in the cache, to note what became of it. Valid until the next `enter`.
#[derive(Clone, Copy, Debug)]
pub struct Place(usize, usize);

impl Attempts {
    /// Room for `count` attempts, eight bytes each.
    pub fn new(count: usize) -> Self {
        let sets = count.div_ceil(WAYS).max(1);
        Self { sets: vec![[Slot::default(); WAYS]; sets].into_boxed_slice() }
    }

    /// Where an attempt may be.
    #[inline]
    fn index(&self, hash: u64) -> usize {
        among(self.sets.len(), hash)
    }

    /// Has the processor fetch where an attempt may be, without waiting for it.
    #[inline]
    pub(super) fn fetch(&self, hash: u64) {
        black_box(self.sets[self.index(hash)][0]);
    }

    /// Looks an attempt up by its hash, and remembers it if it is new.
    #[inline]
    pub fn enter(&mut self, hash: u64, now: Moment) -> (Option<Seen>, Place) {
        let tag = ((hash >> 32) as u32).max(1);
        let index = self.index(hash);
        let now_ms = now.milliseconds() as u32;
        let set = &mut self.sets[index];
        let fresh = |slot: &Slot| slot.tag == tag && slot.age(now_ms) < FORGET_MS;
        if let Some(way) = set.iter().position(fresh) {
            let slot = set[way];
            if slot.repeats() >= MOST {
                set[way] = Slot::new(tag, now_ms);
                return (None, Place(index, way));
            }
            set[way].stamp += REPEAT;
            let seen = Seen {
                age: Duration::from_millis(slot.age(now_ms).into()),
                repeat: slot.repeats() + 1,
                charged: slot.stamp & CHARGED != 0,
                counted: slot.stamp & COUNTED != 0,
            };
            return (Some(seen), Place(index, way));
        }
        let way = (0..WAYS)
            .max_by_key(|way| if set[*way].tag == 0 { u32::MAX } else { set[*way].age(now_ms) })
            .unwrap_or(0);
        set[way] = Slot::new(tag, now_ms);
        (None, Place(index, way))
    }

    /// Looks an attempt up without remembering it.
    pub fn peek(&self, hash: u64, now: Moment) -> Option<Seen> {
        let mut copy = Attempts { sets: Box::new([self.sets[self.index(hash)]]) };
        copy.enter(hash, now).0
    }

    /// Notes that the attempt was charged against the rates.
    #[inline]
    pub fn charged(&mut self, Place(index, way): Place) {
        self.sets[index][way].stamp |= CHARGED;
    }

    /// Notes that the attempt was counted as an offence.
    #[inline]
    pub fn counted(&mut self, Place(index, way): Place) {
        self.sets[index][way].stamp |= COUNTED;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Moment {
        Moment(ms * 1_000_000)
    }

    #[test]
    fn a_retransmission_is_known() {
        let mut attempts = Attempts::new(64);
        let (seen, place) = attempts.enter(0xabcd_0000_0000_0001, ms(1000));
        assert_eq!(seen, None);
        attempts.charged(place);
        let (seen, place) = attempts.enter(0xabcd_0000_0000_0001, ms(2020));
        assert_eq!(
            seen,
            Some(Seen {
                age: Duration::from_millis(1020),
                repeat: 1,
                charged: true,
                counted: false
            })
        );
        attempts.counted(place);
        assert!(attempts.peek(0xabcd_0000_0000_0001, ms(4000)).unwrap().counted);
        assert_eq!(attempts.peek(0xabce_0000_0000_0001, ms(4000)), None);
        // Long after, it is a new one.
        assert_eq!(attempts.enter(0xabcd_0000_0000_0001, ms(200_000)).0, None);
    }

    #[test]
    fn the_oldest_of_a_set_makes_room() {
        let mut attempts = Attempts::new(1);
        for tag in 1u64..=5 {
            attempts.enter(tag << 32, ms(tag * 100));
        }
        assert_eq!(attempts.peek(1 << 32, ms(600)), None);
        for tag in 2u64..=5 {
            assert!(attempts.peek(tag << 32, ms(600)).is_some(), "{tag}");
        }
    }

    /// Somebody floods in a client's name, every SYN another attempt. The client's own one is
    /// still known when it is retransmitted, after one second and after three.
    #[test]
    fn a_flood_does_not_push_out_its_victim() {
        use std::hash::BuildHasher;
        let hasher = foldhash::quality::FixedState::default();
        // As many as one shard of the default memory has.
        const ROOM: usize = 131_072 * 2 / 16;
        for (per_second, after, most_lost) in [(1000, 1, 5), (2000, 1, 10), (1000, 3, 20)] {
            let mut attempts = Attempts::new(ROOM);
            let mut lost = 0;
            let flooding = |attempts: &mut Attempts, second: u64, seconds: u64| {
                for n in 0..per_second * seconds {
                    let at = Moment(second * 1_000_000_000 + n * 1_000_000_000 / per_second);
                    attempts.enter(hasher.hash_one((second, n)), at);
                }
            };
            // The flood has been going on for a while.
            flooding(&mut attempts, 0, 20);
            for victim in 0..1000 {
                let hash = hasher.hash_one(("victim", victim));
                // Each in a memory of its own, as far as it matters: the sets are many.
                attempts.enter(hash, ms(20_000 + victim / 100));
            }
            flooding(&mut attempts, 20, after);
            for victim in 0..1000 {
                let hash = hasher.hash_one(("victim", victim));
                lost += usize::from(attempts.peek(hash, ms((20 + after) * 1000)).is_none());
            }
            println!("{per_second}/s, {after} s: {lost} of 1000 forgotten");
            assert!(lost <= most_lost, "{per_second}/s, {after} s: {lost} of 1000 forgotten");
        }
    }

    #[test]
    fn the_clock_may_wrap() {
        let mut attempts = Attempts::new(1);
        for wrap in [(1u64 << 26) - 500, (1 << 32) - 500] {
            attempts.enter(7 << 32, ms(wrap));
            assert_eq!(
                attempts.enter(7 << 32, ms(wrap + 1000)).0.unwrap().age,
                Duration::from_millis(1000)
            );
        }
    }

    #[test]
    fn nobody_retransmits_for_ever() {
        let mut attempts = Attempts::new(1);
        let mut seen = Vec::new();
        for n in 0..=u64::from(MOST) + 2 {
            let (known, place) = attempts.enter(7 << 32, ms(n * 1000));
            attempts.charged(place);
            seen.push(known.map(|seen| seen.repeat));
        }
        let mut expected: Vec<Option<u8>> =
            std::iter::once(None).chain((1..=MOST).map(Some)).collect();
        expected.extend([None, Some(1)]);
        assert_eq!(seen, expected);
    }
}
