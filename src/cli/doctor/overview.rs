//! What was seen, in a line per topic.

use std::time::Duration;

use super::Look;
use crate::config::{Config, FailMode, LogTarget, Mode};
use crate::control::ConfinedFacts;
use crate::doctor::{Daemon, Facts, Journal, Seen, mangle};
use crate::events::{Grouped, Span};
use crate::firewall::{LiveTable, Marks, live_table};

pub(super) fn overview(facts: &Facts, config: &Config) -> Vec<Look> {
    let live = facts.listing.as_ref().ok().map(|listing| live_table(listing, config));
    let rows = [
        ("kernel", kernel(facts)),
        ("tools", tools(facts)),
        ("gate", gate(facts)),
        ("confined", confined(facts)),
        ("table", table(live.as_ref())),
        ("redirect", redirect(live.as_ref(), facts, config)),
        ("queue", queues(facts)),
        ("no verdict", fail_modes(live.as_ref(), facts, config)),
        ("sets", sets(facts)),
        ("ban list", ban_list(facts, config)),
        ("log", log(facts, config)),
        ("clock", clock(facts)),
    ];
    let row = |(topic, seen): (&str, String)| Look { topic: topic.to_owned(), seen };
    rows.into_iter().map(row).filter(|look| !look.seen.is_empty()).collect()
}

fn kernel(facts: &Facts) -> String {
    let mut text = facts.kernel.clone();
    text += if facts.ipv6 { ", IPv4 and IPv6" } else { ", IPv4 only" };
    text += if facts.forwards { ", forwards" } else { ", does not forward" };
    text += if facts.queues { ", has packet queues" } else { ", NO packet queues" };
    match facts.queue_statement {
        Ok(true) => text += ", takes nft's queue statement",
        Ok(false) if facts.queues => {
            text += ", does not take nft's queue statement (iptables does that)";
        }
        // Without queues nothing does it, and a finding says what to do.
        Ok(false) | Err(_) => {}
    }
    text
}

fn tools(facts: &Facts) -> String {
    let tool = |name: &str, seen: &Seen<String>| match seen {
        Ok(version) => format!("{name} {version}"),
        Err(_) => format!("{name}: none"),
    };
    [tool("nft", &facts.tools.nft), tool("iptables", &facts.tools.iptables)].join(", ")
}

fn gate(facts: &Facts) -> String {
    match &facts.daemon {
        Daemon::Runs(status) => format!(
            "runs, pid {}, up {}, mode {}",
            status.pid,
            Span(Duration::from_secs(status.uptime.as_secs())),
            status.mode
        ),
        Daemon::Absent => "does not run".to_owned(),
        Daemon::Closed(_) => "runs, but tells this user nothing".to_owned(),
        Daemon::Silent(_) => "does not answer".to_owned(),
    }
}

/// What the process has given up.
fn confined(facts: &Facts) -> String {
    let Some(status) = facts.daemon.status() else { return String::new() };
    let ConfinedFacts { held, open } = &status.confined;
    match (held.is_empty(), open.is_empty()) {
        (true, true) => String::new(),
        (true, false) => format!("no: {}", open.join("; ")),
        (false, true) => format!("it {}", held.join("; ")),
        (false, false) => format!("it {}. But: {}", held.join("; "), open.join("; ")),
    }
}

/// `None` if nobody could look; `Some(None)` if there is no table.
fn table(live: Option<&Option<LiveTable>>) -> String {
    match live {
        None => String::new(),
        Some(None) => "inet portcullis is not there".to_owned(),
        Some(Some(live)) => match (live.whole, live.open) {
            (true, true) => "inet portcullis, as the policy wants it".to_owned(),
            (true, false) => "inet portcullis: bans act, nothing is handed over".to_owned(),
            (false, _) => "inet portcullis, other than the policy wants it".to_owned(),
        },
    }
}

fn redirect(live: Option<&Option<LiveTable>>, facts: &Facts, config: &Config) -> String {
    let Some(Some(live)) = live else { return String::new() };
    if !live.open {
        return String::new();
    }
    if live.queues.is_some() {
        return "by nft's queue statement, both families".to_owned();
    }
    let judge = Marks::from_bit(config.guard.mark_bit).judge;
    let place = |(saved, family): (&Seen<String>, &str)| {
        let found = mangle(saved.as_ref().ok()?, judge);
        Some(match found.ours {
            Some(ours) => format!("{family} rule {} of {}", ours.place, found.rules),
            None => format!("{family} NO rule"),
        })
    };
    let families = facts.saved.iter().zip(["IPv4", "IPv6"]);
    let places: Vec<String> =
        families.take(if facts.ipv6 { 2 } else { 1 }).filter_map(place).collect();
    format!("by iptables, mangle PREROUTING: {}", places.join(", "))
}

