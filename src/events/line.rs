//! [`Record`] → one line of text.

use std::fmt::{self, Write as _};

use super::quantity::Span;
use super::record::{Record, Value};

/// The longest text value as it is written, in bytes between its quotes; more is cut off and ends
/// in `…`. A BSD syslog message is only sure to arrive whole up to 1,024 bytes (RFC 3164 §4.1),
/// and a line has one long text at most.
pub(super) const LONGEST_TEXT: usize = 600;

/// Displays a record as one line, without time stamp and line end: the verb, then
/// `name=value` for each field, then `id=…`.
///
/// Whatever the values are, it stays one line: text that is more than a plain word is a JSON string
/// (RFC 8259 §7), as logfmt has it too, in which every character that a terminal or a log reader
/// might act upon is written as an escape.
pub struct Line<'a>(pub &'a Record);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Record { at: _, level: _, verb, fields, id } = self.0;
        f.write_str(verb.word())?;
        for field in fields.iter().filter(|field| !field.detail) {
            write!(f, " {}={}", field.name, Plain(&field.value))?;
        }
        write!(f, " id={id}")
    }
}

/// A value as text.
pub(super) struct Plain<'a>(pub(super) &'a Value);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::Text(text) => quoted(f, text),
            Value::Number(number) => write!(f, "{}", Measured(*number)),
            Value::Count(count) => write!(f, "{count}"),
            Value::Span(span) => write!(f, "{:#}", Span(*span)),
            Value::Flag(flag) => f.write_str(if *flag { "yes" } else { "no" }),
            Value::Counts(counts) => {
                for (i, (name, count)) in counts.iter().enumerate() {
                    write!(f, "{}{name}:{count}", if i > 0 { "," } else { "" })?;
                }
                Ok(())
            }
        }
    }
}

/// A measured value without needless digits: `5`, `4.25`, `0.0012`.
#[derive(Clone, Copy, Debug)]
pub struct Measured(pub f32);

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.0;
        if number == number.trunc() || !number.is_finite() {
            return f.pad(&format!("{number}"));
        }
        // Two digits behind the point, or for small numbers so many that two say something.
        let digits = if number.abs() >= 0.1 { 2 } else { 1 - number.abs().log10().floor() as i32 };
        let text = format!("{number:.*}", digits.clamp(2, 12) as usize);
        f.pad(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

fn quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    if text.chars().all(|c| c.is_ascii_alphanumeric() || "._:/+-,%@#*".contains(c)) {
        return f.write_str(text);
    }
    f.write_char('"')?;
    let mut left = LONGEST_TEXT;
    for c in text.chars() {
        let written = Escaped(c);
        let Some(rest) = left.checked_sub(written.length()) else {
            f.write_char('…')?;
            break;
        };
        left = rest;
        write!(f, "{written}")?;
    }
    f.write_char('"')
}

/// A character as it stands in a JSON string; what cannot be seen or changes the direction of
/// reading is escaped, too, where JSON would let it be.
struct Escaped(char);

impl Escaped {
    /// Bytes.
    fn length(&self) -> usize {
        match self.0 {
            '"' | '\\' | '\n' | '\r' | '\t' => 2,
            c if is_seen(c) => c.len_utf8(),
            c => 6 * c.len_utf16(),
        }
    }
}

impl fmt::Display for Escaped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            c @ ('"' | '\\') => write!(f, "\\{c}"),
            '\n' => f.write_str("\\n"),
            '\r' => f.write_str("\\r"),
            '\t' => f.write_str("\\t"),
            c if is_seen(c) => f.write_char(c),
            c => c.encode_utf16(&mut [0; 2]).iter().try_for_each(|unit| write!(f, "\\u{unit:04x}")),
        }
    }
}

