//! What is wrong with a policy, told so that it can be put right.

use std::fmt;

/// How many problems are written out; the rest is counted.
const SHOWN: usize = 50;

/// Longest piece of a source line that is shown, in characters.
const EXCERPT: usize = 100;

/// One mistake, or one thing worth a warning, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file it stands in, as it was named.
    pub file: String,
    /// The line, from 1; 0 if the file as a whole is meant.
    pub line: usize,
    /// The column, from 1, in characters; 0 if the file as a whole is meant.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    excerpt: Option<Excerpt>,
}

/// The line a problem stands in, made fit for a terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Excerpt {
    text: String,
    /// Characters before the marked ones.
    indent: usize,
    /// How many characters are marked.
    width: usize,
}

impl Problem {
    /// A problem of a whole file.
    pub(super) fn of_file(file: &str, message: String, help: Option<String>) -> Self {
        let (message, help) = (harmless(&message), help.as_deref().map(harmless));
        Self { file: file.into(), line: 0, column: 0, message, help, excerpt: None }
    }

    /// A problem that stands at `line` and `column` and is `width` characters long; `text` is
    /// the whole line.
    pub(super) fn at(
        file: &str,
        (line, column, width): (usize, usize, usize),
        text: &str,
        message: String,
        help: Option<String>,
    ) -> Self {
        let excerpt = Some(Excerpt::new(text, column - 1, width));
        let (message, help) = (harmless(&message), help.as_deref().map(harmless));
        Self { file: file.into(), line, column, message, help, excerpt }
    }
}

impl Problem {
    /// Where it is, what is wrong and what to do, without the excerpt, in one line: for the log.
    pub fn in_a_line(&self) -> String {
        let place = match self.line {
            0 => String::new(),
            line => format!("{line}:{}:", self.column),
        };
        let help = self.help.as_ref().map(|help| format!("; {help}")).unwrap_or_default();
        format!("{}:{place} {}{help}", self.file, self.message)
    }
}

impl Excerpt {
    fn new(line: &str, indent: usize, width: usize) -> Self {
        // Lines may be long: keep a part that shows the beginning of what is marked.
        let skipped = indent.saturating_sub(EXCERPT * 3 / 4);
        let shown: String = line.chars().skip(skipped).take(EXCERPT).collect();
        let text: String = harmless(&shown).trim_end().into();
        let indent = indent - skipped;
        let width = width.min(text.chars().count().saturating_sub(indent)).max(1);
        Self { text, indent, width }
    }
}

/// What stands in a file must not be able to move the cursor of whoever reads the report.
fn harmless(text: &str) -> String {
    let tame = |c: char| match c {
        '\t' => ' ',
        c if c.is_control() => '\u{fffd}',
        c => c,
    };
    text.chars().map(tame).collect()
}

/// `file:line:column: message`, then the line with the place marked, then the help.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file)?;
        if self.line > 0 {
            write!(f, "{}:{}:", self.line, self.column)?;
        }
        write!(f, " {}", self.message)?;
        let gutter = self.line.to_string().len();
        if let Some(Excerpt { text, indent, width }) = &self.excerpt {
            write!(f, "\n {} | {text}", self.line)?;
            write!(f, "\n {:gutter$} | {:indent$}{:^<width$}", "", "", "")?;
        }
        if let Some(help) = &self.help {
            write!(f, "\n {:gutter$} = help: {help}", "")?;
        }
        Ok(())
    }
}

/// Everything that is wrong with a policy, in the order of its files and lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors {
    /// The problems; never empty.
    pub problems: Vec<Problem>,
    /// The policy file itself is not there; nothing else is wrong then.
    pub missing: bool,
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.problems.iter().take(SHOWN).enumerate() {
            let gap = if i > 0 { "\n\n" } else { "" };
            write!(f, "{gap}{problem}")?;
        }
        match self.problems.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            rest => write!(f, "\n\n…and {rest} more"),
        }
    }
}

impl std::error::Error for ConfigErrors {}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(column: usize, width: usize, line: &str) -> String {
        Problem::at("f", (7, column, width), line, "wrong".into(), None).to_string()
    }

    #[test]
    fn marks_the_place() {
        assert_eq!(shown(5, 3, "a = 123"), "f:7:5: wrong\n 7 | a = 123\n   |     ^^^");
        assert_eq!(shown(8, 1, "a = 123"), "f:7:8: wrong\n 7 | a = 123\n   |        ^");
    }

    #[test]
    fn long_and_hostile_lines_are_tamed() {
        let long = shown(5000, 9000, &"ä".repeat(10_000));
        assert!(long.lines().all(|line| line.chars().count() < 120), "{long}");
        assert!(!shown(1, 1, "\x1b[2Jgone").contains('\x1b'));
        // Messages and helps quote what stands there.
        let quoted = || "\x1b[2J".to_owned();
        let told = [
            Problem::at("f", (1, 1, 1), "x", quoted(), Some(quoted())),
            Problem::of_file("f", quoted(), Some(quoted())),
        ];
        assert!(told.iter().all(|problem| !problem.to_string().contains('\x1b')), "{told:?}");
    }

    #[test]
    fn a_whole_file_and_many() {
        let file = Problem::of_file("f", "is gone".into(), Some("look for it".into()));
        assert_eq!(file.to_string(), "f: is gone\n   = help: look for it");
        assert_eq!(file.in_a_line(), "f: is gone; look for it");
        let place = (8, 1, 6);
        let help = Some("did you mean port?".into());
        let own = Problem::at("f", place, "honest=50", "unknown key `honest`".into(), help);
        assert_eq!(own.in_a_line(), "f:8:1: unknown key `honest`; did you mean port?");
        let all = ConfigErrors { problems: vec![file; 60], missing: false };
        assert!(all.to_string().ends_with("…and 10 more"));
    }
}
