//! What the kernel has and what it should have → the commands in between. Pure.

use std::collections::{HashMap, HashSet};

use ipnet::IpNet;
use serde_json::{Value, json};

use super::entry::Whom;
use super::names::{FAMILIES, Family, STEMS, TABLE, is_wide};
use super::ruleset::{Chain, EARLY_AT, Ruleset};
use super::sets::{self, KernelSet};

/// The most set elements in one transaction: more of them do not fit the socket buffer of an
/// unprivileged namespace.
pub(super) const BATCH: usize = 5000;

/// What of our table the kernel holds already, by name.
#[derive(Clone, Debug, Default)]
pub(super) struct Present {
    sets: HashMap<String, Value>,
    chains: HashMap<String, Value>,
    counters: HashSet<String>,
    rules: usize,
}

impl Present {
    /// Reads the answer of `nft -j list table`.
    pub(super) fn read(objects: &[Value]) -> Self {
        let mut present = Self::default();
        for object in objects {
            for (kind, body) in object.as_object().into_iter().flatten() {
                let name = body["name"].as_str().unwrap_or_default().to_owned();
                match kind.as_str() {
                    "set" => drop(present.sets.insert(name, body.clone())),
                    "chain" => drop(present.chains.insert(name, body.clone())),
                    "counter" => drop(present.counters.insert(name)),
                    "rule" => present.rules += 1,
                    _ => {}
                }
            }
        }
        present
    }

    /// The kernel is known to hold this program.
    pub(super) fn of(ruleset: &Ruleset) -> Self {
        let chain = |chain: &Chain| {
            let hook = chain
                .hook
                .map_or(json!({}), |(hook, priority, _)| json!({ "hook": hook, "prio": priority }));
            (chain.name.to_owned(), hook)
        };
        Self {
            sets: ruleset.sets.iter().map(|set| (set.name.clone(), set.declaration())).collect(),
            chains: ruleset.chains.iter().map(chain).collect(),
            counters: ruleset.counters.iter().map(|&name| name.to_owned()).collect(),
            rules: ruleset.chains.iter().map(|chain| chain.rules.len()).sum(),
        }
    }

    /// Has the kernel every set, chain and rule of this program? Rules are counted, not read.
    pub(super) fn covers(&self, ruleset: &Ruleset) -> bool {
        ruleset.sets.iter().all(|set| self.sets.contains_key(&set.name))
            && ruleset.chains.iter().all(|chain| self.chains.contains_key(chain.name))
            && ruleset.chains.iter().map(|chain| chain.rules.len()).sum::<usize>() == self.rules
    }

    /// Was the gate open?
    pub(super) fn has_gate(&self) -> bool {
        self.chains.contains_key("hand_over")
    }

    /// Are there sets of standings that this program declares otherwise, or that are missing?
    pub(super) fn loses_standings(&self, ruleset: &Ruleset) -> bool {
        let mut sets = ruleset.sets.iter().filter(|set| holds_standings(&set.name));
        sets.any(|set| !self.keeps(set))
    }

    /// The set is there, but declared otherwise.
    pub(super) fn replaces(&self, set: &KernelSet) -> bool {
        self.sets.contains_key(&set.name) && !self.keeps(set)
    }

    /// The set is there and declared alike, so its elements can stay.
    pub(super) fn keeps(&self, set: &KernelSet) -> bool {
        let Some(there) = self.sets.get(&set.name) else { return false };
        let wanted = set.declaration();
        let flags = |set: &Value| {
            // Newer nft writes a single flag without brackets, and names "dynamic", which 1.0.6
            // leaves out.
            let mut flags: Vec<String> = match &set["flags"] {
                Value::Array(flags) => flags.iter().map(Value::to_string).collect(),
                Value::Null => Vec::new(),
                flag => vec![flag.to_string()],
            };
            flags.retain(|flag| flag != "\"dynamic\"");
            flags.sort();
            flags
        };
        let counts = |set: &Value| set["stmt"].pointer("/0/counter").is_some();
        ["type", "size", "timeout"].iter().all(|key| there.get(*key) == wanted.get(*key))
            && flags(there) == flags(&wanted)
            && counts(there) == counts(&wanted)
    }
}

fn named(kind: &str, name: &str) -> Value {
    json!({ kind: { "family": "inet", "table": TABLE, "name": name } })
}

fn table() -> Value {
    json!({ "table": { "family": "inet", "name": TABLE } })
}

