//! What must be remembered of a source to say how it behaves: 32 bytes.

use super::{Digest, FEATURES};
use crate::anomaly::digest::feature;

/// How many SYNs of a source are looked at in one hour. Later ones cost next to nothing: who
/// behaves oddly does so from the start, and one decision per source is what can be calibrated.
pub const LOOKS: u8 = 8;

/// A source is looked at anew after this many seconds.
const EPOCH: u32 = 3600;

/// The time constant of the rate in milliseconds: what came so long ago counts 1/e.
const FADE: f32 = 10_000.0;

/// One attempt, as far as it tells of its source's habits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// When, in milliseconds of the caller's clock.
    pub at: u64,
    /// A keyed hash of where to.
    pub host: u64,
    /// The port.
    pub port: u16,
    /// The port that it comes from.
    pub from: u16,
    /// The port is closed.
    pub failed: bool,
    /// Passwords are asked for there.
    pub login: bool,
    /// The source is proven.
    pub proven: bool,
}

/// The first attempts of a source in this hour, and the oddest of them.
///
/// It starts anew when the source becomes proven: what somebody may have forged in its name
/// before is not held against it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Habits {
    /// The oddest SYN so far.
    worst: u64,
    /// Which ports were tried: one bit each, by a hash.
    ports: u32,
    /// When the first SYN came, in seconds.
    began: u32,
    /// When the last one came, in milliseconds, wrapping.
    last: u32,
    /// Which hosts were tried, as with ports.
    hosts: u16,
    /// The score of the oddest SYN, in 256ths.
    score: u16,
    /// Attempts of late, fading, in 256ths.
    rate: u16,
    /// SYNs looked at.
    seen: u8,
    /// Of those: to closed ports, at most 15…
    failed: u8,
    /// …where passwords are asked for, and from the same port as the one before: four bits each.
    logins_same: u8,
    flags: u8,
    /// The port that the last one came from.
    from: u16,
}

/// Habits after one look, in 16 bytes: what the time of that look, kept elsewhere, does not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FirstLook {
    worst: u64,
    score: u16,
    from: u16,
    flags: u8,
    /// Which bit of the ports, below how often it was seen, failed and tried to log in: once or not.
    port: u8,
    /// Which bit of the hosts.
    host: u8,
}

impl FirstLook {
    const SEEN: u8 = 32;
    const FAILED: u8 = 64;
    const LOGIN: u8 = 128;

    /// Do habits come from one look at most, at that moment in milliseconds, so that it tells them?
    #[inline]
    pub fn tells(habits: &Habits, at: u64) -> bool {
        match habits.seen {
            0 => habits.began == 0,
            1 => habits.began == (at / 1000) as u32 && habits.last == at as u32,
            _ => false,
        }
    }

    /// Of habits that it [`tells`](FirstLook::tells).
    #[inline]
    pub fn of(habits: &Habits) -> Self {
        let bit = |is_set: bool, bit: u8| if is_set { bit } else { 0 };
        Self {
            worst: habits.worst,
            score: habits.score,
            from: habits.from,
            flags: habits.flags,
            port: (habits.ports.trailing_zeros() & 31) as u8
                | bit(habits.seen > 0, Self::SEEN)
                | bit(habits.failed > 0, Self::FAILED)
                | bit(habits.logins_same > 0, Self::LOGIN),
            host: (habits.hosts.trailing_zeros() & 15) as u8,
        }
    }

    /// The habits after a look at this moment, in milliseconds.
    #[inline]
    pub fn habits(self, at: u64) -> Habits {
        let Self { worst, score, from, flags, port, host } = self;
        let never = Habits { worst, score, from, flags, ..Habits::default() };
        if port & Self::SEEN == 0 {
            return never;
        }
        Habits {
            ports: 1 << (port & 31),
            began: (at / 1000) as u32,
            last: at as u32,
            hosts: 1 << (host & 15),
            rate: ONE,
            seen: 1,
            failed: u8::from(port & Self::FAILED != 0),
            logins_same: u8::from(port & Self::LOGIN != 0),
            ..never
        }
    }
}

/// What one attempt adds to the rate.
const ONE: u16 = 256;

const PROVEN: u8 = 1;
const BLAMED: u8 = 2;
const ODD: u8 = 4;
const EVER_ODD: u8 = 8;
/// The feature that made it odd, in the upper half of the flags.
const WHY: u8 = 4;

