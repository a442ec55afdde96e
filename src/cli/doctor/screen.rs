//! A report as text of 80 columns.

use super::Report;
use crate::cli::found::{found, verdict};
use crate::cli::layout::{Align, Table, clean, wrap};

/// Everything: what was seen, the chains in order, what is off, what is good to know, what was not
/// seen.
pub(super) fn screen(report: &Report) -> String {
    let width = report.looks.iter().map(|look| look.topic.chars().count()).max().unwrap_or(0);
    let looks = report.looks.iter();
    let mut text: String =
        looks.map(|look| wrap(&format!("{:<width$}  ", look.topic), &look.seen)).collect();
    text += &chains(report);
    if let Some(proofs) = &report.proof {
        text += "\nTried on this kernel, in a private network:\n";
        for proof in proofs {
            let mark = if proof.holds { "  yes  " } else { "  NO   " };
            text += &wrap(mark, &format!("{} ({})", proof.claim, proof.seen));
        }
    }
    for off in [true, false] {
        for finding in report.findings.iter().filter(|finding| finding.off == off) {
            text += &found(off, &finding.what, finding.why, &finding.todo);
        }
    }
    text.push('\n');
    let off = report.findings.iter().filter(|finding| finding.off).count();
    text += &verdict(&report.policy, off);
    if report.proof.is_none() {
        text += "To see on this kernel that bans block: portcullis doctor --prove\n";
    }
    for unseen in &report.not_seen {
        text += &wrap("Not seen: ", unseen);
    }
    if report.not_seen.iter().any(|unseen| unseen.contains("root")) {
        text += "To see that, too: sudo portcullis doctor\n";
    }
    text
}

fn chains(report: &Report) -> String {
    if report.chains.is_empty() {
        return String::new();
    }
    let mut table = Table::new(
        0,
        &[
            ("NEW CONNECTIONS PASS", Align::Left),
            ("PRIORITY", Align::Right),
            ("CHAIN", Align::Left),
            ("OF", Align::Left),
        ],
    );
    let mut hook = "";
    for chain in &report.chains {
        let shown = if chain.hook == hook { "" } else { chain.hook.as_str() };
        hook = &chain.hook;
        table.row([
            format!("  {shown}"),
            chain.priority.to_string(),
            clean(&format!("{} {} {}", chain.family, chain.table, chain.name)),
            clean(&chain.owner),
        ]);
    }
    format!("\n{}", table.text())
}
