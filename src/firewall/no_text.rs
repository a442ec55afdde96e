//! Tests: nobody's text reaches nft. What it is told is made of our own words, addresses, ports and
//! numbers; the only strings from outside are names of objects that somebody put into our table, and
//! those are names in JSON and nothing else.

use std::collections::BTreeSet;
use std::path::PathBuf;

use ipnet::IpNet;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::additions::additions;
use super::entry::Whom;
use super::ruleset::{Path, Spread, Stage, ruleset};
use super::transaction::{self, Elem, Present};
use crate::config::Config;

/// What somebody would try.
const HOSTILE: [&str; 10] = [
    "\"; flush ruleset; #",
    "'; reboot; '",
    "a\nflush ruleset\n",
    "$(reboot)",
    "`reboot`",
    "@banned4",
    "\0",
    "{ \"flush\": { \"ruleset\": null } }",
    "\\\" , \\u0022",
    "--include=/etc/shadow",
];

/// Strings, with the key that each is the value of.
fn strings(value: &Value, key: &str, into: &mut BTreeSet<(String, String)>) {
    match value {
        Value::String(text) => drop(into.insert((key.to_owned(), text.clone()))),
        Value::Array(all) => all.iter().for_each(|value| strings(value, key, into)),
        Value::Object(all) => all.iter().for_each(|(key, value)| strings(value, key, into)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn all(commands: &[Value]) -> BTreeSet<(String, String)> {
    let mut all = BTreeSet::new();
    commands.iter().for_each(|command| strings(command, "", &mut all));
    all
}

fn open() -> Stage {
    Stage::Open(Path::Nft(Spread::ByPair))
}

/// A change of the kernel's sets has room for an address, a port and a time. If this does not compile
/// any more because there is a text: it has to be shown that nft cannot take it for anything else.
#[test]
fn a_change_has_no_room_for_text() {
    let net: IpNet = "192.0.2.7/32".parse().unwrap();
    let change =
        Elem { stem: "banned", whom: Whom { net, port: Some(22) }, lasts: Some(9), fresh: true };
    let Elem { stem, whom, lasts, fresh } = change;
    let _: (&'static str, Option<u32>, bool) = (stem, lasts, fresh);
    let Whom { net, port } = whom;
    let _: (IpNet, Option<u16>) = (net, port);
    for (key, text) in all(&transaction::elements(&[change])) {
        let known = ["inet", "portcullis", "banned4", "192.0.2.7"].contains(&text.as_str());
        assert!(known, "{key}: {text}");
    }
    let told = additions(&[change]);
    let words: Vec<&str> = told.split_whitespace().collect();
    assert_eq!(
        words,
        [
            "add",
            "element",
            "inet",
            "portcullis",
            "banned4",
            "{",
            "192.0.2.7",
            ".",
            "22",
            "timeout",
            "9s,",
            "}"
        ]
    );
}

/// Every key of a policy that takes free text.
#[test]
fn no_text_of_a_policy_is_in_the_rules() {
    // As sets: flags have no order.
    let plain = all(&ruleset(&Config::default(), open()).to_json());
    let long = "x;".repeat(5000);
    for text in HOSTILE.into_iter().chain([long.as_str()]) {
        let mut config = Config::default();
        config.bans.state_dir = PathBuf::from(text);
        config.events.json = Some(PathBuf::from(text));
        config.events.syslog = text.to_owned();
        config.metrics.textfile = Some(PathBuf::from(text));
        config.capture.dir = Some(PathBuf::from(text));
        config.control.socket = PathBuf::from(text);
        config.control.group = Some(text.to_owned());
        assert_eq!(all(&ruleset(&config, open()).to_json()), plain, "{text}");
    }
}

#[test]
fn no_text_becomes_an_address_or_a_port() {
    for text in HOSTILE {
        let quoted = Value::from(text).to_string();
        for key in [
            "[guard]\nprotect",
            "[allowlist]\nfrom",
            "[bans]\nnever",
            "[ports]\nopen",
            "[guard]\nceiling",
        ] {
            let policy = format!("{key} = {quoted}");
            assert!(crate::config::parse(&policy, "f").is_err(), "{policy}");
        }
        let request = json!({"ask": "bans_add", "net": text, "standing": "banned"}).to_string();
        assert!(crate::control::Request::read(request.as_bytes()).is_err(), "{request}");
    }
}

proptest! {
    /// Somebody has put objects with these names into our table.
    #[test]
    fn names_stay_names(
        names in prop::collection::vec(prop_oneof![
            prop::sample::select(HOSTILE.to_vec()).prop_map(str::to_owned),
            "(?s).{0,40}",
        ], 1..4),
        long in prop::bool::weighted(0.05),
    ) {
        let mut names = names;
        if long {
            names.push("\"};".repeat(4000));
        }
        let listed: Vec<Value> = names
            .iter()
            .zip(["set", "chain", "counter"].into_iter().cycle())
            .map(|(name, kind)| json!({ kind: { "family": "inet", "table": "portcullis", "name": name } }))
            .collect();
        let program = ruleset(&Config::default(), open());
        let ours = all(&transaction::install(&program, &Present::default(), None));
        let commands = transaction::install(&program, &Present::read(&listed), None);
        for (key, text) in all(&commands) {
            let known = ours.contains(&(key.clone(), text.clone()));
            prop_assert!(known || (key == "name" && names.contains(&text)), "{key}: {text}");
        }
        // And each command does one thing to one object.
        for command in &commands {
            let object = command.as_object().expect("a command");
            let verb = object.keys().next().map(String::as_str);
            prop_assert!(object.len() == 1 && ["add", "delete", "flush"].map(Some).contains(&verb), "{command}");
        }
        // As nft reads it, it is what was meant.
        let text = json!({ "nftables": commands }).to_string();
        let read: Value = serde_json::from_str(&text).expect("JSON");
        prop_assert_eq!(&read["nftables"], &Value::from(commands));
    }
}
