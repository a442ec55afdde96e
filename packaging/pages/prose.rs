//! What is told in `text/`: pages of their own, and what the pages of verbs end with.

use portcullis::cli;

use crate::Made;
use crate::marks;

/// What the pages have in their footer and header.
pub(crate) const MANUAL: &str = "Portcullis Manual";

/// A text of `text/`: for which page, and what it says.
macro_rules! texts {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("text/", $name, ".md")))),*]
    };
}

/// What the page of each verb ends with; `portcullis` is the page of all. A verb that has nothing
/// here has a page all the same.
pub(crate) const VERBS: &[(&str, &str)] = texts![
    "portcullis",
    "audit",
    "bans",
    "check",
    "connections",
    "demo",
    "doctor",
    "explain",
    "reload",
    "replay",
    "review",
    "rules",
    "run",
    "status",
    "unload",
];

/// What section 5 ends with.
pub(crate) const POLICY: &str = include_str!("text/portcullis.toml.5.md");

/// The page of concepts, and the exit codes, which every verb's page has.
pub(crate) const CONCEPTS: &str = include_str!("text/portcullis.7.md");
/// What exit codes mean.
pub(crate) const EXIT_STATUS: &str = include_str!("text/exit-status.md");

/// The version that the pages tell.
pub(crate) fn version() -> String {
    let command = cli::command();
    format!("portcullis {}", command.get_version().unwrap_or_default())
}

/// The first line of a page.
pub(crate) fn title(name: &str, section: u8, date: &str) -> String {
    let version = version();
    let name = marks::plain(name);
    // Words stay whole and lines ragged: options and paths are to be copied.
    format!(".TH {name} {section} {date} \"{version}\" \"{MANUAL}\"\n.nh\n.nr HY 0\n.ad l\n")
}

/// portcullis(7).
pub(crate) fn concepts(date: &str) -> Made {
    let text = title("portcullis", 7, date) + &marks::page(CONCEPTS);
    Made { path: "man/portcullis.7".into(), text }
}
