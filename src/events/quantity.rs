//! Quantities as people read them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A whole number with a comma between thousands: `1,204`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grouped(pub u64);

impl fmt::Display for Grouped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        let mut text = String::with_capacity(digits.len() + digits.len() / 3);
        for (i, digit) in digits.chars().enumerate() {
            if i > 0 && (digits.len() - i).is_multiple_of(3) {
                text.push(',');
            }
            text.push(digit);
        }
        f.pad(&text)
    }
}

/// Ports in words: `port 80`, `ports 80, 443`, or `many ports` if there is no list.
pub fn ports(list: &[u16]) -> String {
    let text = list.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
    match list.len() {
        0 => "many ports".to_owned(),
        1 => format!("port {text}"),
        _ => format!("ports {text}"),
    }
}

/// A span of time, told in its two largest units: `3m 20s`; with `{:#}` without the space and
/// with every unit, as a policy file would write it and without loss down to a millisecond:
/// `1d2h3m`.
///
/// Spans of less than a millisecond are told in microseconds (`250us`), because that is where
/// latencies lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let parts = [
            (seconds / 86_400, "d"),
            (seconds / 3600 % 24, "h"),
            (seconds / 60 % 60, "m"),
            (seconds % 60, "s"),
            (u64::from(self.0.subsec_millis()), "ms"),
        ];
        let Some(first) = parts.iter().position(|(count, _)| *count > 0) else {
            return match self.0.subsec_micros() {
                0 => f.pad("0s"),
                micros => f.pad(&format!("{micros}us")),
            };
        };
        let (units, space) = if f.alternate() { (parts.len(), "") } else { (2, " ") };
        let text: Vec<String> = parts[first..]
            .iter()
            .take(units)
            .filter(|(count, _)| *count > 0)
            .map(|(count, unit)| format!("{count}{unit}"))
            .collect();
        f.pad(&text.join(space))
    }
}

/// Text that is no span of time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a span of time; write it like 90s, 10m, 1h30m or 7d")]
pub struct NotASpan;

/// Reads what `{:#}` writes: whole numbers, each with its unit (`ms`, `s`, `m`, `h`, `d`).
impl FromStr for Span {
    type Err = NotASpan;

    fn from_str(text: &str) -> Result<Self, NotASpan> {
        let mut span = Duration::ZERO;
        let mut rest = text.trim();
        if rest.is_empty() {
            return Err(NotASpan);
        }
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or(NotASpan)?;
            let (number, tail) = rest.split_at(digits);
            let letters = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
            let (unit, tail) = tail.split_at(letters);
            let millis: u64 = match unit {
                "ms" => 1,
                "s" => 1_000,
                "m" => 60_000,
                "h" => 3_600_000,
                "d" => 86_400_000,
                _ => return Err(NotASpan),
            };
            let number: u64 = number.parse().map_err(|_| NotASpan)?;
            let part = Duration::from_millis(number.checked_mul(millis).ok_or(NotASpan)?);
            span = span.checked_add(part).ok_or(NotASpan)?;
            rest = tail.trim_start();
        }
        Ok(Self(span))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (65_536, "65,536"),
            (1_234_567, "1,234,567"),
            (u64::MAX, "18,446,744,073,709,551,615"),
        ] {
            assert_eq!(Grouped(number).to_string(), text);
        }
        assert_eq!(format!("{:>7}", Grouped(1204)), "  1,204");
    }

    #[test]
    fn spans_are_told() {
        for (millis, told, exact) in [
            (0, "0s", "0s"),
            (700, "700ms", "700ms"),
            (1000, "1s", "1s"),
            (200_000, "3m 20s", "3m20s"),
            (3_600_000, "1h", "1h"),
            (3_605_000, "1h", "1h5s"),
            (86_400_000 + 7_380_000, "1d 2h", "1d2h3m"),
            (7 * 86_400_000, "7d", "7d"),
            (61_500, "1m 1s", "1m1s500ms"),
        ] {
            let span = Span(Duration::from_millis(millis));
            assert_eq!((&*span.to_string(), &*format!("{span:#}")), (told, exact), "{millis}");
        }
        assert_eq!(Span(Duration::from_micros(250)).to_string(), "250us");
        assert_eq!(Span(Duration::from_nanos(1)).to_string(), "0s");
    }

    #[test]
    fn spans_are_read() {
        for (text, millis) in [
            ("0s", 0),
            ("90s", 90_000),
            ("1h30m", 5_400_000),
            ("7d", 604_800_000),
            ("3m 20s", 200_000),
        ] {
            assert_eq!(text.parse(), Ok(Span(Duration::from_millis(millis))), "{text}");
        }
        for text in ["", " ", "5", "h", "1x", "-1s", "1.5h", "99999999999999999999d", "é", "1sé"]
        {
            assert_eq!(text.parse::<Span>(), Err(NotASpan), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn written_and_read_again(millis in 0u64..10_000_000_000) {
            let span = Span(Duration::from_millis(millis));
            proptest::prop_assert_eq!(format!("{span:#}").parse(), Ok(span));
        }
    }
}