impl Habits {
    /// Does an attempt at this moment, in milliseconds, begin a new hour?
    #[inline]
    fn begins(&self, at: u64, proven: bool) -> bool {
        let over = ((at / 1000) as u32).wrapping_sub(self.began) >= EPOCH;
        self.seen == 0 || over || (self.flags & PROVEN != 0) != proven
    }

    /// Would an attempt at this moment, in milliseconds, be looked at?
    #[inline]
    pub fn looks(&self, at: u64, proven: bool) -> bool {
        self.seen < LOOKS || self.begins(at, proven)
    }

    /// Takes note of an attempt. False if enough of this source were looked at in this hour.
    #[inline]
    pub fn note(&mut self, attempt: Attempt) -> bool {
        let seconds = (attempt.at / 1000) as u32;
        let proven = u8::from(attempt.proven) * PROVEN;
        if self.begins(attempt.at, attempt.proven) {
            // What is held against it stays, but for what may have been forged before the proof.
            let same = self.flags & PROVEN == proven;
            let kept = if same { self.flags & (BLAMED | EVER_ODD) } else { 0 };
            *self = Self { began: seconds, flags: proven | kept, ..Self::default() };
        } else if self.seen >= LOOKS {
            return false;
        }
        let now = attempt.at as u32;
        let faded = match self.seen {
            0 => 0.0,
            _ => f32::from(self.rate) * (-(now.wrapping_sub(self.last) as f32) / FADE).exp(),
        };
        self.rate = (faded + f32::from(ONE)) as u16;
        let same = self.seen > 0 && self.from == attempt.from;
        (self.last, self.from) = (now, attempt.from);
        self.seen += 1;
        self.ports |= 1 << (u32::from(attempt.port).wrapping_mul(0x9e37_79b1) >> 27);
        self.hosts |= 1 << (attempt.host >> 60);
        self.failed = (self.failed + u8::from(attempt.failed)).min(15);
        // At most LOOKS of each, so that neither spills over.
        self.logins_same += u8::from(attempt.login) + 16 * u8::from(same);
        true
    }

    /// The levels of the features from the rate on.
    #[inline]
    pub(super) fn levels(&self) -> [u32; FEATURES - feature::RATE] {
        let twice = |count: u32| 2 * count;
        // 1 at a time is 0; eight at once are 15.
        let rate = (f32::from(self.rate.max(256)) / 256.0).log2() * 5.0;
        [
            rate as u32,
            twice(u32::from(self.seen).saturating_sub(1)),
            twice(self.ports.count_ones().saturating_sub(1)),
            twice(self.hosts.count_ones().saturating_sub(1)),
            twice(self.failed.into()),
            twice(u32::from(self.logins_same & 15)),
            twice(u32::from(self.logins_same >> 4)),
        ]
    }

    /// Takes note of how odd its latest SYN is; true if no earlier one was odder.
    #[inline]
    pub fn scored(&mut self, digest: Digest, score: f32) -> bool {
        // Casting a float to an integer saturates.
        let score = (score * 256.0) as u16;
        if self.seen > 1 && score <= self.score {
            return false;
        }
        (self.worst, self.score) = (digest.bits(), score);
        true
    }

    /// The oddest SYN of this hour; `None` if there was none.
    pub fn worst(&self) -> Option<Digest> {
        (self.seen > 0).then(|| Digest::from_bits(self.worst))
    }

    /// The score of the oddest SYN when it was judged.
    #[inline]
    pub fn score(&self) -> f32 {
        f32::from(self.score) / 256.0
    }

    /// How many SYNs were looked at in this hour.
    #[inline]
    pub fn seen(&self) -> u8 {
        self.seen
    }

    /// When the hour began, in seconds of the caller's clock.
    #[inline]
    pub fn began(&self) -> u32 {
        self.began
    }

    /// It was found to be unusual, most of all in this feature.
    #[inline]
    pub fn call_odd(&mut self, feature: u8) {
        self.flags = (self.flags & ((1 << WHY) - 1)) | ODD | EVER_ODD | (feature << WHY);
    }

    /// Was it found to be unusual in this hour, and in which feature most of all?
    #[inline]
    pub fn odd(&self) -> Option<u8> {
        (self.flags & ODD != 0).then_some(self.flags >> WHY)
    }

    /// Was it found to be unusual in this hour or an earlier one?
    pub fn ever_odd(&self) -> bool {
        self.flags & EVER_ODD != 0
    }

