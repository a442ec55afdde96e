//! The gate of the demo: this very program, started as a daemon on the server.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::IpAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::Stop;
use crate::control::protocol::{BanRow, ExplainReport};
use crate::control::{self, Request, Response};
use crate::events::Span;
use crate::lab::{Host, Process};

/// The policy, as the demo shows it.
pub(super) const POLICY: &str = include_str!("policy.toml");

/// Where the gate keeps its things: inside the lab's own /run, which vanishes with it.
const HOME: &str = "/run/portcullis";

/// How long a start may take. Kernel modules may have to be loaded, on a slow machine.
const START: Duration = Duration::from_secs(30);

/// The running daemon. It ends when this is dropped.
pub(super) struct Gate<'a> {
    server: &'a Host,
    _daemon: Process,
}

impl<'a> Gate<'a> {
    /// Starts the daemon on `server` and waits until it judges.
    pub(super) fn start(server: &'a Host) -> Result<(Self, Log), Stop> {
        let home = Path::new(HOME);
        let cannot = |what: &str, e: std::io::Error| Stop::Broken(format!("{what}: {e}"));
        let program = std::env::current_exe().map_err(|e| cannot("finding this program", e))?;
        fs::create_dir_all(home).map_err(|e| cannot(HOME, e))?;
        let (config, said) = (home.join("policy.toml"), home.join("said"));
        let overlay = home.join("conf.d/demo.toml");
        for folder in ["conf.d", "state"] {
            fs::create_dir_all(home.join(folder)).map_err(|e| cannot(HOME, e))?;
        }
        fs::write(&config, POLICY).map_err(|e| cannot("writing the policy", e))?;
        fs::write(&overlay, places()).map_err(|e| cannot("writing the policy", e))?;
        let output = File::create(&said).map_err(|e| cannot("creating a log", e))?;
        let mut command = server.command(&program);
        command.args(["run", "--config"]).arg(&config);
        // Ctrl-C is for the demo, which then stops the daemon.
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(output);
        let mut daemon =
            Process::start(&mut command).map_err(|e| cannot("starting the gate", e))?;
        let mut log = Log::open(home.join("events.json"));
        let deadline = Instant::now() + START;
        while !log.news().iter().any(|entry| entry.kind.starts_with("start ")) {
            let ended = daemon.ended().ok().flatten();
            if ended.is_some() || Instant::now() > deadline {
                let said = fs::read_to_string(&said).unwrap_or_default();
                let late = format!(" within {} s", START.as_secs());
                let late = if ended.is_some() { "" } else { &late };
                let said = said.trim_end();
                return Err(Stop::Broken(format!("the gate did not start{late}:\n{said}")));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok((Self { server, _daemon: daemon }, log))
    }

    /// Every standing, as `portcullis bans list` gets them: over the control socket.
    pub(super) fn bans(&self) -> Result<Vec<BanRow>, Stop> {
        match self.ask(&Request::Bans)? {
            Response::Bans(rows) => Ok(rows),
            other => Err(Stop::Broken(format!("unexpected answer: {other:?}"))),
        }
    }

    /// What would become of a visit now, as `portcullis explain` gets it.
    pub(super) fn explain(&self, address: IpAddr, port: u16) -> Result<ExplainReport, Stop> {
        match self.ask(&Request::Explain { address, port })? {
            Response::Explain(report) => Ok(*report),
            other => Err(Stop::Broken(format!("unexpected answer: {other:?}"))),
        }
    }

    fn ask(&self, request: &Request) -> Result<Response, Stop> {
        let socket = Path::new(HOME).join("control.sock");
        control::ask(&socket, request).map_err(|e| Stop::Broken(e.to_string()))
    }

    /// The elements of a kernel set with what remains of their time, as nft tells them.
    pub(super) fn set(&self, name: &str) -> Result<Vec<String>, Stop> {
        let mut command = self.server.command("nft");
        command.args(["-j", "list", "set", "inet", "portcullis", name]);
        let said = output(&mut command, "nft list set")?;
        let listing: Value = serde_json::from_str(&said).unwrap_or_default();
        let objects = listing["nftables"].as_array();
        let set = objects.into_iter().flatten().find_map(|object| object.get("set"));
        let elements = set.and_then(|set| set["elem"].as_array()).cloned().unwrap_or_default();
        Ok(elements.iter().map(element).collect())
    }
}

/// One element of a set: `192.0.2.140, 9m 52s left`.
fn element(element: &Value) -> String {
    let value = element.pointer("/elem/val").unwrap_or(element);
    let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match element.pointer("/elem/expires").and_then(Value::as_u64) {
        Some(seconds) => {
            let left = Span(Duration::from_secs(seconds));
            format!("{value} ({left} left)")
        }
        None => value,
    }
}

fn output(command: &mut Command, what: &str) -> Result<String, Stop> {
    let output = command.output().map_err(|e| Stop::Broken(format!("{what}: {e}")))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Stop::Broken(format!("{what}: {}", said.trim_end())))
}

/// Laid over the policy: where the daemon keeps its things, and a queue that an ordinary user's
/// socket buffer has room for.
fn places() -> String {
    format!(
        "[queue]\nlength = 128\n[bans]\nstate_dir = \"{HOME}/state\"\n[events]\njson = \"{HOME}/events.json\"\n\
         lines = 1000\n\
         [control]\nsocket = \"{HOME}/control.sock\"\n"
    )
}

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
    fn open(path: PathBuf) -> Self {
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

    #[test]
    fn the_policy_is_valid_and_nothing_in_it_needs_a_warning() {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("policy.toml");
        fs::create_dir(dir.path().join("conf.d")).unwrap();
        fs::write(&config, POLICY).unwrap();
        fs::write(dir.path().join("conf.d/demo.toml"), places()).unwrap();
        let loaded = crate::config::load(&config).unwrap();
        assert_eq!(loaded.warnings, []);
        assert!(loaded.config.bans.state_dir.starts_with(HOME));
        assert!(POLICY.lines().all(|line| line.chars().count() <= 75));
    }
}
