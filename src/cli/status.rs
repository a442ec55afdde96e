//! `portcullis status`: how the gate is.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use jiff::tz::TimeZone;

use super::asked::{self, local};
use super::layout::{Align, Table, wrap};
use crate::anomaly::{CALIBRATORS, sources_needed};
use crate::control::protocol::{
    AnomalyFacts, CaptureRow, FloodFacts, SparedRow, StatusReport, TrialFacts,
};
use crate::control::{FillingFacts, Request, Response};
use crate::events::{Grouped, Measured, Snapshot, Span, ports};

/// How the gate is: traffic, standings, health
#[derive(Clone, Copy, Debug, clap::Args)]
#[command(after_help = "Standings: a suspect finds unserved ports closed and has to knock twice \
at the others; from a banned source the kernel takes no new connection. The kernel table is what \
the gate puts into the kernel: nft list table inet portcullis. Lost is what got no verdict, or \
was not written. What is wrong, and how to mend it: portcullis doctor")]
pub struct Args {}

/// Asks the daemon how it is.
pub fn run(_args: &Args, socket: &Path, json: bool) -> ExitCode {
    match asked::answer(socket, &Request::Status) {
        Ok(Response::Status(report)) => {
            asked::show(&*report, json, |report| screen(report, &TimeZone::system()))
        }
        Ok(_) => asked::misunderstood(),
        Err(code) => code,
    }
}

/// The whole screen.
fn screen(report: &StatusReport, zone: &TimeZone) -> String {
    let mut parts = vec![head(report, zone), traffic(report), state(report), queues(report)];
    parts.extend((!report.names.is_empty()).then(|| names(report)));
    parts.push(alarms(report, zone));
    parts.join("\n")
}

/// What it means that the gate stands aside.
const ASIDE: &str = "somebody typed portcullis panic; nothing is judged and no ban acts until \
                     portcullis panic --over";

fn head(report: &StatusReport, zone: &TimeZone) -> String {
    let StatusReport { version, pid, mode, redirect, started, uptime, .. } = report;
    let mode = match (report.firewall.aside, mode.as_str()) {
        (Some(since), _) => format!("STANDS ASIDE since {}: {ASIDE}", local(since, zone)),
        (None, "observe") => "observe: nothing is dropped".to_owned(),
        (None, mode) => mode.to_owned(),
    };
    let facts = [
        ("mode", mode),
        ("up", format!("{}, since {}", Span(whole_seconds(*uptime)), local(*started, zone))),
        ("policy", format!("{}, read {}", report.config, local(report.config_loaded, zone))),
        ("redirect", redirect.clone()),
        ("served", report.served.clone()),
        ("on trial", trial(report.trial)),
        ("spared", spared(&report.spared)),
    ];
    lines(&format!("Portcullis {version} is running, pid {pid}"), facts)
}

/// What is in force until somebody confirms it, or nothing.
fn trial(facts: TrialFacts) -> String {
    let Some(left) = facts.left else { return String::new() };
    let left = Span(whole_seconds(left));
    if facts.start {
        format!("THE GATE ITSELF: it goes in {left}, unless you type portcullis confirm")
    } else {
        format!("THIS POLICY: the old one comes back in {left}, unless you type portcullis confirm")
    }
}

/// So many are named.
const NAMED: usize = 5;

/// Who cannot be locked out, or nothing.
fn spared(rows: &[SparedRow]) -> String {
    let words = |row: &SparedRow| {
        let is = if row.open { "is" } else { "was" };
        format!("{}, whose SSH session (port {}) {is} open", row.address, row.port)
    };
    let mut named: Vec<String> = rows.iter().take(NAMED).map(words).collect();
    if rows.len() > NAMED {
        named.push(format!("and {} more", rows.len() - NAMED));
    }
    named.join("; ")
}

