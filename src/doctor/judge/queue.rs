//! The queue: whose it is, how full, what was lost.

use super::many;
use crate::config::{Config, FailMode};
use crate::control::protocol::StatusReport;
use crate::doctor::facts::{Daemon, Facts};
use crate::doctor::finding::{Finding, FindingKind};
use crate::host::{Holder, free_queues};

pub(super) fn look(facts: &Facts, config: &Config, note: &mut impl FnMut(Finding)) {
    let first = config.queue.number;
    let ours = first..=first.saturating_add(config.queue.threads.saturating_sub(1));
    let status = facts.daemon.status();
    if let Ok(holders) = &facts.holders {
        for number in ours.clone() {
            match holders.iter().find(|holder| holder.number == number) {
                Some(holder) if !is_the_gate(holder, &facts.daemon) => {
                    let free = free_queues(holders, config.queue.threads);
                    note(Finding::off(
                        FindingKind::QueueTaken,
                        format!("queue {number} belongs to {}, not to the gate", holder.who()),
                        format!(
                            "stop that program, or give the gate another number: [queue] number = \
                             {free}, then: sudo systemctl restart portcullis"
                        ),
                    ));
                }
                None if status.is_some() => note(Finding::off(
                    FindingKind::QueueLost,
                    format!("the gate runs, but nobody listens to queue {number}"),
                    "sudo systemctl restart portcullis",
                )),
                _ => {}
            }
        }
        let of_others =
            holders.iter().filter(|holder| status.is_none() && ours.contains(&holder.number));
        for holder in of_others.filter(|holder| holder.dropped + holder.lost > 0) {
            losses(holder.number, holder.dropped + holder.lost, note);
        }
    }
    let Some(status) = status else { return };
    settings(status, config, note);
    for queue in &status.queues {
        if queue.lost > 0 {
            losses(queue.number, queue.lost, note);
        }
        if queue.buffer_holds < queue.length {
            note(Finding::off(
                FindingKind::SmallBuffer,
                format!(
                    "the buffer of queue {} has room for {}; [queue] length is {}",
                    queue.number,
                    many(queue.buffer_holds, "packet"),
                    crate::events::Grouped(queue.length)
                ),
                format!(
                    "sudo sysctl -w net.core.rmem_max={}, then: sudo systemctl restart portcullis",
                    // The kernel doubles what is asked for.
                    (queue.length * PACKET / 2).next_power_of_two()
                ),
            ));
        }
        if let Some(waiting) = queue.waiting.filter(|waiting| waiting * 2 > queue.length) {
            note(Finding::off(
                FindingKind::Backlog,
                format!(
                    "{} wait in queue {}, of {} that may",
                    many(waiting, "packet"),
                    queue.number,
                    crate::events::Grouped(queue.length)
                ),
                "see who sends so many: portcullis status, portcullis connections --suspicious. \
                 More threads help where there are more processors: [queue] threads",
            ));
        }
    }
}

/// A reload leaves the queues as they are, so they may be other than the file says.
fn settings(status: &StatusReport, config: &Config, note: &mut impl FnMut(Finding)) {
    let queue = &config.queue;
    let when_full = if queue.when_full == FailMode::Accept { "accept" } else { "drop" };
    if !status.when_full.is_empty() && status.when_full != when_full {
        note(Finding::off(
            FindingKind::FailMode,
            format!(
                "when a queue is full, the kernel will {} new connections; the policy says [queue] \
                 when_full = \"{when_full}\"",
                status.when_full
            ),
            "sudo systemctl restart portcullis (a reload leaves the queues as they are)",
        ));
    }
    let Some(first) = status.queues.first() else { return };
    let (threads, wanted) = (status.queues.len(), usize::from(queue.threads));
    let length = u64::from(queue.length);
    if (first.number, threads, first.length) != (queue.number, wanted, length) {
        let say = |number: u16, threads: usize, length: u64| {
            let length = many(length, "packet");
            format!("number {number}, {}, room for {length}", many(threads as u64, "thread"))
        };
        note(Finding::off(
            FindingKind::QueueOld,
            format!(
                "the gate's queue has {}; the policy says {}",
                say(first.number, threads, first.length),
                say(queue.number, wanted, length)
            ),
            "sudo systemctl restart portcullis",
        ));
    }
}

/// What one waiting packet takes of the buffer, in bytes, at most.
const PACKET: u64 = 1344;

fn losses(number: u16, count: u64, note: &mut impl FnMut(Finding)) {
    note(Finding::off(
        FindingKind::Losses,
        format!(
            "{} of queue {number} got no verdict, because there was no room",
            many(count, "packet")
        ),
        "[queue] length makes more room, [queue] threads make it quicker; then: sudo systemctl \
         restart portcullis",
    ));
}

/// Is it the gate that holds this queue? It says who it is, if it may be asked; otherwise its name
/// must do.
fn is_the_gate(holder: &Holder, daemon: &Daemon) -> bool {
    match (daemon, &holder.program) {
        (Daemon::Runs(status), Some(program)) => program.pid == status.pid,
        (Daemon::Runs(status), None) => holder.port == status.pid,
        (Daemon::Absent, _) => false,
        (_, Some(program)) => program.name == "portcullis",
        (_, None) => true,
    }
}
