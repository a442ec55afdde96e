//! The daemon's events, followed as they are written.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use crate::events::Span;

/// One event of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Event and source: entries of one kind are alike.
    pub(super) kind: String,
    /// The line of the log, shortened to what the story needs.
    pub(super) line: String,
}

/// The daemon's JSON events, followed.
pub(super) struct Log {
    path: PathBuf,
    reader: Option<BufReader<File>>,
    partial: String,
    /// Every refusal so far: who, and why.
    refusals: Vec<(String, String)>,
}

impl Log {
    /// A log that will be written to `path`.
    pub(super) fn open(path: PathBuf) -> Self {
        Self { path, reader: None, partial: String::new(), refusals: Vec::new() }
    }

    /// What was written since the last call.
    pub(super) fn news(&mut self) -> Vec<Entry> {
        if self.reader.is_none() {
            self.reader = File::open(&self.path).ok().map(BufReader::new);
        }
        let mut news = Vec::new();
        let Some(reader) = &mut self.reader else { return news };
        while matches!(reader.read_line(&mut self.partial), Ok(length) if length > 0) {
            if !self.partial.ends_with('\n') {
                break;
            }
            if let Ok(event) = serde_json::from_str::<Value>(&self.partial) {
                if event["event"] == "drop" {
                    let word = |field: &str| event[field].as_str().unwrap_or_default().to_owned();
                    self.refusals.push((word("src"), reason(&event)));
                }
                news.push(entry(&event));
            }
            self.partial.clear();
        }
        news
    }

    /// Why `source` was refused so far, most frequent reason first, with counts.
    pub(super) fn refusals(&self, source: &str) -> Vec<(String, usize)> {
        let mut counts: Vec<(String, usize)> = Vec::new();
        for (_, why) in self.refusals.iter().filter(|(who, _)| who == source) {
            match counts.iter_mut().find(|(known, _)| known == why) {
                Some((_, count)) => *count += 1,
                None => counts.push((why.clone(), 1)),
            }
        }
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        counts
    }
}

/// `rate: login`, `ports: unserved port`.
fn reason(event: &Value) -> String {
    let check = event["reason"].as_str().unwrap_or_default();
    match event["what"].as_str() {
        Some(what) if !what.is_empty() => format!("{check}: {what}"),
        _ => check.to_owned(),
    }
}

/// The fields that the story needs, under the names they have in the log.
fn entry(event: &Value) -> Entry {
    const FIELDS: [(&str, &str); 9] = [
        ("src", "SRC"),
        ("dpt", "DPT"),
        ("reason", "reason"),
        ("what", "what"),
        ("seen", "seen"),
        ("limit", "limit"),
        ("offence", "offence"),
        ("for", "for"),
        ("text", "text"),
    ];
    let verb = event["event"].as_str().unwrap_or_default();
    let mut line = verb.to_uppercase();
    for (name, label) in FIELDS {
        let value = match &event[name] {
            Value::Null => continue,
            Value::String(text) if text.contains(' ') => format!("{text:?}"),
            Value::String(text) => text.clone(),
            Value::Number(span) if name == "for" => {
                let seconds = span.as_f64().unwrap_or_default().round().max(0.0);
                format!("{:#}", Span(Duration::from_secs(seconds as u64)))
            }
            // What a list or a port check measured says nothing that is not said already.
            Value::Number(_)
                if matches!(event["reason"].as_str(), Some("denylist" | "ports"))
                    && matches!(name, "seen" | "limit") =>
            {
                continue;
            }
            value => value.to_string(),
        };
        line += &format!(" {label}={value}");
    }
    Entry { kind: format!("{verb} {}", event["src"].as_str().unwrap_or_default()), line }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn entries_are_lines_of_the_log_shortened() {
        for (event, expected) in [
            (
                json!({"event": "drop", "in": "eth0", "src": "192.0.2.66", "dpt": 80, "seen": 1,
                       "limit": 0, "reason": "denylist", "what": "policy", "id": "x"}),
                "DROP SRC=192.0.2.66 DPT=80 reason=denylist what=policy",
            ),
            (
                json!({"event": "drop", "src": "192.0.2.140", "dpt": 22, "seen": 4, "limit": 3,
                       "reason": "rate", "what": "login"}),
                "DROP SRC=192.0.2.140 DPT=22 reason=rate what=login seen=4 limit=3",
            ),
            (
                json!({"event": "ban", "src": "192.0.2.140", "reason": "rate", "offence": 1, "for": 599.98}),
                "BAN SRC=192.0.2.140 reason=rate offence=1 for=10m",
            ),
        ] {
            assert_eq!(entry(&event).line, expected);
        }
    }

    #[test]
    fn a_half_written_line_waits_for_its_other_half() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut log = Log::open(file.path().to_owned());
        let event = r#"{"event":"drop","src":"192.0.2.1","reason":"rate","what":"web"}"#;
        let (first, second) = event.split_at(20);
        std::fs::write(file.path(), format!("{event}\n{first}")).unwrap();
        assert_eq!(log.news().len(), 1);
        assert_eq!(log.news(), []);
        std::fs::write(file.path(), format!("{event}\n{first}{second}\n")).unwrap();
        assert_eq!(log.news().len(), 1);
        assert_eq!(log.refusals("192.0.2.1"), [("rate: web".to_owned(), 2)]);
    }
}
