//! What is kept: the ledger, the kernel's sets, the log; and the clock they go by.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::daemon::log_trouble;
use super::many;
use crate::config::{Config, LogTarget, Mode};
use crate::doctor::facts::{Facts, Journal, LedgerFacts};
use crate::doctor::finding::{Finding, FindingKind};
use crate::firewall::{LiveSet, Whom};

/// Changes of the last seconds may not have arrived everywhere.
const ARRIVING: Duration = Duration::from_secs(5);
/// Sets are rounded to seconds, and looked at one after the other.
const APART: u64 = 10;
/// So much of a set may be used without a word, in percent.
const FULL: u64 = 90;
/// What the gate writes at most in full, in lines per second, besides notices and sums.
const LINES: u64 = 100;

pub(super) fn look(facts: &Facts, config: &Config, note: &mut impl FnMut(Finding)) {
    if let Ok(ledger) = &facts.ledger {
        on_disk(ledger, config, note);
        times(facts, ledger, note);
    }
    if let Err(why) = &facts.ledger
        && facts.daemon.status().is_some()
    {
        note(Finding::off(FindingKind::LedgerUnreadable, why.clone(), "portcullis bans list"));
    }
    let full = facts.sets.as_ref().is_ok_and(|sets| fullness(sets, note));
    if !full && let Ok(ledger) = &facts.ledger {
        room(ledger.standings.len() as u64, config.guard.set_size.into(), note);
    }
    if let Ok(sets) = &facts.sets
        && let (Ok(ledger), Some(status)) = (&facts.ledger, facts.daemon.status())
            && config.mode == Mode::Enforce
            && status.mode == "enforce"
            && facts.aside.is_none()
            // Until they are full, some are missing, and the gate itself stops those.
            && status.firewall.filling.is_none()
    {
        drift(facts, ledger, sets, note);
    }
    log(facts, config, note);
}

fn on_disk(ledger: &LedgerFacts, config: &Config, note: &mut impl FnMut(Finding)) {
    let folder = config.bans.state_dir.display();
    if ledger.damaged {
        note(Finding::off(
            FindingKind::LedgerDamaged,
            format!("the ban list {folder}/standings has lines that cannot be read"),
            "sudo systemctl restart portcullis: it keeps what can be read, and sets the damaged \
             file aside",
        ));
    }
    if let Some(last) = ledger.aside.last() {
        note(Finding::note(
            FindingKind::LedgerDamaged,
            format!("a damaged ban list was set aside: {folder}/{last}"),
            format!(
                "look whether the disk is well; when it is not needed any more: sudo rm {folder}/{last}"
            ),
        ));
    }
    if let Some(why) = &ledger.unwritable {
        note(Finding::off(
            FindingKind::LedgerUnwritable,
            format!("the gate cannot write to {folder}: {why}"),
            format!(
                "df -h {folder}; ls -ld {folder}. It must belong to the daemon's user: sudo chown -R portcullis: {folder}"
            ),
        ));
    }
}

fn times(facts: &Facts, ledger: &LedgerFacts, note: &mut impl FnMut(Finding)) {
    let soon = facts.clock.now + Duration::from_secs(60);
    let early: Vec<&str> =
        ledger.standings.iter().filter(|s| s.since > soon).map(|s| s.who.as_str()).collect();
    if let Some(first) = early.first() {
        note(Finding::off(
            FindingKind::FromTheFuture,
            format!(
                "{} began in the future, as that of {first}",
                many(early.len() as u64, "standing")
            ),
            "is the clock right? timedatectl. If it is: portcullis bans remove ADDRESS",
        ));
    }
    if facts.clock.synchronised == Some(false) {
        note(Finding::note(
            FindingKind::ClockLoose,
            "the clock is not kept in step with a time server",
            "sudo timedatectl set-ntp true, or: sudo apt-get install chrony",
        ));
    }
}

/// Says whether there is a set of standings without room.
fn fullness(sets: &[LiveSet], note: &mut impl FnMut(Finding)) -> bool {
    let mut full = false;
    for set in sets.iter().filter(|set| set.size > 0 && set.holds * 100 >= set.size * FULL) {
        let text = format!(
            "the kernel set {} holds {} of {}",
            set.name,
            crate::events::Grouped(set.holds),
            crate::events::Grouped(set.size)
        );
        let stem = set.name.trim_end_matches(['4', '6']);
        note(match stem {
            "stopped" | "stopped_at" => Finding::note(
                FindingKind::CountingFull,
                text,
                "nothing, while it lasts no longer than an attack. Who is in: portcullis bans",
            ),
            "proven" => Finding::off(FindingKind::ProvenFull, text, enlarge(set.size)),
            "refused" => Finding::off(
                FindingKind::SetFull,
                text,
                "put wide prefixes into a file of [denylist] files instead, then: portcullis reload",
            ),
            _ => Finding::off(FindingKind::SetFull, text, enlarge(set.size)),
        });
        full |= matches!(stem, "banned" | "banned_at" | "suspect");
    }
    full
}

fn enlarge(size: u64) -> String {
    format!("[guard] set_size = {}, then: portcullis reload. Who is in: portcullis bans", size * 4)
}

/// The list of standings has room for so many, and suspects get no more than half of it.
fn room(holds: u64, size: u64, note: &mut impl FnMut(Finding)) {
    if holds * 2 < size {
        return;
    }
    let who = if holds * 100 >= size * FULL { "new offenders" } else { "new suspects" };
    note(Finding::off(
        FindingKind::SetFull,
        format!(
            "the ban list holds {} standings, of {} that it may (suspects get half of the room at \
             most): soon or already, {who} get none",
            crate::events::Grouped(holds),
            crate::events::Grouped(size)
        ),
        enlarge(size),
    ));
}

