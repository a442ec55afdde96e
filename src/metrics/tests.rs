//! Whole expositions, read by a parser that is not ours.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use openmetrics_parser::Sample;
use openmetrics_parser::openmetrics::parse_openmetrics;
use proptest::prelude::*;

use super::classic::classic;
use super::{Facts, open_metrics, sample};
use crate::config::Config;

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

#[test]
fn an_independent_parser_reads_it() {
    let text = open_metrics(sample::facts()).unwrap();
    let exposition = parse_openmetrics(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let value = |family: &str, labels: &[&str]| {
        let family = &exposition.families[family];
        let values_of = |sample: &Sample<_>| -> Vec<String> {
            let set = sample.get_labelset();
            set.map_or(Vec::new(), |set| set.iter_values().cloned().collect())
        };
        let wanted = |sample: &&Sample<_>| {
            let values = values_of(sample);
            labels.iter().all(|label| values.iter().any(|value| value == label))
        };
        let mut found = family.iter_samples().filter(wanted);
        let sample = found.next().unwrap_or_else(|| panic!("{labels:?} in {family:?}"));
        assert!(found.next().is_none(), "{labels:?} in {family:?}");
        format!("{:?}", sample.value)
    };
    for (family, labels, number) in [
        ("portcullis_syns_received", &[][..], "1000000"),
        ("portcullis_syns_dropped", &["scan"], "60000"),
        ("portcullis_syns_dropped", &["rate"], "0"),
        ("portcullis_packets_malformed", &["fragment"], "7"),
        ("portcullis_queue_waiting", &["7"], "5"),
        ("portcullis_standings", &["banned", "rate"], "2"),
        ("portcullis_standings", &["banned", "scan"], "0"),
        ("portcullis_floods", &["forged"], "1"),
        ("portcullis_flood_rate", &["busy"], "0"),
        ("portcullis_policy_reloads", &["failed"], "1"),
        ("portcullis_start_time_seconds", &[], "1790000000.25"),
    ] {
        let told = value(family, labels);
        assert!(told.contains(&format!("({number}")), "{family} {labels:?}: {told}");
    }
}

#[test]
fn families_are_declared_as_the_specification_wants() {
    let text = open_metrics(sample::facts()).unwrap();
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
    let dashboard: serde_json::Value = serde_json::from_str(dashboard).unwrap();
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

#[test]
fn what_the_policy_calls_full_is_the_limit() {
    let limit = u64::from(Config::default().guard.set_size);
    assert_eq!(sample::facts().standings_limit, limit);
}

proptest! {
    /// Names are ours, but if a stranger's word ever became a label it could not end a line or pass
    /// for another series; and whatever is counted, the exposition can be read.
    #[test]
    fn labels_are_escaped(name in "\\PC*|[\\\\\"\n]{1,8}", count: u64) {
        let mut facts = sample::facts();
        facts.counters.dropped.insert(name.clone(), count);
        facts.queues[0].received = count;
        let known = ["allowlist", "denylist", "quirks", "fingerprint", "scan", "ports", "flood", "rate", "standing"];
        prop_assume!(!known.contains(&name.as_str()));
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
        prop_assert!(text.contains("\nportcullis_firewall_answers 0.0\n"), "{}", text);
        let line = format!("\nportcullis_syns_received_total {received}\n");
        prop_assert!(text.contains(&line), "{}", text);
        prop_assert!(parse_openmetrics(&text).is_ok());
    }
}
