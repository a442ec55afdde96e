//! A short name for an event, to search for.

use std::time::{SystemTime, UNIX_EPOCH};

/// Crockford's base 32: no letter that is easily taken for a digit or for another letter.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Ten characters (50 bits) made from the time in nanoseconds and `who`, a number that tells
/// events of the same instant apart.
///
/// The same event has the same id in syslog, in the journal and in the JSON file. Ids are no
/// secret and not guaranteed to be unique: among a million events two share one with a chance of
/// about 1 in 2,000.
pub(crate) fn id(at: SystemTime, who: u64) -> String {
    let nanos = at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64);
    let mut bits = mix(nanos.wrapping_add(mix(who)));
    (0..10)
        .map(|_| {
            let letter = ALPHABET[(bits >> 59) as usize];
            bits <<= 5;
            char::from(letter)
        })
        .collect()
}

/// Spreads every bit of `bits` over the result: the finaliser of SplitMix64 (Steele, Lea and
/// Flood, OOPSLA 2014).
pub(crate) fn mix(bits: u64) -> u64 {
    let mut z = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::time::Duration;

    use super::*;

    #[test]
    fn stable_and_distinct() {
        let at = |nanos| UNIX_EPOCH + Duration::from_nanos(nanos);
        assert_eq!(id(at(1_790_000_000_000_000_000), 7), id(at(1_790_000_000_000_000_000), 7));
        let ids: HashSet<String> =
            (0..100).flat_map(|t| (0..100).map(move |who| id(at(t), who))).collect();
        assert_eq!(ids.len(), 10_000);
        assert!(ids.iter().all(|id| id.len() == 10));
        // Before 1970 is wrong, but no reason to panic.
        assert_eq!(id(UNIX_EPOCH - Duration::from_secs(1), 1).len(), 10);
    }
}