fn queues(facts: &Facts) -> String {
    let status = facts.daemon.status();
    let mut all: Vec<String> = Vec::new();
    for queue in status.iter().flat_map(|status| &status.queues) {
        all.push(format!(
            "{}: {} wait, {} lost, room for {}",
            queue.number,
            queue.waiting.map_or("?".to_owned(), |count| Grouped(count).to_string()),
            Grouped(queue.lost),
            Grouped(queue.buffer_holds),
        ));
    }
    for holder in facts.holders.iter().flatten() {
        let known = format!("{}: ", holder.number);
        match all.iter_mut().find(|row| row.starts_with(&known)) {
            Some(row) => *row = row.replacen(&known, &format!("{known}{}, ", holder.who()), 1),
            None => all.push(format!("{known}{}", holder.who())),
        }
    }
    all.join("; ")
}

fn word(mode: FailMode) -> &'static str {
    if mode == FailMode::Accept { "accept" } else { "drop" }
}

/// What becomes of new connections that nobody judges: as it is in force, or else by the policy.
/// The kernel does not show what it does when a queue is full; the gate that told it does.
fn fail_modes(live: Option<&Option<LiveTable>>, facts: &Facts, config: &Config) -> String {
    let live = live.and_then(Option::as_ref);
    let said = |mode| if config.mode == Mode::Observe { FailMode::Accept } else { mode };
    let of = |live: Option<FailMode>, declared| word(live.unwrap_or(said(declared)));
    format!(
        "gate down: {}, queue full: {}, over max_rate: {}",
        of(live.and_then(|live| live.when_down), config.guard.when_down),
        match facts.daemon.status() {
            Some(status) if !status.when_full.is_empty() => status.when_full.as_str(),
            _ => word(config.queue.when_full),
        },
        of(live.and_then(|live| live.when_over), config.queue.when_over),
    )
}

fn sets(facts: &Facts) -> String {
    let Ok(sets) = &facts.sets else { return String::new() };
    let fullest = sets
        .iter()
        .filter(|set| set.size > 0)
        .max_by(|a, b| (a.holds * b.size).cmp(&(b.holds * a.size)));
    match fullest {
        Some(set) => format!(
            "the fullest, {}, holds {} of {}",
            set.name,
            Grouped(set.holds),
            Grouped(set.size)
        ),
        None => String::new(),
    }
}

fn ban_list(facts: &Facts, config: &Config) -> String {
    let Ok(ledger) = &facts.ledger else { return String::new() };
    let count = Grouped(ledger.standings.len() as u64);
    format!("{count} banned or suspect, in {}", config.bans.state_dir.display())
}

fn log(facts: &Facts, config: &Config) -> String {
    let json = match &config.events.json {
        Some(path) => format!("; JSON to {}", path.display()),
        None => String::new(),
    };
    use LogTarget::{Auto, Stderr};
    let lines = match (config.events.to, facts.log.journal) {
        (Auto | Stderr | LogTarget::Journal, Journal::Takes(limit)) if limit.limits() => {
            format!(
                "to the journal, which takes {} lines in {}",
                Grouped(limit.burst),
                Span(limit.every)
            )
        }
        (Auto | Stderr | LogTarget::Journal, Journal::Takes(_)) => {
            "to the journal, which has no limit".to_owned()
        }
        (Auto | Stderr, Journal::None) => "to standard error; there is no journal".to_owned(),
        (LogTarget::Journal, Journal::None) => "to the journal, which is not there".to_owned(),
        (LogTarget::Syslog, _) => format!("to syslog at {}", config.events.syslog),
        (LogTarget::Nowhere, _) => "no lines".to_owned(),
    };
    lines + &json
}

fn clock(facts: &Facts) -> String {
    let kept = match facts.clock.synchronised {
        Some(true) => "kept in step with a time server",
        Some(false) => "not kept in step with a time server",
        None => "nobody says whether it is kept in step",
    };
    match facts.daemon.status() {
        Some(status) if status.clock_moved.abs() < 1.0 => {
            format!("{kept}; not set since the gate started")
        }
        _ => kept.to_owned(),
    }
}