/// The commands that make the table hold this program and nothing else. Sets that can stay keep
/// their elements, unless the config decides those.
///
/// With `renewed`, the sets of standings begin anew with these elements, in the same transaction:
/// what they hold is not known, and they are not listed (see [`sets`]). A set that is replaced
/// costs nothing for each element, as flushing it would.
pub(super) fn install(
    ruleset: &Ruleset,
    present: &Present,
    renewed: Option<&[Elem]>,
) -> Vec<Value> {
    let keeps =
        |set: &KernelSet| present.keeps(set) && (renewed.is_none() || !holds_standings(&set.name));
    let mut commands = vec![json!({ "add": table() })];
    let mut then = |command: &str, object: Value| commands.push(json!({ command: object }));

    present.chains.keys().for_each(|chain| then("flush", named("chain", chain)));
    for (name, there) in &present.chains {
        let stays = ruleset.chains.iter().any(|chain| {
            chain.name == name
                && there["hook"].as_str() == chain.hook.map(|(hook, _, _)| hook)
                && there["prio"].as_i64() == chain.hook.map(|(_, priority, _)| priority.into())
        });
        if !stays {
            then("delete", named("chain", name));
        }
    }
    for name in present.sets.keys() {
        let same = ruleset.sets.iter().find(|set| set.name == *name);
        if !same.is_some_and(keeps) {
            then("delete", named("set", name));
        }
    }
    for counter in present.counters.iter().filter(|c| !ruleset.counters.contains(&c.as_str())) {
        then("delete", named("counter", counter));
    }
    for counter in ruleset.counters.iter().filter(|c| !present.counters.contains(**c)) {
        then("add", named("counter", counter));
    }
    for set in &ruleset.sets {
        if keeps(set) {
            if set.elements.is_some() {
                then("flush", named("set", &set.name));
            }
        } else {
            then("add", json!({ "set": set.declaration() }));
        }
        if let Some(elements) = set.elements.as_ref().filter(|elements| !elements.is_empty()) {
            then("add", element(&set.name, elements));
        }
    }
    for chain in &ruleset.chains {
        let mut declared = named("chain", chain.name);
        if let Some((hook, priority, _)) = chain.hook {
            let base = &mut declared["chain"];
            base["type"] = "filter".into();
            base["hook"] = hook.into();
            base["prio"] = priority.into();
            base["policy"] = "accept".into();
        }
        then("add", declared);
    }
    for chain in &ruleset.chains {
        for rule in &chain.rules {
            let rule =
                json!({ "family": "inet", "table": TABLE, "chain": chain.name, "expr": rule });
            then("add", json!({ "rule": rule }));
        }
    }
    commands.extend(elements(renewed.unwrap_or_default()));
    commands
}

/// Is it a set of those that follow the ledger, element by element?
fn holds_standings(name: &str) -> bool {
    STEMS.iter().any(|stem| FAMILIES.iter().any(|family| family.set(stem) == name))
}

/// Throws away what is there, whatever it is, and installs the program: the way out when adopting
/// is refused.
pub(super) fn reinstall(ruleset: &Ruleset, first: &[Elem]) -> Vec<Value> {
    let mut commands = remove();
    commands.extend(install(ruleset, &Present::default(), Some(first)));
    commands
}

/// Removes the table, whether it is there or not.
pub(super) fn remove() -> Vec<Value> {
    vec![json!({ "add": table() }), json!({ "delete": table() })]
}

/// Removes the table; refused if it is not there.
pub(super) fn delete() -> Vec<Value> {
    vec![json!({ "delete": table() })]
}

/// Is the queue statement known to the kernel? To be checked, not applied.
pub(super) fn trial(queue_rules: &[Vec<Value>]) -> Vec<Value> {
    const NAME: &str = "portcullis_trial";
    let mut commands = vec![
        json!({ "add": { "table": { "family": "inet", "name": NAME } } }),
        json!({ "add": { "chain": { "family": "inet", "table": NAME, "name": "trial",
            "type": "filter", "hook": "prerouting", "prio": EARLY_AT, "policy": "accept" } } }),
    ];
    commands.extend(queue_rules.iter().map(|rule| {
        json!({ "add": { "rule": { "family": "inet", "table": NAME, "chain": "trial", "expr": rule } } })
    }));
    commands
}

fn element(set: &str, elements: &[Value]) -> Value {
    json!({ "element": { "family": "inet", "table": TABLE, "name": set, "elem": elements } })
}

