//! journald: lines can be found by their fields, and whatever journalctl prints is read by `review`.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use portcullis::config::LogTarget;
use portcullis::lab::Process;
use serde_json::Value;

use super::{LIMIT, catalogue, emptied, expected, fail2ban, id, is_read_by_review, said, told};
use super::{to, with_programs};
use crate::stage::{PORTCULLIS, eventually, skip};

const JOURNALD: (&str, &str) = ("/lib/systemd/systemd-journald", "systemd");
const MACHINE: (&str, &str) = ("/etc/machine-id", "systemd (which writes /etc/machine-id)");
const FILES: &str = "/run/log/journal";

/// A journal of this test's own, in memory.
struct Journald(#[allow(dead_code, reason = "it ends with its guard")] Process);

impl Journald {
    fn start() -> Self {
        emptied("/run");
        emptied("/var/log");
        for folder in ["/run/systemd/journal", "/run/systemd/journald.conf.d", FILES] {
            fs::create_dir_all(folder).expect("a folder");
        }
        let settings = "[Journal]\nStorage=volatile\nForwardToSyslog=yes\nForwardToWall=no\n\
                        ReadKMsg=no\nAudit=no\nRateLimitIntervalSec=0\n";
        fs::write("/run/systemd/journald.conf.d/test.conf", settings).expect("a file");
        let mut command = Command::new(JOURNALD.0);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let process = Process::start(&mut command).expect("it starts");
        eventually(LIMIT, "socket of the journal", || {
            let there = ["socket", "stdout"]
                .iter()
                .all(|name| Path::new("/run/systemd/journal").join(name).exists());
            there.then_some(()).ok_or_else(|| "not there".to_owned())
        });
        Self(process)
    }
}

/// What journalctl prints.
fn journalctl(words: &[&str]) -> String {
    said(Command::new("journalctl").args(["--no-pager", "--directory", FILES]).args(words))
}

/// The entries that match, as JSON.
fn entries(matches: &[&str]) -> Vec<Value> {
    let text = journalctl(&[&["--output=json", "--all"], matches].concat());
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// Waits until there are so many of ours, and returns them.
fn ours(count: usize) -> Vec<Value> {
    eventually(LIMIT, "all entries", || {
        let found = entries(&["SYSLOG_IDENTIFIER=portcullis"]);
        if found.len() == count { Ok(found) } else { Err(format!("{} of {count}", found.len())) }
    })
}

with_programs! {
    [JOURNALD, MACHINE, ("journalctl", "systemd"), fail2ban::REGEX] =>
    fn lines_are_found_by_their_fields() {
        let _journald = Journald::start();
        let json = Path::new("/run/events.json");
        catalogue::write(&to(LogTarget::Journal, json));
        let told = told(json);
        let entries_of_ours = ours(expected(&told));
        for entry in &entries_of_ours {
            let event = &told[entry["PORTCULLIS_ID"].as_str().expect("an id")];
            let verb = event["event"].as_str().expect("a verb").to_ascii_uppercase();
            let priority = match event["level"].as_str() {
                Some("error") => "3",
                Some("warning") => "4",
                Some("notice") => "5",
                _ => "6",
            };
            let header = ["PRIORITY", "SYSLOG_FACILITY", "PORTCULLIS_EVENT", "_TRANSPORT"];
            assert_eq!(header.map(|name| &entry[name]), [priority, "10", &verb, "journal"], "{entry}");
            let line = entry["MESSAGE"].as_str().expect("a line");
            assert!(line.starts_with(&format!("{verb} ")) && id(line) == entry["PORTCULLIS_ID"]);
            // Every field that the JSON log and the line have is an entry's field.
            for (name, value) in event.as_object().expect("an object") {
                let field = &entry[format!("PORTCULLIS_{}", name.to_ascii_uppercase())];
                match (name.as_str(), value) {
                    ("time" | "event" | "level", _) => {}
                    ("flags" | "seq" | "window" | "ttl" | "length" | "ip_id", _) => {
                        assert!(field.is_null(), "{name} in {entry}");
                    }
                    // What journalctl takes for no text it writes as bytes; long texts are cut.
                    (_, Value::String(text)) => {
                        let field = match field {
                            Value::Array(bytes) => String::from_utf8(
                                bytes.iter().map(|b| b.as_u64().expect("a byte") as u8).collect(),
                            ).expect("text"),
                            field => field.as_str().unwrap_or_else(|| panic!("{name}: {entry}")).to_owned(),
                        };
                        assert!(field == *text || (field.len() > 590 && text.starts_with(&field)));
                    }
                    _ => assert!(field.is_string(), "{name} in {entry}"),
                }
            }
        }
        // As an admin would ask.
        let count = |matches: &[&str]| entries(matches).len();
        assert_eq!(count(&["PORTCULLIS_SRC=2001:db8:bad::66", "PORTCULLIS_EVENT=DROP"]), 1);
        assert_eq!(count(&["PORTCULLIS_EVENT=BAN"]), 5);
        assert_eq!(count(&["PORTCULLIS_EVENT=BAN", "PORTCULLIS_DPT=22"]), 1);
        assert_eq!(count(&["PORTCULLIS_SRC=192.0.2.68", "PORTCULLIS_COUNT=1204"]), 1);
        assert_eq!(count(&["PORTCULLIS_SRC=192.0.2.1"]), 0, "a text is no field");
        assert_eq!(count(&["-p", "err", "SYSLOG_IDENTIFIER=portcullis"]), 3);

        // As review asks, and as people keep it.
        for form in ["export", "json", "short", "short-iso", "short-full", "short-unix"] {
            let output = format!("--output={form}");
            let text = journalctl(&["--all", &output, "SYSLOG_IDENTIFIER=portcullis"]);
            fs::write("/run/journal.txt", text).expect("a file");
            if form != "short-full" {
                is_read_by_review(Path::new("/run/journal.txt"), entries_of_ours.len());
            }
        }
        if Path::new("/usr/lib/python3/dist-packages/systemd").exists() {
            let from = format!("systemd-journal[journalpath={FILES}]");
            fail2ban::finds_the_banned_with(&from, &["-m", "SYSLOG_IDENTIFIER=portcullis"]);
        } else {
            let part = concat!(module_path!(), ", fail2ban with the journal");
            skip(part, "these packages are not installed: python3-systemd");
        }
    }

    /// As on Debian: rsyslog gets from the journal what its rules for us are about.
    [JOURNALD, MACHINE, ("journalctl", "systemd"), ("rsyslogd", "rsyslog")] =>
    fn rsyslog_gets_the_same_from_the_journal() {
        let _journald = Journald::start();
        let rules = fs::read_to_string(super::shipped("rsyslog/portcullis.conf")).expect("rules");
        let source = "module(load=\"imuxsock\" sysSock.name=\"/run/systemd/journal/syslog\")\n";
        fs::write("/run/rsyslog.conf", super::syslog::ownable(source.to_owned() + &rules)).expect("a file");
        let mut command = Command::new("rsyslogd");
        command.args(["-n", "-f", "/run/rsyslog.conf", "-i", "/run/rsyslog.pid"]);
        let _rsyslog = Process::start(&mut command).expect("it starts");
        eventually(LIMIT, "socket of rsyslog", || {
            let there = Path::new("/run/systemd/journal/syslog").exists();
            there.then_some(()).ok_or_else(|| "not there".to_owned())
        });
        let json = Path::new("/run/events.json");
        // journald does not wait for rsyslog, and what finds no room is only in the journal: so
        // there are few lines at a time.
        let events = catalogue::few();
        catalogue::write_these(&to(LogTarget::Journal, json), &events);
        let lines = eventually(LIMIT, "all lines", || {
            let text = fs::read_to_string(super::syslog::OURS).unwrap_or_default();
            let all = text.lines().count() == events.len();
            if all { Ok(text) } else { Err(text) }
        });
        let told = told(json);
        assert!(lines.lines().all(|line| told.contains_key(id(line))), "{lines}");
        is_read_by_review(Path::new(super::syslog::OURS), events.len());
    }

    /// Under systemd, where standard error is the journal, "auto" writes fields, and "stderr" lines
    /// with their priority.
    [JOURNALD, MACHINE, ("systemd-cat", "systemd")] => fn the_daemon_finds_the_journal_by_itself() {
        let _journald = Journald::start();
        said(Command::new("ip").args(["link", "set", "lo", "up"]));
        let mut before = 0;
        for (to, transport, event) in [("auto", "journal", Some("STOP")), ("stderr", "stdout", None)] {
            let policy = format!(
                "[events]\nto = \"{to}\"\n[control]\nsocket = \"/run/{to}.sock\"\n[bans]\nstate_dir = \"/run/{to}\"\n"
            );
            fs::create_dir_all(format!("/run/{to}")).expect("a folder");
            fs::write("/run/policy.toml", policy).expect("a file");
            // A service manager also names the stream that it connects (systemd.exec(5)).
            let start = format!(
                "JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2) exec {PORTCULLIS} run --config /run/policy.toml"
            );
            let mut command = Command::new("systemd-cat");
            command.args(["-t", "portcullis", "sh", "-c", &start]);
            let mut daemon = Process::start(&mut command).expect("it starts");
            eventually(LIMIT, "start", || {
                let lines = journalctl(&["SYSLOG_IDENTIFIER=portcullis", &format!("_TRANSPORT={transport}")]);
                lines.contains(": START ").then_some(()).ok_or(lines)
            });
            daemon.signal(rustix::process::Signal::TERM).expect("it can be signalled");
            daemon.wait(LIMIT).expect("it can be waited for").expect("it ends");
            let stop = eventually(LIMIT, "stop", || {
                let all = entries(&["SYSLOG_IDENTIFIER=portcullis"]);
                let stop = all.iter().skip(before).find(|entry| {
                    entry["MESSAGE"].as_str().is_some_and(|line| line.starts_with("STOP "))
                });
                let count = all.len();
                stop.map(|stop| (stop.clone(), count)).ok_or_else(|| format!("{all:#?}"))
            });
            before = stop.1;
            let entry = stop.0;
            assert_eq!((&entry["_TRANSPORT"], &entry["PRIORITY"]), (&transport.into(), &"5".into()), "{to}");
            assert_eq!(entry["PORTCULLIS_EVENT"].as_str(), event, "{to}: {entry}");
        }
    }
}
