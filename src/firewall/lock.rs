//! One Portcullis per state folder.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};

/// How long the heirs of a process that was killed may have it: a child that was just started has
/// all of its parent's files until it has become the program that it is to be.
const HEIRS: Duration = Duration::from_secs(1);
/// How often they are looked at.
const LOOK: Duration = Duration::from_millis(5);

/// The lock was not given.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody holds it.
    #[error("Portcullis runs already, as process {pid}, with the state folder {}. Stop it first (systemctl stop portcullis), or give this one a bans.state_dir of its own", folder.display())]
    Taken {
        /// The other's process id, as it wrote it; "unknown" if it could not be read.
        pid: String,
        /// The state folder.
        folder: PathBuf,
    },
    /// The lock file cannot be opened.
    #[error("cannot open {}: {source}. [bans] state_dir must be a folder that the daemon's user may write", path.display())]
    Open {
        /// The lock file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// Held as long as it lives; the kernel lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub struct Lock(#[cfg_attr(not(test), expect(dead_code, reason = "held, not used"))] File);

impl Lock {
    /// Takes the lock of a state folder, which is made if it is missing.
    ///
    /// # Errors
    /// Somebody has it, and still has it a second later; or the folder cannot be used.
    pub fn take(folder: &Path) -> Result<Self, LockError> {
        Self::take_within(folder, HEIRS)
    }

    fn take_within(folder: &Path, patience: Duration) -> Result<Self, LockError> {
        let path = folder.join("lock");
        let fail = |source| LockError::Open { path: path.clone(), source };
        // Standings tell who visited: nobody else's business.
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(fail)?;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(fail)?;
        let deadline = Instant::now() + patience;
        while flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            if Instant::now() < deadline {
                std::thread::sleep(LOOK);
                continue;
            }
            return Err(LockError::Taken { pid: pid(&mut file), folder: folder.to_owned() });
        }
        file.set_len(0).and_then(|()| file.rewind()).map_err(fail)?;
        writeln!(file, "{}", std::process::id()).map_err(fail)?;
        Ok(Self(file))
    }
}

/// The process that holds the lock of a state folder, as it wrote it; "unknown" if it could not be
/// read. `None` if nobody holds it, or if this user may not know.
pub fn holder(folder: &Path) -> Option<String> {
    let mut file = File::open(folder.join("lock")).ok()?;
    flock(&file, FlockOperation::NonBlockingLockShared).err()?;
    Some(pid(&mut file))
}

fn pid(file: &mut File) -> String {
    let mut pid = String::new();
    let _ = file.read_to_string(&mut pid);
    Some(pid.trim()).filter(|p| !p.is_empty()).unwrap_or("unknown").to_owned()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    use super::*;

    #[test]
    fn one_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let first = Lock::take(folder.path()).unwrap();
        let take = |folder| Lock::take_within(folder, Duration::ZERO);
        let second = take(folder.path()).unwrap_err().to_string();
        assert!(second.contains(&format!("process {}", std::process::id())), "{second}");
        assert_eq!(holder(folder.path()), Some(std::process::id().to_string()));
        drop(first);
        assert_eq!(holder(folder.path()), None);
        assert_eq!(holder(&folder.path().join("none")), None);
        Lock::take(folder.path()).unwrap();
        let fresh = folder.path().join("none/yet");
        Lock::take(&fresh).unwrap();
        assert_eq!(fresh.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        let barred = Lock::take(&fresh.join("lock/below")).unwrap_err().to_string();
        assert!(barred.contains("must be a folder that the daemon's user may write"), "{barred}");
    }

    #[test]
    fn heirs_let_go() {
        let folder = tempfile::tempdir().unwrap();
        let Lock(file) = Lock::take(folder.path()).unwrap();
        // A child that has the file, until its own input ends.
        let (input, end) = std::io::pipe().unwrap();
        let cat = |file: File| Command::new("cat").stdin(input).stdout(file).spawn();
        let mut heir = cat(file).unwrap();
        assert!(Lock::take_within(folder.path(), Duration::ZERO).is_err());
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| Lock::take_within(folder.path(), HEIRS * 20));
            drop(end);
            assert!(waiting.join().unwrap().is_ok());
        });
        assert!(heir.wait().unwrap().success());
    }
}
