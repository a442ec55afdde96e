//! Times as people type them.

use std::str::FromStr;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};

use crate::events::Span;

/// What was typed for `--since` or `--until`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// `2h`: so long ago.
    Ago(SignedDuration),
    /// `today`, `yesterday`: the beginning of a day so many days ago.
    Day(i64),
    /// `2026-09-21`, `2026-09-21 14:00`: local time.
    Local(DateTime),
    /// `2026-09-21T14:00:00Z`.
    Instant(Timestamp),
}

/// Text that is no time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a time; write a span back from now (2h, 7d), today, yesterday, 2026-09-21, \
     \"2026-09-21 14:00\" or 2026-09-21T14:00:00Z"
)]
pub(super) struct NotATime;

impl FromStr for When {
    type Err = NotATime;

    fn from_str(text: &str) -> Result<Self, NotATime> {
        let text = text.trim();
        let span = |text: &str| {
            let Span(span) = text.parse().ok()?;
            SignedDuration::try_from(span).ok()
        };
        match text {
            "now" => return Ok(Self::Ago(SignedDuration::ZERO)),
            "today" => return Ok(Self::Day(0)),
            "yesterday" => return Ok(Self::Day(1)),
            _ => {}
        }
        if let Some(span) = span(text.trim_end_matches("ago").trim_end()) {
            return Ok(Self::Ago(span));
        }
        // What has a zone is an instant; a local time must not be taken for one.
        if let Ok(instant) = text.parse() {
            return Ok(Self::Instant(instant));
        }
        text.parse().map(Self::Local).map_err(|_| NotATime)
    }
}

impl When {
    /// The instant that is meant. The first or last there is, if it lies beyond.
    pub(super) fn instant(self, now: Timestamp, zone: &TimeZone) -> Timestamp {
        match self {
            Self::Ago(span) => now.checked_sub(span).unwrap_or(Timestamp::MIN),
            Self::Instant(instant) => instant,
            Self::Local(time) => {
                time.to_zoned_datetime(zone.clone()).map_or(Timestamp::MAX, |time| time.timestamp())
            }
            Self::Day(ago) => {
                let today = now.to_zoned_datetime(zone.clone()).date();
                let day = today.checked_sub(ago.days());
                let start = day.and_then(|day| day.to_zoned_datetime(zone.clone()));
                start.map_or(Timestamp::MIN, |start| start.timestamp())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        let now: Timestamp = "2026-09-21T14:13:20Z".parse().unwrap();
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        for (text, expected) in [
            ("2h", Some("2026-09-21T12:13:20Z")),
            ("1h30m ago", Some("2026-09-21T12:43:20Z")),
            ("now", Some("2026-09-21T14:13:20Z")),
            ("today", Some("2026-09-20T22:00:00Z")),
            ("yesterday", Some("2026-09-19T22:00:00Z")),
            ("2026-09-21", Some("2026-09-20T22:00:00Z")),
            ("2026-09-21 14:00", Some("2026-09-21T12:00:00Z")),
            ("2026-09-21T14:00:00", Some("2026-09-21T12:00:00Z")),
            ("2026-09-21T14:00:00Z", Some("2026-09-21T14:00:00Z")),
            ("2026-09-21T14:00:00+02:00", Some("2026-09-21T12:00:00Z")),
            ("", None),
            ("2", None),
            ("soon", None),
            ("2026-13-01", None),
        ] {
            let time = text.parse::<When>().ok().map(|when| when.instant(now, &zone).to_string());
            assert_eq!(time.as_deref(), expected, "{text}");
        }
    }
}
