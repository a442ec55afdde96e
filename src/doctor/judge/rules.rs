//! Our rules: are they there, do packets get to them, and do they do what the policy says?

use std::ops::RangeInclusive;

use ipnet::IpNet;
use serde_json::Value;

use super::daemon::policy_is_newer;
use crate::config::{Config, FailMode, Mode, Redirect};
use crate::doctor::chains::{BaseChain, Refuser, mark_setters, refusers};
use crate::doctor::facts::{Daemon, Facts};
use crate::doctor::finding::{Finding, FindingKind};
use crate::doctor::mangle::{Mangle, mangle, untracked};
use crate::firewall::{EARLY_AT, LiveTable, Marks, live_table, tracks};

pub(super) fn look(facts: &Facts, config: &Config, note: &mut impl FnMut(Finding)) {
    let runs = !matches!(facts.daemon, Daemon::Absent);
    let listing = facts.listing.as_ref().ok();
    let live = listing.and_then(|listing| live_table(listing, config));
    if listing.is_some() {
        match &live {
            Some(live) => table(live, facts, config, note),
            // It is told already why.
            None if facts.aside.is_some() => {}
            None if runs => note(Finding::off(
                FindingKind::TableGone,
                "the gate runs, but the table inet portcullis is not in the kernel",
                "wait two seconds and look again: the gate rebuilds it. If it is still missing: \
                 sudo systemctl restart portcullis",
            )),
            None => {}
        }
    }
    // Of importance only where the table asks connection tracking who answers whom.
    let saved = if tracks(config) { &facts.saved[..] } else { &[] };
    for (saved, family) in saved.iter().zip(["IPv4", "IPv6"]) {
        let Ok(saved) = saved else { continue };
        let list = untracked(saved);
        if let Some(first) = list.first() {
            note(Finding::note(
                FindingKind::NotTracked,
                format!("a rule of {family} turns connection tracking off: {first}"),
                format!("if nothing else needs it, take it out: {}", delete(family, "raw", first)),
            ));
        }
    }
    if let Some(listing) = listing {
        let by_nft = live.is_some_and(|live| live.queues.is_some());
        others_refuse(listing, if by_nft { MARKED } else { MANGLE }, note);
    }
    forwarding(facts, config, note);
}

/// Whatever is refused before the gate or behind it is none of its doing, and looks as if it were.
/// New connections reach it at the priority `at`.
fn others_refuse(listing: &[Value], at: i64, note: &mut impl FnMut(Finding)) {
    let name = |refuser: &Refuser| {
        let BaseChain { family, table, name, owner, hook, priority } = &refuser.base;
        format!("{family} {table} {name} (of {owner}, at {hook} {priority})")
    };
    let look = |refuser: &Refuser| {
        let BaseChain { family, table, name, .. } = &refuser.base;
        format!("sudo nft -a list chain {family} {table} {name}")
    };
    let (before, later): (Vec<Refuser>, Vec<Refuser>) =
        refusers(listing, &["ingress", "prerouting"])
            .into_iter()
            .partition(|refuser| refuser.base.hook == "ingress" || refuser.base.priority <= at);
    if let Some(first) = before.first() {
        let names: Vec<String> = before.iter().map(name).collect();
        let take_out = match &first.rule {
            Some(rule) => {
                format!(". To take out the first that drops: sudo nft delete rule {rule}")
            }
            None => String::new(),
        };
        note(Finding::note(
            FindingKind::DroppedBefore,
            format!("rules of others drop packets before the gate: {}", names.join("; ")),
            format!("see what they match: {}{take_out}", look(first)),
        ));
    }
    let later = later.into_iter().filter(|refuser| refuser.base.priority <= MANGLE);
    let behind: Vec<Refuser> = later.chain(refusers(listing, &["input", "forward"])).collect();
    if let Some(first) = behind.first() {
        let names: Vec<String> = behind.iter().map(name).collect();
        note(Finding::note(
            FindingKind::RefusedBehind,
            format!("behind the gate, rules of others refuse connections: {}", names.join("; ")),
            format!("nothing, if it is meant. See what they match: {}", look(first)),
        ));
    }
}