/// One change of a set that holds standings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Elem {
    /// The stem of the set.
    pub(super) stem: &'static str,
    /// The source, and the port where the set has one.
    pub(super) whom: Whom,
    /// For how many more seconds it is in; `None` takes it out.
    pub(super) lasts: Option<u32>,
    /// It is surely not in yet.
    pub(super) fresh: bool,
}

/// The commands for changes of hash sets, one transaction.
///
/// What is fresh is simply added: a transaction that deletes nothing is several times as quick.
/// Every other element is added, deleted and, if it is to be in, added again: a plain delete fails
/// for an element that has just ended, and older kernels (6.1) leave the end of an element as it
/// was when it is added once more.
pub(super) fn elements(changes: &[Elem]) -> Vec<Value> {
    #[derive(Default)]
    struct OfSet {
        before: Vec<Value>,
        gone: Vec<Value>,
        after: Vec<Value>,
    }
    let mut by_set: HashMap<String, OfSet> = HashMap::new();
    for change in changes.iter().filter(|change| !is_wide(change.whom.net)) {
        let set = Family::of(change.whom.net.addr()).set(change.stem);
        let of_set = by_set.entry(set).or_default();
        let address = value(change.whom);
        let lasting = json!({ "elem": { "val": address, "timeout": change.lasts.unwrap_or(1) } });
        if !change.fresh {
            of_set.before.push(lasting.clone());
            of_set.gone.push(address);
        }
        if change.lasts.is_some() {
            of_set.after.push(lasting);
        }
    }
    let mut commands = Vec::new();
    for (set, OfSet { before, gone, after }) in by_set {
        let mut then = |command: &str, elements: &[Value]| {
            if !elements.is_empty() {
                commands.push(json!({ command: element(&set, elements) }));
            }
        };
        then("add", &before);
        then("delete", &gone);
        then("add", &after);
    }
    commands
}

/// Commands that are refused if one of these elements is not in its set. To be checked, not applied.
pub(super) fn missing(sample: &[Elem]) -> Vec<Value> {
    let commands = sample.iter().map(|Elem { stem, whom, .. }| {
        let set = Family::of(whom.net.addr()).set(stem);
        json!({ "delete": element(&set, &[value(*whom)]) })
    });
    commands.collect()
}

/// A source, or a source and a port, as nft writes it.
fn value(Whom { net, port }: Whom) -> Value {
    let address = net.network().to_string();
    match port {
        Some(port) => json!({ "concat": [address, port] }),
        None => address.into(),
    }
}

/// The commands that fill the sets of wide prefixes anew. Of prefixes inside each other, the
/// wider one is kept, because nft's interval sets refuse overlaps; the ledger calls again when it
/// ends.
pub(super) fn refused(live: &[(IpNet, u32)]) -> Vec<Value> {
    let mut commands = Vec::new();
    for family in FAMILIES {
        let name = family.set("refused");
        commands.push(json!({ "flush": named("set", &name) }));
        let outermost = live.iter().filter(|(net, _)| {
            Family::of(net.addr()) == family
                && !live.iter().any(|(other, _)| other != net && other.contains(net))
        });
        let elements: Vec<Value> = outermost
            .map(|(net, lasts)| json!({ "elem": { "val": sets::prefix(*net), "timeout": lasts } }))
            .collect();
        if !elements.is_empty() {
            commands.push(json!({ "add": element(&name, &elements) }));
        }
    }
    commands
}

