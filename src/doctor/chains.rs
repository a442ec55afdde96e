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

/// A chain of others that refuses packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refuser {
    /// The base chain that leads there.
    pub base: BaseChain,
    /// One of its rules that refuse, as `nft delete rule` wants it named: `inet table chain handle
    /// 4`; `None` if the chain's policy does.
    pub rule: Option<String>,
}

/// The families and hooks that an arriving connection meets. `netdev` is there before all others.
const FAMILIES: [&str; 4] = ["netdev", "ip", "ip6", "inet"];
const HOOKS: [&str; 5] = ["ingress", "prerouting", "input", "forward", "postrouting"];

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

/// The rules that a packet may meet in a base chain, and in those that it leads to.
fn reached<'a>(listing: &'a [Value], base: &BaseChain) -> Vec<&'a Value> {
    let mut found = Vec::new();
    let mut known: HashSet<&str> = HashSet::new();
    let mut waiting = vec![base.name.clone()];
    while let Some(name) = waiting.pop() {
        for rule in objects(listing, "rule").filter(|rule| {
            text(rule, "family") == base.family
                && text(rule, "table") == base.table
                && text(rule, "chain") == name
        }) {
            found.push(rule);
            for statement in rule["expr"].as_array().into_iter().flatten() {
                for leads in ["jump", "goto"] {
                    if let Some(target) = statement[leads]["target"].as_str()
                        && known.insert(target)
                    {
                        waiting.push(target.to_owned());
                    }
                }
            }
        }
    }
    found
}

/// The chains of others at these hooks that drop or reject packets, by a rule or by their policy.
/// What exactly they match is not read.
pub fn refusers(listing: &[Value], hooks: &[&str]) -> Vec<Refuser> {
    let refuses = |statement: &Value| {
        ["drop", "reject"].iter().any(|word| statement.get(word).is_some())
            || statement["xt"]["name"] == "REJECT"
    };
    let others = base_chains(listing)
        .into_iter()
        .filter(|chain| chain.owner != "portcullis" && hooks.contains(&chain.hook.as_str()));
    let refuser = |base: BaseChain| {
        let rules = reached(listing, &base);
        let refusing =
            rules.iter().find(|rule| rule["expr"].as_array().into_iter().flatten().any(refuses));
        let rule = refusing.map(|rule| {
            format!(
                "{} {} {} handle {}",
                base.family,
                base.table,
                text(rule, "chain"),
                rule["handle"]
            )
        });
        let policy = objects(listing, "chain").any(|chain| {
            text(chain, "family") == base.family
                && text(chain, "table") == base.table
                && text(chain, "name") == base.name
                && chain["policy"] == "drop"
        });
        (rule.is_some() || policy).then_some(Refuser { base, rule })
    };
    others.filter_map(refuser).collect()
}

/// Rules of others, reached from `prerouting`, that write the whole packet mark: with a value that
/// is not made from the mark as it was. iptables' own rules are not read here.
pub fn mark_setters(listing: &[Value]) -> Vec<Setter> {
    let mut found = Vec::new();
    let others = base_chains(listing);
    let others =
        others.iter().filter(|chain| chain.hook == "prerouting" && chain.owner != "portcullis");
    for base in others {
        for rule in reached(listing, base) {
            for statement in rule["expr"].as_array().into_iter().flatten() {
                let written = &statement["mangle"];
                let mark = |at: &Value| at["meta"]["key"] == "mark";
                if mark(&written["key"]) && !mentions_mark(&written["value"]) {
                    let name = text(rule, "chain");
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
            chain("inet", "portcullis", "settle", "prerouting", -149),
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
                "prerouting -149 settle: portcullis",
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
    fn who_refuses() {
        let rule = |table: &str, chain: &str, statement: Value| json!({"rule": {"family": "inet", "table": table, "chain": chain, "handle": 9, "expr": [{"counter": null}, statement]}});
        let mut strict = chain("inet", "strict", "in", "input", 0);
        strict["chain"]["policy"] = "drop".into();
        let listing = [
            chain("netdev", "early", "in", "ingress", -500),
            json!({"rule": {"family": "netdev", "table": "early", "chain": "in", "handle": 2, "expr": [{"drop": null}]}}),
            chain("inet", "front", "pre", "prerouting", -400),
            rule("front", "pre", json!({"jump": {"target": "deep"}})),
            rule("front", "deep", json!({"goto": {"target": "pre"}})),
            rule("front", "deep", json!({"drop": null})),
            chain("inet", "portcullis", "early", "prerouting", -299),
            rule("portcullis", "early", json!({"drop": null})),
            chain("inet", "kind", "pre", "prerouting", -200),
            rule("kind", "pre", json!({"accept": null})),
            strict,
            chain("inet", "usual", "in", "input", 10),
            rule("usual", "in", json!({"reject": {"type": "tcp reset"}})),
        ];
        let seen = |hooks: &[&str]| -> Vec<(String, Option<String>)> {
            let found = refusers(&listing, hooks);
            found.into_iter().map(|refuser| (refuser.base.table, refuser.rule)).collect()
        };
        assert_eq!(
            seen(&["ingress", "prerouting"]),
            [
                ("early".into(), Some("netdev early in handle 2".into())),
                ("front".into(), Some("inet front deep handle 9".into())),
            ]
        );
        let behind =
            [("strict".into(), None), ("usual".into(), Some("inet usual in handle 9".to_owned()))];
        assert_eq!(seen(&["input", "forward"]), behind);
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
