//! The clock of the day beside the time since boot, which nobody can set. Where they part, the clock
//! was set: while a gate ran, or, if what an earlier run of the same boot saw is known, between the
//! two. Pure.

use std::time::{Duration, SystemTime};

/// A time server corrects less than this at a time without anybody noticing.
const JUMP: Duration = Duration::from_secs(2);

/// One look at both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// The time since boot, a sleeping machine's sleep included, as the clock goes on then, too.
    pub since_boot: Duration,
    /// What the clock says.
    pub wall: SystemTime,
}

/// What is known of the clock: in memory as of the last look, in the ledger's file as of the last that
/// was worth a line. The times in that file are of this clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clock {
    /// Which boot of the machine it is: times since another boot say nothing. Empty where the system
    /// does not tell, and then no other run is compared with.
    pub boot: String,
    /// When the first gate of this boot looked, in time since then. What is older was given by a
    /// clock of which nothing is known.
    pub began: Duration,
    /// The last look.
    pub seen: Look,
}

/// The clock was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Jump {
    /// By so much,
    pub by: Duration,
    /// forward, or else back.
    pub ahead: bool,
    /// What was given since then, by the clock as it was, was given by a clock that is known,
    pub began: SystemTime,
    /// up to what it should say now.
    pub expected: SystemTime,
    /// What it says.
    pub says: SystemTime,
}

impl Clock {
    /// A run's first look at it. It goes on from what an earlier run left, if there is that and
    /// it is of the same boot. After another boot there is nothing to compare with: a clock that was
    /// right at both times, and one that was wrong at either, look alike.
    pub fn begin(earlier: Option<&Self>, boot: &str, now: Look) -> (Self, Option<Jump>) {
        let of_this_boot = |clock: &&Self| {
            // Whoever tells that more time had passed then is not to be believed.
            clock.boot == boot && !boot.is_empty() && clock.seen.since_boot <= now.since_boot
        };
        match earlier.filter(of_this_boot) {
            None => (Self { boot: boot.to_owned(), began: now.since_boot, seen: now }, None),
            Some(earlier) => {
                let mut clock = earlier.clone();
                clock.began = clock.began.min(clock.seen.since_boot);
                let jump = clock.look(now);
                (clock, jump)
            }
        }
    }

    /// Another look, and whether the clock was set since the last one.
    pub fn look(&mut self, now: Look) -> Option<Jump> {
        let before = std::mem::replace(&mut self.seen, now);
        let passed = now.since_boot.saturating_sub(before.since_boot);
        // No clock goes as far as this could fail.
        let expected = before.wall.checked_add(passed)?;
        let (by, ahead) = apart(now.wall, expected);
        if by <= JUMP {
            return None;
        }
        // A little earlier, because of what nobody noticed.
        let known = now.since_boot.saturating_sub(self.began) + JUMP;
        let began = expected.checked_sub(known).unwrap_or(SystemTime::UNIX_EPOCH);
        Some(Jump { by, ahead, began, expected, says: now.wall })
    }

    /// What it says so long after boot, unless it was set since the last look. Whatever happens between
    /// two looks goes by this: if it was set, all of that moves with the next one.
    pub fn reads(&self, since_boot: Duration) -> SystemTime {
        let passed = since_boot.saturating_sub(self.seen.since_boot);
        // No clock goes as far as this could fail.
        self.seen.wall.checked_add(passed).unwrap_or(self.seen.wall)
    }

    /// Is it no longer the one that was `kept`? Corrections that are too small for a jump add up, and
    /// are no jump for the next run either.
    pub fn differs(&self, kept: Option<&Self>) -> bool {
        let Some(kept) = kept.filter(|kept| kept.boot == self.boot && kept.began == self.began)
        else {
            return true;
        };
        let passed = self.seen.since_boot.saturating_sub(kept.seen.since_boot);
        let expected = kept.seen.wall.checked_add(passed);
        expected.is_none_or(|expected| apart(self.seen.wall, expected).0 > JUMP / 4)
    }
}

