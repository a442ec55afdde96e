//! What our own sources may do, counted: code that the compiler cannot check, and programs that are
//! run.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// `unsafe` in the program: the four calls of the queue's socket that no crate wraps.
const UNSAFE: [(&str, usize); 1] = [("src/queue/socket.rs", 4)];
/// And in tests: system calls by number, and an allocator that counts.
const UNSAFE_IN_TESTS: [(&str, usize); 2] =
    [("tests/bench/judge.rs", 5), ("tests/e2e/confined/attempts.rs", 1)];

/// Where programs are run. The daemon's are nft and iptables, by the one file in `firewall`; the
/// others belong to the command line and to the private networks of demo and tests.
const RUNS: [(&str, usize); 9] = [
    ("src/capture/blocks.rs", 1),
    ("src/cli/doctor/records.rs", 1),
    ("src/cli/review/logs.rs", 1),
    ("src/firewall/child.rs", 1),
    // A test.
    ("src/firewall/lock.rs", 1),
    ("src/lab/enter.rs", 1),
    ("src/lab/host.rs", 1),
    ("src/lab/net.rs", 1),
    ("src/metrics/tests.rs", 1),
];

/// The Rust files of a folder, by their path from the top.
fn sources(folder: &str) -> Vec<(String, String)> {
    fn walk(folder: &Path, into: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                // A package of its own, with its own folder of what is built.
                if !path.ends_with("tests/fuzz") {
                    walk(&path, into);
                }
            } else if path.extension().is_some_and(|end| end == "rs") {
                into.push(path);
            }
        }
    }
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    walk(&top.join(folder), &mut paths);
    let read = |path: PathBuf| {
        let name = path.strip_prefix(top).expect("below the top").display().to_string();
        (name, fs::read_to_string(&path).expect("a text"))
    };
    paths.into_iter().map(read).collect()
}

/// How often each file has one of these words, outside of comments.
fn count(sources: &[(String, String)], words: &[&str]) -> BTreeMap<String, usize> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let in_line = |line: &str| {
        let code = line.split("//").next().unwrap_or_default();
        let hits = |word: &&str| {
            code.match_indices(*word)
                .filter(|(at, _)| {
                    let (before, after) = (&code[..*at], &code[at + word.len()..]);
                    !before.ends_with(is_word) && !after.starts_with(is_word)
                })
                .count()
        };
        words.iter().map(hits).sum::<usize>()
    };
    let of_file =
        |(name, text): &(String, String)| (name.clone(), text.lines().map(in_line).sum::<usize>());
    sources.iter().map(of_file).filter(|(_, hits)| *hits > 0).collect()
}

fn expected(list: &[(&str, usize)]) -> BTreeMap<String, usize> {
    list.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

#[test]
fn words_are_counted_outside_of_comments_and_other_words() {
    let text =
        "unsafe { a }; // unsafe\n//! unsafe\nunsafe_code; not_unsafe; unsafe fn x() { unsafe {} }";
    let counted = count(&[("f".to_owned(), text.to_owned())], &["unsafe"]);
    assert_eq!(counted, expected(&[("f", 3)]));
}

#[test]
fn what_the_compiler_cannot_check_is_in_few_places() {
    // The word in quotes is a browser's.
    let mut counted = count(&sources("src"), &["unsafe"]);
    counted.retain(|name, _| name != "src/cli/review/page.rs");
    assert_eq!(counted, expected(&UNSAFE));
    let tests = sources("tests").into_iter().filter(|(name, _)| name != "tests/sources.rs");
    assert_eq!(count(&tests.collect::<Vec<_>>(), &["unsafe"]), expected(&UNSAFE_IN_TESTS));
}

#[test]
fn programs_are_run_in_few_places_and_no_shell_is() {
    let sources = sources("src");
    assert_eq!(count(&sources, &["Command::new"]), expected(&RUNS));
    for (name, text) in &sources {
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for line in code.lines().filter(|line| line.contains("Command::new")) {
            assert!(!line.contains("sh\""), "{name}: {line}");
        }
    }
    // Nobody else starts a process.
    for way in ["posix_spawn", "libc::system", "libc::execv", "libc::fork", "popen"] {
        assert_eq!(count(&sources, &[way]), BTreeMap::new(), "{way}");
    }
}