/// New connections are marked at this priority…
const MARKED: i64 = EARLY_AT as i64;

/// …and at this one iptables hands over what is marked.
const MANGLE: i64 = -150;

fn table(live: &LiveTable, facts: &Facts, config: &Config, note: &mut impl FnMut(Finding)) {
    // If the policy was changed since, that is told, and this would only repeat it.
    if !live.whole && facts.daemon.status().is_some() && !policy_is_newer(facts) {
        note(Finding::off(
            FindingKind::TableChanged,
            "the table inet portcullis has not the rules that the policy leads to",
            "see the difference: diff <(portcullis rules) <(sudo nft -t list table inet \
             portcullis). To build it anew: portcullis reload",
        ));
    }
    if !live.open {
        return;
    }
    let modes = [
        ("while the gate is down", live.when_down, config.guard.when_down, "[guard] when_down"),
        ("beyond [queue] max_rate", live.when_over, config.queue.when_over, "[queue] when_over"),
    ];
    for (when, live, declared, key) in modes {
        if let Some(live) = live {
            fail_mode(config, when, live, declared, key, note);
        }
    }
    if live.queues.is_some() {
        queues(live.queues.clone(), "the table inet portcullis", config, note);
        return;
    }
    let judge = Marks::from_bit(config.guard.mark_bit).judge;
    for (saved, v6) in facts.saved.iter().zip([false, true]) {
        let Ok(saved) = saved else { continue };
        if !v6 || facts.ipv6 {
            iptables(&mangle(saved, judge), v6, config, note);
        }
    }
    let between = |priority: i64| (MARKED..=MANGLE).contains(&priority);
    let setters = facts.listing.iter().flat_map(|listing| mark_setters(listing));
    for setter in setters.filter(|setter| between(setter.priority)) {
        note(Finding::off(
            FindingKind::MarkOverwritten,
            format!("the chain {} overwrites the packet mark before the gate's rule", setter.chain),
            "let it set its own bits only (meta mark set meta mark and … or …), or give that chain \
             a priority after mangle, or raw",
        ));
    }
}

/// The rule of iptables or ip6tables.
fn iptables(found: &Mangle, v6: bool, config: &Config, note: &mut impl FnMut(Finding)) {
    let (tool, family) = if v6 { ("ip6tables", "IPv6") } else { ("iptables", "IPv4") };
    let Some(ours) = &found.ours else {
        if config.guard.redirect != Redirect::Manual {
            note(Finding::off(
                FindingKind::RuleMissing,
                format!(
                    "the gate's rule for {family} is not in {tool}, table mangle, chain PREROUTING"
                ),
                "wait two seconds and look again: a running gate puts it back. If it is still \
                 missing: portcullis reload",
            ));
        }
        return;
    };
    queues(Some(ours.queues()), &format!("the gate's rule in {tool}"), config, note);
    let live = if ours.bypass { FailMode::Accept } else { FailMode::Drop };
    let when = format!("while the gate is down ({family})");
    fail_mode(config, &when, live, config.guard.when_down, "[guard] when_down", note);
    if let Some(first) = found.passing.first() {
        let more = others(found.passing.len());
        note(Finding::off(
            FindingKind::RuleBypassed,
            format!("a rule of {family} before the gate's takes packets past it{more}: {first}"),
            format!(
                "if that is not meant, put it behind the gate's or take it out: {}. To let somebody \
                 in always, the policy is the better place: [allowlist] from",
                delete(family, "mangle", first)
            ),
        ));
    }
    if let Some(first) = found.marking.first() {
        let more = others(found.marking.len());
        note(Finding::off(
            FindingKind::MarkOverwritten,
            format!(
                "a rule of {family} before the gate's overwrites the packet mark{more}: {first}"
            ),
            format!(
                "let it set its own bits only (--set-xmark value/mask), or have the gate use other \
                 bits: [guard] mark_bit. To take it out: {}",
                delete(family, "mangle", first)
            ),
        ));
    }
    if let Some(first) = found.behind.first() {
        let more = others(found.behind.len());
        note(Finding::off(
            FindingKind::RuleNotLast,
            format!(
                "the gate's rule is not the last of mangle PREROUTING ({family}){more}: {first}"
            ),
            if found.behind_harms {
                format!(
                    "before the gate's rule it would keep packets from the gate. Put it into \
                     another chain, such as mangle INPUT or FORWARD, and take it out here: {}",
                    delete(family, "mangle", first)
                )
            } else {
                format!(
                    "take the gate's rule out, and it puts itself at the end: sudo {tool} -t \
                     mangle -D PREROUTING {}, then: portcullis reload",
                    ours.place
                )
            },
        ));
    }
}

