//! Features in words.

use super::Share;
use super::digest::feature;

/// What a feature is called in evidence: in the log and in listings.
pub(super) const NAMES: [&str; 16] = [
    "unusual distance",
    "unusual TTL",
    "unusual window",
    "unusual segment size",
    "unusual window scale",
    "unusual options",
    "unusual header fields",
    "unusual source port",
    "unusual port",
    "unusual haste",
    "unusually many attempts",
    "unusually many ports",
    "unusually many addresses",
    "unusually many closed ports",
    "unusually many login attempts",
    "unusually constant source port",
];

impl Share {
    /// What the feature is called in evidence.
    pub fn name(&self) -> &'static str {
        name(self.feature)
    }
}

/// What a feature is called in evidence, by its place.
pub fn name(feature: u8) -> &'static str {
    NAMES.get(usize::from(feature)).copied().unwrap_or("unusual")
}

/// What a feature has to do with a score, in a sentence.
pub fn explain(share: &Share) -> String {
    let feature = usize::from(share.feature);
    let (low, high) = share.usual;
    let usual = match (value(feature, low), value(feature, high)) {
        (low, high) if low == high => low,
        (low, high) => format!("{low} to {high}"),
    };
    let own = value(feature, share.level);
    let what = match feature {
        feature::HOPS => format!("comes from about {own} routers away"),
        feature::TTL => format!("starts its packets with a TTL of {own}"),
        feature::WINDOW => format!("offers a window of {own} bytes"),
        feature::MSS => format!("asks for segments of {own}"),
        feature::SCALE => format!("scales its window by {own}"),
        feature::OPTIONS => format!("sends {own} bytes of TCP options"),
        feature::ODDITIES => format!("has {own} unusual header fields"),
        feature::SOURCE_PORT => format!("connects from source port {own}"),
        feature::PORT => format!("asks for port {own}"),
        feature::RATE => format!("makes {own} attempts within ten seconds"),
        feature::COUNT => format!("has made {own} of the first 8 attempts of this hour"),
        feature::PORTS => format!("tries {own} different ports"),
        feature::HOSTS => format!("tries {own} different addresses"),
        feature::FAILED => format!("meets {own} closed ports"),
        feature::LOGINS => format!("asks {own} times where passwords are asked for"),
        _ => format!("comes from the same source port again {own} times"),
    };
    format!("{what} (usual: {usual})")
}

/// What a level stands for.
fn value(feature: usize, level: u8) -> String {
    let level = u32::from(level);
    let power = |exponent: u32| match exponent {
        0 => "0 or 1".to_owned(),
        15 => "32768 or more".to_owned(),
        exponent => format!("{}-{}", 1u32 << exponent, (2u32 << exponent) - 1),
    };
    let last = |text: String| if level == 15 { format!("{text} or more") } else { text };
    match feature {
        feature::HOPS => last(format!("{}", 3 * level)),
        feature::TTL => ["32", "64", "128", "255"][(level / 5).min(3) as usize].to_owned(),
        feature::WINDOW | feature::PORT => power(level),
        feature::MSS if level == 0 => "no stated size".to_owned(),
        feature::MSS => last(format!("{}-{}", 128 * (level - 1), 128 * level - 1)),
        feature::SCALE if level == 0 => "nothing".to_owned(),
        feature::SCALE => format!("2^{}", level - 1),
        feature::OPTIONS => (4 * level).to_string(),
        feature::ODDITIES => last((level / 5).to_string()),
        feature::SOURCE_PORT if level == 0 => "below 1024".to_owned(),
        feature::SOURCE_PORT => format!("{}-{}", (4096 * level).max(1024), 4096 * level + 4095),
        feature::RATE => format!("{:.0}", (f64::from(level) / 5.0).exp2()),
        feature::COUNT | feature::PORTS | feature::HOSTS => (level / 2 + 1).to_string(),
        _ => level.div_ceil(2).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences() {
        for (feature, level, usual, text) in [
            (feature::PORTS, 12, (0, 4), "tries 7 different ports (usual: 1 to 3)"),
            (
                feature::WINDOW,
                10,
                (13, 15),
                "offers a window of 1024-2047 bytes (usual: 8192-16383 to 32768 or more)",
            ),
            (feature::MSS, 0, (12, 12), "asks for segments of no stated size (usual: 1408-1535)"),
            (feature::FAILED, 15, (0, 0), "meets 8 closed ports (usual: 0)"),
            (feature::TTL, 15, (5, 10), "starts its packets with a TTL of 255 (usual: 64 to 128)"),
            (feature::RATE, 15, (0, 5), "makes 8 attempts within ten seconds (usual: 1 to 2)"),
            (
                feature::SOURCE_PORT,
                0,
                (8, 15),
                "connects from source port below 1024 (usual: 32768-36863 to 61440-65535)",
            ),
        ] {
            let share = Share { feature: feature as u8, level, usual, weight: 1.0 };
            assert_eq!(explain(&share), text);
        }
    }

    #[test]
    fn every_level_has_words() {
        for feature in 0..16u8 {
            for level in 0..16 {
                let share = Share { feature, level, usual: (level, 15), weight: 0.0 };
                assert!(explain(&share).len() > 10 && share.name().starts_with("unusual"));
            }
        }
    }
}
