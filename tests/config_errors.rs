//! What the loader says about bad policies, word for word.
//!
//! Each case under `tests/golden/config` is a policy file with its overlays and lists, or one
//! file alone; `*.expected` beside it is the report. `UPDATE_GOLDEN=1 cargo test --test
//! config_errors` writes the reports anew: read the difference before you commit it.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use portcullis::config;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/config")
}

/// Every policy of the folder: `name.toml`, or `name/policy.toml` where there are more files.
fn cases() -> Vec<PathBuf> {
    let entries = fs::read_dir(folder()).expect("the golden files are there");
    let mut cases: Vec<PathBuf> = entries
        .map(|entry| entry.expect("readable").path())
        .filter_map(|path| {
            let several = path.join("policy.toml");
            let single = path.extension() == Some(OsStr::new("toml"));
            if single { Some(path) } else { several.is_file().then_some(several) }
        })
        .collect();
    cases.sort();
    cases
}

/// The report on a policy, with paths from the golden folder.
fn report(case: &Path) -> String {
    let errors = config::load(case).expect_err(&format!("{} must be refused", case.display()));
    let prefix = format!("{}/", folder().display());
    format!("{errors}\n").replace(&prefix, "")
}

#[test]
fn reports_are_as_written() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let cases = cases();
    assert!(cases.len() >= 8, "only {} cases found", cases.len());
    let mut different = Vec::new();
    for case in cases {
        let expected = case.with_extension("expected");
        let report = report(&case);
        if update {
            fs::write(&expected, &report).expect("the report can be written");
        } else if fs::read_to_string(&expected).ok().as_ref() != Some(&report) {
            different.push(format!("{}:\n{report}", case.display()));
        }
    }
    assert!(
        different.is_empty(),
        "these reports differ from the ones written down (UPDATE_GOLDEN=1 accepts them):\n\n{}",
        different.join("\n")
    );
}

#[test]
fn five_mistakes_are_five_messages_with_their_places() {
    let errors = config::load(&folder().join("five_mistakes.toml")).expect_err("it is bad");
    let places: Vec<_> = errors.problems.iter().map(|p| (p.line, p.column)).collect();
    assert_eq!(places, [(2, 8), (5, 1), (9, 21), (12, 10), (16, 21)]);
}
