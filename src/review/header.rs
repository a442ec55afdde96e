//! What stands in front of a message: syslog's header, the journal's, or only the time.

use jiff::Timestamp;

use super::clock::{Date, Stamp};
use super::entry::Damage;
use super::message::message;

/// The name under which the program logs.
pub(super) const NAME: &str = "portcullis";

/// A line, taken apart.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Header<'a> {
    /// A message of ours.
    Ours(Stamp, &'a str),
    /// Somebody else's line.
    Foreign,
    /// Ours, but not whole.
    Damaged(Damage),
}

/// Takes a line of text apart. It is ours only if our name stands where the sender's does:
/// others may write what looks like our lines into their messages.
///
/// | form | written by |
/// |---|---|
/// | `Sep 21 14:13:20 [host] portcullis[812]: …` | RFC 3164; rsyslog of old; `journalctl -o short` |
/// | `2026-09-21T14:13:20.25+02:00 host portcullis[812]: …` | rsyslog; `journalctl -o short-iso` |
/// | `1790000000.250000 host portcullis[812]: …` | `journalctl -o short-unix` |
/// | `<84>1 2026-09-21T14:13:20.25Z host portcullis 812 DROP […] …` | RFC 5424 |
/// | `2026-09-21 14:13:20 DROP …` | standard error of the daemon |
///
/// The colon is missing where rsyslog had it in RFC 5424. The first two may have a priority (`<84>`) in front.
pub(super) fn header(line: &str) -> Header<'_> {
    let (priority, rest) = priority(line);
    let first = rest.as_bytes().first().copied().unwrap_or_default();
    let taken = match first {
        b'1' if priority && rest.starts_with("1 ") => return modern(&rest[2..]),
        b'0'..=b'9' => digits(rest),
        b'A'..=b'Z' => month(rest).and_then(|(stamp, rest)| Some((stamp, tagged(rest)?))),
        _ => None,
    };
    match taken {
        Some((stamp, text)) => Header::Ours(stamp, text),
        // Without any time it is ours only if it is so beyond doubt.
        None if first.is_ascii_uppercase() && matches!(message(rest), Some(Ok(_))) => {
            Header::Damaged(Damage::NoTime)
        }
        None => Header::Foreign,
    }
}

/// Is there a `<84>`, and what stands behind it?
fn priority(line: &str) -> (bool, &str) {
    let number = line.strip_prefix('<').and_then(|rest| rest.split_once('>'));
    match number {
        Some((number, rest))
            if (1..=3).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit()) =>
        {
            (true, rest)
        }
        _ => (false, line),
    }
}

/// What stands behind `[host] portcullis[812]:`.
fn tagged(rest: &str) -> Option<&str> {
    let (first, behind) = rest.split_once(' ')?;
    if first.ends_with(':') {
        return is_ours(first).then(|| behind.trim_start());
    }
    let (tag, text) = behind.trim_start().split_once(' ')?;
    is_ours(tag).then(|| text.trim_start())
}

/// `portcullis:`, `portcullis[812]:` or `portcullis[812]`, which is what rsyslog makes of RFC 5424 in
/// its own file format.
fn is_ours(tag: &str) -> bool {
    let Some(rest) = tag.strip_prefix(NAME) else { return false };
    let pid = rest.strip_suffix(':').unwrap_or(rest);
    let inner = pid.strip_prefix('[').and_then(|pid| pid.strip_suffix(']'));
    rest == ":" || inner.is_some_and(|pid| pid.bytes().all(|b| b.is_ascii_digit()))
}

/// A line that begins with a digit, so with a year or with seconds.
fn digits(line: &str) -> Option<(Stamp, &str)> {
    let (time, rest) = line.split_once(' ')?;
    if time.len() == 10 && time.as_bytes()[4] == b'-' {
        // The daemon's own form has no name: the verb must do.
        let (clock, text) = rest.split_once(' ')?;
        _ = message(text)?;
        return Some((Stamp::Local(date(time)?.at(clock)?), text));
    }
    let text = tagged(rest)?;
    let time = if time.as_bytes().get(4) == Some(&b'-') {
        time.parse().ok()?
    } else {
        let (seconds, micros) = time.split_once('.')?;
        let micros = micros.get(..6)?.parse::<u32>().ok()?;
        Timestamp::new(seconds.parse().ok()?, micros as i32 * 1000).ok()?
    };
    Some((Stamp::Instant(time), text))
}