fn traffic(report: &StatusReport) -> String {
    let Snapshot { received, accepted, dropped, would_drop, malformed, retransmissions, .. } =
        &report.counters;
    let mut table = Table::new(
        0,
        &[
            ("Connection attempts", Align::Left),
            ("ALL", Align::Right),
            ("PER SECOND", Align::Right),
        ],
    );
    let mut row = |name: &str, count: u64, rate: Option<f64>| {
        let rate = rate.map(|rate| format!("{rate:.1}")).unwrap_or_default();
        table.row([format!("  {name:<28}"), Grouped(count).to_string(), rate]);
    };
    row("judged", *received, Some(report.per_second.received));
    row("let in", *accepted, Some(report.per_second.accepted));
    row("refused", report.counters.dropped_total(), Some(report.per_second.dropped));
    for (check, count) in largest_first(dropped) {
        row(&format!("  by {check}"), count, None);
    }
    if !would_drop.is_empty() {
        let total = report.counters.would_drop_total();
        row("would have been refused", total, Some(report.per_second.would_drop));
        for (check, count) in largest_first(would_drop) {
            row(&format!("  by {check}"), count, None);
        }
    }
    for (name, count) in
        [("repeated by the sender", *retransmissions), ("unreadable", malformed.values().sum())]
    {
        if count > 0 {
            row(name, count, None);
        }
    }
    table.text()
}

fn largest_first(counts: &BTreeMap<String, u64>) -> Vec<(&str, u64)> {
    let mut counts: Vec<(&str, u64)> =
        counts.iter().map(|(name, count)| (name.as_str(), *count)).collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts
}

fn state(report: &StatusReport) -> String {
    let standings = report.standings;
    let firewall = &report.firewall;
    let mut health = if firewall.aside.is_some() {
        "taken out, because the gate stands aside".to_owned()
    } else if firewall.healthy {
        "in place".to_owned()
    } else {
        format!("PROBLEM: {}", firewall.text)
    };
    if firewall.repaired > 0 {
        let often = match firewall.repaired {
            1 => "once".to_owned(),
            more => format!("{} times", Grouped(more)),
        };
        health += &format!("; rebuilt {often}, because somebody removed or changed it");
    }
    let sets = match (firewall.filling, report.kernel_sets) {
        (Some(FillingFacts { left, all }), _) => format!(
            "being filled: {} of {} standings are in; the gate itself stops the others",
            Grouped(all.saturating_sub(left)),
            Grouped(all)
        ),
        (None, Some(latency)) => format!(
            "know of a decision after {} (99 of 100: {})",
            Span(latency.p50),
            Span(latency.p99)
        ),
        (None, None) => "nothing to tell them yet".to_owned(),
    };
    let of = |count: u64, bound: u64| {
        let share = if bound == 0 { 0.0 } else { count as f32 / bound as f32 * 100.0 };
        format!("{} of {} ({} %)", Grouped(count), Grouped(bound), Measured(share.round()))
    };
    let memory = report.memory;
    let networks = match memory.networks {
        0 => String::new(),
        count => of(count, memory.networks_bound),
    };
    lines(
        "State",
        [
            ("flood", floods(report)),
            (
                "standings",
                format!(
                    "{} banned, {} suspect",
                    Grouped(standings.banned),
                    Grouped(standings.suspect)
                ),
            ),
            (
                "stopped",
                format!("{} packets, by the kernel alone", Grouped(firewall.stopped_packets)),
            ),
            ("kernel table", health),
            ("kernel sets", sets),
            ("sources", of(memory.sources, memory.sources_bound)),
            ("networks", networks),
            ("anomaly", report.anomaly.map(anomaly).unwrap_or_default()),
            ("captures", captures(report)),
            ("lost", losses(report)),
        ],
    )
}

/// The floods that last, or nothing.
pub(super) fn floods(report: &StatusReport) -> String {
    let flood = |facts: &FloodFacts| {
        let FloodFacts { lasts, per_second, frozen, .. } = facts;
        let what = if *frozen { "FORGED SYNS" } else { "FEW SOURCES" };
        let frozen = if *frozen { "; standings and learning are frozen" } else { "" };
        format!(
            "{what} at {} for {}, {} a second{frozen}",
            ports(&facts.ports),
            Span(whole_seconds(*lasts)),
            Grouped(*per_second as u64),
        )
    };
    report.floods.iter().map(flood).collect::<Vec<_>>().join("; ")
}

/// The captures that last, or nothing.
fn captures(report: &StatusReport) -> String {
    let capture = |row: &CaptureRow| {
        let missing = match row.missing {
            0 => String::new(),
            count => format!(", {} missing", Grouped(count)),
        };
        format!("{}: {} packets{missing}", row.what, Grouped(row.packets))
    };
    report.captures.iter().map(capture).collect::<Vec<_>>().join("; ")
}

