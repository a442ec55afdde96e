//! What was learnt, as bytes.
//!
//! ```text
//!  "PCANOM" version(2) │ learnt 64×32 f32 │ anchor 64×32 f32 │ sources f64 │ days f64 │
//!  count(4) │ count × ( SYNs(1, +128: unusual) │ 8 digests(8 each) ) │ CRC-32 of all before(4)
//! ```
//! All numbers little-endian. A version that is not this one's is not read: the histograms belong
//! to the features and projections of their program.

use thiserror::Error;

use super::calibration::{Calibration, Calibrator};
use super::learner::Learner;
use super::{BINS, CALIBRATORS, Digest, Histogram, LOOKS, PROJECTIONS};

const MAGIC: &[u8; 6] = b"PCANOM";
/// To be raised with every change of features, projections or format.
const VERSION: u16 = 1;
/// More than a bin ever counts: from 2²⁴ on, one more makes no difference to an `f32`.
const MOST: f32 = 1e9;
/// Marks a calibration source that was called unusual.
const UNUSUAL: u8 = 0x80;

/// The bytes are not what was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Damaged {
    /// Cut short, changed, or something else altogether.
    #[error("it is not whole: its checksum does not fit")]
    Checksum,
    /// Whole, and of another program version.
    #[error("it is of version {0}, and this program reads version {VERSION}")]
    Version(u16),
    /// Whole, and yet impossible.
    #[error("its contents make no sense")]
    Contents,
}

pub(super) fn write(learner: &Learner) -> Vec<u8> {
    let mut bytes =
        Vec::with_capacity(1024 + 4 * PROJECTIONS * BINS * 2 + 65 * learner.calibration.0.len());
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    for histogram in [&learner.learnt, &learner.anchor] {
        let counts = histogram.counts().iter().flatten();
        counts.for_each(|count| bytes.extend_from_slice(&count.to_le_bytes()));
    }
    bytes.extend_from_slice(&learner.sources.to_le_bytes());
    bytes.extend_from_slice(&learner.days.to_le_bytes());
    bytes.extend_from_slice(&(learner.calibration.0.len() as u32).to_le_bytes());
    for source in &learner.calibration.0 {
        bytes.push(source.count | if source.unusual { UNUSUAL } else { 0 });
        let digests = source.digests.iter();
        digests.for_each(|digest| bytes.extend_from_slice(&digest.bits().to_le_bytes()));
    }
    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
    bytes
}

pub(super) fn read(bytes: &[u8]) -> Result<Learner, Damaged> {
    let (body, sum) = bytes.split_last_chunk::<4>().ok_or(Damaged::Checksum)?;
    let body = body.strip_prefix(MAGIC).ok_or(Damaged::Checksum)?;
    if crc32fast::hash(&bytes[..bytes.len() - 4]) != u32::from_le_bytes(*sum) {
        return Err(Damaged::Checksum);
    }
    let mut rest = Rest(body);
    match u16::from_le_bytes(rest.take()?) {
        VERSION => {}
        other => return Err(Damaged::Version(other)),
    }
    let mut learner = Learner::default();
    (learner.learnt, learner.anchor) = (rest.histogram()?, rest.histogram()?);
    learner.sources = f64::from_le_bytes(rest.take()?);
    learner.days = f64::from_le_bytes(rest.take()?);
    if !(learner.sources >= 0.0 && learner.days >= 0.0 && learner.sources + learner.days < 1e15) {
        return Err(Damaged::Contents);
    }
    let count = u32::from_le_bytes(rest.take()?) as usize;
    if count > CALIBRATORS {
        return Err(Damaged::Contents);
    }
    let mut calibration = Calibration::default();
    for _ in 0..count {
        let [looks] = rest.take()?;
        let (looks, unusual) = (looks & !UNUSUAL, looks & UNUSUAL != 0);
        let mut source = Calibrator { count: looks, unusual, ..Calibrator::default() };
        for digest in &mut source.digests {
            *digest = Digest::from_bits(u64::from_le_bytes(rest.take()?));
        }
        if !(1..=LOOKS).contains(&looks) {
            return Err(Damaged::Contents);
        }
        calibration.push(source);
    }
    learner.calibration = calibration;
    if rest.0.is_empty() { Ok(learner) } else { Err(Damaged::Contents) }
}

