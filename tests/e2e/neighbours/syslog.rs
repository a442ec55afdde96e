//! rsyslog: lines arrive whole, under our name, and in the file that the shipped rules give them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use portcullis::config::{Events, Facility, LogTarget, SyslogFormat};
use portcullis::lab::Process;
use serde_json::Value;

use super::{
    LIMIT, catalogue, emptied, expected, fail2ban, id, is_read_by_review, said, shipped, told,
};
use super::{to, with_programs};
use crate::stage::eventually;

/// Lines of ours, by the shipped rules.
pub(super) const OURS: &str = "/var/log/portcullis.log";
/// The same in the BSD form, as rsyslog wrote its files of old.
pub(super) const TRADITIONAL: &str = "/var/log/traditional.log";
/// As another server would get them.
const MODERN: &str = "/var/log/modern.log";
/// Everything that the shipped rules let pass.
const OTHERS: &str = "/var/log/others.log";
/// What rsyslog understood of each line.
const UNDERSTOOD: &str = "/var/log/understood.json";

const BSD_SOCKET: &str = "/run/rsyslog/log";
const MODERN_SOCKET: &str = "/run/rsyslog-5424";

/// A running rsyslogd with the shipped rules.
pub(super) struct Rsyslog(Process);

impl Rsyslog {
    /// Starts it in folders of its own and waits for its sockets.
    pub(super) fn start() -> Self {
        emptied("/run");
        emptied("/var/log");
        fs::create_dir_all("/run/rsyslog").expect("a folder");
        said(Command::new("ip").args(["link", "set", "lo", "up"]));
        let file = Path::new("/run/rsyslog.conf");
        fs::write(file, configuration()).expect("a file");
        let check =
            Command::new("rsyslogd").arg("-N1").arg("-f").arg(file).output().expect("it runs");
        let complaints = String::from_utf8_lossy(&check.stderr).into_owned();
        assert!(check.status.success() && !complaints.contains("error"), "{complaints}");
        let mut command = Command::new("rsyslogd");
        command.arg("-n").arg("-f").arg(file).args(["-i", "/run/rsyslog.pid"]);
        let rsyslog = Self(Process::start(&mut command).expect("it starts"));
        eventually(LIMIT, "socket of rsyslog", || {
            let there = Path::new(MODERN_SOCKET).exists() && Path::new(BSD_SOCKET).exists();
            there.then_some(()).ok_or_else(|| "not there".to_owned())
        });
        rsyslog
    }

    /// Has it write everything down, and ends it.
    pub(super) fn stop(mut self) {
        self.0.signal(rustix::process::Signal::TERM).expect("it can be signalled");
        assert!(self.0.wait(LIMIT).expect("it can be waited for").is_some(), "it does not end");
    }
}

