//! Every family of metrics: its name, what it means, its labels.
//!
//! Names are written without the prefix `portcullis_`; counters get `_total` at their end.
//! All values that a label can have are always there, so that a rate is 0 before the first packet
//! and not unknown.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::text::Page;
use super::{Captured, Facts, Reloads};
use crate::control::{FloodFacts, MemoryFacts, QueueRow};
use crate::events::Snapshot;
use crate::firewall::{self, COUNTERS};
use crate::memory::FloodKind;
use crate::packet::Malformed;
use crate::policy::{CHECKS, Standing};

/// Reasons for a standing that are no check's name.
const OTHER_REASONS: [&str; 2] = ["admin", "other"];

impl Facts {
    /// Writes all of it.
    pub(super) fn write(&self, page: &mut Page<'_>) -> fmt::Result {
        let Self { version, enforcing, started, uptime, loaded, reloads, .. } = self;
        page.info("build", "The program that runs", ("version", version))?;
        page.seconds("start_time", "When the gate started, in Unix time", unix(*started))?;
        page.seconds("uptime", "How long the gate has been running", uptime.as_secs_f64())?;
        page.gauge("enforcing", "1 if the gate drops what it refuses, 0 if it only observes")?
            .value(u32::from(*enforcing))?;
        page.seconds(
            "policy_time",
            "When the policy in force was read, in Unix time",
            unix(*loaded),
        )?;
        let Reloads { done, failed } = *reloads;
        page.counter(
            "policy_reloads",
            "Policies read while running; a failed one changes nothing",
        )?
        .each("result", [("done", done), ("failed", failed)])?;
        syns(&self.counters, page)?;
        page.seconds(
            "verdict_age",
            "How long the slowest queue thread has been at its present packet",
            self.busy.as_secs_f64(),
        )?;
        queues(&self.queues, page)?;
        telling(&self.counters, self.lines_lost, page)?;
        let Captured { written, passed_over, lost } = self.captured;
        page.counter("capture_packets", "Refused packets for [capture], by what became of them")?
            .each("result", [("written", written), ("passed_over", passed_over), ("lost", lost)])?;
        memory(&self.memory, page)?;
        floods(&self.floods, page)?;
        page.gauge("standings_limit", "The most standings there can be ([guard] set_size)")?
            .value(self.standings_limit)?;
        page.gauge("firewall_answers", "0 while nft keeps the firewall thread waiting")?
            .value(u32::from(self.firewall.is_some()))?;
        self.firewall.as_ref().map_or(Ok(()), |counters| firewall(counters, page))
    }
}

fn syns(counters: &Snapshot, page: &mut Page<'_>) -> fmt::Result {
    let Snapshot { received, accepted, dropped, would_drop, malformed, retransmissions, .. } =
        counters;
    page.counter("syns_received", "Opening packets that the kernel handed over")?
        .value(*received)?;
    page.counter("syns_accepted", "Packets that were let in because nothing spoke against them")?
        .value(*accepted)?;
    let checks = || CHECKS.iter().map(|check| check.name);
    page.counter("syns_dropped", "Packets that were refused, by the check that refused them")?
        .each("check", every(checks(), dropped))?;
    page.counter("syns_would_drop", "Packets let in only because the gate observes, by check")?
        .each("check", every(checks(), would_drop))?;
    let kinds = Malformed::ALL.iter().map(|kind| kind.name());
    page.counter(
        "packets_malformed",
        "Packets that could not be read, by what is wrong with them",
    )?
    .each("kind", every(kinds, malformed))?;
    page.counter("syns_retransmitted", "Attempts that were seen before")?.value(*retransmissions)
}

fn queues(queues: &[QueueRow], page: &mut Page<'_>) -> fmt::Result {
    let each = |of: fn(&QueueRow) -> Option<u64>| {
        let named = queues.iter().filter_map(move |row| Some((row.number.to_string(), of(row)?)));
        named.collect::<Vec<_>>()
    };
    page.counter("queue_received", "Packets that a queue handed over")?
        .each("queue", each(|row| Some(row.received)))?;
    page.counter("queue_lost", "Packets that found no room on their way and were not judged")?
        .each("queue", each(|row| Some(row.lost)))?;
    page.gauge(
        "queue_waiting",
        "Packets that wait in a queue; absent if the kernel does not tell",
    )?
    .each("queue", each(|row| row.waiting))?;
    page.gauge("queue_length", "Packets that may wait in a queue")?
        .each("queue", each(|row| Some(row.length)))?;
    page.gauge("queue_buffer_holds", "Packets that a queue's socket buffer has room for")?
        .each("queue", each(|row| Some(row.buffer_holds)))
}