/// What is left to be read.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Damaged> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or(Damaged::Contents)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn histogram(&mut self) -> Result<Histogram, Damaged> {
        let mut all: Vec<[f32; BINS]> = Vec::with_capacity(PROJECTIONS);
        for _ in 0..PROJECTIONS {
            let mut counts = [0.0; BINS];
            for count in &mut counts {
                *count = f32::from_le_bytes(self.take()?);
                // Nothing counts down: there is no -0.0 among ours.
                if !(0.0..=MOST).contains(count) || count.is_sign_negative() {
                    return Err(Damaged::Contents);
                }
            }
            all.push(counts);
        }
        // Each SYN is in one bin of every projection; what fades leaves roundings.
        let sum = |counts: &[f32; BINS]| counts.iter().copied().map(f64::from).sum::<f64>();
        let total = all.first().map_or(0.0, sum);
        if all.iter().any(|counts| (sum(counts) - total).abs() > 1.0 + total / 100.0) {
            return Err(Damaged::Contents);
        }
        Ok(Histogram::of(all.into_iter()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn learner() -> Learner {
        let mut learner = Learner::default();
        (learner.sources, learner.days) = (12.5, 0.75);
        for n in 0..50u64 {
            learner.learnt.learn(Digest::from_bits(n * 0x1234_5678_9abc));
            let own = [Digest::from_bits(n), Digest::from_bits(n + 1)];
            learner
                .calibration
                .push(Calibrator::of(&own[..1 + n as usize % 2], n % 7 == 0).unwrap());
        }
        learner.anchor.learn(Digest::from_bits(7));
        learner
    }

    #[test]
    fn there_and_back() {
        let bytes = write(&learner());
        let back = read(&bytes).unwrap();
        assert_eq!(write(&back), bytes);
        assert_eq!((&back.learnt, &back.calibration), (&learner().learnt, &learner().calibration));
        assert_eq!((back.sources, back.days), (12.5, 0.75));
    }

    #[test]
    fn every_torn_end_is_noticed() {
        let bytes = write(&learner());
        for length in 0..bytes.len() {
            assert!(read(&bytes[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn another_version_is_told() {
        let mut bytes = write(&learner());
        bytes[6] = 9;
        let end = bytes.len() - 4;
        let sum = crc32fast::hash(&bytes[..end]).to_le_bytes();
        bytes[end..].copy_from_slice(&sum);
        assert_eq!(read(&bytes).unwrap_err(), Damaged::Version(9));
    }

    /// Sums that are infinite, or differ between projections, would give scores that are no numbers,
    /// or negative ones.
    #[test]
    fn impossible_counts_are_no_model() {
        let first = MAGIC.len() + 2;
        for (at, count) in
            [(0, f32::MAX), (0, f32::NAN), (0, -1.0), (0, -0.0), (0, 2e9), (BINS, 100.0)]
        {
            let mut bytes = write(&learner());
            let at = first + 4 * at;
            bytes[at..at + 4].copy_from_slice(&count.to_le_bytes());
            let end = bytes.len() - 4;
            let sum = crc32fast::hash(&bytes[..end]).to_le_bytes();
            bytes[end..].copy_from_slice(&sum);
            assert_eq!(read(&bytes).unwrap_err(), Damaged::Contents, "{count} at {at}");
        }
    }

    proptest! {
        #[test]
        fn every_changed_byte_is_noticed(at in 0usize..20_000, by in 1u8..) {
            let mut bytes = write(&learner());
            let at = at % bytes.len();
            bytes[at] ^= by;
            prop_assert!(read(&bytes).is_err());
        }

        #[test]
        fn nonsense_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = read(&bytes);
            // With a checksum that fits, which goes deeper.
            let mut whole = [MAGIC.as_slice(), &VERSION.to_le_bytes(), &bytes].concat();
            whole.extend_from_slice(&crc32fast::hash(&whole).to_le_bytes());
            prop_assert!(read(&whole).is_err());
        }
    }
}
