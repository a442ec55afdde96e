//! Where our rule stands in iptables' `mangle PREROUTING`, and what the rules around it do to it.
//!
//! A rule before ours that ends the chain (ACCEPT, RETURN, another program's NFQUEUE) takes
//! packets past the gate, and one that writes the whole mark wipes out the bit by which our rule
//! knows what to hand over. Rules behind ours are skipped by what the gate lets in.

use std::collections::{HashMap, HashSet};
use std::ops::RangeInclusive;

use serde::Serialize;

/// What our rule does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Handed {
    /// The queues it hands over to.
    pub first: u16,
    /// The last of them.
    pub last: u16,
    /// New connections pass while nobody listens.
    pub bypass: bool,
    /// It is this rule of the chain, counted from 1.
    pub place: usize,
}

impl Handed {
    /// The queues.
    pub fn queues(&self) -> RangeInclusive<u16> {
        self.first..=self.last
    }
}

/// The chain `PREROUTING` of iptables' table `mangle`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Mangle {
    /// How many rules there are.
    pub rules: usize,
    /// Our rule, the first if there are several.
    pub ours: Option<Handed>,
    /// Rules before it that take new connections past it.
    pub passing: Vec<String>,
    /// Rules before it that overwrite its mark.
    pub marking: Vec<String>,
    /// Rules behind it.
    pub behind: Vec<String>,
    /// One of those would do harm if it stood before ours.
    pub behind_harms: bool,
}

/// Reads what `iptables-save` prints. `judge` is the mark bit by which our rule chooses.
pub fn mangle(saved: &str, judge: u32) -> Mangle {
    let chains = chains(saved, "mangle");
    let rules = chains.get("PREROUTING").cloned().unwrap_or_default();
    let mut found = Mangle { rules: rules.len(), ..Mangle::default() };
    let hands = |words: &Words| value(words, "-j") == Some("NFQUEUE");
    let ours = rules.iter().position(|words| {
        hands(words) && value(words, "--comment").is_some_and(|c| c.trim_matches('"') == COMMENT)
    });
    let Some(ours) = ours else { return found };
    found.ours = handed(&rules[ours], ours + 1);
    for words in rules[..ours].iter().filter(|words| concerns(words)) {
        let effect = effect(words, &chains, judge, &mut HashSet::new(), true);
        if effect.ends {
            found.passing.push(words.join(" "));
        }
        if effect.marks {
            found.marking.push(words.join(" "));
        }
    }
    for words in rules[ours + 1..].iter().filter(|words| concerns(words) && !hands(words)) {
        let effect = effect(words, &chains, judge, &mut HashSet::new(), true);
        found.behind_harms |= effect.ends || effect.marks;
        found.behind.push(words.join(" "));
    }
    found
}

/// Rules that take TCP connections out of connection tracking.
pub fn untracked(saved: &str) -> Vec<String> {
    let chains = chains(saved, "raw");
    let untracks = |words: &&Words| {
        value(words, "-j") == Some("NOTRACK") || words.iter().any(|word| word == "--notrack")
    };
    let mut found: Vec<String> = Vec::new();
    for rules in chains.values() {
        let some = rules.iter().filter(untracks).filter(|words| concerns(words));
        found.extend(some.map(|words| words.join(" ")));
    }
    found.sort();
    found
}

/// The comment of our rules.
const COMMENT: &str = "portcullis";

type Words = Vec<String>;

/// The rules of each chain of one table.
fn chains(saved: &str, table: &str) -> HashMap<String, Vec<Words>> {
    let mut chains: HashMap<String, Vec<Words>> = HashMap::new();
    let mut inside = false;
    for line in saved.lines() {
        if let Some(name) = line.strip_prefix('*') {
            inside = name.trim() == table;
        } else if inside && line.starts_with("-A ") {
            let words: Words = line.split_ascii_whitespace().map(str::to_owned).collect();
            if let Some(chain) = words.get(1) {
                chains.entry(chain.clone()).or_default().push(words);
            }
        }
    }
    chains
}

fn value<'a>(words: &'a [String], key: &str) -> Option<&'a str> {
    let at = words.iter().position(|word| word == key)?;
    words.get(at + 1).map(String::as_str)
}