    /// It offended: it teaches nothing from now on, nor what it has sent lately.
    #[inline]
    pub fn blame(&mut self) {
        self.flags |= BLAMED;
    }

    /// Has it offended, since it is known or since it became proven?
    #[inline]
    pub fn blamed(&self) -> bool {
        self.flags & BLAMED != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(at: u64, port: u16) -> Attempt {
        let (host, failed, login, proven) = (7, false, false, false);
        Attempt { at, host, port, from: at as u16 % 7919, failed, login, proven }
    }

    #[test]
    fn it_costs_what_it_says() {
        assert_eq!(size_of::<Habits>(), 32);
    }

    #[test]
    fn the_first_look_tells_all_of_one_and_not_of_two() {
        assert_eq!(size_of::<FirstLook>(), 16);
        let at = 77_123_456_789_123;
        let told = |habits: &Habits| {
            let told = FirstLook::tells(habits, at);
            assert!(!told || FirstLook::of(habits).habits(at) == *habits, "{habits:?}");
            told
        };
        for (proven, failed, login) in [
            (false, false, false),
            (true, false, false),
            (false, true, false),
            (false, false, true),
            (true, true, true),
        ] {
            for n in 0..64 {
                let mut habits = Habits::default();
                assert!(told(&habits));
                let host = u64::from(n) << 58;
                let one = Attempt { proven, failed, login, host, ..attempt(at, n * 1021) };
                habits.note(one);
                assert!(told(&habits), "{habits:?}");
                habits.scored(Digest::from_bits(u64::MAX / 7), 20.5);
                habits.call_odd(9);
                habits.blame();
                assert!(told(&habits), "{habits:?}");
                assert!(!FirstLook::tells(&habits, at + 1));
                habits.note(one);
                assert!(!told(&habits), "{habits:?}");
            }
        }
        // Blamed before it was ever looked at.
        let mut habits = Habits::default();
        habits.blame();
        assert!(told(&habits));
    }

    #[test]
    fn eight_looks_an_hour() {
        let mut habits = Habits::default();
        let looked = |habits: &mut Habits, from: u64| {
            (0..20).filter(|n| habits.note(attempt(from + n * 1000, 80))).count()
        };
        assert_eq!(looked(&mut habits, 5_000), 8);
        assert_eq!(looked(&mut habits, 3_000_000), 0, "the hour is not over");
        habits.call_odd(3);
        habits.blame();
        assert_eq!(looked(&mut habits, 3_700_000), 8);
        assert_eq!((habits.odd(), habits.ever_odd(), habits.blamed()), (None, true, true));
    }

    #[test]
    fn the_proof_is_a_new_start() {
        let mut habits = Habits::default();
        for n in 0..8 {
            habits.note(Attempt { failed: true, ..attempt(n, 23) });
        }
        habits.call_odd(3);
        habits.blame();
        assert_eq!((habits.odd(), habits.blamed()), (Some(3), true));
        assert!(habits.note(Attempt { proven: true, ..attempt(9, 80) }));
        assert_eq!((habits.odd(), habits.blamed(), habits.seen()), (None, false, 1));
        assert_eq!(habits.levels(), [0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn levels_of_behaviour() {
        let mut habits = Habits::default();
        for n in 0..4u8 {
            let one = Attempt { failed: n > 0, login: n > 1, ..attempt(0, 20 + u16::from(n)) };
            assert!(habits.note(one));
        }
        // Four at once: log2 4 · 5; four SYNs, four ports, one host, three failures, two logins, three
        // times the same source port.
        assert_eq!(habits.levels(), [10, 6, 6, 0, 6, 4, 6]);
        // Half a minute later the rate has faded.
        habits.note(attempt(30_000, 20));
        assert_eq!(habits.levels()[..2], [1, 8]);
        let mut both = Habits::default();
        for _ in 0..20 {
            both.note(Attempt { login: true, ..attempt(0, 22) });
        }
        assert_eq!(both.levels()[5..], [16, 14], "one counter does not spill into the other");
    }

    #[test]
    fn the_worst_is_kept() {
        let mut habits = Habits::default();
        assert_eq!(habits.worst(), None);
        for (bits, score) in [(1, 2.0), (2, 5.0), (3, 4.0), (4, f32::INFINITY)] {
            habits.note(attempt(bits, 80));
            habits.scored(Digest::from_bits(bits), score);
            let expected = [1, 2, 2, 4][bits as usize - 1];
            assert_eq!(habits.worst(), Some(Digest::from_bits(expected)));
        }
    }
}
