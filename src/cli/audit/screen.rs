//! An audit as text of 80 columns.

use super::{Audit, DoorRow};
use crate::cli::found::{found, verdict};
use crate::cli::layout::{Align, Table, clean, wrap};

/// Everything: the doors, what is off, what is good to know, what could not be seen.
pub(super) fn screen(audit: &Audit) -> String {
    let mut text = table(&audit.doors);
    for off in [true, false] {
        for finding in audit.findings.iter().filter(|finding| finding.off == off) {
            text += &found(off, &finding.what, finding.why, &finding.todo);
        }
    }
    text.push('\n');
    let count = audit.findings.iter().filter(|finding| finding.off).count();
    text += &verdict(&audit.policy, count);
    if !audit.doors.is_empty() && audit.doors.iter().all(|door| door.found.is_none()) {
        text += "To hear what really answers: portcullis audit --probe\n";
    }
    for unseen in &audit.not_seen {
        text += &wrap("Not seen: ", unseen);
    }
    text
}

fn table(doors: &[DoorRow]) -> String {
    if doors.is_empty() {
        return "Nobody listens on this host.\n".to_owned();
    }
    let tried = doors.iter().any(|door| door.found.is_some());
    let mut heads = vec![
        ("PORT", Align::Right),
        ("LISTENS ON", Align::Left),
        ("SERVED", Align::Left),
        ("SERVICE", Align::Left),
        ("PROGRAM", Align::Left),
    ];
    if tried {
        heads.push(("ANSWERS", Align::Left));
    }
    let mut table = Table::new(0, &heads);
    for door in doors {
        let program = match (&door.program, &door.published[..]) {
            (Some(program), to) => {
                let to = to.first().map(|to| format!(", to {to}")).unwrap_or_default();
                format!("{} ({}){to}", clean(&program.name), program.pid)
            }
            (None, [to, ..]) => format!("to {to}"),
            (None, []) => "?".to_owned(),
        };
        table.row([
            door.port.to_string(),
            door.reach.clone(),
            door.served.to_owned(),
            door.service.unwrap_or("?").to_owned(),
            program,
            door.found.clone().unwrap_or_default(),
        ]);
    }
    table.text()
}
