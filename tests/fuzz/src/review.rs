//! Logs: syslog of both kinds, the journal's text, JSON and export forms, packed or not.
//!
//! The first byte says what is asked for.

use std::io::{BufRead, BufReader, Cursor, Read};
use std::time::{Duration, UNIX_EPOCH};

use jiff::Timestamp;
use jiff::tz::{TimeZone, offset};
use portcullis::review::{Clock, Input, Step, Tally, Told, Wanted, line, read};

/// A log is read alike however its bytes arrive, and whatever it says can be summed up.
pub fn check(bytes: &[u8]) {
    let Some((asked, bytes)) = bytes.split_first() else { return };
    let written = UNIX_EPOCH + Duration::from_secs(1_790_000_000);
    let Ok(input) = Input::of(Cursor::new(bytes.to_vec()), written) else { return };
    let newest = input.written;
    let mut log = Vec::new();
    // A little may be packed that is much.
    let unpacked = input.into_reader().take(1 << 18).read_to_end(&mut log).is_ok();

    let zone = if asked & 1 == 0 { TimeZone::UTC } else { TimeZone::fixed(offset(-7)) };
    let clock = || Clock::new(zone.clone(), newest);
    let whole = told(log.as_slice(), &mut clock());
    assert_eq!(told(BufReader::with_capacity(5, log.as_slice()), &mut clock()), whole);
    assert!(whole.windows(2).all(|two| two[0].0 < two[1].0), "line numbers go up");
    if !unpacked {
        return;
    }
    if let Ok(text) = std::str::from_utf8(&log) {
        text.lines().for_each(|text| drop(line(text, &mut clock())));
    }

    let wanted = Wanted {
        since: (asked & 2 != 0).then_some(Timestamp::UNIX_EPOCH),
        until: (asked & 4 != 0).then_some(newest),
        source: (asked & 8 != 0).then(|| "203.0.113.0/24".parse().expect("a prefix")),
        port: (asked & 16 != 0).then_some(22),
        reason: (asked & 32 != 0).then(|| "rate".to_owned()),
    };
    let mut tally = Tally::new(wanted);
    let read = read(log.as_slice(), &mut clock(), |_, told| tally.take(told));
    assert!(read.is_ok(), "memory can be read");
    let lines = tally.lines();
    assert_eq!(lines.read, whole.len() as u64);
    assert!(lines.foreign + lines.damaged + lines.unwanted + lines.repeated <= lines.read);
    let step = match asked >> 6 {
        0 | 1 => Step::Auto,
        2 => Step::Hour,
        _ => Step::Day,
    };
    let review = tally.review(5, step, 60, &zone);
    assert!(review.sources.len() <= 5);
    assert!(review.from <= review.until);
}

/// What each line tells, with its number.
fn told(log: impl BufRead, clock: &mut Clock) -> Vec<(u64, String)> {
    let mut all = Vec::new();
    let note = |number, told: Told<'_>| all.push((number, format!("{told:?}")));
    assert!(read(log, clock, note).is_ok(), "memory can be read");
    all
}