/// Is it a character that shows, by itself and in its place?
pub(super) fn is_seen(c: char) -> bool {
    matches!(c, '"' | '\'' | '\\') || c.escape_debug().len() == 1
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::super::sample;
    use super::super::{Event, Level, Notice, StandingChange};
    use super::*;
    use crate::memory::SourceKey;
    use crate::policy::{CheckId, Evidence, Ruling, Standing};
    use proptest::prelude::*;

    fn line(event: &Event) -> String {
        let line = Line(&Record::of(event, "eth0")).to_string();
        let (line, id) = line.rsplit_once(" id=").expect("every line ends in its id");
        assert_eq!(id.len(), 10);
        line.to_owned()
    }

    #[test]
    fn refusals() {
        let mut judged = sample::judged("203.0.113.7");
        assert_eq!(
            line(&Event::Judged(judged)),
            "DROP IN=eth0 SRC=203.0.113.7 DST=198.51.100.2 PROTO=TCP SPT=40312 DPT=23 \
             reason=rate what=login seen=5 limit=4.25"
        );
        judged.enforced = false;
        judged.decision.earned = Standing::Suspect;
        judged.decision.retransmission = true;
        judged.syn.src = "2001:db8::7".parse().unwrap();
        judged.syn.proven = true;
        assert_eq!(
            line(&Event::Judged(judged)),
            "WOULD-DROP IN=eth0 SRC=2001:db8::7 DST=198.51.100.2 PROTO=TCP SPT=40312 DPT=23 \
             reason=rate what=login seen=5 limit=4.25 standing=suspect again=yes proven=yes \
             enforced=no"
        );
        let mut judged = sample::judged("203.0.113.7");
        judged.decision.check = sample::check("denylist");
        judged.decision.evidence = Evidence { what: "my list", ..Evidence::default() };
        judged.syn.suspect = true;
        assert_eq!(
            line(&Event::Judged(judged)),
            "DROP IN=eth0 SRC=203.0.113.7 DST=198.51.100.2 PROTO=TCP SPT=40312 DPT=23 \
             reason=denylist what=\"my list\" standing=suspect"
        );
    }

    #[test]
    fn who_was_let_in() {
        let mut judged = sample::judged("203.0.113.7");
        judged.decision.ruling = Ruling::Accept;
        judged.decision.check = CheckId::NONE;
        judged.decision.evidence = Evidence::default();
        assert_eq!(
            line(&Event::Judged(judged)),
            "ACCEPT IN=eth0 SRC=203.0.113.7 DST=198.51.100.2 PROTO=TCP SPT=40312 DPT=23"
        );
        judged.decision.check = sample::check("allowlist");
        judged.decision.evidence.what = "office.example.org";
        assert_eq!(
            line(&Event::Judged(judged)),
            "ACCEPT IN=eth0 SRC=203.0.113.7 DST=198.51.100.2 PROTO=TCP SPT=40312 DPT=23 \
             reason=allowlist what=office.example.org"
        );
    }

    #[test]
    fn standings() {
        let change = |standing, lasts: Option<u64>, reason: &str, offence, enforced| {
            Event::Standing(StandingChange {
                port: (reason == "rate" && enforced).then_some(22),
                at: UNIX_EPOCH,
                source: SourceKey::of("2001:db8:1:2::7".parse().unwrap()),
                standing,
                lasts: lasts.map(Duration::from_secs),
                reason: reason.into(),
                offence,
                enforced,
            })
        };
        for (event, expected) in [
            (
                change(Standing::Suspect, Some(3600), "ports", 2, true),
                "SUSPECT SRC=2001:db8:1:2::/64 reason=ports offence=2 for=1h",
            ),
            (
                change(Standing::Banned, Some(5400), "said \"so\"\nBAN", 0, true),
                "BAN SRC=2001:db8:1:2::/64 reason=\"said \\\"so\\\"\\nBAN\" for=1h30m",
            ),
            (
                change(Standing::Banned, Some(600), "rate", 1, false),
                "WOULD-BAN SRC=2001:db8:1:2::/64 reason=rate offence=1 for=10m enforced=no",
            ),
            (
                change(Standing::Banned, Some(600), "rate", 1, true),
                "BAN SRC=2001:db8:1:2::/64 DPT=22 reason=rate offence=1 for=10m",
            ),
            (
                change(Standing::Clean, None, "expired", 0, true),
                "CLEAR SRC=2001:db8:1:2::/64 reason=expired",
            ),
        ] {
            assert_eq!(line(&event), expected);
        }
    }

    #[test]
    fn notices() {
        let notice = |level, what, text: &str| {
            line(&Event::Notice(Notice { at: UNIX_EPOCH, level, what, text: text.into() }))
        };
        for (level, what, text, expected) in [
            (Level::Notice, "start", "version 0.1.0", "START text=\"version 0.1.0\""),
            (Level::Notice, "stop", "signal 15", "STOP text=\"signal 15\""),
            (Level::Error, "reload", "no", "RELOAD level=error text=no"),
            (Level::Warning, "flushed", "gone, it's", "ALARM what=flushed text=\"gone, it's\""),
            (Level::Info, "ports", "22", "NOTE what=ports text=22"),
        ] {
            assert_eq!(notice(level, what, text), expected);
        }
        let long = notice(Level::Info, "x", &"a ".repeat(5000));
        assert!(long.ends_with("…\"") && long.chars().count() < 700, "{long}");
        // Escapes count as what they are.
        let long = notice(Level::Info, "x", &"\u{1b}".repeat(5000));
        assert!(long.len() < 700 && long.ends_with("\\u001b…\""), "{long}");
    }

    #[test]
    fn measured_values() {
        for (number, text) in [
            (5.0, "5"),
            (4.25, "4.25"),
            (4.5, "4.5"),
            (0.0012, "0.0012"),
            (0.000_123, "0.00012"),
            (1e6, "1000000"),
            (-0.5, "-0.5"),
            (f32::NAN, "NaN"),
            (f32::INFINITY, "inf"),
        ] {
            assert_eq!(Measured(number).to_string(), text);
        }
    }

    proptest! {
        /// Nothing in a text can end its line, its quotes or look like another field.
        #[test]
        fn nobody_forges_a_line(text in any::<String>()) {
            let event = Event::Notice(Notice {
                at: UNIX_EPOCH, level: Level::Error, what: "x", text: text.clone(),
            });
            let line = line(&event);
            prop_assert!(!line.chars().any(char::is_control));
            let value = line.strip_prefix("ALARM what=x text=").unwrap();
            if value.starts_with('"') {
                // A JSON string to its end, so nothing in it ends the quotes.
                let read: String = serde_json::from_str(value).unwrap();
                match read.strip_suffix('…') {
                    Some(cut) if read != text => prop_assert!(text.starts_with(cut)),
                    _ => prop_assert_eq!(read, text),
                }
            } else {
                prop_assert_eq!(value, text);
                prop_assert!(!value.contains([' ', '=']));
            }
        }
    }
}
