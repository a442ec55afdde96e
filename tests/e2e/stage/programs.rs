//! Programs, and what else some tests need and a build does not.

use std::io::Write;
use std::path::Path;

use portcullis::lab::search_path;

use super::inside;

/// Runs a test in a lab, if these programs [are there](are_there).
pub(crate) fn inside_with(programs: &[(&str, &str)], path: &str, body: impl FnOnce()) {
    if are_there(programs, path) {
        inside(path, body);
    }
}

/// Are these programs there, each named with its Debian package? If not, `whose` test or part of one
/// is skipped, and that is said on the terminal; with `PORTCULLIS_TEST_TOOLS=all` it fails.
pub(crate) fn are_there(programs: &[(&str, &str)], whose: &str) -> bool {
    let mut missing: Vec<&str> =
        programs.iter().filter(|(program, _)| !is_there(program)).map(|it| it.1).collect();
    missing.dedup();
    if missing.is_empty() {
        return true;
    }
    skip(whose, &format!("these packages are not installed: {}", missing.join(" ")));
    false
}

/// Says on the terminal that `whose` test, or a part of one, is skipped, and why. With
/// `PORTCULLIS_TEST_TOOLS=all` that is a failure.
pub(crate) fn skip(whose: &str, why: &str) {
    let strict = std::env::var("PORTCULLIS_TEST_TOOLS").is_ok_and(|word| word == "all");
    assert!(!strict, "{whose}: {why}");
    tell(&format!("{SKIPPED}{whose}: {why}"));
}

/// What such a line begins with.
pub(super) const SKIPPED: &str = "SKIPPED: ";

/// Says so past the test harness, which would swallow it.
pub(super) fn tell(line: &str) {
    let _ = writeln!(std::io::stderr(), "\n{line}");
}

/// Is there such a program on the path, or such a file?
pub(crate) fn is_there(program: impl AsRef<Path>) -> bool {
    std::env::split_paths(&search_path()).any(|dir| dir.join(&program).is_file())
}
