//! The chains that packets pass, in the kernel's order, and whose they are. From nft's listing.

use std::collections::HashSet;

use serde::Serialize;
use serde_json::Value;

/// A chain that hangs at a hook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BaseChain {
    /// Where on a packet's way: `prerouting`, `input`, `forward`, `postrouting`.
    pub hook: String,
    /// Smaller ones come first.
    pub priority: i64,
    /// `ip`, `ip6` or `inet` (both).
    pub family: String,
    /// Its table.
    pub table: String,
    /// Its name.
    pub name: String,
    /// Whose it is: `portcullis`, `docker`, `iptables`…
    pub owner: String,
}

/// A rule that overwrites the packet mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setter {
    /// `inet table chain`
    pub chain: String,
    /// The priority of the base chain that leads to it.
    pub priority: i64,
}

fn objects<'a>(listing: &'a [Value], kind: &'a str) -> impl Iterator<Item = &'a Value> {
    listing.iter().filter_map(move |object| object.get(kind))
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// The families and hooks that an arriving connection meets.
const FAMILIES: [&str; 3] = ["ip", "ip6", "inet"];
const HOOKS: [&str; 4] = ["prerouting", "input", "forward", "postrouting"];

/// The chains that new connections from outside pass, in order.
pub fn base_chains(listing: &[Value]) -> Vec<BaseChain> {
    let hung = objects(listing, "chain").filter(|chain| {
        HOOKS.contains(&text(chain, "hook")) && FAMILIES.contains(&text(chain, "family"))
    });
    let mut chains: Vec<BaseChain> = hung
        .map(|chain| BaseChain {
            hook: text(chain, "hook").to_owned(),
            priority: chain["prio"].as_i64().unwrap_or(0),
            family: text(chain, "family").to_owned(),
            table: text(chain, "table").to_owned(),
            name: text(chain, "name").to_owned(),
            owner: owner(listing, text(chain, "family"), text(chain, "table")),
        })
        .collect();
    let place = |hook: &str| HOOKS.iter().position(|known| *known == hook);
    chains.sort_by_key(|chain| (place(&chain.hook), chain.priority));
    chains
}

/// Whose table is it? By its name, or where several programs share iptables' tables, by the names
/// of their chains.
pub fn owner(listing: &[Value], family: &str, table: &str) -> String {
    const TABLES: [(&str, &str); 8] = [
        ("portcullis", "portcullis"),
        ("firewalld", "firewalld"),
        ("f2b", "fail2ban"),
        ("crowdsec", "CrowdSec"),
        ("docker", "docker"),
        ("libvirt", "libvirt"),
        ("kube", "kubernetes"),
        ("lxd", "LXD"),
    ];
    const CHAINS: [(&str, &str); 9] = [
        ("ufw", "ufw"),
        ("DOCKER", "docker"),
        ("f2b-", "fail2ban"),
        ("fail2ban", "fail2ban"),
        ("CROWDSEC", "CrowdSec"),
        ("LIBVIRT", "libvirt"),
        ("KUBE-", "kubernetes"),
        ("CNI-", "podman"),
        ("NETAVARK", "podman"),
    ];
    if let Some((_, who)) = TABLES.iter().find(|(stem, _)| table.starts_with(stem)) {
        return (*who).to_owned();
    }
    let usual = ["filter", "nat", "mangle", "raw", "security"].contains(&table);
    if !usual || family == "inet" {
        return format!("table {table}");
    }
    let here = objects(listing, "chain")
        .filter(|chain| text(chain, "family") == family && text(chain, "table") == table);
    let names: Vec<&str> = here.map(|chain| text(chain, "name")).collect();
    let mut who = vec!["iptables"];
    for (stem, name) in CHAINS {
        if names.iter().any(|chain| chain.starts_with(stem)) && !who.contains(&name) {
            who.push(name);
        }
    }
    if who.len() > 1 { who[1..].join(", ") } else { "iptables".to_owned() }
}

/// Rules of others, reached from `prerouting`, that write the whole packet mark: with a value that
/// is not made from the mark as it was. iptables' own rules are not read here.
pub fn mark_setters(listing: &[Value]) -> Vec<Setter> {
    let mut found = Vec::new();
    let others = base_chains(listing);
    let others =
        others.iter().filter(|chain| chain.hook == "prerouting" && chain.owner != "portcullis");
    for base in others {
        let mut reached: HashSet<&str> = HashSet::from([base.name.as_str()]);
        let mut waiting = vec![base.name.as_str()];
        while let Some(name) = waiting.pop() {
            let rules = objects(listing, "rule").filter(|rule| {
                text(rule, "family") == base.family
                    && text(rule, "table") == base.table
                    && text(rule, "chain") == name
            });
            for statement in rules.flat_map(|rule| rule["expr"].as_array()).flatten() {
                for leads in ["jump", "goto"] {
                    if let Some(target) = statement[leads]["target"].as_str()
                        && reached.insert(target)
                    {
                        waiting.push(target);
                    }
                }
                let written = &statement["mangle"];
                let mark = |at: &Value| at["meta"]["key"] == "mark";
                if mark(&written["key"]) && !mentions_mark(&written["value"]) {
                    let chain = format!("{} {} {name}", base.family, base.table);
                    found.push(Setter { chain, priority: base.priority });
                }
            }
        }
    }
    found
}

/// Does the value keep anything of the mark as it was?
fn mentions_mark(value: &Value) -> bool {
    match value {
        Value::Object(fields) => {
            fields.get("meta").is_some_and(|meta| meta["key"] == "mark")
                || fields.values().any(mentions_mark)
        }
        Value::Array(items) => items.iter().any(mentions_mark),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn chain(family: &str, table: &str, name: &str, hook: &str, priority: i64) -> Value {
        json!({"chain": {"family": family, "table": table, "name": name, "hook": hook, "prio": priority}})
    }

    fn plain(family: &str, table: &str, name: &str) -> Value {
        json!({"chain": {"family": family, "table": table, "name": name}})
    }

    #[test]
    fn chains_in_the_kernels_order() {
        let listing = [
            chain("ip", "filter", "INPUT", "input", 0),
            chain("inet", "firewalld", "mangle_PREROUTING", "prerouting", -140),
            chain("inet", "portcullis", "gate", "prerouting", -151),
            chain("ip", "nat", "OUTPUT", "output", -100),
            chain("bridge", "x", "y", "prerouting", -300),
            chain("ip", "filter", "FORWARD", "forward", 0),
            plain("ip", "filter", "DOCKER"),
            plain("ip", "filter", "ufw-before-input"),
            json!(7),
        ];
        let seen: Vec<String> = base_chains(&listing)
            .iter()
            .map(|chain| {
                format!("{} {} {}: {}", chain.hook, chain.priority, chain.name, chain.owner)
            })
            .collect();
        assert_eq!(
            seen,
            [
                "prerouting -151 gate: portcullis",
                "prerouting -140 mangle_PREROUTING: firewalld",
                "input 0 INPUT: ufw, docker",
                "forward 0 FORWARD: ufw, docker",
            ]
        );
    }

    #[test]
    fn neighbours_by_name() {
        let listing = [plain("ip", "filter", "f2b-sshd"), plain("ip6", "raw", "PREROUTING")];
        for (family, table, who) in [
            ("inet", "f2b-table", "fail2ban"),
            ("ip", "crowdsec", "CrowdSec"),
            ("ip6", "crowdsec6", "CrowdSec"),
            ("ip", "filter", "fail2ban"),
            ("ip6", "raw", "iptables"),
            ("inet", "filter", "table filter"),
            ("inet", "mine", "table mine"),
        ] {
            assert_eq!(owner(&listing, family, table), who, "{family} {table}");
        }
    }

    #[test]
    fn who_writes_the_mark() {
        let rule = |chain: &str, statement: Value| json!({"rule": {"family": "inet", "table": "t", "chain": chain, "expr": [statement]}});
        let mark = json!({"meta": {"key": "mark"}});
        let set = |value: Value| json!({"mangle": {"key": mark, "value": value}});
        let base = chain("inet", "t", "pre", "prerouting", -150);
        for (rules, count) in [
            (vec![rule("pre", set(json!(1)))], 1),
            (vec![rule("pre", set(json!({"ct": {"key": "mark"}})))], 1),
            (vec![rule("pre", set(json!({"|": [mark, 1]})))], 0),
            (vec![rule("elsewhere", set(json!(1)))], 0),
            (
                vec![
                    rule("pre", json!({"jump": {"target": "a"}})),
                    rule("a", json!({"goto": {"target": "b"}})),
                    rule("b", json!({"jump": {"target": "a"}})),
                    rule("b", set(json!(1))),
                ],
                1,
            ),
            (vec![rule("pre", json!({"accept": null}))], 0),
        ] {
            let listing = [vec![base.clone()], rules].concat();
            assert_eq!(mark_setters(&listing).len(), count, "{listing:?}");
        }
        let last = [base, rule("pre", set(json!(1)))];
        assert_eq!(mark_setters(&last)[0], Setter { chain: "inet t pre".into(), priority: -150 });
    }
}
