//! Section 5: the shipped policy with its comments, as a page.
//!
//! The file is the manual, and this is the same text in another form: a ruled line in it is a
//! section here, a table is a subsection, and the comment over keys tells of all that follow it
//! without a comment of their own.

use std::fmt::Write as _;

use crate::Made;
use crate::marks::{self, bold, inline, line, plain};
use crate::prose;

/// The policy that is shipped.
const SHIPPED: &str = include_str!("../../config/portcullis.toml");

/// portcullis.toml(5).
pub(crate) fn page(date: &str) -> Made {
    let mut page = prose::title("portcullis.toml", 5, date);
    let (before, after) = prose::POLICY.split_once("\n# DESCRIPTION\n").unwrap_or_default();
    page.push_str(&marks::page(before));
    page.push_str(&keys(SHIPPED));
    page.push_str(&marks::page(after));
    Made { path: "man/portcullis.toml.5".into(), text: page }
}

/// What a line of the policy file is.
#[derive(Debug, PartialEq, Eq)]
enum Row<'t> {
    /// `# ── Title ───`
    Title(&'t str),
    /// `# words`
    Comment(&'t str),
    /// `[table]`
    Table(&'t str),
    /// `key = value`
    Key(&'t str, &'t str),
    Blank,
}

fn row(text: &str) -> Row<'_> {
    if let Some(title) = text.strip_prefix("# ──") {
        Row::Title(title.trim_matches(['─', ' ']))
    } else if let Some(comment) = text.strip_prefix('#') {
        Row::Comment(comment.strip_prefix(' ').unwrap_or(comment))
    } else if let Some(table) = text.strip_prefix('[') {
        Row::Table(table.trim_end_matches(']'))
    } else if let Some((key, value)) = text.split_once('=') {
        Row::Key(key.trim(), value.trim())
    } else {
        Row::Blank
    }
}

/// The keys of a policy file, with what its comments say of them.
fn keys(policy: &str) -> String {
    let mut out = ".SH DESCRIPTION\n".to_owned();
    let mut comment: Vec<&str> = Vec::new();
    // Is the line before this one a key? Then this key shares its comment.
    let mut after_key = false;
    let mut top = true;
    for text in policy.lines() {
        let row = row(text);
        let is_key = matches!(row, Row::Key(..));
        match row {
            Row::Title(title) => _ = writeln!(out, ".SH {}", plain(&title.to_uppercase())),
            Row::Comment(words) => comment.push(words),
            Row::Table(name) => {
                top = false;
                _ = writeln!(out, ".SS {}", bold(&format!("[{name}]")));
                out.push_str(&words(&comment, ""));
                comment.clear();
            }
            Row::Key(key, value) => {
                if top {
                    out.push_str(".SS The first key\n");
                    top = false;
                }
                let tag = format!("{} = {}", bold(key), plain(value));
                // Another key of the same comment joins the tag of the first.
                let macro_name = if after_key { ".TQ" } else { ".TP" };
                if after_key {
                    // The comment of the group stands behind its last tag.
                    let at = out.rfind("\u{0}").unwrap_or(out.len());
                    out.insert_str(at, &format!("{macro_name}\n{tag}\n"));
                } else {
                    _ = write!(out, "{macro_name}\n{tag}\n\u{0}");
                    out.push_str(&words(&comment, ".IP\n"));
                    comment.clear();
                }
            }
            Row::Blank => {
                out.push_str(&words(&comment, ".PP\n"));
                comment.clear();
            }
        }
        after_key = is_key;
    }
    out.replace('\u{0}', "")
}

/// The lines of a comment, as paragraphs with `between` before each but the first; what is indented
/// is a list of terms if it has gaps, or else an example.
fn words(comment: &[&str], between: &str) -> String {
    let mut out = String::new();
    for (i, block) in comment.split(|row| row.is_empty()).filter(|b| !b.is_empty()).enumerate() {
        let mut rest = block;
        while let Some(first) = rest.first() {
            let indented = first.starts_with("  ");
            let length = rest.iter().take_while(|row| row.starts_with("  ") == indented).count();
            let (part, more) = rest.split_at(length);
            rest = more;
            if indented {
                out.push_str(&terms(part));
            } else {
                if i > 0 || !out.is_empty() {
                    out.push_str(if between.is_empty() { ".PP\n" } else { between });
                }
                out.push_str(&line(&inline(&part.join(" "))));
            }
        }
    }
    out
}

/// Indented lines: `term   what it is`, continued where a line begins further right; lines without
/// a gap are an example.
fn terms(rows: &[&str]) -> String {
    let mut out = ".RS 4\n".to_owned();
    let margin = |row: &str| row.len() - row.trim_start().len();
    let least = rows.iter().map(|row| margin(row)).min().unwrap_or(0);
    for row in rows {
        let text = row.trim_start();
        match text.split_once("  ") {
            _ if margin(row) > least => out.push_str(&line(&inline(text))),
            Some((term, meaning)) => {
                _ = write!(out, ".TP\n{}\n", bold(term));
                out.push_str(&line(&inline(meaning.trim_start())));
            }
            None => _ = write!(out, ".EX\n{}.EE\n", line(&plain(text))),
        }
    }
    out.push_str(".RE\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_the_policy_stands_on_the_page_with_its_default() {
        let page = page("2026-11-26").text;
        let mut count = 0;
        for text in SHIPPED.lines() {
            match row(text) {
                Row::Key(key, value) => {
                    count += 1;
                    let tag = format!("\n{} = {}\n", bold(key), plain(value));
                    assert!(page.contains(&tag), "{key} is missing");
                }
                Row::Table(name) => {
                    assert!(
                        page.contains(&format!(".SS {}\n", bold(&format!("[{name}]")))),
                        "{name}"
                    );
                }
                Row::Title(title) => {
                    assert!(page.contains(&plain(&title.to_uppercase())), "{title}")
                }
                Row::Comment(_) => {}
                Row::Blank => assert_eq!(text, "", "a line that is none of these"),
            }
        }
        assert!(count > 90, "{count} keys");
    }

    #[test]
    fn every_word_of_the_comments_is_kept() {
        let page = page("2026-11-26").text;
        for text in SHIPPED.lines() {
            if let Row::Comment(comment) = row(text) {
                for word in comment.split_whitespace().filter(|word| !word.contains('`')) {
                    assert!(page.contains(&plain(word)), "\"{word}\" of \"{comment}\" is lost");
                }
            }
        }
    }

    #[test]
    fn a_comment_tells_of_all_keys_that_follow_it() {
        let policy = "# About.\n\n# How.\nmode = \"x\"\n\n# ── Bans ──\n\n# Intro.\n[bans]\n# Both.\n\
                      after = 5\nwithin = \"10m\"\n# One.\n#   a = 1\nlast = 1\n";
        assert_eq!(
            keys(policy),
            ".SH DESCRIPTION\nAbout.\n.SS The first key\n.TP\n\\fBmode\\fR = \"x\"\nHow.\n.SH BANS\n\
             .SS \\fB[bans]\\fR\nIntro.\n.TP\n\\fBafter\\fR = 5\n.TQ\n\\fBwithin\\fR = \"10m\"\nBoth.\n\
             .TP\n\\fBlast\\fR = 1\nOne.\n.RS 4\n.EX\na = 1\n.EE\n.RE\n"
        );
    }
}