/// A configuration as Debian's, with sockets of its own, and the shipped rules in the place of
/// /etc/rsyslog.d/30-portcullis.conf.
fn configuration() -> String {
    let rules = fs::read_to_string(shipped("rsyslog/portcullis.conf")).expect("the shipped rules");
    // What an admin who wants RFC 5424 is told to add.
    let (_, hint) = rules.split_once("#   module(load=\"imuxsock\")").expect("a hint");
    assert!(hint.contains(&format!("socket=\"{MODERN_SOCKET}\"")), "{hint}");
    let hint: String = hint
        .lines()
        .skip(1)
        .map_while(|line| line.strip_prefix("#   "))
        .fold(String::new(), |all, line| all + line + "\n");
    let parse = "action(type=\"mmpstrucdata\")";
    assert!(rules.contains(&format!("\"then {{\":    {parse}")), "{rules}");
    let rules = rules.replacen("then {", &format!("then {{\n{parse}\ncall seen"), 1);
    let rules = ownable(rules);
    let names = ["src", "dpt", "reason", "id", "text"];
    let fields = names.map(|name| {
        format!(
            " property(outname=\"{name}\" format=\"jsonf\" name=\"$!rfc5424-sd!portcullis@32473!{name}\")"
        )
    });
    let known = [
        ("facility", "syslogfacility-text"),
        ("severity", "syslogseverity-text"),
        ("name", "programname"),
        ("tag", "syslogtag"),
        ("pid", "procid"),
        ("kind", "msgid"),
        ("host", "hostname"),
        ("message", "msg"),
    ]
    .map(|(name, property)| {
        format!(" property(outname=\"{name}\" format=\"jsonf\" name=\"{property}\")")
    });
    format!(
        "module(load=\"imuxsock\" sysSock.name=\"{BSD_SOCKET}\")\n{hint}\
         module(load=\"imudp\")\ninput(type=\"imudp\" address=\"127.0.0.1\" port=\"514\")\n\
         template(name=\"understood\" type=\"list\" option.jsonf=\"on\") {{{}{}}}\n\
         ruleset(name=\"seen\") {{\n\
         action(type=\"omfile\" file=\"{UNDERSTOOD}\" template=\"understood\")\n\
         action(type=\"omfile\" file=\"{TRADITIONAL}\" template=\"RSYSLOG_TraditionalFileFormat\")\n\
         action(type=\"omfile\" file=\"{MODERN}\" template=\"RSYSLOG_SyslogProtocol23Format\")\n}}\n\
         {rules}\n*.* action(type=\"omfile\" file=\"{OTHERS}\")\n",
        known.concat(),
        fields.concat(),
    )
}

/// In an ordinary user's namespace there is nobody else to own a file.
pub(super) fn ownable(rules: String) -> String {
    if is_root() { rules } else { rules.replace("fileGroup=\"adm\"", "fileGroup=\"root\"") }
}

/// Are all users of this machine known here?
fn is_root() -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").expect("a map");
    map.split_whitespace().eq(["0", "0", "4294967295"])
}

fn settings(format: SyslogFormat, address: &str) -> Events {
    Events {
        format,
        syslog: address.to_owned(),
        facility: Facility::AuthPriv,
        ..to(LogTarget::Syslog, Path::new("/run/events.json"))
    }
}

fn read(file: &str) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{file}: {error}"));
    text.lines().map(str::to_owned).collect()
}

/// What rsyslog understood, by id.
fn understood() -> BTreeMap<String, Value> {
    let lines = read(UNDERSTOOD);
    let parse = |line: &String| -> Value {
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
    };
    let all: Vec<Value> = lines.iter().map(parse).collect();
    let by_id =
        |line: &Value| (id(line["message"].as_str().expect("a message")).to_owned(), line.clone());
    all.iter().map(by_id).collect()
}

/// The catalogue through rsyslog; returns what the JSON log has of it.
pub(super) fn passed(format: SyslogFormat, address: &str) -> BTreeMap<String, Value> {
    let rsyslog = Rsyslog::start();
    catalogue::write(&settings(format, address));
    let told = told(Path::new("/run/events.json"));
    // Somebody else says something, behind us.
    let other = ["-u", BSD_SOCKET, "-t", "other", "portcullis[1]: BAN SRC=192.0.2.1 reason=x"];
    said(Command::new("logger").args(other));
    eventually(LIMIT, "all lines", || {
        let lines = fs::read_to_string(OURS).unwrap_or_default().lines().count();
        (lines >= expected(&told)).then_some(()).ok_or_else(|| format!("{lines} lines"))
    });
    // His line takes another way into rsyslog, and may arrive later.
    eventually(LIMIT, "the other's line", || {
        let others = fs::read_to_string(OTHERS).unwrap_or_default();
        others.contains(" other: ").then_some(()).ok_or(others)
    });
    rsyslog.stop();
    told
}