/// The commands that fill sets anew whose elements the config decides.
pub(super) fn fixed(sets: &[KernelSet]) -> Vec<Value> {
    let mut commands = Vec::new();
    for set in sets {
        commands.push(json!({ "flush": named("set", &set.name) }));
        let elements = set.elements.as_deref().unwrap_or_default();
        if !elements.is_empty() {
            commands.push(json!({ "add": element(&set.name, elements) }));
        }
    }
    commands
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::firewall::{Stage, ruleset};

    #[test]
    fn what_is_known_to_be_there_is_adopted() {
        let config = Config::default();
        let closed = ruleset(&config, Stage::Closed);
        let open = ruleset(&config, Stage::Open(crate::firewall::Path::Iptables));
        for (there, wanted) in [(&closed, &open), (&open, &closed), (&open, &open)] {
            let present = Present::of(there);
            assert!(present.covers(there) && present.has_gate() == (there == &open));
            assert!(!present.loses_standings(wanted));
            let done = install(wanted, &present, None);
            let has = |command: &str, kind: &str| {
                done.iter().any(|done| done[command].get(kind).is_some())
            };
            // No set of sources and no chain that stays is made anew.
            assert!(!has("delete", "set") || there == &open, "{done:?}");
            assert_eq!(has("delete", "chain"), there == &open && wanted == &closed);
            assert!(!has("add", "counter"));
        }
    }

    #[test]
    fn sets_are_known_again_however_nft_writes_them() {
        let program = ruleset(&Config::default(), Stage::Closed);
        let proven = program.sets.iter().find(|set| set.name == "proven4").unwrap();
        let banned = program.sets.iter().find(|set| set.name == "banned4").unwrap();
        for (set, listed, keeps) in [
            (
                proven,
                json!({"name": "proven4", "type": "ipv4_addr", "size": 262_144, "timeout": 86_400, "flags": ["timeout"]}),
                true,
            ),
            (
                proven,
                json!({"name": "proven4", "type": "ipv4_addr", "size": 262_144, "timeout": 86_400, "flags": ["dynamic", "timeout"]}),
                true,
            ),
            (
                proven,
                json!({"name": "proven4", "type": "ipv4_addr", "size": 262_144, "timeout": 60, "flags": "timeout"}),
                false,
            ),
            (
                banned,
                json!({"name": "banned4", "type": "ipv4_addr", "size": 262_144, "flags": "timeout"}),
                true,
            ),
            (
                banned,
                json!({"name": "banned4", "type": "ipv4_addr", "size": 262_144, "flags": "timeout", "stmt": [{"counter": null}]}),
                false,
            ),
            (
                banned,
                json!({"name": "banned4", "type": "ipv4_addr", "size": 1, "flags": "timeout"}),
                false,
            ),
        ] {
            let present = Present::read(&[json!({ "set": listed })]);
            assert_eq!(present.keeps(set), keeps, "{listed}");
        }
    }

    #[test]
    fn sets_that_begin_anew_do_so_in_the_transaction_that_installs_the_table() {
        let program = ruleset(&Config::default(), Stage::Closed);
        let mut listing = program.listing();
        for set in &program.sets {
            let declared = set.declaration();
            let of_set = |object: &&mut Value| object["set"]["name"] == set.name.as_str();
            *listing.iter_mut().find(of_set).unwrap() = json!({ "set": declared });
        }
        let present = Present::read(&listing);
        let first = [Elem {
            stem: "banned",
            whom: "192.0.2.1/32".parse::<IpNet>().unwrap().into(),
            lasts: Some(5),
            fresh: true,
        }];
        for (renewed, deleted) in [(None, 0), (Some(&first[..0]), 6), (Some(&first[..]), 6)] {
            let commands = install(&program, &present, renewed);
            let place = |verb: &str, kind: &str, name: &str| {
                commands.iter().position(|c| c[verb][kind]["name"] == name)
            };
            let names: Vec<&str> =
                commands.iter().filter_map(|c| c["delete"]["set"]["name"].as_str()).collect();
            assert_eq!(names.len(), deleted, "{names:?}");
            assert!(names.iter().all(|name| holds_standings(name)), "{names:?}");
            let (gone, back) = (place("delete", "set", "banned4"), place("add", "set", "banned4"));
            assert!(gone.is_some() == (deleted > 0) && gone <= back);
            let filled = place("add", "element", "banned4");
            assert_eq!(filled.is_some(), renewed.is_some_and(|first| !first.is_empty()));
            assert!(filled.is_none() || filled > back);
        }
    }

    #[test]
    fn changes_of_elements() {
        let elem = |net: &str, lasts, fresh| Elem {
            stem: "banned",
            whom: net.parse::<IpNet>().unwrap().into(),
            lasts,
            fresh,
        };
        for (change, verbs) in [
            (elem("192.0.2.1/32", Some(5), true), &["add"][..]),
            (elem("192.0.2.1/32", Some(5), false), &["add", "delete", "add"]),
            (elem("2001:db8::/64", None, false), &["add", "delete"]),
            (elem("10.0.0.0/8", Some(5), true), &[]),
        ] {
            let commands = elements(&[change]);
            let said = commands.iter().flat_map(|c| c.as_object().unwrap().keys());
            assert!(said.eq(verbs), "{change:?}: {commands:?}");
        }
    }
}