/// Holds the ledger against the kernel's sets: who is missing, who ends at another time.
fn drift(facts: &Facts, ledger: &LedgerFacts, sets: &[LiveSet], note: &mut impl FnMut(Finding)) {
    // Prefixes wider than one source may be merged in their set, so they are not looked at.
    let by_name: HashMap<&str, HashMap<Whom, u64>> = sets
        .iter()
        .filter(|set| !set.name.starts_with("refused"))
        .map(|set| (set.name.as_str(), set.elements.iter().copied().collect()))
        .collect();
    let now = facts.clock.now;
    let settled = ledger.standings.iter().filter(|standing| {
        standing.since + ARRIVING < now && standing.until > now + Duration::from_secs(APART)
    });
    let (mut missing, mut apart) = (Vec::new(), Vec::new());
    for standing in settled {
        let Some(set) = standing.set.as_deref().and_then(|name| by_name.get(name)) else {
            continue;
        };
        let left = standing.until.duration_since(now).unwrap_or_default().as_secs();
        match set.get(&standing.whom) {
            None => missing.push(standing.who.as_str()),
            Some(there) if there.abs_diff(left) > APART => apart.push(standing.who.as_str()),
            Some(_) => {}
        }
    }
    let known: HashSet<Whom> = ledger.standings.iter().map(|standing| standing.whom).collect();
    let stems = ["banned", "suspect"];
    let strange: Vec<String> = by_name
        .iter()
        .filter(|(name, _)| stems.iter().any(|stem| name.starts_with(stem)))
        .flat_map(|(_, set)| set.iter())
        .filter(|(whom, left)| **left > APART && !known.contains(whom))
        .map(|(whom, _)| whom.net.to_string())
        .collect();
    let mut tell = |count: usize, first: &str, what: &str| {
        note(Finding::off(
            FindingKind::Drift,
            format!("{} {what}, as that of {first}", many(count as u64, "standing")),
            "sudo systemctl restart portcullis brings both in step; nothing on record is lost",
        ));
    };
    if let Some(first) = missing.first() {
        tell(missing.len(), first, "on record missing in the kernel's sets");
    }
    if let Some(first) = apart.first() {
        tell(apart.len(), first, "ending at another time in the kernel than on record");
    }
    if let Some(first) = strange.first() {
        tell(strange.len(), first, "in the kernel's sets and not on record");
    }
}

/// How a folder becomes one that the daemon may write to.
fn writable(folder: &str) -> String {
    format!(
        "sudo install -d -o portcullis {folder}; let the service write there: sudo systemctl edit \
         portcullis, with the two lines [Service] and ReadWritePaths={folder}. Then: sudo \
         systemctl restart portcullis"
    )
}

fn log(facts: &Facts, config: &Config, note: &mut impl FnMut(Finding)) {
    if config.events.to == LogTarget::Syslog
        && let Err(why) = &facts.log.syslog
    {
        note(Finding::off(
            FindingKind::LogGone,
            format!("nobody takes log lines at {}: {why}", config.events.syslog),
            "start a syslog daemon: sudo apt-get install rsyslog. Or let lines go to the journal: \
             [events] to = \"auto\", then: portcullis reload",
        ));
    }
    if let Some(folder) = &facts.log.json_folder_missing {
        note(Finding::off(
            FindingKind::LogGone,
            format!("[events] json is to be written into {folder}, which is not there"),
            writable(folder),
        ));
    }
    let told = facts.log.json_folder_missing.is_some()
        || config.events.to == LogTarget::Syslog && facts.log.syslog.is_err();
    if !told && let Some(trouble) = facts.daemon.status().and_then(log_trouble) {
        let folder = config.events.json.as_deref().and_then(std::path::Path::parent);
        note(Finding::off(
            FindingKind::LogGone,
            format!("the gate {trouble}"),
            match folder.filter(|_| trouble.contains("JSON file")) {
                Some(folder) => writable(&folder.display().to_string()),
                None => "is its reader well? systemctl status rsyslog systemd-journald. Is there \
                         room on the disk? df -h /var/log"
                    .to_owned(),
            },
        ));
    }
    if config.events.to == LogTarget::Nowhere && config.events.json.is_none() {
        note(Finding::note(
            FindingKind::LogGone,
            "the policy writes no log at all",
            "[events] to = \"auto\", then: portcullis reload",
        ));
    }
    if config.events.to == LogTarget::Journal && facts.log.journal == Journal::None {
        note(Finding::off(
            FindingKind::LogGone,
            "the policy writes to the journal, and no journal runs on this machine",
            "[events] to = \"auto\" or \"syslog\", then: portcullis reload",
        ));
    }
    let journal =
        matches!(config.events.to, LogTarget::Auto | LogTarget::Stderr | LogTarget::Journal);
    if let (true, Journal::Takes(limit)) = (journal, facts.log.journal)
        && limit.limits()
    {
        let writes = limit.every.as_secs().saturating_mul(LINES);
        if limit.burst < writes {
            note(Finding::note(
                FindingKind::JournalLimit,
                format!(
                    "the journal takes {} in {}; under attack the gate may write {}",
                    many(limit.burst, "line"),
                    crate::events::Span(limit.every),
                    crate::events::Grouped(writes)
                ),
                "for this service alone: sudo systemctl edit portcullis, with the two lines \
                 [Service] and LogRateLimitIntervalSec=0. The gate limits itself",
            ));
        }
    }
}
