//! The marker that keeps the gate out of the kernel: a file `aside` in the state folder. It is
//! there from `portcullis panic` to `portcullis panic --over`, through restarts of the daemon and
//! of the machine.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// For whoever finds the file.
const WORDS: &str = "\
portcullis panic was typed: while this file is here, the gate stands aside.
Put it back in its place: portcullis panic --over
";

/// Where the marker of a state folder is.
pub fn marker(folder: &Path) -> PathBuf {
    folder.join("aside")
}

/// Since when the gate stands aside, if it does.
pub fn aside_since(folder: &Path) -> Option<SystemTime> {
    // An age that the file system does not tell is no reason to overlook it.
    let found = fs::symlink_metadata(marker(folder)).ok()?;
    Some(found.modified().unwrap_or(SystemTime::UNIX_EPOCH))
}

/// Sets the marker, and leaves one that is there as old as it is. The folder is made if it is
/// missing.
///
/// # Errors
/// What the system says.
pub fn step_aside(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    // The folder belongs to the daemon's user and this may be root: no link is followed.
    let made = OpenOptions::new().write(true).create_new(true).mode(0o644).open(marker(folder));
    match made {
        // On a full disk the name alone does it.
        Ok(mut file) => file.write_all(WORDS.as_bytes()).or(Ok(())),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// Has the disk keep the marker through a power cut. Not before the kernel is free: a disk may take
/// its time. If it cannot, the marker is there all the same until then.
pub fn settle(folder: &Path) {
    for path in [&*marker(folder), folder] {
        // A link in its place is somebody else's.
        let Ok(found) = fs::symlink_metadata(path) else { continue };
        if found.is_file() || found.is_dir() {
            let _ = File::open(path).and_then(|file| file.sync_all());
        }
    }
}

/// Takes the marker away. False if there was none.
///
/// # Errors
/// What the system says.
pub fn step_back(folder: &Path) -> io::Result<bool> {
    match fs::remove_file(marker(folder)) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_is_set_kept_and_taken_away() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("not/yet");
        assert_eq!(aside_since(&folder), None);
        assert!(!step_back(&folder).unwrap());
        step_aside(&folder).unwrap();
        settle(&folder);
        let since = aside_since(&folder).expect("a time");
        step_aside(&folder).unwrap();
        assert_eq!(aside_since(&folder), Some(since), "it is as old as it was");
        assert!(fs::read_to_string(marker(&folder)).unwrap().contains("panic --over"));
        assert!(step_back(&folder).unwrap() && aside_since(&folder).is_none());
        // Somebody else's link is neither written through nor taken for no marker.
        let other = place.path().join("other");
        std::os::unix::fs::symlink(&other, marker(&folder)).unwrap();
        step_aside(&folder).unwrap();
        assert!(!other.exists() && aside_since(&folder).is_some());
    }
}