/// What holds for every way to rsyslog.
fn arrives(format: SyslogFormat, address: &str) -> BTreeMap<String, Value> {
    let told = passed(format, address);
    let lines = expected(&told);
    let understood = understood();
    assert_eq!((read(OURS).len(), understood.len()), (lines, lines), "each line once");
    for (id, line) in &understood {
        let event = told.get(id).unwrap_or_else(|| panic!("never told: {line}"));
        let severity = match event["level"].as_str() {
            Some("error") => "err",
            other => other.expect("a level"),
        };
        let header = [&line["facility"], &line["severity"], &line["name"], &line["pid"]];
        let pid = std::process::id().to_string();
        assert_eq!(header, ["authpriv", severity, "portcullis", pid.as_str()], "{line}");
        let message = line["message"].as_str().expect("a message").trim_start();
        let verb = event["event"].as_str().expect("a verb").to_ascii_uppercase();
        assert!(message.starts_with(&format!("{verb} ")), "{line}");
        // RSYSLOG's way to write what it would not write into a file: nothing of ours is so.
        assert!(!message.contains("#0"), "{line}");
    }
    for file in [OURS, TRADITIONAL, MODERN] {
        is_read_by_review(Path::new(file), lines);
        fail2ban::finds_the_banned(file);
    }
    let others = read(OTHERS);
    assert!(others.iter().any(|line| line.contains(" other: portcullis[1]: BAN ")), "{others:#?}");
    assert!(!others.iter().any(|line| line.contains(" id=")), "{others:#?}");
    told
}

const RSYSLOG: (&str, &str) = ("rsyslogd", "rsyslog");

with_programs! {
    [RSYSLOG, fail2ban::REGEX] => fn the_bsd_form_arrives_whole() {
        arrives(SyslogFormat::Rfc3164, BSD_SOCKET);
    }

    /// With the fields of each line as structured data.
    [RSYSLOG, fail2ban::REGEX] => fn the_modern_form_arrives_with_its_fields() {
        let told = arrives(SyslogFormat::Rfc5424, MODERN_SOCKET);
        for (id, line) in understood() {
            let event = &told[&id];
            assert_eq!(line["id"], id.as_str(), "{line}");
            let kind = line["kind"].as_str().expect("a kind").to_ascii_lowercase();
            assert_eq!(event["event"], kind.as_str(), "{line}");
            for name in ["src", "dpt"] {
                let value = match &event[name] {
                    Value::Null => String::new(),
                    Value::String(text) => text.clone(),
                    value => value.to_string(),
                };
                assert_eq!(line[name].as_str().unwrap_or_default(), value, "{line}");
            }
            if event["reason"] == catalogue::NASTY {
                let tamed = "said \"so\" = \\ ] BAN SRC=192.0.2.1 reason=x [31m é";
                assert_eq!(line["reason"], tamed);
            }
        }
    }

    [RSYSLOG, fail2ban::REGEX] => fn over_the_network() {
        arrives(SyslogFormat::Rfc5424, "udp:127.0.0.1:514");
    }

    /// Files are rotated, and what comes behind that is in the new one.
    [RSYSLOG, ("logrotate", "logrotate")] => fn its_file_is_rotated() {
        let rsyslog = Rsyslog::start();
        let rules = fs::read_to_string(shipped("logrotate/portcullis")).expect("the shipped rules");
        // Debian's script asks the init system for rsyslog; here it is told directly.
        let script = "/usr/lib/rsyslog/rsyslog-rotate";
        assert!(rules.contains(script), "{rules}");
        let mut rules = rules.replace(script, "kill -HUP $(cat /run/rsyslog.pid)");
        if !is_root() {
            rules = rules.replace("root adm", "root root");
        }
        let file = PathBuf::from("/run/logrotate.conf");
        fs::write(&file, rules).expect("a file");
        let line = |text: &str| {
            said(Command::new("logger").args(["-u", BSD_SOCKET, "-t", "portcullis", text]));
            eventually(LIMIT, text, || {
                let seen = fs::read_to_string(OURS).unwrap_or_default();
                seen.contains(text).then_some(()).ok_or(seen)
            });
        };
        line("before");
        said(Command::new("logrotate").args(["-f", "-s", "/run/logrotate.state"]).arg(&file));
        line("behind");
        let old = fs::read_to_string(format!("{OURS}.1")).expect("the rotated file");
        assert!(old.contains("before") && !old.contains("behind"), "{old}");
        rsyslog.stop();
    }
}
