//! Typed reading of one table. The call that reads a key is the only place where it is declared:
//! what nobody asked for is unknown.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;

use super::findings::{Findings, inside};
use super::source::Place;
use super::tree::{Node, Table, Value};
use super::units::{self, Mistake};
use super::unknown::Unknown;
use crate::policy::{PortSet, Rate};

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

    /// A duration.
    pub(super) fn duration(
        &mut self,
        key: &str,
        default: Duration,
        range: RangeInclusive<Duration>,
    ) -> Duration {
        let example = format!("\"{}\"", units::spell(default));
        let wanted = ("a duration with its unit", &example[..]);
        self.text(key, default, wanted, |text| within(key, units::duration(text)?, &range))
    }

    /// A list of durations, at least one.
    pub(super) fn durations(
        &mut self,
        key: &str,
        default: Vec<Duration>,
        range: RangeInclusive<Duration>,
    ) -> Vec<Duration> {
        let Some(node) = self.claim(key) else { return default };
        let mut durations = Vec::new();
        for item in each(node) {
            let wanted = ("durations with their unit", "[\"10m\", \"1h\"]");
            let read = match &item.value {
                Value::Text(text) => units::duration(text).and_then(|d| within(key, d, &range)),
                other => Err(mistyped(key, other, wanted)),
            };
            match read {
                Ok(duration) => durations.push(duration),
                Err(mistake) => self.findings.error(&item.place, mistake),
            }
        }
        if matches!(&node.value, Value::Array(items) if items.is_empty()) {
            let help = "write at least one, for example [\"10m\"]; the last repeats";
            self.findings.error(&node.place, Mistake::new(format!("{key} is empty")).help(help));
        }
        if durations.is_empty() { default } else { durations }
    }

    /// A rate with its burst. `bursts` is the key of the burst and its default; without one the
    /// burst is the rate's count.
    pub(super) fn rate(
        &mut self,
        key: &str,
        default: Option<Rate>,
        bursts: Option<(&str, u32)>,
    ) -> Option<Rate> {
        let plain = default.map(|rate| (rate.count, rate.per));
        let wanted = ("a rate with its unit", "\"6/m\"");
        let rate = self.text(key, plain, wanted, units::rate);
        let burst = bursts.map(|(key, default)| self.number(key, default, 1..=1_000_000_000));
        rate.map(|(count, per)| Rate { count, per, burst: burst.unwrap_or(count) })
    }

    /// A rate that the kernel counts: it knows seconds, minutes, hours and days.
    pub(super) fn kernel_rate(
        &mut self,
        key: &str,
        default: Option<Rate>,
        bursts: Option<(&str, u32)>,
    ) -> Option<Rate> {
        let rate = self.rate(key, default, bursts)?;
        if [1, 60, 3600, 86_400].map(Duration::from_secs).contains(&rate.per) {
            return Some(rate);
        }
        let message = format!(
            "{key} is counted by the kernel, which knows no \"per {}\"",
            units::spell(rate.per)
        );
        let help = "write it per second, minute, hour or day: \"200/s\"";
        self.error(&[key], Mistake::new(message).help(help));
        default
    }

    /// An absolute path.
    pub(super) fn path(&mut self, key: &str, default: &Path) -> PathBuf {
        let example = format!("\"{}\"", default.display());
        self.text(key, default.into(), ("a path", &example), |text| absolute(key, text))
    }

    /// An absolute path, or `""` for none.
    pub(super) fn optional_path(&mut self, key: &str, example: &str) -> Option<PathBuf> {
        self.text(key, None, ("a path", example), |text| match text {
            "" => Ok(None),
            text => absolute(key, text).map(Some),
        })
    }

    /// A set of ports.
    pub(super) fn ports(&mut self, key: &str, default: PortSet) -> PortSet {
        self.port_items(key, default, units::ports)
    }

    /// Ports in any of their forms: text, number or a list of both. `add` reads a text.
    pub(super) fn port_items<S: Default>(
        &mut self,
        key: &str,
        default: S,
        add: impl Fn(&str, &mut S) -> Vec<Mistake>,
    ) -> S {
        let Some(node) = self.claim(key) else { return default };
        let mut set = S::default();
        for item in each(node) {
            let mistakes = match &item.value {
                Value::Text(text) => add(text, &mut set),
                Value::Integer(port) => {
                    let text = port.map_or("a number this large".into(), |port| port.to_string());
                    let whole = |mistake| Mistake { part: None, ..mistake };
                    add(&text, &mut set).into_iter().map(whole).collect()
                }
                other => vec![mistyped(key, other, ("ports", "\"22, 80, 8000-8999\""))],
            };
            mistakes.into_iter().for_each(|mistake| self.findings.error(&item.place, mistake));
        }
        set
    }

    /// Addresses, prefixes and words, in one text or a list, each with its place.
    pub(super) fn nets(&mut self, key: &str) -> Vec<(IpNet, Place)> {
        let mut nets = Vec::new();
        for item in self.claim(key).into_iter().flat_map(each) {
            let Value::Text(text) = &item.value else {
                let wanted = ("addresses and prefixes", "[\"192.0.2.7\", \"2001:db8::/32\"]");
                self.findings.error(&item.place, mistyped(key, &item.value, wanted));
                continue;
            };
            let mistakes = units::nets(text, |net, part| {
                let span = inside(&self.findings.sources[item.place.file], &item.place, part);
                let place = item.place.clone();
                nets.push((
                    net,
                    match span {
                        Some(span) => Place { start: span.start, end: span.end, ..place },
                        None => place,
                    },
                ));
            });
            mistakes.into_iter().for_each(|mistake| self.findings.error(&item.place, mistake));
        }
        nets
    }

    /// Paths of files, each with its place; a relative one starts from the folder of the policy
    /// file it is written in.
    pub(super) fn files(&mut self, key: &str) -> Vec<(PathBuf, Place)> {
        let mut files = Vec::new();
        for item in self.claim(key).into_iter().flat_map(each) {
            match &item.value {
                Value::Text(text) if text.trim().is_empty() => {
                    self.findings.error(&item.place, Mistake::new("a file name is missing"));
                }
                Value::Text(text) => {
                    let folder = &self.findings.sources[item.place.file].folder;
                    files.push((folder.join(text), item.place.clone()));
                }
                other => {
                    let wanted = ("file names", "[\"/etc/portcullis/refused.txt\"]");
                    self.findings.error(&item.place, mistyped(key, other, wanted));
                }
            }
        }
        files
    }
}

