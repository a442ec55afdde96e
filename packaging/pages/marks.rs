//! Text for people → roff, in the man macros.
//!
//! The marks are a small part of Markdown, so that the sources in `text/` can be read as they are:
//!
//! ```text
//! # Heading            a section          ```           an example, kept as it is
//! ## Heading           a subsection       portcullis …
//! - point              a list             ```
//! term                 a term and its     `typed as it is`   *stands for something*
//! : what it means      definition
//! ```

use std::fmt::Write as _;

/// Words as roff puts them out unchanged: no letter of theirs is taken for a request.
pub(crate) fn plain(text: &str) -> String {
    let mut out = String::new();
    for letter in text.chars() {
        match letter {
            '\\' => out.push_str("\\e"),
            // A hyphen that can be copied and searched for.
            '-' => out.push_str("\\-"),
            '\'' => out.push_str("\\(aq"),
            '`' => out.push_str("\\(ga"),
            '^' => out.push_str("\\(ha"),
            '~' => out.push_str("\\(ti"),
            letter if letter.is_ascii() => out.push(letter),
            letter => _ = write!(out, "\\[u{:04X}]", u32::from(letter)),
        }
    }
    out
}

/// A line of text: never a request, whatever it begins with.
pub(crate) fn line(roff: &str) -> String {
    let guard = if roff.starts_with(['.', '\'']) { "\\&" } else { "" };
    format!("{guard}{roff}\n")
}

/// Bold, as what is typed.
pub(crate) fn bold(text: &str) -> String {
    format!("\\fB{}\\fR", plain(text))
}

/// Words with `typed` and *meant* in them.
pub(crate) fn inline(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['`', '*']) {
        let mark = &rest[at..=at];
        let (font, open) = if mark == "`" { ("\\fB", true) } else { ("\\fI", starts(rest, at)) };
        let (before, after) = (&rest[..at], &rest[at + 1..]);
        out.push_str(&plain(before));
        match after.find(mark).filter(|end| open && *end > 0) {
            Some(end) => {
                _ = write!(out, "{font}{}\\fR", plain(&after[..end]));
                rest = &after[end + 1..];
            }
            None => {
                out.push_str(&plain(mark));
                rest = after;
            }
        }
    }
    out.push_str(&plain(rest));
    out
}

/// Does an asterisk begin a word, and not stand for files, as in `*.toml`?
fn starts(text: &str, at: usize) -> bool {
    let before = text[..at].chars().next_back();
    let after = text[at + 1..].chars().next();
    before.is_none_or(|c| !c.is_alphanumeric() && c != '/')
        && after.is_some_and(|c| c.is_alphabetic())
}

/// A whole text.
pub(crate) fn page(text: &str) -> String {
    let mut out = String::new();
    let mut lines = text.lines().peekable();
    // What the next paragraph needs before it.
    let mut fresh = true;
    while let Some(row) = lines.next() {
        if let Some(title) = row.strip_prefix("## ") {
            _ = writeln!(out, ".SS {}", inline(title));
            fresh = true;
        } else if let Some(title) = row.strip_prefix("# ") {
            _ = writeln!(out, ".SH {}", plain(&title.to_uppercase()));
            fresh = true;
        } else if row.starts_with("```") {
            out.push_str(if fresh { ".RS 4\n.EX\n" } else { ".PP\n.RS 4\n.EX\n" });
            for row in lines.by_ref().take_while(|row| !row.starts_with("```")) {
                out.push_str(&line(&plain(row)));
            }
            out.push_str(".EE\n.RE\n");
            fresh = false;
        } else if let Some(point) = row.strip_prefix("- ") {
            out.push_str(".IP \\(bu 2\n");
            out.push_str(&line(&inline(&paragraph(point, &mut lines))));
            fresh = false;
        } else if lines.peek().is_some_and(|next| next.starts_with(": ")) {
            let meaning = lines.next().unwrap_or_default();
            out.push_str(".TP\n");
            out.push_str(&line(&inline(row)));
            out.push_str(&line(&inline(&paragraph(&meaning[2..], &mut lines))));
            fresh = false;
        } else if !row.is_empty() {
            if !fresh {
                out.push_str(".PP\n");
            }
            out.push_str(&line(&inline(&paragraph(row, &mut lines))));
            fresh = false;
        }
    }
    out
}

/// The rest of a paragraph, as one line: up to an empty line, or one that begins something else.
fn paragraph<'t>(
    first: &str,
    lines: &mut std::iter::Peekable<impl Iterator<Item = &'t str>>,
) -> String {
    let mut text = first.to_owned();
    let begins = |row: &str| ["#", "```", ": ", "- "].iter().any(|mark| row.starts_with(mark));
    let more = |row: &&str| !row.is_empty() && !begins(row);
    while let Some(row) = lines.next_if(more) {
        text.push(' ');
        text.push_str(row.trim_start());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_taken_for_a_request() {
        assert_eq!(line(&plain(".de is text")), "\\&.de is text\n");
        assert_eq!(line(&plain("'tis text")), "\\(aqtis text\n");
        assert_eq!(plain(r"C:\n --json →"), r"C:\en \-\-json \[u2192]");
    }

    #[test]
    fn marks_become_fonts_and_files_stay() {
        assert_eq!(inline("type `a -b` or *FILE*"), "type \\fBa \\-b\\fR or \\fIFILE\\fR");
        assert_eq!(inline("conf.d/*.toml and *.log"), "conf.d/*.toml and *.log");
    }

    #[test]
    fn every_kind_of_paragraph() {
        let text = "# Tasks\nOne,\n`two`.\n\nThree.\n\n```\n.x -y\n```\n## Sub `a`\n- one\n  more\n- two\n\n\
                    0\n: All is\nwell.\n";
        let roff = page(text);
        assert_eq!(
            roff,
            ".SH TASKS\nOne, \\fBtwo\\fR.\n.PP\nThree.\n.PP\n.RS 4\n.EX\n\\&.x \\-y\n.EE\n.RE\n.SS Sub \
             \\fBa\\fR\n.IP \\(bu 2\none more\n.IP \\(bu 2\ntwo\n.TP\n0\nAll is well.\n"
        );
    }
}