/// Can a new TCP connection from outside meet this rule?
fn concerns(words: &[String]) -> bool {
    let negated = |key: &str| {
        let at = words.iter().position(|word| word == key);
        at.is_some_and(|at| at > 0 && words[at - 1] == "!")
    };
    let other = |key: &str, same: &[&str]| {
        value(words, key).is_some_and(|v| !same.contains(&v)) && !negated(key)
    };
    let loopback = value(words, "-i") == Some("lo") && !negated("-i");
    let known = ["--ctstate", "--state"].iter().any(|key| {
        let states = value(words, key).unwrap_or("NEW");
        let new = states.split(',').any(|state| matches!(state, "NEW" | "UNTRACKED" | "INVALID"));
        !new && !negated(key)
    });
    !loopback && !known && !other("-p", &["tcp", "6", "all"])
}

fn handed(words: &[String], place: usize) -> Option<Handed> {
    let (first, last) = match (value(words, "--queue-num"), value(words, "--queue-balance")) {
        (Some(number), _) => (number, number),
        (None, Some(range)) => range.split_once(':')?,
        (None, None) => ("0", "0"),
    };
    let bypass = words.iter().any(|word| word == "--queue-bypass");
    Some(Handed { first: first.parse().ok()?, last: last.parse().ok()?, bypass, place })
}

#[derive(Clone, Copy, Debug, Default)]
struct Effect {
    ends: bool,
    marks: bool,
}

/// What a rule, with everything it leads to, may do to a packet. `base` is true in PREROUTING
/// itself, where RETURN ends the chain.
fn effect(
    words: &[String],
    chains: &HashMap<String, Vec<Words>>,
    judge: u32,
    seen: &mut HashSet<String>,
    base: bool,
) -> Effect {
    let goes = value(words, "-g");
    match value(words, "-j").or(goes) {
        Some("ACCEPT" | "NFQUEUE" | "QUEUE") => Effect { ends: true, marks: false },
        Some("RETURN") => Effect { ends: base, marks: false },
        Some("MARK") => Effect { ends: false, marks: overwrites(words, judge) },
        Some("CONNMARK") => Effect { ends: false, marks: restores(words, judge) },
        Some(chain) => {
            let mut all = Effect::default();
            let Some(rules) = chains.get(chain).filter(|_| seen.insert(chain.to_owned())) else {
                return all;
            };
            // A chain that is gone to does not come back to PREROUTING.
            all.ends = goes.is_some() && base;
            for words in rules.iter().filter(|words| concerns(words)) {
                let one = effect(words, chains, judge, seen, false);
                all.ends |= one.ends;
                all.marks |= one.marks;
            }
            all
        }
        None => Effect::default(),
    }
}

fn number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// `-j MARK --set-xmark value/mask`: bits in the mask are written.
fn overwrites(words: &[String], judge: u32) -> bool {
    let set = ["--set-xmark", "--set-mark"].iter().find_map(|key| value(words, key));
    let mask = match set.map(|set| set.split_once('/')) {
        Some(Some((_, mask))) => number(mask),
        Some(None) => None,
        None => match (value(words, "--and-mark"), value(words, "--or-mark")) {
            (Some(kept), _) => number(kept).map(|kept| !kept),
            _ => Some(0),
        },
    };
    mask.unwrap_or(u32::MAX) & judge != 0
}