/// "a", "a or b", "a, b or c".
fn either(words: &[String]) -> String {
    match words {
        [rest @ .., last] if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => words.concat(),
    }
}

/// The items of a list, or the value itself.
fn each(node: &Node) -> &[Node] {
    match &node.value {
        Value::Array(items) => items,
        _ => std::slice::from_ref(node),
    }
}

fn mistyped(key: &str, value: &Value, (wanted, example): (&str, &str)) -> Mistake {
    Mistake::new(format!("{key} takes {wanted}, not {}", value.kind()))
        .help(format!("for example: {key} = {example}"))
}

fn out_of_range(key: &str, least: &dyn Display, most: &dyn Display) -> Mistake {
    Mistake::new(format!("{key} goes from {least} to {most}"))
}

fn within(
    key: &str,
    duration: Duration,
    range: &RangeInclusive<Duration>,
) -> Result<Duration, Mistake> {
    let (least, most) = (units::spell(*range.start()), units::spell(*range.end()));
    range.contains(&duration).then_some(duration).ok_or_else(|| out_of_range(key, &least, &most))
}

fn absolute(key: &str, text: &str) -> Result<PathBuf, Mistake> {
    let path = PathBuf::from(text);
    if path.is_absolute() && !text.contains('\0') {
        return Ok(path);
    }
    Err(Mistake::new(format!("{key} needs a path from the root"))
        .help("begin it with \"/\": the daemon has no folder of its own to start from"))
}
