//! The tools, as their users call them, bounded in time and count.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use super::{NEWCOMER, READER, SERVER};

/// One call of one tool.
#[derive(Clone, Debug)]
pub(crate) struct Attack {
    /// As tables name it.
    pub(crate) name: &'static str,
    /// The program, and the Debian package that brings it.
    pub(crate) program: PathBuf,
    pub(crate) package: &'static str,
    pub(crate) args: Vec<String>,
    /// It is ended after so long.
    pub(crate) lasts: Duration,
    /// How to read what it prints.
    pub(crate) reads: Reads,
}

/// What a tool is after, and in which words it tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reads {
    /// Open ports, in nmap's "grepable" lines.
    Nmap,
    /// Open ports, in masscan's list.
    Masscan,
    /// Hosts on which this port is open, one a line.
    Zmap(u16),
    /// Passwords; the server's log tells how many it tried.
    Guesses,
    /// Nothing: it floods.
    Nothing,
}

/// A tool with its arguments, words separated by spaces. `SERVER` stands for the server's address,
/// `DECOYS` for two honest clients', `WORDS` for a file with a thousand passwords.
pub(crate) fn tool(name: &'static str, line: &str, reads: Reads, seconds: u64) -> Attack {
    let mut words = line.split_whitespace().map(|word| {
        let word = word.replace("SERVER", SERVER).replace("WORDS", WORDS);
        word.replace("DECOYS", &format!("{NEWCOMER},{READER}"))
    });
    let program = PathBuf::from(words.next().expect("a program"));
    let package = match program.to_str() {
        Some("nmap") => "nmap",
        Some("masscan") => "masscan",
        Some("zmap") => "zmap",
        Some("hping3") => "hping3",
        Some("hydra") => "hydra",
        Some("ncrack") => "ncrack",
        _ => "none: it was named by hand",
    };
    let lasts = Duration::from_secs(seconds);
    Attack { name, program, package, args: words.collect(), lasts, reads }
}

const WORDS: &str = "/run/words";

/// Writes that file, in the lab's own `/run`.
pub(super) fn write_words() {
    let words: String = (0..1000).map(|n| format!("word{n}\n")).collect();
    fs::write(WORDS, words).expect("a file");
}
