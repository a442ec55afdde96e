//! Whole expositions, also as others read them.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::classic::classic;
use super::{Facts, open_metrics, sample};
use crate::policy::CHECKS;

/// `UPDATE_GOLDEN=1` writes the file anew: look at the difference.
fn as_written(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/metrics").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, text).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, expected, "{name} differs (UPDATE_GOLDEN=1 accepts it)");
}

#[test]
fn an_exposition_is_as_written() {
    let text = open_metrics(sample::facts()).unwrap();
    as_written("open.txt", &text);
    as_written("classic.prom", &classic(&text));
}

/// Reads from standard input as the reference implementation does, and writes what it understood.
const REFERENCE: &str = "
import json, sys
from prometheus_client.parser import text_string_to_metric_families as classic
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
read = {'classic': classic, 'open': open_metrics}[sys.argv[1]]
found = [[f.name, f.type, f.unit, [[s.name, s.labels, s.value] for s in f.samples]]
         for f in read(sys.stdin.read())]
json.dump(found, sys.stdout)";

/// What the parser of Prometheus' own Python library makes of a text; none if it is not installed.
fn reference(format: &str, text: &str) -> Option<Value> {
    let python = |arguments: &[&str]| {
        let mut command = Command::new("/usr/bin/python3");
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn()
    };
    let there = python(&["-c", "import prometheus_client.openmetrics.parser"]);
    if !there.and_then(|child| child.wait_with_output()).is_ok_and(|done| done.status.success()) {
        let all = std::env::var("PORTCULLIS_TEST_TOOLS").is_ok_and(|tools| tools == "all");
        assert!(!all, "apt-get install python3-prometheus-client");
        // Past the test harness, which would swallow it.
        let missing = "this package is not installed: python3-prometheus-client";
        let _ = writeln!(std::io::stderr(), "\nSKIPPED: {missing}");
        return None;
    }
    let mut child = python(&["-c", REFERENCE, format]).unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let done = child.wait_with_output().unwrap();
    assert!(done.status.success(), "{}\n{text}", String::from_utf8_lossy(&done.stderr));
    Some(serde_json::from_slice(&done.stdout).unwrap())
}

#[test]
fn the_reference_parser_reads_it() {
    let open = open_metrics(sample::facts()).unwrap();
    let classic = classic(&open);
    for (format, text) in [("open", &open), ("classic", &classic)] {
        let Some(read) = reference(format, text) else { return };
        let families = read.as_array().unwrap();
        assert_eq!(families.len(), text.matches("# TYPE ").count(), "{format}");
        let samples = || families.iter().flat_map(|family| family[3].as_array().unwrap());
        assert_eq!(samples().count(), text.lines().filter(|line| !line.starts_with('#')).count());
        for (name, labels, number) in [
            ("portcullis_build_info", json!({"version": "1.2.3"}), 1.0),
            ("portcullis_syns_received_total", json!({}), 1_000_000.0),
            ("portcullis_syns_dropped_total", json!({"check": "scan"}), 60_000.0),
            ("portcullis_syns_dropped_total", json!({"check": "rate"}), 0.0),
            ("portcullis_packets_malformed_total", json!({"kind": "fragment"}), 7.0),
            ("portcullis_queue_waiting", json!({"queue": "7"}), 5.0),
            ("portcullis_standings", json!({"standing": "banned", "reason": "rate"}), 2.0),
            ("portcullis_standing_delay_seconds_bucket", json!({"le": "0.002"}), 7.0),
            ("portcullis_start_time_seconds", json!({}), 1_790_000_000.25),
        ] {
            let found: Vec<_> =
                samples().filter(|sample| sample[0] == name && sample[1] == labels).collect();
            assert_eq!(found.len(), 1, "{format}: {name} {labels}");
            assert_eq!(found[0][2].as_f64(), Some(number), "{format}: {name} {labels}");
        }
        let kind =
            |name: &str| families.iter().find(|family| family[0] == name).unwrap()[1].clone();
        // The library of the older format, too, takes _total off the names of counters.
        assert_eq!(kind("portcullis_syns_dropped"), "counter", "{format}");
        assert_eq!(kind("portcullis_standing_delay_seconds"), "histogram", "{format}");
    }
}