fn telling(counters: &Snapshot, lines_lost: u64, page: &mut Page<'_>) -> fmt::Result {
    page.counter("events_lost", "Events never told, because too many waited")?
        .value(counters.events_lost)?;
    page.counter("log_lines_lost", "Log lines that syslog or a file did not take")?
        .value(lines_lost)?;
    page.counter("orders_lost", "Standings earned and never given, because too many waited")?
        .value(counters.orders_lost)
}

fn memory(memory: &MemoryFacts, page: &mut Page<'_>) -> fmt::Result {
    let MemoryFacts { sources, sources_bound, networks, networks_bound } = *memory;
    page.gauge("memory_entries", "Sources and networks that are remembered")?
        .each("of", [("sources", sources), ("networks", networks)])?;
    page.gauge("memory_limit", "Sources and networks that can be remembered")?
        .each("of", [("sources", sources_bound), ("networks", networks_bound)])
}

fn floods(floods: &[FloodFacts], page: &mut Page<'_>) -> fmt::Result {
    let kinds = [FloodKind::Forged, FloodKind::Busy].map(FloodKind::word);
    let of = |kind: &'static str| floods.iter().filter(move |flood| flood.kind == kind);
    let lasting = kinds.map(|kind| (kind, of(kind).count() as u64));
    let rates = kinds.map(|kind| (kind, of(kind).fold(0.0, |sum, flood| sum + flood.per_second)));
    page.gauge("floods", "Floods of SYNs that last; while one is forged nobody earns a standing")?
        .each("kind", lasting)?;
    page.gauge("flood_rate", "SYNs a second of the floods that last")?.each("kind", rates)
}

fn firewall(counters: &firewall::Counters, page: &mut Page<'_>) -> fmt::Result {
    let firewall::Counters { kernel, in_step, path, repairs, reasons, delays, .. } = counters;
    let named = COUNTERS.iter().filter_map(|(name, _)| {
        kernel.iter().find(|(known, _)| known == name).map(|(_, packets)| (*name, *packets))
    });
    page.counter("kernel_packets", "Packets that the kernel's own rules dealt with, by rule")?
        .each("rule", named)?;
    page.gauge("redirect_up", "1 if the kernel hands packets to the queue")?
        .value(u32::from(path.is_some()))?;
    page.gauge("firewall_in_step", "1 if the kernel holds what the ledger says")?
        .value(u32::from(*in_step))?;
    page.counter("table_repairs", "How often somebody else's change of the table was repaired")?
        .value(*repairs)?;
    page.counter("table_errors", "How often the kernel did not take a change of the table")?
        .value(counters.refused)?;
    page.counter("ledger_errors", "How often standings could not be written to disk")?
        .value(counters.unsaved)?;
    let words = || CHECKS.iter().map(|check| check.name).chain(OTHER_REASONS);
    let standings = [Standing::Suspect, Standing::Banned].into_iter().flat_map(|standing| {
        words().map(move |reason| {
            let count = reasons.get(&(standing, reason)).copied().unwrap_or_default();
            ([("standing", standing.word()), ("reason", reason)], count)
        })
    });
    page.gauge("standings", "Sources that have a standing, by what they are and why")?
        .all(standings)?;
    page.counter("standings_withheld", "Standings earned and not given, by what was used up")?
        .each("by", [("budget", counters.over_budget), ("room", counters.no_room)])?;
    page.spans("standing_delay", "From a decision to the kernel's set", delays)
}

/// The counts of all these names, and of any other that was counted.
fn every(
    names: impl Iterator<Item = &'static str>,
    counted: &BTreeMap<String, u64>,
) -> Vec<(&str, u64)> {
    let mut all: Vec<(&str, u64)> =
        names.map(|name| (name, counted.get(name).copied().unwrap_or_default())).collect();
    let known = all.len();
    for (name, count) in counted {
        if !all[..known].iter().any(|(known, _)| known == name) {
            all.push((name, *count));
        }
    }
    all
}

fn unix(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs_f64()
}
