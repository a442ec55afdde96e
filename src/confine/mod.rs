//! The daemon locks itself up: once it has its queues and its state folder, it gives up for good
//! what it does not need any more, so that whoever took it over, or a program that it runs, could do
//! little with it.
//!
//! ```text
//!  powers   capabilities; nothing that it runs gets more        (capabilities(7))
//!  places   where files are written, what is run, TCP, signals  (landlock(7))
//!  calls    which system calls there are at all                 (seccomp(2))
//! ```
//!
//! All three hold for the calling thread and for every thread and program that it starts from then
//! on, and cannot be taken back: so [`confine`] is called while there is one thread. Reading is not
//! restricted, beyond what the daemon's user may read. A kernel that lacks one of them is no reason
//! not to guard: what could not be done is told.
//!
//! What it does not promise: a program is loaded by way of the system's loader, which therefore may
//! be run, and whoever runs code of his own in here could have it load another program. That one
//! would be held just as tightly.

mod calls;
mod executable;
mod places;
mod powers;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What the daemon goes on needing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Folders in which files are made, written, renamed and removed. One that does not exist is
    /// left out.
    pub folders: BTreeSet<PathBuf>,
    /// The folder of the control socket.
    pub sockets: Option<PathBuf>,
    /// Single files that are written.
    pub files: BTreeSet<PathBuf>,
    /// Files that are read again later.
    pub reads: BTreeSet<PathBuf>,
    /// Programs that are run.
    pub programs: BTreeSet<PathBuf>,
    /// The TCP port at which somebody will be listened to.
    pub listens: Option<u16>,
    /// iptables' legacy variant, which wants raw sockets, may be run.
    pub raw_sockets: bool,
    /// The service manager's socket has an abstract name (unix(7)), and so no place in the file
    /// system.
    pub abstract_manager: bool,
}

/// What the daemon can do from now on, and what it still could.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Confinement {
    /// What holds, in words that follow "it".
    pub held: Vec<String>,
    /// What does not, and why.
    pub open: Vec<String>,
    /// Where files may be written; `None` if everywhere.
    folders: Option<Vec<PathBuf>>,
}

impl Confinement {
    /// Nothing is given up, because of this.
    pub fn none(why: &str) -> Self {
        Self { open: vec![why.to_owned()], ..Self::default() }
    }

    /// May a file of this name be made and written?
    pub fn may_write(&self, path: &Path) -> bool {
        let Some(folders) = &self.folders else { return true };
        let folder = path.parent().and_then(|folder| folder.canonicalize().ok());
        folder.is_some_and(|folder| folders.iter().any(|held| folder.starts_with(held)))
    }

    /// May files be made and written in this folder?
    pub fn may_write_in(&self, folder: &Path) -> bool {
        self.may_write(&folder.join("file"))
    }
}

/// Gives up everything but these needs, for this thread and all that it starts.
///
/// It fails in parts only: each is held or said to be open.
pub fn confine(needs: &Needs) -> Confinement {
    let mut result = Confinement::default();
    let Confinement { held, open, folders } = &mut result;
    match powers::keep(needs) {
        Ok(kept) => held.push(format!("has {kept}, and so have the programs that it runs")),
        Err(error) => open.push(format!("it keeps its capabilities: {error}")),
    }
    match places::enforce(needs) {
        Ok(places) => {
            held.extend(places.held);
            open.extend(places.open);
            *folders = places.folders;
        }
        Err(error) => open.push(format!("it may write and run what its user may: {error}")),
    }
    // Last, for it forbids the system calls of the others.
    match calls::enforce() {
        Ok(calls) => {
            held.push(format!("has {} system calls, and others are refused", calls.count));
            if !calls.sealed {
                let memory =
                    "it may run what it writes into memory: to prevent that takes Linux 6.3";
                open.push(memory.to_owned());
            }
        }
        Err(error) => open.push(format!("it may use every system call: {error}")),
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_files_may_be_written() {
        let place = tempfile::tempdir().unwrap();
        let (state, other) = (place.path().join("state"), place.path().join("other"));
        for folder in [&state.join("deep"), &other] {
            std::fs::create_dir_all(folder).unwrap();
        }
        std::os::unix::fs::symlink(&state, place.path().join("link")).unwrap();
        let free = Confinement::default();
        let held = Confinement {
            folders: Some(vec![state.canonicalize().unwrap()]),
            ..Confinement::default()
        };
        for (path, may) in [
            ("state/a.json", true),
            ("state/deep/a.json", true),
            ("link/a.json", true),
            ("other/a.json", false),
            ("state/../other/a.json", false),
            ("a.json", false),
            // What is not there was not there when it was confined.
            ("state/none/a.json", false),
        ] {
            let path = place.path().join(path);
            assert_eq!(held.may_write(&path), may, "{}", path.display());
            assert!(free.may_write(&path));
        }
        assert!(held.may_write_in(&state) && !held.may_write_in(&other));
    }
}
