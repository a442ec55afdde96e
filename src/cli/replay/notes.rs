//! What is to be said beside the answer, on standard error.

use std::io::{self, Write};
use std::path::Path;

use crate::cli::layout::wrap;
use crate::events::Grouped;
use crate::replay::Report;

/// Says something good to know.
pub(super) fn say(text: &str) {
    // Nobody there to read it: no harm.
    let _ = io::stderr().write_all(wrap("note: ", text).as_bytes());
}

/// Says what could not be read of a file. True if the file is damaged.
pub(super) fn tell(path: &Path, report: &Report) -> bool {
    let name = path.display();
    for damage in &report.damages {
        let text = format!("{name}: damaged at {damage}");
        let _ = io::stderr().write_all(wrap("portcullis: ", &text).as_bytes());
    }
    let more = report.damaged - report.damages.len() as u64;
    if more > 0 {
        say(&format!("{name}: damaged in {} more places", Grouped(more)));
    }
    if report.damaged > 0 {
        say(&format!("{name}: {} packets could be read", Grouped(report.packets)));
    }
    for (link, count) in &report.foreign {
        say(&format!(
            "{name}: {} packets of link type {link} were left out: only Ethernet, Linux cooked, \
             raw IP and loopback captures can be read",
            Grouped(*count)
        ));
    }
    if report.unreadable > 0 {
        say(&format!(
            "{name}: {} TCP packets were left out, because their headers are broken or were not \
             captured whole",
            Grouped(report.unreadable)
        ));
    }
    if report.tracks.untold() > 0 {
        say(&format!(
            "{name}: there are more sources than can be told; {} SYNs of others were judged but \
             are not shown",
            Grouped(report.tracks.untold())
        ));
    }
    report.damaged > 0
}
