//! Sizes of files (`"16MB"`).

use super::Mistake;

/// Units of sizes, as they are written, in bytes.
const UNITS: [(&str, u64); 3] = [("kB", 1_000), ("MB", 1_000_000), ("GB", 1_000_000_000)];
/// The least and the most that a file may hold.
const SIZES: (u64, u64) = (10_000, 100_000_000_000);

/// `"500kB"`, `"16MB"`, `"2GB"`.
pub(in crate::config) fn size(text: &str) -> Result<u64, Mistake> {
    let digits = text.trim().trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = &text.trim()[digits.len()..];
    let factor = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor);
    let number = digits.trim().replace('_', "").parse::<u64>().ok();
    let bytes = number.zip(factor).map(|(number, factor)| number.saturating_mul(factor));
    match bytes {
        Some(bytes) if (SIZES.0..=SIZES.1).contains(&bytes) => Ok(bytes),
        Some(_) => Err(Mistake::new("a file goes from 10kB to 100GB")),
        None => Err(Mistake::new(format!("\"{}\" is not a size", text.escape_debug()))
            .help("write a number with its unit, kB, MB or GB: \"16MB\"")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("16MB", Some(16_000_000)),
            (" 10 kB ", Some(10_000)),
            ("1_000kB", Some(1_000_000)),
            ("100GB", Some(100_000_000_000)),
            ("9kB", None),
            ("101GB", None),
            ("99999999999999999999GB", None),
            ("18446744073709551615GB", None),
            ("16", None),
            ("MB", None),
            ("16 mb", None),
            ("-1MB", None),
            ("", None),
            ("1é", None),
        ] {
            assert_eq!(size(text).ok(), bytes, "{text:?}");
        }
    }
}