/// How far the anomaly detector is.
fn anomaly(facts: AnomalyFacts) -> String {
    let AnomalyFacts { ready, learnt, learnt_needed, measures, measures_needed, .. } = facts;
    let mut text = if facts.paused > 0 {
        format!(
            "stopped learning for another {}, see the alarms",
            Span(Duration::from_secs(facts.paused))
        )
    } else if !facts.possible {
        let most = sources_needed_for(facts.sources_per_day);
        format!(
            "says nothing: {} proven visitors a day are too many for its budget; with [anomaly] \
             false_positives_per_day = {most} it could",
            Grouped(facts.sources_per_day as u64)
        )
    } else if ready {
        "ready".to_owned()
    } else if learnt < learnt_needed {
        format!("learning, {} of {} attempts", Grouped(learnt), Grouped(learnt_needed))
    } else {
        format!(
            "learning, {} of {} visitors to measure against",
            Grouped(measures),
            Grouped(measures_needed)
        )
    };
    if facts.flagged > 0 {
        text += &format!("; {} unusual sources so far", Grouped(facts.flagged));
    }
    text
}

/// The smallest budget that can be kept to with so many visitors a day.
fn sources_needed_for(per_day: f64) -> u64 {
    (1..).find(|budget| sources_needed(*budget as f64 / per_day) <= CALIBRATORS).unwrap_or(1)
}

/// What did not get where it should, or `nothing`.
pub(super) fn losses(report: &StatusReport) -> String {
    let Snapshot { events_lost, orders_lost, lost, .. } = report.counters;
    let losses: Vec<String> = [
        (lost, "packets on their way to the gate"),
        (report.firewall.over_rate, "packets over the maximal rate"),
        (orders_lost, "changes of standing"),
        (events_lost, "events"),
        (report.lines_lost, "log lines"),
    ]
    .iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, what)| format!("{} {what}", Grouped(*count)))
    .collect();
    if losses.is_empty() { "nothing".to_owned() } else { losses.join(", ") }
}

fn queues(report: &StatusReport) -> String {
    let columns = [
        ("Queue", Align::Right),
        ("WAITING", Align::Right),
        ("LENGTH", Align::Right),
        ("BUFFER HOLDS", Align::Right),
        ("RECEIVED", Align::Right),
        ("LOST", Align::Right),
    ];
    let mut table = Table::new(0, &columns);
    for queue in &report.queues {
        let waiting = queue.waiting.map_or("?".to_owned(), |count| Grouped(count).to_string());
        let counts = [queue.length, queue.buffer_holds, queue.received, queue.lost];
        let cells = [queue.number.to_string(), waiting].into_iter();
        table.row(cells.chain(counts.map(|count| Grouped(count).to_string())));
    }
    table.text()
}

/// The allow list's names, with what they stand for.
fn names(report: &StatusReport) -> String {
    let mut text = "Names in the allow list\n".to_owned();
    let width = report.names.iter().map(|row| row.name.len()).max().unwrap_or_default().min(30);
    for row in &report.names {
        let addresses: Vec<String> = row.addresses.iter().map(ToString::to_string).collect();
        let age = row.age.map(|age| format!(" ({} ago)", Span(whole_seconds(age))));
        let known = format!("{}{}", addresses.join(", "), age.unwrap_or_default());
        let value = match (row.state.as_str(), addresses.is_empty()) {
            ("good", _) => known,
            ("gone", true) => "PROBLEM: there is no such name; nobody is trusted for it".to_owned(),
            ("gone", false) => format!("PROBLEM: there is no such name any more; was {known}"),
            ("failing", true) => {
                "PROBLEM: cannot be looked up; nobody is trusted for it".to_owned()
            }
            ("failing", false) => format!("PROBLEM: cannot be looked up; was {known}"),
            _ => "not answered yet".to_owned(),
        };
        text += &wrap(&format!("  {:<width$}  ", row.name), &value);
    }
    text
}

pub(super) fn alarms(report: &StatusReport, zone: &TimeZone) -> String {
    if report.alarms.is_empty() {
        return "No alarms.\n".to_owned();
    }
    let mut text = "Alarms, the newest first\n".to_owned();
    for alarm in report.alarms.iter().take(5) {
        let line = format!("{} {}: {}", alarm.level, alarm.what, alarm.text);
        text += &wrap(&format!("  {}  ", local(alarm.at, zone)), &line);
    }
    text
}

