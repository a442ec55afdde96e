//! What the detector looks at: sixteen features of one SYN and its source, in eight bytes.

use super::Habits;
use crate::packet::{Flags, Syn};

/// How many features there are.
pub const FEATURES: usize = 16;

/// The features of one SYN, each as a level from 0 to 15.
///
/// Levels and not values, because the histograms need no more, and because a digest is what is
/// kept of a SYN in quarantine, for calibration and for `explain`: no address is in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Digest(u64);

/// Which feature stands where. The first nine are the packet's, the others the source's.
pub(super) mod feature {
    pub(in crate::anomaly) const HOPS: usize = 0;
    pub(in crate::anomaly) const TTL: usize = 1;
    pub(in crate::anomaly) const WINDOW: usize = 2;
    pub(in crate::anomaly) const MSS: usize = 3;
    pub(in crate::anomaly) const SCALE: usize = 4;
    pub(in crate::anomaly) const OPTIONS: usize = 5;
    pub(in crate::anomaly) const ODDITIES: usize = 6;
    pub(in crate::anomaly) const SOURCE_PORT: usize = 7;
    pub(in crate::anomaly) const PORT: usize = 8;
    pub(in crate::anomaly) const RATE: usize = 9;
    pub(in crate::anomaly) const COUNT: usize = 10;
    pub(in crate::anomaly) const PORTS: usize = 11;
    pub(in crate::anomaly) const HOSTS: usize = 12;
    pub(in crate::anomaly) const FAILED: usize = 13;
    pub(in crate::anomaly) const LOGINS: usize = 14;
    // 15: attempts from the same source port.
}

/// The highest level.
const TOP: u32 = 15;

impl Digest {
    /// Digests a SYN of a source that has just taken note of it.
    #[inline]
    pub fn of(syn: &Syn, habits: &Habits) -> Self {
        let start = first_ttl(syn.ttl);
        let start_level = match start {
            32 => 0,
            64 => 5,
            128 => 10,
            _ => TOP,
        };
        let mss = match syn.options.mss {
            None => 0,
            Some(mss) => 1 + u32::from(mss) / 128,
        };
        let behaviour = habits.levels();
        let mut levels = [
            u32::from(start - u16::from(syn.ttl).min(start)) / 3,
            start_level,
            log2(syn.window),
            mss,
            syn.options.window_scale.map_or(0, |shift| u32::from(shift) + 1),
            u32::from(syn.options.length) / 4,
            5 * oddities(syn),
            u32::from(syn.sport >> 12) + u32::from(syn.sport >= 1024 && syn.sport < 4096),
            log2(syn.dport),
            0,
            0,
            0,
            0,
            0,
            0,
            0,
        ];
        levels[feature::RATE..].copy_from_slice(&behaviour);
        Self::from_levels(levels)
    }

    /// A digest of these levels; more than 15 is 15.
    #[inline]
    pub fn from_levels(levels: [u32; FEATURES]) -> Self {
        let place =
            |digest, (at, level): (usize, &u32)| digest | u64::from((*level).min(TOP)) << (4 * at);
        Self(levels.iter().enumerate().fold(0, place))
    }

    /// The level of a feature, by its place.
    #[inline]
    pub fn level(self, feature: usize) -> u8 {
        (self.0 >> (4 * feature)) as u8 & TOP as u8
    }

    /// As a number, for keeping.
    pub fn bits(self) -> u64 {
        self.0
    }

    /// What [`Digest::bits`] gave.
    pub fn from_bits(bits: u64) -> Self {
        Self(bits)
    }
}

/// The TTL that the sender began with, if it used one of the usual ones.
#[inline]
pub(super) fn first_ttl(ttl: u8) -> u16 {
    match ttl {
        0..=32 => 32,
        33..=64 => 64,
        65..=128 => 128,
        _ => 255,
    }
}

/// The whole part of the binary logarithm; 0 for 0.
#[inline]
fn log2(value: u16) -> u32 {
    u32::from(value).checked_ilog2().unwrap_or(0)
}

/// What is unusual in the header though legal, counted.
#[inline]
fn oddities(syn: &Syn) -> u32 {
    [
        syn.ack != 0,
        syn.urgent != 0,
        syn.flags.any(Flags::ECE | Flags::CWR),
        syn.flags.any(Flags::FIN | Flags::RST | Flags::PSH | Flags::URG)
            || !syn.flags.has(Flags::SYN),
        !syn.dont_fragment,
        syn.ip_options,
        syn.payload != 0,
    ]
    .iter()
    .map(|odd| u32::from(*odd))
    .sum()
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::packet::Options;

    fn linux() -> Syn {
        let from = SocketAddr::from(([203, 0, 113, 7], 40_000));
        Syn { ttl: 57, ..Syn::linux(from, SocketAddr::from(([198, 51, 100, 2], 443))) }
    }

    #[test]
    fn levels_of_headers() {
        let level = |syn: Syn, at| Digest::of(&syn, &Habits::default()).level(at);
        for (syn, at, expected) in [
            (linux(), feature::HOPS, 2),
            (Syn { ttl: 255, ..linux() }, feature::HOPS, 0),
            (Syn { ttl: 65, ..linux() }, feature::HOPS, 15),
            (Syn { ttl: 0, ..linux() }, feature::HOPS, 10),
            (linux(), feature::TTL, 5),
            (Syn { ttl: 128, ..linux() }, feature::TTL, 10),
            (linux(), feature::WINDOW, 15),
            (Syn { window: 1024, ..linux() }, feature::WINDOW, 10),
            (Syn { window: 0, ..linux() }, feature::WINDOW, 0),
            (linux(), feature::MSS, 12),
            (Syn { options: Options::default(), ..linux() }, feature::MSS, 0),
            (linux(), feature::SCALE, 8),
            (linux(), feature::OPTIONS, 5),
            (linux(), feature::ODDITIES, 0),
            (
                Syn { ack: 1, urgent: 1, payload: 3, ip_options: true, ..linux() },
                feature::ODDITIES,
                15,
            ),
            (linux(), feature::SOURCE_PORT, 9),
            (Syn { sport: 20, ..linux() }, feature::SOURCE_PORT, 0),
            (Syn { sport: 1024, ..linux() }, feature::SOURCE_PORT, 1),
            (linux(), feature::PORT, 8),
        ] {
            assert_eq!(level(syn, at), expected, "{at} of {syn:?}");
        }
    }

    #[test]
    fn levels_are_kept_apart() {
        let levels: [u32; FEATURES] = std::array::from_fn(|at| at as u32 + 3);
        let digest = Digest::from_bits(Digest::from_levels(levels).bits());
        for (at, level) in levels.iter().enumerate() {
            assert_eq!(u32::from(digest.level(at)), (*level).min(15));
        }
    }
}
