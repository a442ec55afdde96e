//! What the anomaly detector has learnt, as it is kept on disk.
//!
//! A file is 16 KiB of histograms and a checksum, so bytes at random are none. The first byte says
//! whether the rest is a file as it is, or changes to a good one, with a new checksum below them:
//! twelve bytes each, of which the first three say where, the next how much, the rest what.

use std::sync::LazyLock;

use portcullis::anomaly::{Budget, Damaged, Detector, Digest, Sample};

const BUDGET: Budget = Budget { per_day: 1000, quarantine: 60, learn: true };

/// What a detector keeps that has seen two hundred sources.
static GOOD: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let detector = Detector::default();
    for source in 0..200u64 {
        detector.begins();
        for n in 0..4 {
            let digest = Digest::from_bits(source % 7 + n);
            let (network, lot) = (source / 4, source.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            detector.offer(Sample { source, network, lot, began: 0, digest });
        }
    }
    (0..3).for_each(|hour| drop(detector.tend(7200 + hour * 3600, BUDGET, |_| Some(false))));
    detector.save()
});

/// A model that is read is one that can be worked with, and comes back when it is kept; one that is
/// not read changes nothing.
pub fn check(bytes: &[u8]) {
    let Some((how, bytes)) = bytes.split_first() else { return };
    let file = if how & 1 == 0 { bytes.to_vec() } else { changed(bytes) };
    let detector = Detector::default();
    let before = detector.save();
    match detector.restore(&file, BUDGET) {
        Ok(()) => {}
        Err(error) => {
            assert_eq!(detector.save(), before, "refused, and yet something of it was taken");
            assert!(how & 1 == 0 || error != Damaged::Checksum || !file.starts_with(b"PCANOM"));
            return;
        }
    }
    assert_eq!(detector.save(), file, "kept otherwise than it was read");
    let now = 1_000_000;
    let report = detector.report(now, BUDGET);
    assert!(report.learnt.is_finite() && report.per_day.is_finite(), "{report:?}");
    let scorer = detector.scorer();
    for bits in [0, u64::MAX, 0x0123_4567_89ab_cdef] {
        let digest = Digest::from_bits(bits);
        let score = scorer.score(digest);
        assert!(score.is_finite() && score >= 0.0, "a score of {score}");
        assert!(scorer.shares(digest).iter().all(|share| share.weight.is_finite()));
        assert!((0.0..=1.0).contains(&scorer.p_value(score)));
    }
    for source in 0..20 {
        detector.begins();
        let digest = Digest::from_bits(source);
        detector.offer(Sample { source, network: source, lot: source, began: 0, digest });
    }
    (1..4).for_each(|hour| drop(detector.tend(now + hour * 3600, BUDGET, |_| Some(false))));
    let kept = detector.save();
    detector
        .restore(&kept, BUDGET)
        .unwrap_or_else(|error| panic!("what was kept is refused: {error}"));
}

fn changed(bytes: &[u8]) -> Vec<u8> {
    let mut file = GOOD[..GOOD.len() - 4].to_vec();
    for [a, b, c, most, new @ ..] in bytes.as_chunks::<12>().0 {
        let at = u32::from_le_bytes([*a, *b, *c, 0]) as usize % (file.len() + 1);
        match most {
            0xf0.. => file.truncate(at),
            0xe0.. => drop(file.splice(at..at, *new)),
            most => {
                let count = usize::from(most % 9).min(file.len() - at);
                file[at..at + count].copy_from_slice(&new[..count]);
            }
        }
    }
    let sum = crc32fast::hash(&file);
    file.extend_from_slice(&sum.to_le_bytes());
    file
}
