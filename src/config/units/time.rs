//! Durations (`"10m"`, `"1h30m"`) and rates (`"6/m"`, `"300/10s"`).

use std::time::Duration;

use super::Mistake;

/// Units in milliseconds, largest first.
const UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// The longest duration that can be written: a hundred years.
const LONGEST: u64 = 36_525 * 86_400_000;

/// `"90s"`, `"500ms"`, `"1h30m"`, `"7d"`.
pub(in crate::config) fn duration(text: &str) -> Result<Duration, Mistake> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(Mistake::new("a duration is missing").help(EXAMPLE));
    }
    if rest.bytes().all(|b| b.is_ascii_digit()) {
        let help = format!("write \"{rest}s\" if seconds are meant; the units are ms, s, m, h, d");
        return Err(Mistake::new(format!("the duration \"{rest}\" has no unit")).help(help));
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let (digits, behind) = cut(rest, |b| b.is_ascii_digit());
        let (unit, behind) = cut(behind, |b| b.is_ascii_alphabetic());
        let millis = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, millis)| *millis);
        let (Some(millis), false) = (millis, digits.is_empty()) else {
            return Err(Mistake::new(format!("\"{text}\" is not a duration")).help(EXAMPLE));
        };
        // A number with too many digits is too long as well.
        let part = digits.parse::<u64>().ok().and_then(|n| n.checked_mul(millis));
        total = part
            .and_then(|part| total.checked_add(part))
            .filter(|total| *total <= LONGEST)
            .ok_or_else(|| Mistake::new(format!("\"{text}\" is longer than a hundred years")))?;
        rest = behind.trim_start();
    }
    Ok(Duration::from_millis(total))
}

const EXAMPLE: &str =
    "write a number with its unit: \"500ms\", \"90s\", \"10m\", \"1h30m\", \"7d\"";

/// `"6/m"`, `"300/10s"`, `"unlimited"` (`None`): how many, in how long.
pub(in crate::config) fn rate(text: &str) -> Result<Option<(u32, Duration)>, Mistake> {
    if text.trim() == "unlimited" {
        return Ok(None);
    }
    const EXAMPLE: &str = "write a number and a unit of time, \"6/m\" or \"300/10s\" (units \
                           s, m, h, d), or \"unlimited\"";
    let wrong = || Mistake::new(format!("\"{text}\" is not a rate")).help(EXAMPLE);
    let (count, per) = text.split_once('/').ok_or_else(wrong)?;
    let (count, per) = (count.trim().replace('_', ""), per.trim());
    if count.is_empty() || !count.bytes().all(|b| b.is_ascii_digit()) {
        return Err(wrong());
    }
    let span = if per.starts_with(|c: char| c.is_ascii_digit()) { "" } else { "1" };
    let per = duration(&format!("{span}{per}")).map_err(|_| wrong())?;
    let count = count.parse::<u32>().map_err(|_| {
        Mistake::new(format!("{count} is more than a rate can be"))
            .help(format!("the most is {}; write \"unlimited\" for no limit", u32::MAX))
    })?;
    if count == 0 || per.is_zero() {
        let help = "write \"unlimited\" for no limit; to refuse everybody at a port, leave it out \
                    of [ports] open";
        return Err(Mistake::new(format!("\"{text}\" would let nobody in")).help(help));
    }
    Ok(Some((count, per)))
}

/// A duration as a policy writes it.
pub(in crate::config) fn spell(duration: Duration) -> String {
    let mut millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if millis == 0 {
        return "0s".into();
    }
    let mut text = String::new();
    for (unit, size) in UNITS {
        if millis >= size {
            text += &format!("{}{unit}", millis / size);
            millis %= size;
        }
    }
    text
}

/// The leading bytes that satisfy `is`, and what follows them.
fn cut(text: &str, is: impl Fn(u8) -> bool) -> (&str, &str) {
    text.split_at(text.bytes().position(|b| !is(b)).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations() {
        for (text, millis) in [
            ("500ms", 500),
            ("90s", 90_000),
            ("10m", 600_000),
            ("1h", 3_600_000),
            ("7d", 604_800_000),
            ("1h30m", 5_400_000),
            (" 1h 30m ", 5_400_000),
            ("0s", 0),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for wrong in ["", "10", "m", "10x", "1.5h", "-1s", "10 m", "1h30", "99999999999999999999d"]
        {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
        assert!(duration("36525d").is_ok() && duration("36525d1ms").is_err());
        assert!(duration("600").unwrap_err().help.unwrap().contains("\"600s\""));
    }

    #[test]
    fn rates() {
        let per = Duration::from_secs;
        for (text, wanted) in [
            ("6/m", Some((6, per(60)))),
            ("300/10s", Some((300, per(10)))),
            ("100_000 / s", Some((100_000, per(1)))),
            ("1/d", Some((1, per(86_400)))),
            ("5/1h30m", Some((5, per(5400)))),
            ("unlimited", None),
        ] {
            assert_eq!(rate(text), Ok(wanted), "{text}");
        }
        for wrong in ["", "6", "6/", "/m", "6/0s", "0/m", "-1/m", "6/m/m", "5000000000/s", "ten/m"]
        {
            assert!(rate(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn spelled_durations_are_read_back(millis in 0..=LONGEST) {
            let span = Duration::from_millis(millis);
            prop_assert_eq!(duration(&spell(span)), Ok(span));
        }

        #[test]
        fn any_text_is_survived(text in "\\PC*") {
            let _ = (duration(&text), rate(&text));
        }
    }
}
