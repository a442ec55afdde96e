//! Ten situations that an admin meets. Each is brought about for real; then the command is typed
//! that an admin would type, and must say what is wrong, why it matters, and which command mends it;
//! and that command is run, and mends it. What is said stands in the manual page
//! portcullis-troubleshooting(7), which is held against it here.
//!
//! `cargo test --test e2e situations -- --nocapture` prints the rows of the table: situation,
//! command, what it says, milliseconds.

mod clock;
mod crowd;
mod lockout;
mod log;
mod queue;
mod rules;
mod sets;

use std::process::Command;
use std::time::{Duration, Instant};

use portcullis::lab::Host;

use crate::stage::{Gate, PORTCULLIS, text};

/// The page that shows what is said here.
const PAGE: &str = include_str!("../../../packaging/man/portcullis-troubleshooting.7");
/// Under this name the gate's socket is where every verb looks for it.
const HOME: &str = "portcullis";
/// Its policy.
const POLICY: &str = "/run/portcullis/policy.toml";
/// A queue of 64 fits the buffer that an ordinary user gets.
const QUEUE: &str = "[queue]\nlength = 64\n";
/// A command that takes longer than this is no help. Most take less than a second, but tests share
/// the machine, and the program under test is not optimised.
const PATIENCE: Duration = Duration::from_secs(30);

/// Starts the gate at the places where it is installed.
fn start<'a>(host: &'a Host, policy: &str) -> Gate<'a> {
    Gate::try_start(host, HOME, &format!("{policy}\n{QUEUE}"))
        .unwrap_or_else(|refused| panic!("the gate did not start: {refused:?}"))
}

/// What an admin would write into a file of conf.d; laid over the others, by its name.
fn edit(policy: &str) {
    std::fs::write("/run/portcullis/conf.d/zz-admin.toml", policy).expect("a file");
}

/// What was typed, what came, and how long it took.
#[derive(Debug)]
struct Screen {
    typed: String,
    text: String,
    code: Option<i32>,
    took: Duration,
}

/// Types a command of ours on a host, as an admin would: `doctor`, `bans remove 192.0.2.1`.
fn types(host: &Host, line: &str) -> Screen {
    runs(host.command(PORTCULLIS).args(line.split(' ')), &format!("portcullis {line}"))
}

/// Types a command of the system that a remedy named, which must succeed.
fn obeys(host: &Host, line: &str) -> Screen {
    let mut words = line.split(' ');
    let screen = runs(host.command(words.next().expect("a program")).args(words), line);
    assert_eq!(screen.code, Some(0), "{}: {}", screen.typed, screen.text);
    screen
}

fn runs(command: &mut Command, typed: &str) -> Screen {
    let start = Instant::now();
    let output = command.output().expect("it runs");
    let took = start.elapsed();
    assert!(took < PATIENCE, "{typed} took {took:?}");
    let screen =
        Screen { typed: typed.to_owned(), text: text(&output), code: output.status.code(), took };
    // Paths of this test's own may be longer.
    let wide = |line: &&str| line.chars().count() > 80 && line.contains(' ');
    assert_eq!(screen.text.lines().find(wide), None, "wider than a terminal: {}", screen.text);
    screen
}

impl Screen {
    /// Says these words, however they are wrapped.
    #[track_caller]
    fn says(&self, words: &[&str]) -> &Self {
        let text = flat(&self.text);
        for word in words {
            assert!(text.contains(word), "{}: {word:?} is not in\n{}", self.typed, self.text);
        }
        self
    }

    #[track_caller]
    fn is_silent_of(&self, word: &str) -> &Self {
        assert!(!flat(&self.text).contains(word), "{}: {word:?} in\n{}", self.typed, self.text);
        self
    }

    #[track_caller]
    fn ends_with(&self, code: i32) -> &Self {
        assert_eq!(self.code, Some(code), "{}:\n{}", self.typed, self.text);
        self
    }

    /// What `doctor` found: the finding that contains `words`, as one line. It must say why it
    /// matters and what to do.
    #[track_caller]
    fn finding(&self, words: &str) -> String {
        let blocks = self.text.split("\n\n").map(flat);
        let found = blocks.into_iter().find(|block| block.contains(words));
        let found = found.unwrap_or_else(|| panic!("no finding {words:?} in\n{}", self.text));
        for part in [" why: ", " do: "] {
            assert!(found.contains(part), "{part:?} is missing: {found}");
        }
        found
    }

    /// The manual page shows these lines of it, but for numbers.
    #[track_caller]
    fn shown(&self, lines: &[&str]) -> &Self {
        let page = faceless(PAGE);
        let text = faceless(&self.text);
        for line in lines {
            let line = faceless(line);
            assert!(text.contains(&line), "{}: {line:?} is not in\n{text}", self.typed);
            assert!(page.contains(&line), "{}: the manual page lacks {line:?}", self.typed);
        }
        self
    }

    /// A row of the table.
    fn row(&self, situation: &str, telling: &str) {
        let text = flat(&self.text);
        let from = text.find(telling).unwrap_or(0);
        let sentence: String = text[from..].chars().take(110).collect();
        println!(
            "| {situation} | `{}` | {sentence}… | {} |",
            self.typed.replace(&format!(" --config {POLICY}"), ""),
            self.took.as_millis()
        );
    }
}

/// Text as one line, without what wraps it.
fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The same with every number as 0: process ids, times and counts are others each time.
fn faceless(text: &str) -> String {
    let mut plain = String::new();
    for c in flat(text).chars() {
        match c {
            '0'..='9' if plain.ends_with('0') => {}
            '0'..='9' => plain.push('0'),
            c => plain.push(c),
        }
    }
    plain
}
