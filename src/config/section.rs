//! Typed reading of one table. The call that reads a key is the only place where it is declared:
//! what nobody asked for is unknown.

mod values;

use std::collections::BTreeSet;
use std::fmt::Display;
use std::ops::RangeInclusive;

use super::findings::Findings;
use super::source::Place;
use super::tree::{Node, Table, Value};
use super::units::Mistake;
use super::unknown::Unknown;

/// One table, or its absence: then every key has its default.
pub(super) struct Section<'t, 'f> {
    path: String,
    table: Option<&'t Table>,
    claimed: BTreeSet<String>,
    pub(super) findings: &'f mut Findings<'t>,
}

impl<'t, 'f> Section<'t, 'f> {
    /// The top of the file.
    pub(super) fn top(table: &'t Table, findings: &'f mut Findings<'t>) -> Self {
        Self { path: String::new(), table: Some(table), claimed: BTreeSet::new(), findings }
    }

    /// Reads the table `key`; what `read` did not ask for is unknown.
    pub(super) fn table<R>(
        &mut self,
        key: &str,
        read: impl FnOnce(&mut Section<'t, '_>) -> R,
    ) -> R {
        let path = self.full(key);
        let node = self.claim(key);
        let table = match node.map(|node| (&node.value, &node.place)) {
            Some((Value::Table(table), _)) => Some(table),
            Some((other, place)) => {
                let message = format!("{path} is a table, not {}", other.kind());
                let help = format!("write [{path}] on a line of its own, and its keys below");
                self.findings.error(place, Mistake::new(message).help(help));
                None
            }
            None => None,
        };
        let claimed = BTreeSet::new();
        let mut section = Section { path, table, claimed, findings: self.findings };
        let result = read(&mut section);
        section.finish();
        result
    }

    /// Notes what nobody asked for.
    pub(super) fn finish(self) {
        for (key, (place, _)) in self.table.iter().flat_map(|table| &table.0) {
            if !self.claimed.contains(key) {
                let (table, key, place) = (self.path.clone(), key.clone(), place.clone());
                self.findings.unknown(Unknown { table, key, place });
            }
        }
    }

    /// The full name of a key of this table.
    fn full(&self, key: &str) -> String {
        if self.path.is_empty() { key.into() } else { format!("{}.{key}", self.path) }
    }

    fn claim(&mut self, key: &str) -> Option<&'t Node> {
        self.findings.known.insert(self.full(key));
        self.claimed.insert(key.into());
        self.table?.0.get(key).map(|(_, node)| node)
    }

    /// The keys of this table that were not read yet, for tables whose keys are names.
    pub(super) fn names(&self) -> Vec<(String, Place)> {
        let all = self.table.iter().flat_map(|table| &table.0);
        let rest = all.filter(|(key, _)| !self.claimed.contains(*key));
        rest.map(|(key, (place, _))| (key.clone(), place.clone())).collect()
    }

    /// Where the value of `key` stands, if it is written at all.
    pub(super) fn place(&self, key: &str) -> Option<Place> {
        self.table?.0.get(key).map(|(_, node)| node.place.clone())
    }

    /// Reports a mistake at the first of `keys` that is written.
    pub(super) fn error(&mut self, keys: &[&str], mistake: Mistake) {
        if let Some(place) = keys.iter().find_map(|key| self.place(key)) {
            self.findings.error(&place, mistake);
        }
    }

    /// Warns at the first of `keys` that is written.
    pub(super) fn warn(&mut self, keys: &[&str], mistake: Mistake) {
        if let Some(place) = keys.iter().find_map(|key| self.place(key)) {
            self.findings.warn(&place, mistake);
        }
    }

    /// One value; a wrong one is reported and its default taken.
    fn value<T>(
        &mut self,
        key: &str,
        default: T,
        wanted: (&str, &str),
        read: impl FnOnce(&'t Value) -> Option<Result<T, Mistake>>,
    ) -> T {
        let Some(node) = self.claim(key) else { return default };
        match read(&node.value) {
            Some(Ok(value)) => value,
            Some(Err(mistake)) => {
                self.findings.error(&node.place, mistake);
                default
            }
            None => {
                self.findings.error(&node.place, mistyped(key, &node.value, wanted));
                default
            }
        }
    }

    /// A text, in whatever form `read` wants.
    pub(super) fn text<T>(
        &mut self,
        key: &str,
        default: T,
        wanted: (&str, &str),
        read: impl FnOnce(&'t str) -> Result<T, Mistake>,
    ) -> T {
        self.value(key, default, wanted, |value| match value {
            Value::Text(text) => Some(read(text)),
            _ => None,
        })
    }

    /// One of some words.
    pub(super) fn word<T: Copy>(&mut self, key: &str, default: T, words: &[(&str, T)]) -> T {
        let list: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        let example = list.first().cloned().unwrap_or_default();
        self.text(key, default, ("a word", &example), |text| {
            let found = words.iter().find(|(word, _)| *word == text.trim());
            found.map(|(_, value)| *value).ok_or_else(|| {
                Mistake::new(format!("{key} knows no \"{text}\""))
                    .help(format!("write {}", either(&list)))
            })
        })
    }

    /// True or false.
    pub(super) fn boolean(&mut self, key: &str, default: bool) -> bool {
        self.value(key, default, ("true or false", "true"), |value| match value {
            Value::Boolean(boolean) => Some(Ok(*boolean)),
            _ => None,
        })
    }

    /// A whole number.
    pub(super) fn number<N>(&mut self, key: &str, default: N, range: RangeInclusive<N>) -> N
    where
        N: Copy + Display + PartialOrd + TryFrom<i64>,
    {
        let example = default.to_string();
        self.value(key, default, ("a whole number", &example), |value| match value {
            Value::Integer(number) => {
                let fits = number.and_then(|n| N::try_from(n).ok()).filter(|n| range.contains(n));
                Some(fits.ok_or_else(|| out_of_range(key, range.start(), range.end())))
            }
            _ => None,
        })
    }

    /// A key that this table, unlike its siblings, must not have.
    pub(super) fn forbid(&mut self, key: &str, mistake: Mistake) {
        self.claimed.insert(key.into());
        self.error(&[key], mistake);
    }
}

/// "a", "a or b", "a, b or c".
fn either(words: &[String]) -> String {
    match words {
        [rest @ .., last] if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => words.concat(),
    }
}

fn mistyped(key: &str, value: &Value, (wanted, example): (&str, &str)) -> Mistake {
    Mistake::new(format!("{key} takes {wanted}, not {}", value.kind()))
        .help(format!("for example: {key} = {example}"))
}

fn out_of_range(key: &str, least: &dyn Display, most: &dyn Display) -> Mistake {
    Mistake::new(format!("{key} goes from {least} to {most}"))
}