/// A title and under it facts by name; one without a value is left out.
fn lines<const N: usize>(title: &str, facts: [(&str, String); N]) -> String {
    let facts = facts
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| wrap(&format!("  {name:<12}  "), value));
    std::iter::once(format!("{title}\n")).chain(facts).collect()
}

/// Nobody wants milliseconds of a time that is told while it passes.
pub(super) fn whole_seconds(span: Duration) -> Duration {
    Duration::from_secs(span.as_secs())
}

#[cfg(test)]
pub(super) mod tests {

    use super::*;
    use crate::control::protocol::{
        FirewallFacts, Latency, MemoryFacts, NameRow, QueueRow, StandingCounts,
    };
    use crate::events::{Alarm, PerSecond};

    /// A gate that does well.
    pub(in crate::cli) fn report() -> StatusReport {
        StatusReport {
            version: "0.1.0".into(),
            pid: 812,
            mode: "enforce".into(),
            redirect: "by nft's queue statement".into(),
            started: "2026-09-18T10:12:03Z".parse().unwrap(),
            uptime: Duration::from_secs(274_000),
            clock_moved: 0.0,
            config: "/etc/portcullis/portcullis.toml".into(),
            config_loaded: "2026-09-18T10:12:03Z".parse().unwrap(),
            state_dir: "/var/lib/portcullis".into(),
            queues: vec![QueueRow {
                number: 7,
                waiting: Some(3),
                length: 8192,
                buffer_holds: 10_922,
                received: 1_234_567,
                lost: 0,
            }],
            when_full: "accept".into(),
            counters: Snapshot {
                received: 1_234_567,
                accepted: 1_200_000,
                dropped: BTreeMap::from([("ports".into(), 4_567), ("rate".into(), 30_000)]),
                malformed: BTreeMap::from([("fragment".into(), 12)]),
                ..Snapshot::default()
            },
            per_second: PerSecond {
                received: 12.34,
                accepted: 11.9,
                dropped: 0.44,
                would_drop: 0.0,
            },
            lines_lost: 0,
            memory: MemoryFacts {
                sources: 12_345,
                sources_bound: 131_072,
                networks: 0,
                networks_bound: 32_768,
            },
            standings: StandingCounts { suspect: 104, banned: 12 },
            anomaly: Some(AnomalyFacts {
                learnt: 1200,
                learnt_needed: 200,
                measures: 88,
                measures_needed: 230,
                possible: true,
                ..AnomalyFacts::default()
            }),
            kernel_sets: Some(Latency {
                p50: Duration::from_micros(900),
                p99: Duration::from_millis(4),
                count: 116,
            }),
            firewall: FirewallFacts {
                healthy: true,
                stopped_packets: 98_765,
                over_rate: 0,
                ..FirewallFacts::default()
            },
            served: "22, 80, 443".into(),
            alarms: vec![],
            floods: vec![],
            captures: vec![],
            names: vec![],
            trial: TrialFacts::default(),
            spared: vec![],
            confined: Default::default(),
        }
    }

    #[test]
    fn trials_and_the_spared_are_told() {
        let mut report = report();
        let state = crate::control::TrialState::Waiting;
        report.trial =
            TrialFacts { state, left: Some(Duration::from_millis(43_900)), start: false };
        let row = |n: u8, open| SparedRow { address: [203, 0, 113, n].into(), port: 22, open };
        report.spared = vec![row(7, true), row(8, false)];
        let screen = screen(&report, &TimeZone::UTC);
        for line in [
            "  on trial      THIS POLICY: the old one comes back in 43s, unless you type",
            "  spared        203.0.113.7, whose SSH session (port 22) is open; 203.0.113.8,",
            "                whose SSH session (port 22) was open",
        ] {
            assert!(screen.contains(line), "{screen}");
        }
    }

    #[test]
    fn all_is_well() {
        assert_eq!(
            screen(&report(), &TimeZone::fixed(jiff::tz::offset(2))),
            "\
Portcullis 0.1.0 is running, pid 812
  mode          enforce
  up            3d 4h, since 2026-09-18 12:12:03
  policy        /etc/portcullis/portcullis.toml, read 2026-09-18 12:12:03
  redirect      by nft's queue statement
  served        22, 80, 443

Connection attempts                   ALL  PER SECOND
  judged                        1,234,567        12.3
  let in                        1,200,000        11.9
  refused                          34,567         0.4
    by rate                        30,000
    by ports                        4,567
  unreadable                           12

State
  standings     12 banned, 104 suspect
  stopped       98,765 packets, by the kernel alone
  kernel table  in place
  kernel sets   know of a decision after 900us (99 of 100: 4ms)
  sources       12,345 of 131,072 (9 %)
  anomaly       learning, 88 of 230 visitors to measure against
  lost          nothing

Queue  WAITING  LENGTH  BUFFER HOLDS   RECEIVED  LOST
    7        3   8,192        10,922  1,234,567     0

No alarms.
"
        );
    }

