//! The kernel's modules on disk: will modprobe(8) find one?

use std::fs;
use std::path::Path;

/// Whether a module can be loaded, as far as the disk tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Loadable {
    /// Nothing speaks against it: it is there, or this system keeps modules at another place, or
    /// they are not this system's to load, as in a container.
    #[default]
    Perhaps,
    /// The running kernel came without it: its other modules are there.
    No,
    /// Only modules of other kernels are there: an update has removed those of the running one.
    Replaced,
}

/// Can the running kernel load this module, named as its file is, without `.ko`?
pub fn loadable(module: &str) -> Loadable {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    look(Path::new("/lib/modules"), release.trim(), module)
}

/// Modules of a release are in a folder of its name; `modules.dep` names them all, one a line:
/// `kernel/net/netfilter/nft_queue.ko.xz: …` (modules.dep(5)).
fn look(modules: &Path, release: &str, module: &str) -> Loadable {
    let own = modules.join(release);
    if release.is_empty() {
        return Loadable::Perhaps;
    }
    let Ok(all) = fs::read_to_string(own.join("modules.dep")) else {
        let mut kernels = fs::read_dir(modules).into_iter().flatten().flatten();
        let others = !own.exists() && kernels.any(|it| it.path().join("modules.dep").exists());
        return if others { Loadable::Replaced } else { Loadable::Perhaps };
    };
    let file = format!("/{module}.ko");
    let is_it = |line: &str| line.split(':').next().is_some_and(|path| path.contains(&file));
    if all.lines().any(is_it) { Loadable::Perhaps } else { Loadable::No }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_on_disk() {
        let folder = tempfile::tempdir().unwrap();
        let seen = |release| look(folder.path(), release, "nft_queue");
        // No modules at all: they are somewhere else, or somebody else's.
        assert_eq!(seen("6.1.0"), Loadable::Perhaps);
        assert_eq!(look(&folder.path().join("none"), "6.1.0", "nft_queue"), Loadable::Perhaps);
        let has = |release: &str, text: &str| {
            fs::create_dir_all(folder.path().join(release)).unwrap();
            fs::write(folder.path().join(release).join("modules.dep"), text).unwrap();
        };
        has(
            "6.1.0",
            "kernel/net/nf_tables.ko:\nkernel/net/nft_queue.ko.xz: kernel/net/nf_tables.ko\n",
        );
        has("6.1.1", "kernel/net/other.ko: kernel/net/nft_queue.ko\nkernel/net/nft_queue2.ko:\n");
        assert_eq!(seen("6.1.0"), Loadable::Perhaps);
        assert_eq!(seen("6.1.1"), Loadable::No);
        assert_eq!(seen("6.1.2"), Loadable::Replaced);
        assert_eq!(seen(""), Loadable::Perhaps);
    }
}
