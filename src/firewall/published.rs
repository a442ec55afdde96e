//! Ports that other people's rules hand on (DNAT): published containers, hosts behind this one.
//!
//! The gate judges a connection before it is handed on, so the port as the stranger writes it is
//! the one that the policy has to serve.

use std::ops::RangeInclusive;

use serde_json::Value;

use super::child::{OwnTools, Tool, ToolError};

/// Ports that are handed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// As strangers ask for them.
    pub ports: RangeInclusive<u16>,
    /// Where they lead: `172.17.0.2:80`, `port 8080`.
    pub to: String,
}

/// What could be seen of published ports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PublishedPorts {
    /// They, each once.
    pub found: Vec<Published>,
    /// Why there may be more, in a sentence.
    pub unseen: Option<String>,
}

/// Asks nft and iptables, each of which takes at most 10 s. Rules that choose by anything but the
/// port are not understood and left out. Only root is answered.
pub fn published_ports() -> PublishedPorts {
    let run = |name, package, arguments: &[&str]| {
        Tool::find(name, package, OwnTools::default())?.run(arguments, b"")
    };
    let mut seen = PublishedPorts::default();
    let mut failed: Vec<String> = Vec::new();
    // Without the elements of sets: ours alone may be hundreds of thousands.
    match run("nft", "nftables", &["-j", "-t", "list", "ruleset"]) {
        Ok(listing) => match serde_json::from_slice(&listing) {
            Ok(listing) => seen.found.extend(of_nft(&listing)),
            Err(error) => failed.push(format!("nft: {error}")),
        },
        Err(error) => failed.push(error.to_string()),
    }
    for tool in ["iptables-save", "ip6tables-save"] {
        // Asked for one table by name, it might create it.
        match run(tool, "iptables", &[]) {
            Ok(listing) => seen.found.extend(of_iptables(&String::from_utf8_lossy(&listing))),
            // Whoever has no iptables has no rules of it.
            Err(ToolError::Missing { .. }) => {}
            Err(error) => failed.push(error.to_string()),
        }
    }
    seen.found.sort_by_key(|published| (*published.ports.start(), published.to.clone()));
    seen.found.dedup();
    seen.unseen = failed.into_iter().next();
    seen
}

/// Rules like `tcp dport 8080 dnat to 172.17.0.2:80`, from `nft -j list ruleset`.
fn of_nft(listing: &Value) -> Vec<Published> {
    let objects = || listing["nftables"].as_array().into_iter().flatten();
    let place = |of: &Value, name: &str| {
        [&of["family"], &of["table"], &of[name]].map(|part| part.as_str().unwrap_or("").to_owned())
    };
    // What this host opens itself is not published.
    let outwards: Vec<_> = objects()
        .map(|object| &object["chain"])
        .filter(|chain| chain["hook"] == "output")
        .map(|chain| place(chain, "name"))
        .collect();
    let mut found = Vec::new();
    for rule in objects().filter_map(|object| object.get("rule")) {
        if outwards.contains(&place(rule, "chain")) {
            continue;
        }
        let statements = || rule["expr"].as_array().into_iter().flatten();
        let Some(to) = statements().find_map(target) else { continue };
        let ports = statements().filter_map(|statement| statement.get("match")).filter(|is| {
            let field = &is["left"]["payload"];
            let tcp = field["protocol"] == "tcp" || field["protocol"] == "th";
            tcp && field["field"] == "dport" && (is["op"] == "==" || is["op"] == "in")
        });
        found.extend(
            ports
                .flat_map(|is| numbers(&is["right"]))
                .map(|ports| Published { ports, to: to.clone() }),
        );
    }
    found
}

/// Where `dnat` or `redirect` leads.
fn target(statement: &Value) -> Option<String> {
    let text = |value: &Value| match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => Some("several".to_owned()),
    };
    if let Some(dnat) = statement.get("dnat") {
        let address = text(&dnat["addr"])?;
        return Some(match text(&dnat["port"]) {
            Some(port) if address.contains(':') => format!("[{address}]:{port}"),
            Some(port) => format!("{address}:{port}"),
            None => address,
        });
    }
    let port = text(&statement.get("redirect")?["port"])?;
    Some(format!("port {port}"))
}

/// A port, a range, or a set of them.
fn numbers(value: &Value) -> Vec<RangeInclusive<u16>> {
    let port = |value: &Value| value.as_u64().and_then(|port| u16::try_from(port).ok());
    if let Some(single) = port(value) {
        return vec![single..=single];
    }
    if let Some([first, last]) = value["range"].as_array().map(Vec::as_slice) {
        return port(first).zip(port(last)).map(|(first, last)| first..=last).into_iter().collect();
    }
    // A set holds ports and ranges, but no sets.
    let elements = value["set"].as_array().into_iter().flatten();
    elements.filter(|element| element.get("set").is_none()).flat_map(numbers).collect()
}