    #[test]
    fn names_and_captures_are_shown() {
        let mut report = report();
        let row = |name: &str, state: &str, address: Option<&str>| NameRow {
            name: name.into(),
            addresses: address.map(|text| text.parse().unwrap()).into_iter().collect(),
            confirmed: None,
            age: address.map(|_| Duration::from_millis(125_900)),
            state: state.into(),
        };
        report.names = vec![
            row("office.example.org", "good", Some("203.0.113.9")),
            row("a.example", "failing", Some("2001:db8::9")),
            row("typo.example", "gone", None),
            row("new.example", "unknown", None),
        ];
        report.captures = vec![CaptureRow {
            what: "refused to port 22".into(),
            since: "2026-09-21T14:13:20Z".parse().unwrap(),
            packets: 1234,
            missing: 5,
        }];
        let text = screen(&report, &TimeZone::UTC);
        let names = "\
Names in the allow list
  office.example.org  203.0.113.9 (2m 5s ago)
  a.example           PROBLEM: cannot be looked up; was 2001:db8::9 (2m 5s ago)
  typo.example        PROBLEM: there is no such name; nobody is trusted for it
  new.example         not answered yet

No alarms.
";
        assert!(text.ends_with(names), "{text}");
        assert!(text.contains("  captures      refused to port 22: 1,234 packets, 5 missing\n"));
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }

    #[test]
    fn troubles_stand_out() {
        let mut report = report();
        report.mode = "observe".into();
        report.kernel_sets = None;
        report.memory.networks = 9;
        report.queues[0].waiting = None;
        report.counters.would_drop = BTreeMap::from([("rate".into(), 5), ("ports".into(), 70)]);
        report.counters.lost = 1_000;
        report.lines_lost = 3;
        report.firewall.healthy = false;
        report.firewall.text = "nft is missing; install it with: apt install nftables".into();
        report.firewall.repaired = 2;
        let aside = "2026-09-21T14:13:20Z".parse().ok();
        let firewall = FirewallFacts { aside, ..report.firewall.clone() };
        let aside = screen(&StatusReport { firewall, ..report.clone() }, &TimeZone::UTC);
        let line = "  mode          STANDS ASIDE since 2026-09-21 14:13:20: somebody typed";
        assert_eq!(aside.lines().nth(1), Some(line), "{aside}");
        assert!(aside.contains("  kernel table  taken out, because the gate stands"), "{aside}");
        report.floods = vec![FloodFacts {
            kind: "forged".into(),
            lasts: Duration::from_millis(12_345),
            ports: vec![80, 443],
            per_second: 2345.0,
            peak: 4000.0,
            syns: 28_000,
            new_sources: 0.99,
            frozen: true,
        }];
        report.alarms = vec![Alarm {
            at: "2026-09-21T14:13:20Z".parse().unwrap(),
            level: "error".into(),
            what: "log".into(),
            text: "cannot write to syslog at /dev/log: gone. Lines are lost until it works".into(),
        }];
        let text = screen(&report, &TimeZone::UTC);
        for line in [
            "  mode          observe: nothing is dropped",
            "  would have been refused              75         0.0",
            "    by ports                           70",
            "    by rate                             5",
            "  kernel table  PROBLEM: nft is missing; install it with: apt install nftables;",
            "                rebuilt 2 times, because somebody removed or changed it",
            "  kernel sets   nothing to tell them yet",
            "  networks      9 of 32,768 (0 %)",
            "    7        ?   8,192        10,922  1,234,567     0",
            "  flood         FORGED SYNS at ports 80, 443 for 12s, 2,345 a second; standings",
            "                and learning are frozen",
            "  lost          1,000 packets on their way to the gate, 3 log lines",
            "  2026-09-21 14:13:20  error log: cannot write to syslog at /dev/log: gone.",
            "                       Lines are lost until it works",
        ] {
            assert!(text.lines().any(|own| own == line), "{line}\n{text}");
        }
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }
}
