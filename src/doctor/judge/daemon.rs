//! The daemon: does it run, does it act, by which policy?

use std::time::Duration;

use super::many;
use crate::config::{Config, FailMode, Mode};
use crate::control::protocol::StatusReport;
use crate::doctor::facts::{Daemon, Facts, moment};
use crate::doctor::finding::{Finding, FindingKind};

/// Two clocks may differ by so much without anything being wrong: file times are coarse.
const SAME: Duration = Duration::from_secs(1);
/// Of a jump of the clock, only more than this is worth a word.
const JUMP: f64 = 5.0;

pub(super) fn look(facts: &Facts, config: &Config, note: &mut impl FnMut(Finding)) {
    match &facts.daemon {
        Daemon::Runs(_) | Daemon::Closed(_) => {}
        Daemon::Absent => {
            let then = match config.guard.when_down {
                FailMode::Accept => "new connections pass unjudged",
                FailMode::Drop => "new connections are dropped if the gate's rule is still there",
            };
            note(Finding::off(
                FindingKind::NotRunning,
                format!(
                    "the gate is not running (nobody answers at {}): {then}",
                    config.control.socket.display()
                ),
                "sudo systemctl start portcullis; if it ends again: journalctl -u portcullis -e",
            ));
        }
        Daemon::Silent(why) => note(Finding::off(
            FindingKind::Silent,
            format!("the gate does not answer as it should: {why}"),
            "journalctl -u portcullis -e, then: sudo systemctl restart portcullis",
        )),
    }
    if let Some(since) = facts.aside.and_then(|since| jiff::Timestamp::try_from(since).ok()) {
        note(Finding::off(
            FindingKind::Aside,
            format!(
                "the gate stands aside since {}: somebody typed portcullis panic",
                since.strftime("%F %TZ")
            ),
            "when the reason is mended: sudo portcullis panic --over",
        ));
    }
    if config.mode == Mode::Observe {
        note(Finding::note(
            FindingKind::Observing,
            "the policy says mode = \"observe\": nothing is dropped",
            "when you have seen enough: mode = \"enforce\", then: portcullis reload",
        ));
    }
    let Some(status) = facts.daemon.status() else { return };
    if policy_is_newer(facts) {
        note(Finding::off(
            FindingKind::PolicyChanged,
            format!("{} was changed after the gate read it", status.config),
            "portcullis reload (portcullis check finds mistakes first)",
        ));
    }
    if is_unconfirmed(facts, config) {
        note(Finding::off(
            FindingKind::Unconfirmed,
            "the gate only observes, though the policy says mode = \"enforce\": the policy was on \
             trial and nobody confirmed it",
            "if it is good: portcullis confirm. If not, correct it, then: portcullis reload",
        ));
    }
    if status.clock_moved.abs() > JUMP {
        let seconds = Duration::from_secs_f64(status.clock_moved.abs().min(1e9).round());
        let (direction, then) = if status.clock_moved > 0.0 {
            ("forward", "end that much too early")
        } else {
            ("back", "last that much longer")
        };
        note(Finding::note(
            FindingKind::ClockMoved,
            format!(
                "the clock was set {direction} by {} while the gate ran. Bans given since this \
                 machine started were moved with it; older ones {then} if the clock was right when \
                 they were given",
                crate::events::Span(seconds),
            ),
            "is it right now? timedatectl. How long bans still last: portcullis bans. What is \
             wrong: portcullis bans remove ADDRESS, portcullis bans add ADDRESS --for 1h",
        ));
    }
    let confined = &status.confined;
    if confined.held.is_empty() && !confined.open.is_empty() {
        note(Finding::note(
            FindingKind::Unconfined,
            format!("the gate's process is not confined: {}", confined.open.join("; ")),
            "[daemon] confine = true, then: sudo systemctl restart portcullis",
        ));
    }
    firewall(status, note);
}

/// `; the last time: … by nft (process 812)`, as far as the alarms still tell.
fn last_flush(status: &StatusReport) -> String {
    let last = status.alarms.iter().find(|alarm| alarm.what == "flushed");
    let told = last.and_then(|alarm| alarm.text.split(". It is").next());
    told.map(|told| format!("; the last time, {told}")).unwrap_or_default()
}

/// The log that cannot be written at present, in the words of the alarm. That it works again is
/// told by a milder one.
pub(super) fn log_trouble(status: &StatusReport) -> Option<&str> {
    let last = status.alarms.iter().find(|alarm| alarm.what == "log")?;
    let sentence = last.text.split(". Lines are lost").next()?;
    (last.level == "error").then_some(sentence)
}

/// Was the policy changed after the gate read it?
pub(super) fn policy_is_newer(facts: &Facts) -> bool {
    let read = facts.daemon.status().map(|status| moment(status.config_loaded) + SAME);
    facts.policy_changed.zip(read).is_some_and(|(changed, read)| changed > read)
}

/// Was the policy on trial when an earlier daemon ended, so that this one only observes? Nothing else
/// makes it observe with a policy that says otherwise.
pub(super) fn is_unconfirmed(facts: &Facts, config: &Config) -> bool {
    let observes = facts.daemon.status().is_some_and(|status| status.mode == "observe");
    observes && config.mode == Mode::Enforce && !policy_is_newer(facts)
}

/// What the daemon says of its own losses and its table.
fn firewall(status: &StatusReport, note: &mut impl FnMut(Finding)) {
    let told = &status.firewall;
    if !told.healthy && !told.text.is_empty() && told.aside.is_none() {
        note(Finding::off(
            FindingKind::TableTrouble,
            format!("the gate reports trouble with its kernel table: {}", told.text),
            "if that does not help: journalctl -u portcullis -e",
        ));
    }
    if told.repaired > 0 {
        note(Finding::note(
            FindingKind::Rebuilt,
            format!(
                "the gate had to rebuild its table {}, because somebody removed or changed it{}",
                if told.repaired == 1 { "once".into() } else { many(told.repaired, "time") },
                last_flush(status)
            ),
            "who it was each time: journalctl -u portcullis -g flushed. A line flush ruleset in \
             /etc/nftables.conf does that at each reload of nftables: let it flush its own tables \
             only, with a line like: flush table inet filter",
        ));
    }
    let counters = &status.counters;
    let untold = [
        (counters.events_lost, "event"),
        (counters.orders_lost, "change of standing"),
        // Where lines are being lost, that is told with what to do about it.
        (if log_trouble(status).is_none() { status.lines_lost } else { 0 }, "log line"),
    ];
    let untold: Vec<String> = untold
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| match *what {
            "change of standing" if *count > 1 => {
                format!("{} changes of standing", crate::events::Grouped(*count))
            }
            what => many(*count, what),
        })
        .collect();
    if !untold.is_empty() {
        note(Finding::off(
            FindingKind::Untold,
            format!("lost since the gate started: {}", untold.join(", ")),
            "look for what is slow, the log's reader or the disk: portcullis status, \
             journalctl -u portcullis -e",
        ));
    }
}