/// `, and 2 more like it`
fn others(count: usize) -> String {
    if count > 1 { format!(", and {} more like it", count - 1) } else { String::new() }
}

/// The command that takes a rule out, from its line in iptables-save.
fn delete(family: &str, table: &str, rule: &str) -> String {
    let tool = if family == "IPv6" { "ip6tables" } else { "iptables" };
    format!("sudo {tool} -t {table} {}", rule.replacen("-A ", "-D ", 1))
}

fn queues(
    live: Option<RangeInclusive<u16>>,
    place: &str,
    config: &Config,
    note: &mut impl FnMut(Finding),
) {
    let first = config.queue.number;
    let declared = first..=first.saturating_add(config.queue.threads.saturating_sub(1));
    let Some(live) = live.filter(|live| *live != declared) else { return };
    let words = |range: &RangeInclusive<u16>| match range.start() == range.end() {
        true => format!("queue {}", range.start()),
        false => format!("queues {} to {}", range.start(), range.end()),
    };
    note(Finding::off(
        FindingKind::RuleDiffers,
        format!("{place} hands over to {}; the policy says {}", words(&live), words(&declared)),
        "sudo systemctl restart portcullis",
    ));
}

fn fail_mode(
    config: &Config,
    when: &str,
    live: FailMode,
    declared: FailMode,
    key: &str,
    note: &mut impl FnMut(Finding),
) {
    let observe = config.mode == Mode::Observe;
    let declared = if observe { FailMode::Accept } else { declared };
    let word = |mode| if mode == FailMode::Accept { "accept" } else { "drop" };
    if live != declared {
        let says = if observe {
            "mode = \"observe\"".to_owned()
        } else {
            format!("{key} = \"{}\"", word(declared))
        };
        note(Finding::off(
            FindingKind::FailMode,
            format!(
                "{when}, the kernel will {} new connections; the policy says {says}",
                word(live)
            ),
            "portcullis reload; if that does not change it: sudo systemctl restart portcullis",
        ));
    }
}

fn forwarding(facts: &Facts, config: &Config, note: &mut impl FnMut(Finding)) {
    let behind = !config.guard.protect.is_empty();
    if behind && !facts.forwards {
        note(Finding::off(
            FindingKind::NotForwarding,
            "[guard] protect names hosts behind this one, but this host does not forward",
            "sudo sysctl -w net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1, or take them out \
             of [guard] protect",
        ));
    }
    if !facts.forwards {
        return;
    }
    let covered = |net: &IpNet| config.guard.protect.iter().any(|known| known.contains(net));
    let open: Vec<&(IpNet, String)> =
        facts.behind.iter().filter(|(net, _)| !covered(net)).collect();
    if !open.is_empty() {
        let shown: Vec<String> =
            open.iter().map(|(net, interface)| format!("{net} at {interface}")).collect();
        let all = config.guard.protect.iter().chain(open.iter().map(|(net, _)| net));
        let all: Vec<String> = all.map(|net| format!("\"{net}\"")).collect();
        note(Finding::note(
            FindingKind::Unprotected,
            format!(
                "this host forwards to networks that the policy does not guard: {}",
                shown.join(", ")
            ),
            format!(
                "if hosts or containers there shall be guarded: [guard] protect = [{}], then: \
                 portcullis reload. Ports that containers publish on this host are judged anyway",
                all.join(", ")
            ),
        ));
    } else if !behind {
        note(Finding::note(
            FindingKind::Unprotected,
            "this host forwards, and the policy names no hosts behind it",
            "if hosts behind it shall be guarded: [guard] protect = [\"192.0.2.0/24\"], then: \
             portcullis reload. For containers with published ports nothing is to be done",
        ));
    }
}
