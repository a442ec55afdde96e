//! logcheck: says nothing of ordinary lines, and everything of what somebody has to look at.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use portcullis::config::SyslogFormat;
use serde_json::Value;

use super::syslog::{OURS, TRADITIONAL, passed};
use super::{id, said, shipped, with_programs};

/// What logcheck reports of a log at a level: the lines under each heading.
fn reports(level: &str, log: &str) -> [Vec<String>; 2] {
    let state = Path::new("/run/logcheck");
    let _ = fs::remove_dir_all(state);
    for folder in [
        "rules/cracking.d",
        "rules/ignore.d.workstation",
        "rules/violations.ignore.d",
        "state",
        "lock",
        "lists",
    ] {
        fs::create_dir_all(state.join(folder)).expect("a folder");
    }
    for folder in ["ignore.d.paranoid", "ignore.d.server", "violations.d"] {
        let (from, to) = (shipped("logcheck").join(folder), state.join("rules").join(folder));
        fs::create_dir_all(&to).expect("a folder");
        fs::copy(from.join("portcullis"), to.join("portcullis")).expect("the shipped rules");
        // Debian's own rules beside them, where they are installed and may be read: at the usual
        // level only, because they are many and take long.
        if level != "-s" {
            continue;
        }
        for rules in fs::read_dir(Path::new("/etc/logcheck").join(folder)).into_iter().flatten() {
            let rules = rules.expect("a file");
            let _ = fs::copy(rules.path(), to.join(rules.file_name()));
        }
    }
    let settings = format!(
        "LOCKDIR={0}/lock\nLOCKFILE={0}/lock/logcheck\nTMP={0}\nINTRO=0\nFQDN=0\n",
        state.display()
    );
    fs::write(state.join("conf"), settings).expect("a file");
    // It refuses to be root, so it is nobody, in a user namespace; files stay its own.
    let mut command = Command::new("unshare");
    command.args(["--user", "--", "logcheck", "-o", "-t", level, "-H", "gate", "-l", log]);
    command.arg("-c").arg(state.join("conf")).arg("-r").arg(state.join("rules"));
    command.arg("-S").arg(state.join("state")).arg("-D").arg(state.join("lists"));
    command.current_dir("/").env("LC_ALL", "C.UTF-8");
    let report = said(&mut command);
    assert!(!report.contains("E: "), "{report}");
    let mut found = [Vec::new(), Vec::new()];
    let mut under = 0;
    for line in report.lines() {
        if line.starts_with("Security Events") || line.starts_with("System Events") {
            under = usize::from(line.starts_with("System"));
        } else if line.contains("portcullis[") {
            found[under].push(line.to_owned());
        }
    }
    found
}

const LOGCHECK: (&str, &str) = ("logcheck", "logcheck");
const LOGTAIL: (&str, &str) = ("logtail2", "logtail");

with_programs! {
    [("rsyslogd", "rsyslog"), LOGCHECK, LOGTAIL] => fn alarms_are_reported_and_nothing_else() {
        let told = passed(SyslogFormat::Rfc3164, "/run/rsyslog/log");
        let ids = |wanted: &dyn Fn(&Value) -> bool| -> BTreeSet<&str> {
            told.iter().filter(|(_, event)| wanted(event)).map(|(id, _)| id.as_str()).collect()
        };
        let life = |event: &Value| ["start", "stop", "reload"].iter().any(|it| event["event"] == *it);
        let bad = |event: &Value| {
            event["event"] == "alarm" || (life(event) && event["level"] == "error")
        };
        let quiet = |event: &Value| {
            let verb = event["event"].as_str().expect("a verb");
            verb.contains("drop") || verb == "clear" || verb == "note"
        };
        let alarms = ids(&bad);
        assert_eq!(alarms.len(), 4, "three alarms and a reload that failed: {alarms:?}");
        for (log, levels) in [(OURS, &["-w", "-p"][..]), (TRADITIONAL, &["-s"])] {
            let lines = fs::read_to_string(log).expect("a log");
            let written: BTreeSet<&str> = lines.lines().map(id).collect();
            let told_at_last: BTreeSet<&str> =
                ids(&|event| !quiet(event) && !bad(event)).intersection(&written).copied().collect();
            assert!(told_at_last.len() > 10, "nothing is told at the level \"paranoid\"");
            for level in levels {
                let nothing = BTreeSet::new();
                let rest = if *level == "-p" { &told_at_last } else { &nothing };
                let [security, system] = reports(level, log);
                let seen = |lines: &[String]| -> BTreeSet<String> {
                    lines.iter().map(|line| id(line).to_owned()).collect()
                };
                let expected = |ids: &BTreeSet<&str>| -> BTreeSet<String> {
                    ids.iter().map(|id| (*id).to_owned()).collect()
                };
                assert_eq!(seen(&security), expected(&alarms), "{log} {level}: {security:#?}");
                assert_eq!(seen(&system), expected(rest), "{log} {level}: {system:#?}");
            }
        }
    }
}
