//! What this program is made of besides its own sources: where it comes from, under which licences,
//! for which Rust, and nothing twice without a reason.
//!
//! A list of known weaknesses is not looked at: that takes a network (cargo deny check advisories).
//! What cargo-deny goes by, `deny.toml`, must say the same as this.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Licences that a program under MIT or Apache-2.0 may be put together with, and ask for no more than
/// that their text is kept.
const LICENCES: [&str; 9] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-3-Clause",
    "BSL-1.0",
    "MIT",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// In more than one version, because those that need them do not agree yet.
const TWICE: [(&str, &str); 5] = [
    ("lru", "ratatui is a version behind"),
    ("signal-hook", "crossterm is a version behind"),
    ("strum", "ratatui is a version behind"),
    ("strum_macros", "with strum"),
    ("syn", "macros of other crates, at build time only"),
];

/// Without a licence in its own description would be a mistake; so is another registry, or a folder.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

fn packages() -> Vec<Value> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--offline", "--locked", "--format-version", "1"])
        .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo writes JSON");
    let nodes = metadata["resolve"]["nodes"].as_array().expect("nodes").iter();
    let used: BTreeSet<&str> = nodes.filter_map(|node| node["id"].as_str()).collect();
    let all = metadata["packages"].as_array().expect("packages").iter();
    let used = all.filter(|package| package["id"].as_str().is_some_and(|id| used.contains(id)));
    let used: Vec<Value> = used.cloned().collect();
    assert!(used.len() > 50, "{} packages", used.len());
    used
}

fn text<'a>(package: &'a Value, key: &str) -> &'a str {
    package[key].as_str().unwrap_or_default()
}

fn others(packages: &[Value]) -> impl Iterator<Item = &Value> {
    packages.iter().filter(|package| package["name"] != env!("CARGO_PKG_NAME"))
}

/// `(MIT OR Apache-2.0) AND Unicode-3.0`: is there a way through it that we may take? The slash is
/// how `OR` was written once.
fn allowed(expression: &str) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = &words[..];
    let allowed = any_of(&mut rest);
    allowed && rest.is_empty()
}

fn any_of(words: &mut &[&str]) -> bool {
    let mut allowed = all_of(words);
    while let ["OR", rest @ ..] = *words {
        *words = rest;
        allowed |= all_of(words);
    }
    allowed
}

fn all_of(words: &mut &[&str]) -> bool {
    let mut allowed = one(words);
    while let ["AND", rest @ ..] = *words {
        *words = rest;
        allowed &= one(words);
    }
    allowed
}

fn one(words: &mut &[&str]) -> bool {
    match *words {
        ["(", rest @ ..] => {
            *words = rest;
            let allowed = any_of(words);
            let [")", rest @ ..] = *words else { return false };
            *words = rest;
            allowed
        }
        [name, "WITH", exception, rest @ ..] => {
            *words = rest;
            LICENCES.contains(&format!("{name} WITH {exception}").as_str())
        }
        [name, rest @ ..] => {
            *words = rest;
            LICENCES.contains(name)
        }
        [] => false,
    }
}

#[test]
fn expressions_of_licences_are_understood() {
    for (expression, expected) in [
        ("MIT", true),
        ("MIT/Apache-2.0", true),
        ("Apache-2.0 / MIT", true),
        ("GPL-3.0", false),
        ("GPL-3.0 OR MIT", true),
        ("GPL-3.0 AND MIT", false),
        ("(MIT OR Apache-2.0) AND Unicode-3.0", true),
        ("(MIT OR Apache-2.0) AND GPL-3.0", false),
        ("MIT OR Apache-2.0 AND GPL-3.0", true),
        ("Apache-2.0 WITH LLVM-exception OR GPL-2.0", true),
        ("MIT WITH LLVM-exception", false),
        ("(MIT", false),
        ("MIT Apache-2.0", false),
        ("", false),
    ] {
        assert_eq!(allowed(expression), expected, "{expression}");
    }
}

#[test]
fn every_licence_is_one_that_we_may_use() {
    let packages = packages();
    let wrong: Vec<String> = packages
        .iter()
        .filter(|package| !allowed(text(package, "license")))
        .map(|package| format!("{}: {:?}", text(package, "name"), text(package, "license")))
        .collect();
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn everything_comes_from_the_registry() {
    let packages = packages();
    let wrong: Vec<&str> = others(&packages)
        .filter(|package| text(package, "source") != REGISTRY)
        .map(|package| text(package, "name"))
        .collect();
    assert_eq!(wrong, Vec::<&str>::new());
    // And what is fetched from there is what was looked at: each has its checksum.
    let lock = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.lock"));
    let lock = lock.expect("a lock file");
    let blocks: Vec<&str> = lock.split("[[package]]").skip(1).collect();
    assert!(blocks.len() > 50, "{} packages", blocks.len());
    let without: Vec<&str> = blocks
        .into_iter()
        .filter(|block| block.contains("\nsource = ") && !block.contains("\nchecksum = \""))
        .collect();
    assert_eq!(without, Vec::<&str>::new());
}

#[test]
fn nothing_is_there_twice_without_a_reason() {
    let packages = packages();
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in &packages {
        versions.entry(text(package, "name")).or_default().insert(text(package, "version"));
    }
    let twice: Vec<&str> =
        versions.iter().filter(|(_, v)| v.len() > 1).map(|(name, _)| *name).collect();
    let known: Vec<&str> = TWICE.iter().map(|(name, _)| *name).collect();
    assert_eq!(twice, known, "{versions:?}");
}

#[test]
fn cargo_deny_is_told_the_same() {
    let deny = DeTable::parse(include_str!("../deny.toml")).expect("TOML");
    let deny = DeValue::Table(deny.into_inner());
    let texts = |section: &str, key: &str| -> Vec<String> {
        let list = deny[section].get_ref()[key].get_ref().as_array().expect("a list");
        let text = |item: &Spanned<DeValue<'_>>| {
            let item = item.get_ref();
            let text = item.as_str().or_else(|| item["crate"].get_ref().as_str());
            text.expect("a text").to_owned()
        };
        list.iter().map(text).collect()
    };
    assert_eq!(texts("licenses", "allow"), LICENCES);
    assert_eq!(texts("bans", "skip"), TWICE.map(|(name, _)| name));
    for (section, key) in [
        ("bans", "multiple-versions"),
        ("bans", "wildcards"),
        ("sources", "unknown-registry"),
        ("sources", "unknown-git"),
    ] {
        let said = deny[section].get_ref()[key].get_ref().as_str();
        assert_eq!(said, Some("deny"), "{section}.{key}");
    }
}

/// `rust-version` in Cargo.toml is what we promise; a crate that needs a newer Rust breaks it. That
/// our own sources keep it, clippy's `incompatible_msrv` checks.
#[test]
fn no_crate_needs_a_newer_rust_than_we_promise() {
    let packages = packages();
    let number = |text: &str| {
        let mut parts = text.split('.').map(|part| part.parse::<u32>().expect("a number"));
        (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
    };
    let promised = number(env!("CARGO_PKG_RUST_VERSION"));
    let newer: Vec<(&str, &str)> = packages
        .iter()
        .map(|package| (text(package, "name"), text(package, "rust_version")))
        .filter(|(_, version)| !version.is_empty() && number(version) > promised)
        .collect();
    assert_eq!(newer, []);
}