/// Fails where a text is not as the specification wants it; returns the families.
fn strictly(text: &str) -> BTreeSet<String> {
    assert!(text.ends_with("\n# EOF\n") && text.matches("# EOF").count() == 1);
    let mut families = BTreeSet::new();
    let mut lines = text.lines().peekable();
    while let Some(help) = lines.next_if(|line| *line != "# EOF") {
        let name =
            help.strip_prefix("# HELP ").and_then(|rest| rest.split(' ').next()).expect(help);
        let kind = lines.next().and_then(|line| line.strip_prefix(&format!("# TYPE {name} ")));
        let kind = kind.expect(name);
        let in_seconds = lines.next_if_eq(&&*format!("# UNIT {name} seconds")).is_some();
        assert_eq!(in_seconds, name.ends_with("_seconds"), "{name}");
        assert!(name.starts_with("portcullis_") && families.insert(name.to_owned()), "{name}");
        assert!(!name.ends_with("_total") && !name.ends_with("_info"), "{name}");
        let ends: &[&str] = match kind {
            "counter" => &["_total"],
            "info" => &["_info"],
            "histogram" => &["_bucket", "_count", "_sum"],
            _ => &[""],
        };
        let of = |line: &&str| {
            let end = line.strip_prefix(name).and_then(|rest| rest.split(['{', ' ']).next());
            end.is_some_and(|end| ends.contains(&end))
        };
        assert!(lines.next_if(of).is_some(), "{name} has no value: {:?}", lines.peek());
        while lines.next_if(of).is_some() {}
    }
    families
}

#[test]
fn families_are_declared_as_the_specification_wants() {
    let families = strictly(&open_metrics(sample::facts()).unwrap());
    assert!(families.len() > 30, "{families:?}");
}

/// Names of series that a text mentions.
fn mentioned(text: &str) -> BTreeSet<&str> {
    let word = |c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':');
    text.split(word).filter(|name| name.starts_with("portcullis_")).collect()
}

#[test]
fn the_dashboard_shows_what_there_is() {
    let dashboard = include_str!("../../config/grafana.json");
    let dashboard: Value = serde_json::from_str(dashboard).unwrap();
    assert_eq!(dashboard["title"], "Portcullis");
    let text = open_metrics(sample::facts()).unwrap();
    let series: BTreeSet<&str> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split(['{', ' ']).next())
        .collect();
    let panels = dashboard["panels"].as_array().unwrap();
    let (mut ids, mut shown) = (BTreeSet::new(), BTreeSet::new());
    for panel in panels {
        let title = panel["title"].as_str().filter(|title| !title.is_empty()).expect("a title");
        assert!(ids.insert(panel["id"].as_u64().expect(title)), "{title}: a number of its own");
        let place = |key: &str| panel["gridPos"][key].as_u64().expect(title);
        assert!(place("x") + place("w") <= 24 && place("h") > 0, "{title}");
        if panel["type"] == "row" {
            continue;
        }
        let targets = panel["targets"].as_array().expect(title);
        assert!(!targets.is_empty() && panel["description"].is_string(), "{title}");
        for target in targets {
            let expression = target["expr"].as_str().expect(title);
            let names = mentioned(expression);
            assert!(!names.is_empty(), "{title}: {expression}");
            for name in names {
                assert!(series.contains(name), "{title}: there is no {name}");
                shown.insert(name);
            }
            let pairs = [('(', ')'), ('{', '}'), ('[', ']')];
            for (open, close) in pairs {
                let (opened, closed) =
                    (expression.matches(open).count(), expression.matches(close).count());
                assert_eq!(opened, closed, "{title}: {expression}");
            }
        }
    }
    let unshown: Vec<_> = series
        .difference(&shown)
        .filter(|name| !name.ends_with("_sum") && !name.ends_with("_count"))
        .collect();
    assert!(unshown.is_empty(), "shown nowhere: {unshown:?}");
}

proptest! {
    /// Names are ours, but if a stranger's word ever became a label it could not end a line or pass
    /// for another series; and whatever is counted, the exposition can be read.
    #[test]
    fn labels_are_escaped(name in "\\PC*|[\\\\\"\n]{1,8}", count: u64) {
        let mut facts = sample::facts();
        facts.counters.dropped.insert(name.clone(), count);
        facts.queues[0].received = count;
        prop_assume!(CHECKS.iter().all(|check| check.name != name));
        let text = open_metrics(facts).unwrap();
        let escaped = name.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let line = format!("portcullis_syns_dropped_total{{check=\"{escaped}\"}} {count}");
        prop_assert!(text.split('\n').any(|own| own == line), "{}\n{}", line, text);
        let plain = open_metrics(sample::facts()).unwrap();
        prop_assert_eq!(text.split('\n').count(), plain.split('\n').count() + 1);
    }

    #[test]
    fn without_a_firewall_the_rest_is_told(received: u64) {
        let mut facts = Facts { firewall: None, ..sample::facts() };
        facts.counters.received = received;
        let text = open_metrics(facts).unwrap();
        prop_assert!(text.contains("\nportcullis_firewall_answers 0\n"), "{}", text);
        let line = format!("\nportcullis_syns_received_total {received}\n");
        prop_assert!(text.contains(&line), "{}", text);
        strictly(&text);
    }
}
