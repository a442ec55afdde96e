//! TOML text → a tree whose every key and value knows where it stands; trees → one tree.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue, Error};

use super::problem::Problem;
use super::source::{Place, Source};

/// How many lines without `=` are passed over before the rest of a file is given up.
const GUESSES: usize = 32;

/// A table: its keys, each with the place of the key and the value.
#[derive(Debug, Default)]
pub(super) struct Table(pub(super) BTreeMap<String, (Place, Node)>);

/// A value and where it stands.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) value: Value,
}

/// A TOML value, as far as policies use them.
#[derive(Debug)]
pub(super) enum Value {
    Text(String),
    /// `None` is a number that does not fit an `i64`.
    Integer(Option<i64>),
    Boolean(bool),
    /// What no key takes: a number with a fraction or a date; with its name.
    Other(&'static str),
    Array(Vec<Node>),
    Table(Table),
}

impl Value {
    /// What it is, in words.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Value::Text(_) => "text",
            Value::Integer(_) => "a number",
            Value::Boolean(_) => "true or false",
            Value::Other(name) => name,
            Value::Array(_) => "a list",
            Value::Table(_) => "a table",
        }
    }
}

impl Table {
    /// Lays `upper` over this table: tables are merged key by key, any other value is replaced.
    pub(super) fn overlay(&mut self, upper: Table) {
        for (key, (place, node)) in upper.0 {
            match (self.0.get_mut(&key), node) {
                (
                    Some((_, Node { value: Value::Table(own), .. })),
                    Node { value: Value::Table(table), .. },
                ) => own.overlay(table),
                (_, node) => {
                    self.0.insert(key, (place, node));
                }
            }
        }
    }
}

/// What could be read of a source, and what is wrong with its syntax.
pub(super) struct Parsed {
    pub(super) table: Table,
    pub(super) problems: Vec<Problem>,
    /// Parts of the text that the parser had to guess at: complaints about what they mean would
    /// only confuse.
    pub(super) doubtful: Vec<Range<usize>>,
}

/// Reads TOML, going on after mistakes.
pub(super) fn parse(source: &Source, file: usize) -> Parsed {
    let mut text = source.text.clone();
    let mut faults: Vec<(Range<usize>, String)> = Vec::new();
    // The parser stops at a line without `=`: such lines are noted and blanked.
    for _ in 0..GUESSES {
        let (_, errors) = DeTable::parse_recoverable(&text);
        let Some(span) = errors.iter().find(|e| is(e, "key with no value")).and_then(Error::span)
        else {
            break;
        };
        let line = line_around(&text, span.start);
        faults.push((span, "this line has no `=`: write key = value".into()));
        let blank = " ".repeat(line.len());
        text.replace_range(line, &blank);
    }
    let (tree, errors) = DeTable::parse_recoverable(&text);
    let spanned = |error: &Error| error.span().map(|span| (span.start, span));
    let mut errors: Vec<_> =
        errors.iter().filter_map(|e| spanned(e).map(|(at, span)| (at, span, e))).collect();
    errors.sort_by_key(|(at, ..)| *at);

    let mut doubtful = Vec::new();
    let unclosed = errors.iter().any(|(.., e)| is(e, "unclosed"));
    for (at, span, error) in errors {
        faults.push((span, reword(error)));
        // What follows something that was never closed is misread from here to the end.
        if unclosed && (is(error, "unclosed") || is(error, "array") || is(error, "inline table")) {
            doubtful.push(at..text.len());
            break;
        }
    }
    faults.sort_by_key(|(span, _)| span.start);
    doubtful.extend(faults.iter().map(|(span, _)| line_around(&text, span.start)));
    let mut problems: Vec<Problem> = faults
        .into_iter()
        .map(|(span, message)| {
            let help = message.contains("quotes").then(|| quoted(&source.text, span.clone()));
            source.problem(span, message, help.flatten())
        })
        .collect();
    problems.dedup_by_key(|problem| problem.line);
    Parsed { table: table(tree.into_inner(), file), problems, doubtful }
}

fn is(error: &Error, what: &str) -> bool {
    error.message().contains(what)
}

/// The parser's message in words for people who do not write parsers.
fn reword(error: &Error) -> String {
    let message = error.message();
    match message.split(',').next().unwrap_or_default() {
        "string values must be quoted" => "text must stand in quotes".into(),
        "duplicate key" => "this key stands twice in the file".into(),
        "unclosed table" => "the table's name is not closed: `]` is missing".into(),
        "invalid basic string" | "invalid literal string" => {
            "the text is not closed, or has a stray backslash".into()
        }
        "missing comma between array elements" | "unclosed array" => {
            "the list before this is not closed, or lacks a comma: `]` or `,` is missing".into()
        }
        _ => message.trim_end_matches(", expected nothing").into(),
    }
}

