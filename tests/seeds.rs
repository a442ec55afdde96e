//! The promises of `tests/fuzz`, for the inputs that are committed there, without a fuzzer: the
//! seeds, and what once broke a promise. Each is cut and changed in a few places, too.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

#[allow(unreachable_pub, reason = "a package of its own elsewhere")]
#[path = "fuzz/src/lib.rs"]
mod promises;

macro_rules! kept {
    ($($target:ident)*) => {
        const TARGETS: &[&str] = &[$(stringify!($target)),*];

        $(#[test]
        fn $target() {
            keep(stringify!($target), promises::$target::check);
        })*
    };
}

kept!(answers capture control judge ledger model names packet policy review);

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz")
}

fn inside(folder: PathBuf) -> BTreeSet<String> {
    let entries = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn keep(target: &str, check: fn(&[u8])) {
    let folder = fuzz().join("seeds").join(target);
    let seeds = inside(folder.clone());
    assert!(!seeds.is_empty(), "{target} has no seeds");
    for seed in seeds {
        let bytes = fs::read(folder.join(&seed)).unwrap();
        // Shown if it fails.
        println!("{target}/{seed}");
        check(&bytes);
        for part in 1..4 {
            let at = bytes.len() * part / 4;
            println!("{target}/{seed}, cut at {at}");
            check(&bytes[..at]);
            let mut changed = bytes.clone();
            if let Some(byte) = changed.get_mut(at) {
                *byte ^= 1 << part;
            }
            println!("{target}/{seed}, byte {at} changed");
            check(&changed);
        }
    }
}

/// Every target is fuzzed, has seeds, and is held to its promise here.
#[test]
fn no_target_is_forgotten() {
    let here: BTreeSet<String> = TARGETS.iter().map(|target| (*target).to_owned()).collect();
    assert_eq!(inside(fuzz().join("seeds")), here, "folders of seeds");
    let programs = inside(fuzz().join("targets"));
    let expected: BTreeSet<String> = here.iter().map(|target| format!("{target}.rs")).collect();
    assert_eq!(programs, expected, "programs");
    let manifest = fs::read_to_string(fuzz().join("Cargo.toml")).unwrap();
    for target in here {
        assert!(manifest.contains(&format!("path = \"targets/{target}.rs\"")), "{target}");
    }
}
