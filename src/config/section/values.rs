//! Values with units, and lists of them.

use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;

use super::{Section, mistyped, out_of_range};
use crate::config::findings::inside;
use crate::config::source::Place;
use crate::config::tree::{Node, Value};
use crate::config::units::{self, Mistake};
use crate::policy::{PortSet, Rate};

/// Values with the places where they stand.
type Placed<T> = Vec<(T, Place)>;

impl Section<'_, '_> {
    /// A duration.
    pub(in crate::config) fn duration(
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
    pub(in crate::config) fn durations(
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
    pub(in crate::config) fn rate(
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
    pub(in crate::config) fn kernel_rate(
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
    pub(in crate::config) fn path(&mut self, key: &str, default: &Path) -> PathBuf {
        let example = format!("\"{}\"", default.display());
        self.text(key, default.into(), ("a path", &example), |text| absolute(key, text))
    }

    /// An absolute path, or `""` for none.
    pub(in crate::config) fn optional_path(&mut self, key: &str, example: &str) -> Option<PathBuf> {
        self.text(key, None, ("a path", example), |text| match text {
            "" => Ok(None),
            text => absolute(key, text).map(Some),
        })
    }

    /// A set of ports.
    pub(in crate::config) fn ports(&mut self, key: &str, default: PortSet) -> PortSet {
        self.port_items(key, default, units::ports)
    }

    /// Ports in any of their forms: text, number or a list of both. `add` reads a text.
    pub(in crate::config) fn port_items<S: Default>(
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
    pub(in crate::config) fn nets(&mut self, key: &str) -> Vec<(IpNet, Place)> {
        let wanted = ("addresses and prefixes", "[\"192.0.2.7\", \"2001:db8::/32\"]");
        let mut found = Vec::new();
        self.each_text(key, wanted, |text, place| {
            units::nets(text, |net, part| found.push((net, place(part))))
        });
        found
    }

    /// The same, and names of hosts.
    pub(in crate::config) fn nets_and_names(
        &mut self,
        key: &str,
    ) -> (Placed<IpNet>, Placed<String>) {
        let wanted = ("addresses, prefixes and names", "[\"192.0.2.7\", \"office.example.org\"]");
        let (mut nets, mut names) = (Vec::new(), Vec::new());
        self.each_text(key, wanted, |text, place| {
            let add = |net, part| nets.push((net, place(part)));
            units::nets_and_names(text, add, |name, part| names.push((name, place(part))))
        });
        (nets, names)
    }

    /// Reads one text, or each text of a list. `read` is given what tells the place of a part.
    fn each_text(
        &mut self,
        key: &str,
        wanted: (&str, &str),
        mut read: impl FnMut(&str, &dyn Fn(Range<usize>) -> Place) -> Vec<Mistake>,
    ) {
        for item in self.claim(key).into_iter().flat_map(each) {
            let Value::Text(text) = &item.value else {
                self.findings.error(&item.place, mistyped(key, &item.value, wanted));
                continue;
            };
            let source = &self.findings.sources[item.place.file];
            let mistakes = read(text, &|part| {
                let place = item.place.clone();
                match inside(source, &item.place, part) {
                    Some(span) => Place { start: span.start, end: span.end, ..place },
                    None => place,
                }
            });
            mistakes.into_iter().for_each(|mistake| self.findings.error(&item.place, mistake));
        }
    }

    /// Some of the words in `known`, in one text with commas or a list.
    pub(in crate::config) fn choices(
        &mut self,
        key: &str,
        known: &[&'static str],
    ) -> Vec<&'static str> {
        let mut chosen = Vec::new();
        for item in self.claim(key).into_iter().flat_map(each) {
            let Value::Text(text) = &item.value else {
                let example = format!("[\"{}\"]", known.first().copied().unwrap_or_default());
                let wanted = ("a list of words", &example[..]);
                self.findings.error(&item.place, mistyped(key, &item.value, wanted));
                continue;
            };
            for word in text.split(',').map(str::trim) {
                match known.iter().find(|known| **known == word) {
                    Some(known) => chosen.push(*known),
                    None => {
                        let message = format!("{key} knows no \"{}\"", word.escape_debug());
                        let mistake =
                            Mistake::new(message).help(format!("it knows {}", known.join(", ")));
                        self.findings.error(&item.place, mistake);
                    }
                }
            }
        }
        chosen
    }

    /// Paths of files, each with its place; a relative one starts from the folder of the policy
    /// file it is written in.
    pub(in crate::config) fn files(&mut self, key: &str) -> Vec<(PathBuf, Place)> {
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

/// The items of a list, or the value itself.
fn each(node: &Node) -> &[Node] {
    match &node.value {
        Value::Array(items) => items,
        _ => std::slice::from_ref(node),
    }
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
