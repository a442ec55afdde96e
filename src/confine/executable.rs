//! Which places programs may be run from.
//!
//! A place is a folder if there is no shell in it, so that a program that is replaced by an upgrade
//! can still be run; else it is the program itself, and after an upgrade the daemon has to be
//! restarted.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// shells(5): every shell that the system knows of.
const LIST: &str = "/etc/shells";
/// Shells that stand in no list, or in none yet.
const SHELLS: [&str; 7] = ["sh", "bash", "dash", "ash", "zsh", "ksh", "busybox"];

/// Where these programs, and the loader that each of them names, are run from.
pub(super) fn places(programs: &BTreeSet<PathBuf>) -> Vec<PathBuf> {
    let list = fs::read_to_string(LIST).unwrap_or_default();
    let shells: Vec<PathBuf> = list
        .lines()
        .filter(|line| line.starts_with('/'))
        .filter_map(|line| fs::canonicalize(line.trim()).ok())
        .collect();
    let programs = programs.iter().filter_map(|program| program.canonicalize().ok());
    let files = programs.flat_map(|program| {
        let loader = loader(&program).and_then(|loader| loader.canonicalize().ok());
        [Some(program), loader].into_iter().flatten()
    });
    let places: BTreeSet<PathBuf> = files.map(|file| place(&file, &shells)).collect();
    places.into_iter().collect()
}

fn place(program: &Path, shells: &[PathBuf]) -> PathBuf {
    let listed = |folder: &Path| shells.iter().any(|shell| shell.starts_with(folder));
    let lies = |folder: &Path| SHELLS.iter().any(|shell| folder.join(shell).is_file());
    match program.parent() {
        Some(folder) if !listed(folder) && !lies(folder) => folder.to_owned(),
        _ => program.to_owned(),
    }
}

/// The loader that a program names (elf(5), PT_INTERP); none if it is linked statically, or is no
/// program for a machine such as this.
fn loader(program: &Path) -> Option<PathBuf> {
    let mut head = Vec::new();
    File::open(program).ok()?.take(4096).read_to_end(&mut head).ok()?;
    interpreter(&head).map(|name| PathBuf::from(OsStr::from_bytes(name)))
}

/// PT_INTERP
const INTERPRETER: u64 = 3;

/// From the first page of a 64-bit little-endian program, where its headers and this name lie.
fn interpreter(head: &[u8]) -> Option<&[u8]> {
    let number = |at: usize, bytes: usize| {
        let mut all = [0; 8];
        all[..bytes].copy_from_slice(head.get(at..at.checked_add(bytes)?)?);
        usize::try_from(u64::from_le_bytes(all)).ok()
    };
    // ELFMAG, ELFCLASS64, ELFDATA2LSB.
    head.starts_with(b"\x7fELF\x02\x01").then_some(())?;
    let (first, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
    for index in 0..count {
        let header = first.checked_add(index.checked_mul(size)?)?;
        if number(header, 4)? as u64 == INTERPRETER {
            let from = number(header.checked_add(8)?, 8)?;
            let length = number(header.checked_add(32)?, 8)?;
            return head.get(from..from.checked_add(length)?)?.strip_suffix(b"\0");
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_folder_with_a_shell_is_no_place() {
        let folder = tempfile::tempdir().unwrap();
        let (sbin, bin) = (folder.path().join("sbin"), folder.path().join("bin"));
        for (folder, names) in [(&sbin, vec!["nft"]), (&bin, vec!["nft", "fish", "deep/sh"])] {
            fs::create_dir_all(folder.join("deep")).unwrap();
            names.iter().for_each(|name| fs::write(folder.join(name), "").unwrap());
        }
        assert_eq!(place(&sbin.join("nft"), &[]), sbin);
        assert_eq!(place(&bin.join("nft"), &[]), bin);
        assert_eq!(place(&bin.join("nft"), &[bin.join("fish")]), bin.join("nft"), "as listed");
        assert_eq!(place(&bin.join("nft"), &[bin.join("deep/sh")]), bin.join("nft"), "below it");
        fs::write(sbin.join("dash"), "").unwrap();
        assert_eq!(place(&sbin.join("nft"), &[]), sbin.join("nft"));
    }

    #[test]
    fn this_systems_shell_is_at_no_place_but_its_own() {
        let shell = Path::new("/bin/sh").canonicalize().unwrap();
        let own = std::env::current_exe().unwrap();
        let places = places(&[own.clone(), shell.clone()].into());
        assert!(places.iter().any(|place| own.starts_with(place)), "{places:?}");
        let its: Vec<&PathBuf> = places.iter().filter(|place| shell.starts_with(place)).collect();
        assert_eq!(its, [&shell]);
    }

    #[test]
    fn a_program_names_its_loader() {
        // This test program is linked dynamically, as the tools are.
        let loader = loader(Path::new("/proc/self/exe")).unwrap();
        assert!(loader.is_file() && loader.to_str().unwrap().contains("/ld"), "{loader:?}");
        assert_eq!(interpreter(b"#!/bin/sh\n"), None);
    }

    proptest! {
        #[test]
        fn damaged_programs_do_no_harm(at in 0usize..4096, byte: u8, end in 0usize..4096) {
            let mut head = Vec::new();
            File::open("/proc/self/exe").unwrap().take(4096).read_to_end(&mut head).unwrap();
            head[at] = byte;
            if let Some(name) = interpreter(&head[..end]) {
                prop_assert!(name.len() < end);
            }
        }
    }
}