/// `Sep 21 14:13:20` (RFC 3164 §4.1.2; a day of one digit has a space before it).
fn month(line: &str) -> Option<(Stamp, &str)> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (name, rest) = line.split_once(' ')?;
    let month = MONTHS.iter().position(|month| *month == name)? as i8 + 1;
    let (day, rest) = rest.trim_start().split_once(' ')?;
    let (clock, rest) = rest.split_once(' ')?;
    let date = Date { year: 0, month, day: day.parse().ok()?, ..Date::default() };
    Some((Stamp::Yearless(date.at(clock)?), rest.trim_start()))
}

/// `2026-09-21`.
fn date(text: &str) -> Option<Date> {
    let mut parts = text.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    Some(Date {
        year: year.parse().ok()?,
        month: month.parse().ok()?,
        day: day.parse().ok()?,
        ..Date::default()
    })
}

/// RFC 5424 §6, behind the version.
fn modern(rest: &str) -> Header<'_> {
    let mut words = rest.splitn(6, ' ');
    let mut word = || words.next().unwrap_or_default();
    let (time, _host, app, _pid, _kind, rest) = (word(), word(), word(), word(), word(), word());
    if app != NAME {
        return Header::Foreign;
    }
    let Some(text) = behind_data(rest) else { return Header::Damaged(Damage::Torn) };
    match time.parse() {
        Ok(time) => Header::Ours(Stamp::Instant(time), text.trim_start_matches(['\u{feff}', ' '])),
        Err(_) => Header::Damaged(Damage::NoTime),
    }
}

/// What stands behind the structured data (§6.3).
fn behind_data(mut rest: &str) -> Option<&str> {
    if let Some(text) = rest.strip_prefix('-') {
        return Some(text);
    }
    while rest.starts_with('[') {
        let (mut quoted, mut escaped) = (false, false);
        let end = rest.bytes().position(|b| {
            let plain = !escaped;
            escaped = b == b'\\' && quoted && plain;
            quoted ^= b == b'"' && plain;
            b == b']' && !quoted
        })?;
        rest = &rest[end + 1..];
    }
    Some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "STOP text=\"signal 15\" id=0123456789";

    #[test]
    fn all_forms() {
        let instant = |text: &str| Stamp::Instant(text.parse().unwrap());
        let yearless = Date { year: 0, month: 9, day: 2, hour: 14, minute: 13, second: 20 };
        let quarter = instant("2026-09-21T14:13:20.25Z");
        for (header, stamp) in [
            ("<84>Sep  2 14:13:20 portcullis[812]: ", Stamp::Yearless(yearless)),
            ("Sep  2 14:13:20 gate portcullis[812]: ", Stamp::Yearless(yearless)),
            ("Sep 02 14:13:20 gate portcullis[812]:  ", Stamp::Yearless(yearless)),
            ("2026-09-21T14:13:20.250000+00:00 gate portcullis[812]: ", quarter),
            ("2026-09-21T16:13:20.25+0200 gate portcullis: ", quarter),
            ("1790000000.250000 gate portcullis[812]: ", quarter),
            ("<84>1 2026-09-21T14:13:20.250000Z gate portcullis 812 STOP - ", quarter),
            (
                "<84>1 2026-09-21T14:13:20.25Z - portcullis 812 STOP [a b=\"]\\\"] c\"][d] \u{feff}",
                quarter,
            ),
            ("2026-09-02 14:13:20 ", Stamp::Local(Date { year: 2026, ..yearless })),
        ] {
            let line = format!("{header}{LINE}");
            assert_eq!(super::header(&line), Header::Ours(stamp, LINE), "{line}");
        }
    }

    #[test]
    fn others_cannot_speak_for_us() {
        for header in [
            "",
            "Sep 21 14:13:20 gate sshd[812]: ",
            "Sep 21 14:13:20 gate sshd[812]: portcullis[812]: ",
            "Sep 21 14:13:20 sshd[812]: portcullis[812]: ",
            "Sep 21 14:13:20 gate portcullis-x[812]: ",
            "Sep 21 14:13:20 gate portcullis[8 12]: ",
            "Sept 21 14:13:20 gate portcullis[812]: ",
            "Sep 21 14:13 gate portcullis[812]: ",
            "2026-09-21T14:13:20Z gate kernel: ",
            "soon gate portcullis[812]: ",
            "<84>1 2026-09-21T14:13:20Z gate sshd 812 - - ",
            "2026-09-21 14:13:20 kernel ",
        ] {
            let line = format!("{header}{LINE}");
            let expected =
                if header.is_empty() { Header::Damaged(Damage::NoTime) } else { Header::Foreign };
            assert_eq!(super::header(&line), expected, "{line}");
        }
        assert_eq!(
            super::header("<84>1 2026-09-21T14:13:20Z - portcullis 8 STOP [a b=\"c"),
            Header::Damaged(Damage::Torn)
        );
    }
}
