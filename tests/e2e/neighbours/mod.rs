//! Good neighbours: the log, read by the real programs that read logs, with the files for them in
//! `config/`. What they read is written by the gate itself: every kind of line, see [`catalogue`].

mod catalogue;
mod fail2ban;
mod journal;
mod logcheck;
mod syslog;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use portcullis::config;
use serde_json::Value;

use crate::stage::text;

/// How long another program may take.
const LIMIT: Duration = Duration::from_secs(20);

/// A test that needs programs, each named with its Debian package.
macro_rules! with_programs {
    ($($(#[$meta:meta])* [$($programs:tt)*] => fn $name:ident() $body:block)*) => {$(
        #[test]
        $(#[$meta])*
        fn $name() {
            let path = concat!(module_path!(), "::", stringify!($name));
            $crate::stage::inside_with(&[$($programs)*], path, || $body);
        }
    )*};
}
use with_programs;

/// The shipped file of that name.
fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(name)
}

/// Runs a program that must succeed, and returns what it said.
fn said(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", text(&output));
    String::from_utf8(output.stdout).unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// Lays an empty folder over one of the machine's, for this test alone.
fn emptied(folder: &str) {
    fs::create_dir_all(folder).expect("a folder");
    said(Command::new("mount").args(["-t", "tmpfs", "-o", "mode=755", "none", folder]));
}

/// What the gate wrote into its JSON log, by id. It has every event.
fn told(json: &Path) -> BTreeMap<String, Value> {
    let text = fs::read_to_string(json).expect("a JSON log");
    let event = |line| -> Value { serde_json::from_str(line).expect("JSON") };
    text.lines().map(event).map(|event| (id_of(&event), event)).collect()
}

fn id_of(event: &Value) -> String {
    event["id"].as_str().expect("an id").to_owned()
}

/// The id that a line ends with.
fn id(line: &str) -> &str {
    let (_, id) = line.rsplit_once(" id=").unwrap_or_else(|| panic!("not whole: {line}"));
    assert!(id.len() == 10 && id.bytes().all(|b| b.is_ascii_alphanumeric()), "not whole: {line}");
    id
}

/// The events that were to be written as lines: in the JSON log are also those changes of standing
/// that the lines sum up.
fn expected(told: &BTreeMap<String, Value>) -> usize {
    let summed: u64 = told
        .values()
        .filter(|event| event["event"] == "standings-more")
        .flat_map(|event| ["banned", "suspect", "clean"].map(|name| event[name].as_u64()))
        .map(|count| count.expect("a number"))
        .sum();
    assert!(summed > 0, "the catalogue has a summary of standings");
    told.len() - usize::try_from(summed).expect("a small number")
}

/// Lines go there, and everything into a JSON log.
fn to(target: config::LogTarget, json: &Path) -> config::Events {
    config::Events { to: target, json: Some(json.to_owned()), ..config::Events::default() }
}

/// `portcullis review` reads all of that log: so many lines of ours, none damaged.
fn is_read_by_review(log: &Path, lines: usize) {
    let mut command = Command::new(crate::stage::PORTCULLIS);
    let told = said(command.args(["review", "--json"]).arg(log));
    let review: Value = serde_json::from_str(&told).expect("JSON");
    let seen = |name: &str| review["lines"][name].as_u64().expect("a number") as usize;
    assert_eq!((seen("counted") + seen("repeated"), seen("damaged")), (lines, 0), "{review}");
}
