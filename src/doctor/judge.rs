//! Facts → what is off. One file per topic; each says what it knows, in the order of a packet's
//! way: tools, daemon, queue, rules, losses, records.

mod daemon;
mod queue;
mod records;
mod rules;
#[cfg(test)]
mod tests;
mod tools;

use super::facts::Facts;
use super::finding::{Finding, FindingKind};
use crate::config::{Config, Mode};

/// What is off first; then what is good to know. That the gate does not run comes after what may
/// hinder it: it is to be started when that is mended.
pub fn judge(facts: &Facts, config: &Config) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut note = |finding| found.push(finding);
    tools::look(facts, config, &mut note);
    daemon::look(facts, config, &mut note);
    // What is in the kernel follows from what the gate does, whatever the policy says.
    let mut in_force = config.clone();
    if daemon::is_unconfirmed(facts, config) {
        in_force.mode = Mode::Observe;
    }
    queue::look(facts, &in_force, &mut note);
    rules::look(facts, &in_force, &mut note);
    records::look(facts, config, &mut note);
    proof(facts, &mut note);
    found.sort_by_key(|finding| (!finding.off, finding.kind == FindingKind::NotRunning));
    found
}

fn proof(facts: &Facts, note: &mut impl FnMut(Finding)) {
    match &facts.proof {
        None => {}
        Some(Err(why)) => note(Finding::off(
            FindingKind::Unproven,
            format!("the proof in a private network could not be made: {why}"),
            "see for yourself: portcullis demo",
        )),
        Some(Ok(proofs)) => {
            for proof in proofs.iter().filter(|proof| !proof.holds) {
                note(Finding::off(
                    FindingKind::Disproved,
                    format!("{}: {}", proof.claim, proof.seen),
                    "see the gate at work on this kernel: portcullis demo. If it fails too, report \
                     it with the output of: portcullis doctor --prove --json",
                ));
            }
        }
    }
}

/// `1 packet`, `2 packets`
fn many(count: u64, one: &str) -> String {
    let grouped = crate::events::Grouped(count);
    if count == 1 { format!("1 {one}") } else { format!("{grouped} {one}s") }
}
