//! The text of a policy: `config::parse`, and everything that is made of a policy that is good.

use std::net::SocketAddr;
use std::time::{Duration, UNIX_EPOCH};

use portcullis::config::{Problem, parse};
use portcullis::firewall::{Ledger, Path, Rules, Spread, Stage, as_counted, ruleset};
use portcullis::memory::{Bounds, Memory, Moment};
use portcullis::packet::Syn;
use portcullis::policy::judge;

const NAME: &str = "/nowhere/portcullis.toml";

/// A policy is read alike each time; what is wrong with it stands in it; and what is not wrong with
/// it can be used.
pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let read = parse(text, NAME);
    assert_eq!(parse(text, NAME), read, "read twice, understood differently");
    let loaded = match read {
        Ok(loaded) => loaded,
        Err(errors) => {
            assert!(!errors.problems.is_empty(), "refused, and nothing is wrong with it");
            errors.problems.iter().for_each(|problem| stands_in(text, problem));
            harmless(&errors.to_string());
            return;
        }
    };
    for warning in &loaded.warnings {
        stands_in(text, warning);
        harmless(&warning.to_string());
    }
    let more = parse(&format!("{text}\n# a comment\n"), NAME);
    assert_eq!(more.map(|more| more.config), Ok(loaded.config.clone()), "with a comment behind it");

    let config = loaded.config;
    for stage in [
        Stage::Closed,
        Stage::Open(Path::Nft(Spread::BySource)),
        Stage::Open(Path::Nft(Spread::ByPair)),
        Stage::Open(Path::Iptables),
        Stage::Open(Path::Manual),
    ] {
        harmless(&ruleset(&config, stage).to_text());
    }
    let from = SocketAddr::from(([203, 0, 113, 7], 40_000));
    let to = SocketAddr::from(([198, 51, 100, 2], 22));
    let memory = Memory::repeatable(Bounds { sources: 32, networks: 32 });
    for second in 1..20 {
        let syn = Syn { seq: second as u32, ..Syn::linux(from, to) };
        judge(&config.policy, &memory, &syn, Moment(second * 1_000_000_000));
    }
    let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let mut ledger = Ledger::new(Rules::new(&config, &[]));
    let net = as_counted(from.ip().into());
    let _ = ledger.add(net, portcullis::policy::Standing::Banned, None, "x".into(), now);
    ledger.expire(now + Duration::from_secs(4_000_000_000));
}

/// Does a problem of the policy stand at a place that the text has?
fn stands_in(text: &str, problem: &Problem) {
    if problem.file != NAME {
        // In a list file that the policy names.
        return;
    }
    let text = text.trim_start_matches('\u{feff}');
    let line = problem.line.checked_sub(1).and_then(|line| text.split('\n').nth(line));
    let Some(line) = line else { panic!("line {} of {text:?}: {problem}", problem.line) };
    let columns = 1..=line.chars().count() + 1;
    assert!(columns.contains(&problem.column), "column {} of {line:?}: {problem}", problem.column);
}

/// Nothing in it can move the cursor of whoever reads it.
fn harmless(text: &str) {
    let cursor = text.chars().find(|c| c.is_control() && !matches!(c, '\n' | '\t'));
    assert_eq!(cursor, None, "{text:?}");
}
