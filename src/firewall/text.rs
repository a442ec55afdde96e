//! The kernel program → nft's own language, as `nft list table` prints it. Pure.
//!
//! Only what [`super::phrases`] can say is known here; a test loads both forms into the kernel
//! and compares what it then holds.

use std::fmt::Write;

use serde_json::Value;

use super::names::TABLE;
use super::ruleset::Ruleset;
use super::sets::KernelSet;
use super::transaction::{self, Present};

impl Ruleset {
    /// The table as the commands that `nft -j -f` reads, for a kernel that has nothing of it.
    pub fn to_json(&self) -> Vec<Value> {
        transaction::install(self, &Present::default(), None)
    }

    /// The table as text that `nft -f` reads, with a line above each chain that says what it is for.
    pub fn to_text(&self) -> String {
        let mut out = format!("table inet {TABLE} {{\n");
        for name in &self.counters {
            let _ = writeln!(out, "\tcounter {name} {{\n\t}}\n");
        }
        for set in &self.sets {
            write_set(&mut out, set);
        }
        for (i, chain) in self.chains.iter().enumerate() {
            let gap = if i > 0 { "\n" } else { "" };
            let _ = writeln!(out, "{gap}\t# {}\n\tchain {} {{", chain.why, chain.name);
            if let Some((hook, _, priority)) = chain.hook {
                let _ = writeln!(
                    out,
                    "\t\ttype filter hook {hook} priority {priority}; policy accept;"
                );
            }
            for rule in &chain.rules {
                let words: Vec<String> = rule.iter().map(statement).collect();
                let _ = writeln!(out, "\t\t{}", words.join(" "));
            }
            out.push_str("\t}\n");
        }
        out.push_str("}\n");
        out
    }
}

fn write_set(out: &mut String, set: &KernelSet) {
    let kind = serde_json::to_value(set.element_type()).unwrap_or(Value::Null);
    let kinds =
        kind.as_array().map_or_else(|| vec![word(&kind)], |all| all.iter().map(word).collect());
    let _ = writeln!(out, "\tset {} {{\n\t\ttype {}", set.name, kinds.join(" . "));
    if let Some(size) = set.size {
        let _ = writeln!(out, "\t\tsize {size}");
    }
    let flags = [(set.dynamic, "dynamic"), (set.interval, "interval"), (set.expires, "timeout")];
    let flags: Vec<&str> = flags.into_iter().filter_map(|(on, f)| on.then_some(f)).collect();
    let _ = writeln!(out, "\t\tflags {}", flags.join(","));
    if let Some(timeout) = set.timeout {
        let _ = writeln!(out, "\t\ttimeout {}", span(timeout));
    }
    if set.counter {
        out.push_str("\t\tcounter\n");
    }
    if let Some(elements) = set.elements.as_ref().filter(|e| !e.is_empty()) {
        let elements: Vec<String> = elements.iter().map(expression).collect();
        let _ = writeln!(out, "\t\telements = {{ {} }}", elements.join(", "));
    }
    out.push_str("\t}\n\n");
}

/// Seconds as nft writes them: `1d2h`.
fn span(mut secs: u32) -> String {
    let mut out = String::new();
    for (letter, length) in [('d', 86_400), ('h', 3600), ('m', 60), ('s', 1)] {
        if secs >= length {
            let _ = write!(out, "{}{letter}", secs / length);
            secs %= length;
        }
    }
    out
}

fn word(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn statement(statement: &Value) -> String {
    let Some((kind, body)) = statement.as_object().and_then(|object| object.iter().next()) else {
        return word(statement);
    };
    match kind.as_str() {
        "match" => matching(body),
        "counter" => {
            body.as_str().map_or("counter".into(), |name| format!("counter name \"{name}\""))
        }
        "mangle" => format!("{} set {}", expression(&body["key"]), expression(&body["value"])),
        "limit" => limit(body),
        "set" => set_update(body),
        "jump" | "goto" => format!("{kind} {}", word(&body["target"])),
        "queue" => {
            let flags = if body["flags"].is_null() { "" } else { "flags bypass " };
            format!("queue {flags}to {}", expression(&body["num"]))
        }
        verdict => verdict.into(),
    }
}

fn matching(body: &Value) -> String {
    let (left, right) = (&body["left"], &body["right"]);
    let flag_names = |list: &Value| -> String {
        let names = list.as_array().map(|names| names.iter().map(word).collect::<Vec<_>>());
        names.map_or_else(|| word(list), |names| names.join(","))
    };
    if let Some([field, mask]) = left["&"].as_array().map(Vec::as_slice) {
        if mask.is_array() {
            // TCP flags have a notation of their own.
            return if right.as_u64() == Some(0) {
                format!("{} ! {}", expression(field), flag_names(mask))
            } else {
                format!("{} {} / {}", expression(field), flag_names(right), flag_names(mask))
            };
        }
        let right = if let Some(number) = right.as_u64() {
            format!("0x{number:08x}")
        } else {
            expression(right)
        };
        return format!("{} {} {right}", expression(left), word(&body["op"]));
    }
    let quoted = left["meta"]["key"].as_str().is_some_and(|key| key == "iif" || key == "oif");
    let right = if quoted { format!("\"{}\"", word(right)) } else { expression(right) };
    match word(&body["op"]).as_str() {
        "==" => format!("{} {right}", expression(left)),
        op => format!("{} {op} {right}", expression(left)),
    }
}

fn limit(body: &Value) -> String {
    format!(
        "limit rate over {}/{} burst {} packets",
        body["rate"],
        word(&body["per"]),
        body["burst"]
    )
}

fn set_update(body: &Value) -> String {
    let carried = body["stmt"].as_array().into_iter().flatten();
    let carried: String = carried.map(|s| format!(" {}", statement(s))).collect();
    format!(
        "{} {} {{ {}{carried} }}",
        word(&body["op"]),
        word(&body["set"]),
        expression(&body["elem"])
    )
}

fn expression(expression_: &Value) -> String {
    let Some((kind, body)) = expression_.as_object().and_then(|object| object.iter().next()) else {
        return word(expression_);
    };
    match kind.as_str() {
        "payload" if body["base"].is_string() => {
            format!("@{},{},{}", word(&body["base"]), body["offset"], body["len"])
        }
        "payload" => format!("{} {}", word(&body["protocol"]), word(&body["field"])),
        "meta" => {
            let key = word(&body["key"]);
            if key == "iif" || key == "oif" { key } else { format!("meta {key}") }
        }
        "ct" => format!("ct {}", word(&body["key"])),
        "fib" => format!("fib {} {}", word(&body["flags"][0]), word(&body["result"])),
        "concat" => {
            let parts = body.as_array().into_iter().flatten().map(expression);
            parts.collect::<Vec<_>>().join(" . ")
        }
        "prefix" => format!("{}/{}", word(&body["addr"]), body["len"]),
        "range" => format!("{}-{}", body[0], body[1]),
        "jhash" => format!(
            "jhash {} mod {} offset {}",
            expression(&body["expr"]),
            body["mod"],
            body["offset"]
        ),
        op => {
            let masked = |side: &Value| match side.as_u64() {
                Some(number) => format!("0x{number:08x}"),
                None => expression(side),
            };
            format!("{} {op} {}", masked(&body[0]), masked(&body[1]))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans() {
        for (secs, text) in [(86_400, "1d"), (90_061, "1d1h1m1s"), (300, "5m"), (3, "3s")] {
            assert_eq!(span(secs), text);
        }
    }
}
