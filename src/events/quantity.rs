//! Quantities as people read them.

use std::fmt;
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
}
