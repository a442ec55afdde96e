//! The time of day, as the daemon sees it, jumps back and forth: while it runs, while it does not, and
//! when it has just begun anew.

use super::Fault;
use crate::campaign::ground::{Ground, Outcome};

pub(super) const FAULTS: &[Fault] = &[
    Fault { force: jumped, ..Fault::new("clock jumps back and forth", "none") },
    Fault {
        force: over_restarts,
        ..Fault::new("clock set between restarts", "unjudged while down")
    },
];

/// A time server corrects less than this at a time, and nothing follows from that: a campaign's
/// standings are to end to the second.
const NOTICED: i64 = 3;

/// Another time than now, by seconds, hours or days: so many seconds ahead.
fn other(ground: &mut Ground<'_>, now: i64) -> i64 {
    loop {
        let most = [10, 3600 * 6, 3600 * 24 * 40][ground.chance.below(3) as usize];
        let ahead = ground.chance.below(2 * most) as i64 - most as i64;
        if (ahead - now).abs() >= NOTICED && ahead.abs() >= NOTICED {
            return ahead;
        }
    }
}

fn checked(ground: &Ground<'_>, what: &str) -> Outcome {
    match ground.standings.wrong() {
        Some(wrong) if !wrong.is_empty() => Err(format!("{what}: {}", wrong.join("; "))),
        Some(_) => Ok(()),
        None => Err(format!("{what}: no answer")),
    }
}

/// By seconds, hours, days, and at last back to where it was.
fn jumped(ground: &mut Ground<'_>) -> Outcome {
    let (jumps, mut now) = (1 + ground.chance.below(3), 0);
    let mut done = Ok(());
    for _ in 0..jumps {
        now = other(ground, now);
        ground.preload.set_clock(now);
        ground.moment(100..1500);
        done = done.and_then(|()| checked(ground, &format!("{now} s ahead")));
    }
    ground.preload.set_clock(0);
    done
}

/// Set while the gate is down; then again when it has just started, so that all standings are of an
/// earlier run; and at last back, a moment before it is killed.
fn over_restarts(ground: &mut Ground<'_>) -> Outcome {
    let down = other(ground, 0);
    let running = other(ground, down);
    let done = ground.while_down(|ground| {
        match ground.chance.below(2) {
            0 => ground.crash(),
            _ => ground.stop()?,
        }
        ground.preload.set_clock(down);
        ground.start()
    });
    let done = done.and_then(|()| checked(ground, &format!("{down} s ahead while it was down")));
    ground.preload.set_clock(running);
    ground.moment(0..1500);
    let words = format!("{running} s ahead after a start at {down}");
    let done = done.and_then(|()| checked(ground, &words));
    ground.preload.set_clock(0);
    // Seen by then, or not.
    ground.moment(0..200);
    done.and(ground.while_down(|ground| {
        ground.crash();
        ground.start()
    }))
    .and_then(|()| checked(ground, "back to where it was, and killed"))
}