/// `-j CONNMARK --restore-mark --nfmask mask`: likewise, with what the connection remembers.
fn restores(words: &[String], judge: u32) -> bool {
    let mask = value(words, "--nfmask").or(value(words, "--mask")).and_then(number);
    words.iter().any(|word| word == "--restore-mark") && mask.unwrap_or(u32::MAX) & judge != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const JUDGE: u32 = 0x4000_0000;
    const OURS: &str = "-A PREROUTING -p tcp -m mark --mark 0x40000000/0x40000000 -m comment --comment portcullis -j NFQUEUE --queue-num 7 --queue-bypass";

    fn read(before: &[&str], behind: &[&str]) -> Mangle {
        let mut lines = vec!["*nat", "-A PREROUTING -j ACCEPT", "COMMIT", "*mangle"];
        lines.push(":PREROUTING ACCEPT [0:0]");
        lines.extend(before);
        lines.push(OURS);
        lines.extend(behind);
        lines.push("COMMIT");
        mangle(&lines.join("\n"), JUDGE)
    }

    #[test]
    fn our_rule_is_found() {
        let alone = read(&[], &[]);
        let ours = Handed { first: 7, last: 7, bypass: true, place: 1 };
        assert_eq!(alone, Mangle { rules: 1, ours: Some(ours), ..Mangle::default() });
        let four = OURS.replace("--queue-num 7 --queue-bypass", "--queue-balance 7:10");
        let four = mangle(&format!("*mangle\n-A PREROUTING -j X\n{four}\n"), JUDGE).ours.unwrap();
        assert_eq!((four.queues(), four.bypass, four.place), (7..=10, false, 2));
        for other in ["", "*mangle\nCOMMIT", &format!("*raw\n{OURS}"), &OURS.replace('7', "x")] {
            assert_eq!(mangle(other, JUDGE).ours, None, "{other}");
        }
    }

    #[test]
    fn rules_before_ours() {
        let chain =
            ["-A PREROUTING -s 192.0.2.1/32 -j EXTRA", "-A EXTRA -j DEEP", "-A DEEP -j EXTRA"];
        for (rules, passes, marks) in [
            (&["-A PREROUTING -p tcp -m tcp --dport 22 -j ACCEPT"][..], true, false),
            (&["-A PREROUTING -i eth1 -j RETURN"], true, false),
            (&["-A PREROUTING -p tcp -j NFQUEUE --queue-num 0"], true, false),
            (&["-A PREROUTING -p udp -j ACCEPT"], false, false),
            (&["-A PREROUTING ! -p udp -j ACCEPT"], true, false),
            (&["-A PREROUTING -i lo -j ACCEPT"], false, false),
            (&["-A PREROUTING -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"], false, false),
            (
                &["-A PREROUTING -m conntrack ! --ctstate RELATED,ESTABLISHED -j ACCEPT"],
                true,
                false,
            ),
            (&["-A PREROUTING -m conntrack --ctstate NEW -j ACCEPT"], true, false),
            (&["-A PREROUTING -s 192.0.2.0/24 -j DROP"], false, false),
            (&["-A PREROUTING -j MARK --set-xmark 0x1/0xffffffff"], false, true),
            (&["-A PREROUTING -j MARK --set-mark 5"], false, true),
            (&["-A PREROUTING -j MARK --set-xmark 0x1/0xff"], false, false),
            (&["-A PREROUTING -j MARK --or-mark 0x1"], false, false),
            (&["-A PREROUTING -j MARK --and-mark 0xff"], false, true),
            (
                &[
                    "-A PREROUTING -j CONNMARK --restore-mark --nfmask 0xffffffff --ctmask 0xffffffff",
                ],
                false,
                true,
            ),
            (
                &["-A PREROUTING -j CONNMARK --restore-mark --nfmask 0xff --ctmask 0xff"],
                false,
                false,
            ),
            (&["-A PREROUTING -j CONNMARK --save-mark"], false, false),
            (&["-A PREROUTING -m rpfilter --invert -j DROP"], false, false),
            // Chains may lead to anything, and in circles.
            (&chain, false, false),
            (&[chain[0], chain[1], chain[2], "-A DEEP -j ACCEPT"], true, false),
            (&[chain[0], chain[1], chain[2], "-A DEEP -j RETURN"], false, false),
            (&[chain[0], "-A EXTRA -j MARK --set-mark 1"], false, true),
            (&["-A PREROUTING -g EXTRA", "-A EXTRA -j LOG"], true, false),
        ] {
            let seen = read(rules, &[]);
            let told = (!seen.passing.is_empty(), !seen.marking.is_empty());
            assert_eq!(told, (passes, marks), "{rules:?}: {seen:?}");
            if passes {
                assert_eq!(seen.passing, rules[..1], "the rule itself is quoted");
            }
        }
    }

    #[test]
    fn rules_behind_ours() {
        let behind = ["-A PREROUTING -j TTL", "-A PREROUTING -p udp -j TTL", OURS];
        let seen = read(&[], &behind);
        assert_eq!((&seen.behind[..], seen.behind_harms), (&[behind[0].to_owned()][..], false));
        let marks = read(&[], &["-A PREROUTING -j MARK --set-mark 1"]);
        assert!(marks.behind_harms && marks.marking.is_empty());
    }

    #[test]
    fn what_is_not_tracked() {
        let saved = "*raw\n-A PREROUTING -p tcp -m tcp --dport 80 -j CT --notrack\n\
            -A OUTPUT -p udp -j CT --notrack\n-A OUTPUT -p tcp -j NOTRACK\n\
            -A PREROUTING -j CT --zone 3\nCOMMIT\n*mangle\n-A PREROUTING -j CT --notrack\n";
        assert_eq!(
            untracked(saved),
            [
                "-A OUTPUT -p tcp -j NOTRACK",
                "-A PREROUTING -p tcp -m tcp --dport 80 -j CT --notrack"
            ]
        );
    }
}