/// Lines like `-A DOCKER … -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80`.
fn of_iptables(listing: &str) -> Vec<Published> {
    let mut found = Vec::new();
    for line in listing.lines() {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        // The value of an option that stands without `!` before it.
        let value = |option: &str| {
            let at = words.iter().position(|word| *word == option)?;
            let plain = at == 0 || words[at - 1] != "!";
            words.get(at + 1).copied().filter(|_| plain)
        };
        let local = value("-d").is_some_and(|to| to.starts_with("127.") || to == "::1/128");
        let to = match value("-j") {
            Some("DNAT") => value("--to-destination").map(str::to_owned),
            Some("REDIRECT") => value("--to-ports").map(|port| format!("port {port}")),
            _ => None,
        };
        let (Some(to), Some("tcp"), false) = (to, value("-p"), local) else { continue };
        if matches!(value("-A"), None | Some("OUTPUT" | "POSTROUTING")) {
            continue;
        }
        let ports = value("--dport").or_else(|| value("--dports")).unwrap_or("");
        for item in ports.split(',') {
            let (first, last) = item.split_once(':').unwrap_or((item, item));
            if let (Ok(first), Ok(last)) = (first.parse(), last.parse()) {
                found.push(Published { ports: first..=last, to: to.clone() });
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(found: &[Published]) -> Vec<String> {
        let text = |p: &Published| format!("{}-{} {}", p.ports.start(), p.ports.end(), p.to);
        found.iter().map(text).collect()
    }

    #[test]
    fn rules_of_iptables() {
        let listing = "*nat\n:PREROUTING ACCEPT [0:0]\n\
            -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER\n\
            -A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80\n\
            -A DOCKER -d 127.0.0.1/32 ! -i docker0 -p tcp -m tcp --dport 8081 -j DNAT --to-destination 172.17.0.3:80\n\
            -A DOCKER ! -i docker0 -p udp -m udp --dport 53 -j DNAT --to-destination 172.17.0.2:53\n\
            -A PREROUTING -p tcp -m multiport --dports 25,465:467 -j REDIRECT --to-ports 2525\n\
            -A PREROUTING -p tcp -m tcp ! --dport 9 -j DNAT --to-destination 10.0.0.1\n\
            -A OUTPUT -p tcp -m tcp --dport 10 -j DNAT --to-destination 10.0.0.1\n\
            -A PREROUTING -p tcp -m tcp --dport x -j DNAT\n-A\n--dport\nCOMMIT\n";
        assert_eq!(
            told(&of_iptables(listing)),
            ["8080-8080 172.17.0.2:80", "25-25 port 2525", "465-467 port 2525"]
        );
    }

    #[test]
    fn rules_of_nft() {
        let rule = |chain: &str, op: &str, right: Value, act: Value| {
            let left = serde_json::json!({"payload": {"protocol": "tcp", "field": "dport"}});
            serde_json::json!({"rule": {"family": "ip", "table": "nat", "chain": chain, "expr": [
                {"match": {"op": op, "left": left, "right": right}}, {"counter": null}, act]}})
        };
        let dnat = serde_json::json!({"dnat": {"addr": "172.17.0.2", "port": 80}});
        let listing = serde_json::json!({"nftables": [
            {"chain": {"family": "ip", "table": "nat", "name": "out", "hook": "output"}},
            rule("in", "==", 8080.into(), dnat.clone()),
            rule("out", "==", 8081.into(), dnat.clone()),
            rule("in", "!=", 8082.into(), dnat.clone()),
            rule("in", "==", serde_json::json!({"set": [90, {"range": [100, 110]}]}),
                 serde_json::json!({"dnat": {"family": "ip6", "addr": "2001:db8::1", "port": 1}})),
            rule("in", "==", 99999.into(), dnat),
            rule("in", "==", 443.into(), serde_json::json!({"redirect": {"port": 8443}})),
            rule("in", "==", 22.into(), serde_json::json!({"accept": null})),
            {"rule": {"expr": "?"}}, 7]});
        assert_eq!(
            told(&of_nft(&listing)),
            [
                "8080-8080 172.17.0.2:80",
                "90-90 [2001:db8::1]:1",
                "100-110 [2001:db8::1]:1",
                "443-443 port 8443"
            ]
        );
        assert!(of_nft(&Value::Null).is_empty());
    }
}
