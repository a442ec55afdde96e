//! What the anomaly detector has learnt, on disk: `anomaly.model` in the state folder.
//!
//! Either the old or the new one is whole at any moment. One that cannot be read is kept aside as `anomaly.model.bad-<time>`, and
//! the detector begins with what is shipped.

use std::io;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::anomaly::{Budget, Detector};
use crate::firewall::put_in_place;

const NAME: &str = "anomaly.model";

/// Restores the detector from the state folder. What went wrong, in a sentence for the admin.
///
/// # Errors
/// The sentence. The detector is as it was.
pub(super) fn restore(
    folder: &Path,
    detector: &Detector,
    budget: Budget,
    now: SystemTime,
) -> Result<(), String> {
    let path = folder.join(NAME);
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => {
            return Err(format!(
                "cannot read {}: {error}; the anomaly detector learns anew",
                path.display()
            ));
        }
    };
    let Err(damaged) = detector.restore(&bytes, budget) else { return Ok(()) };
    let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let aside = folder.join(format!("{NAME}.bad-{seconds}"));
    let kept = match std::fs::rename(&path, &aside) {
        Ok(()) => format!("it is kept as {}", aside.display()),
        Err(error) => format!("it cannot be moved aside ({error}) and will be overwritten"),
    };
    Err(format!("{}: {damaged}; {kept}; the anomaly detector learns anew", path.display()))
}

/// Writes what the detector has learnt. Takes as long as the disk does.
///
/// # Errors
/// What the system said; the old file is still there then.
pub(super) fn save(folder: &Path, detector: &Detector) -> io::Result<()> {
    put_in_place(folder, NAME, &detector.save())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::anomaly::{Digest, Sample};

    const BUDGET: Budget = Budget { per_day: 1, quarantine: 3600, learn: true };

    fn taught() -> Detector {
        let detector = Detector::default();
        let digest = Digest::from_bits(7);
        detector.offer(Sample { source: 1, network: 1, lot: 1, began: 0, digest });
        detector.tend(10_000, BUDGET, |_| Some(false));
        detector
    }

    #[test]
    fn kept_and_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (taught(), Detector::default());
        assert_eq!(restore(folder.path(), &second, BUDGET, UNIX_EPOCH), Ok(()));
        save(folder.path(), &first).unwrap();
        save(folder.path(), &first).unwrap();
        assert_eq!(restore(folder.path(), &second, BUDGET, UNIX_EPOCH), Ok(()));
        assert_eq!(second.report(0, BUDGET).learnt, 1.0);
        let names: Vec<_> =
            folder.path().read_dir().unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, ["anomaly.model"], "nothing is left beside it");
    }

    #[test]
    fn a_damaged_file_is_kept_aside() {
        let folder = tempfile::tempdir().unwrap();
        save(folder.path(), &taught()).unwrap();
        let path = folder.path().join(NAME);
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() - 9]).unwrap();
        let detector = Detector::default();
        let told = restore(folder.path(), &detector, BUDGET, UNIX_EPOCH).unwrap_err();
        assert!(told.contains("anomaly.model.bad-0; the anomaly detector learns anew"), "{told}");
        assert!(!path.exists() && folder.path().join("anomaly.model.bad-0").exists());
        assert_eq!(detector.report(0, BUDGET).learnt, 0.0);
    }
}