fn quoted(text: &str, span: Range<usize>) -> Option<String> {
    let raw = text.get(span)?.trim();
    (!raw.is_empty() && !raw.contains(|c: char| c == '"' || c.is_control()))
        .then(|| format!("write \"{raw}\""))
}

/// The line that `at` stands in, without its end.
fn line_around(text: &str, at: usize) -> Range<usize> {
    let at = text.floor_char_boundary(at);
    let start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    start..text[at..].find('\n').map_or(text.len(), |newline| at + newline)
}

fn table(table: DeTable<'_>, file: usize) -> Table {
    let place = |span: Range<usize>| Place { file, start: span.start, end: span.end };
    let entry = |(key, value): (Spanned<_>, _)| {
        let at = place(key.span());
        let key: std::borrow::Cow<'_, str> = key.into_inner();
        (key.into_owned(), (at, node(value, file)))
    };
    Table(table.into_iter().map(entry).collect())
}

fn node(value: Spanned<DeValue<'_>>, file: usize) -> Node {
    let span = value.span();
    let value = match value.into_inner() {
        DeValue::String(text) => Value::Text(text.into_owned()),
        DeValue::Integer(i) => Value::Integer(i64::from_str_radix(i.as_str(), i.radix()).ok()),
        DeValue::Boolean(b) => Value::Boolean(b),
        DeValue::Float(_) => Value::Other("a number with a fraction"),
        DeValue::Datetime(_) => Value::Other("a date"),
        DeValue::Array(nodes) => {
            Value::Array(nodes.into_iter().map(|item| node(item, file)).collect())
        }
        DeValue::Table(inner) => Value::Table(table(inner, file)),
    };
    Node { place: Place { file, start: span.start, end: span.end }, value }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Vec<String>, Vec<(usize, usize, String)>) {
        let parsed = parse(&Source::new("f", text), 0);
        let problems = parsed.problems.into_iter().map(|p| (p.line, p.column, p.message));
        (parsed.table.0.into_keys().collect(), problems.collect())
    }

    #[test]
    fn goes_on_after_mistakes() {
        for (text, keys, places) in [
            ("a = 1\nb = 2", &["a", "b"][..], &[][..]),
            ("a 1\nb = 2\nc\nd = 3", &["b", "d"], &[(1, 3), (3, 2)]),
            ("a = x\nb = 2", &["a", "b"], &[(1, 5)]),
            ("a = \"x\nb = 2", &["a", "b"], &[(1, 7)]),
            ("a = 1\na = 2\n[t]\n[t]\nx = 1", &["a", "t"], &[(2, 1), (4, 2)]),
            ("a = [1, 2\nb = 3\n[c]\nd = 1", &["a"], &[(2, 1)]),
        ] {
            let (found, problems) = read(text);
            assert_eq!(found, keys, "{text}");
            let found: Vec<_> = problems.iter().map(|(line, column, _)| (*line, *column)).collect();
            assert_eq!(found, places, "{text}: {problems:?}");
        }
    }

    #[test]
    fn nothing_is_suggested_that_cannot_be_typed() {
        for (text, help) in [("a = enforce", Some("write \"enforce\"")), ("a = \x1b[2Jx\"", None)] {
            let parsed = parse(&Source::new("f", text), 0);
            assert_eq!(parsed.problems[0].help.as_deref(), help, "{text:?}");
        }
    }

    #[test]
    fn overlays_merge_tables_and_replace_the_rest() {
        let part = |text: &str, file| parse(&Source::new("f", text), file).table;
        let mut merged = part("x = 1\n[t]\na = 1\nb = [1]\n[u]\nc = 1", 0);
        merged.overlay(part("x = 2\nu = 7\n[t]\nb = [2]\nd = 4", 1));
        assert_eq!(merged.0["x"].1.place.file, 1);
        assert!(matches!(merged.0["u"].1.value, Value::Integer(Some(7))));
        let Value::Table(t) = &merged.0["t"].1.value else { panic!("t is no table") };
        let files: Vec<_> = t.0.iter().map(|(k, (_, v))| (k.as_str(), v.place.file)).collect();
        assert_eq!(files, [("a", 0), ("b", 1), ("d", 1)]);
    }
}