/// How far one time is from another, and whether it is ahead.
fn apart(one: SystemTime, other: SystemTime) -> (Duration, bool) {
    match one.duration_since(other) {
        Ok(by) => (by, true),
        Err(behind) => (behind.duration(), false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: u64 = 1_800_000_000;

    /// The clock says so many seconds after noon, so many seconds after boot.
    fn look(since_boot: u64, wall: i64) -> Look {
        Look { since_boot: Duration::from_secs(since_boot), wall: at(wall) }
    }

    fn at(wall: i64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(NOON.checked_add_signed(wall).unwrap())
    }

    /// A gate that began 100 s after boot at noon, and looked last 100 s later.
    fn earlier() -> Clock {
        let began = Duration::from_secs(100);
        Clock { boot: "this".into(), began, seen: look(200, 100) }
    }

    #[test]
    fn a_run_goes_on_from_an_earlier_one_of_the_same_boot() {
        let hour = 3600;
        for (what, boot, now, by) in [
            ("nothing happened", "this", look(300, 200), None),
            ("a machine that slept, and its clock went on", "this", look(9300, 9200), None),
            ("corrected a little", "this", look(300, 202), None),
            ("set ahead", "this", look(300, 200 + hour), Some((3600, true))),
            ("set back", "this", look(300, 200 - hour), Some((3600, false))),
            ("set back beyond the first run", "this", look(300, -90_000), Some((90_200, false))),
            ("another boot", "other", look(300, 200 + hour), None),
            ("another boot, not as long ago", "other", look(3, 200 + hour), None),
            ("a time since boot that goes back", "this", look(199, 200 + hour), None),
            ("nobody knows which boot", "", look(300, 200 + hour), None),
        ] {
            let (clock, jump) = Clock::begin(Some(&earlier()), boot, now);
            let jumped = jump.map(|jump| (jump.by.as_secs(), jump.ahead));
            assert_eq!(jumped, by, "{what}");
            let goes_on = boot == "this" && now.since_boot >= earlier().seen.since_boot;
            let began = if goes_on { earlier().began } else { now.since_boot };
            assert_eq!((clock.began, clock.seen), (began, now), "{what}");
            if let Some(jump) = jump {
                let (began, expected) = (at(0) - JUMP, at(200));
                assert_eq!((jump.began, jump.expected), (began, expected), "{what}");
                assert_eq!(jump.says, now.wall);
            }
        }
        let nameless = Clock { boot: String::new(), ..earlier() };
        assert_eq!(Clock::begin(Some(&nameless), "", look(300, 9000)).1, None);
        assert_eq!(Clock::begin(None, "this", look(300, 9000)).1, None, "the first run ever");
    }

    #[test]
    fn a_run_sees_each_jump_once() {
        let (mut clock, _) = Clock::begin(None, "this", look(100, 0));
        assert_eq!(clock.look(look(110, 10)), None);
        let jump = clock.look(look(120, 7220)).unwrap();
        assert_eq!((jump.by, jump.ahead), (Duration::from_secs(7200), true));
        assert_eq!((jump.began, jump.expected), (at(0) - JUMP, at(20)));
        assert_eq!(clock.look(look(130, 7230)), None);
        // The first look was at 7,200 by the clock as it is now.
        let back = clock.look(look(140, 40)).unwrap();
        assert_eq!((back.began, back.expected), (at(7200) - JUMP, at(7240)));
        assert!(!back.ahead);
    }

    #[test]
    fn between_two_looks_it_cannot_be_set() {
        let mut clock = earlier();
        let given = clock.reads(Duration::from_secs(205));
        assert_eq!(given, at(105));
        // It was set back before that: the next look finds what was given among what moves.
        let jump = clock.look(look(210, -90_000)).unwrap();
        assert!((jump.began..=jump.expected).contains(&given));
        assert_eq!(clock.reads(Duration::ZERO), at(-90_000), "nor does it go back");
    }

    #[test]
    fn a_line_is_due_when_the_kept_one_misleads() {
        let kept = earlier();
        let seen = |now: Look| Clock { seen: now, ..earlier() };
        for (clock, due) in [
            (seen(look(9200, 9100)), false),
            (seen(look(9200, 9101)), true),
            (seen(look(9200, 9099)), true),
            (Clock { boot: "other".into(), ..earlier() }, true),
            (Clock { began: Duration::from_secs(9), ..earlier() }, true),
        ] {
            assert_eq!(clock.differs(Some(&kept)), due, "{clock:?}");
        }
        assert!(kept.differs(None));
    }

    #[test]
    fn what_no_clock_says_does_no_harm() {
        let far = SystemTime::UNIX_EPOCH + Duration::from_secs(10_000 * 366 * 86_400);
        for wall in [SystemTime::UNIX_EPOCH, far] {
            for since_boot in [Duration::ZERO, Duration::from_millis(u64::MAX)] {
                for began in [Duration::ZERO, Duration::from_millis(u64::MAX)] {
                    let seen = Look { since_boot, wall };
                    let kept = Clock { boot: "this".into(), began, seen };
                    let (clock, _) = Clock::begin(Some(&kept), "this", look(u64::MAX, 0));
                    assert!(clock.began <= clock.seen.since_boot);
                    assert!(clock.differs(None));
                    let _ = clock.differs(Some(&kept));
                }
            }
        }
    }
}
