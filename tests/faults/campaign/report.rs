//! What came of it, fault by fault.

use std::time::Duration;

use super::Try;
use super::faults::Fault;

/// One fault and its tries.
pub(crate) struct Row {
    pub(crate) fault: Fault,
    pub(crate) tries: Vec<Try>,
}

impl Row {
    fn longest(&self, of: fn(&Try) -> Duration) -> Duration {
        self.tries.iter().map(of).max().unwrap_or_default()
    }

    fn sum(&self, of: fn(&Try) -> usize) -> usize {
        self.tries.iter().map(of).sum()
    }

    /// Everything that was not as declared.
    pub(crate) fn broken(&self) -> impl Iterator<Item = &String> {
        self.tries.iter().flat_map(|attempt| &attempt.broken)
    }

    fn lost(&self) -> String {
        match (self.sum(|attempt| attempt.wrong), self.sum(|attempt| attempt.refused)) {
            (0, 0) => "nothing".into(),
            (standings, clients) => format!("{standings} st. {clients} cl."),
        }
    }
}

/// A time in a few letters.
pub(crate) fn span(span: Duration) -> String {
    match span.as_millis() {
        0 => "-".into(),
        ms if ms < 1000 => format!("{ms} ms"),
        _ => format!("{:.1} s", span.as_secs_f32()),
    }
}

/// The table, for a terminal.
pub(crate) fn print(rows: &[Row]) {
    println!("{:<33}{:>6}{:>8}{:>10}{:>8}{:>13}", "", "tries", "pause", "unjudged", "mended", "lost");
    for row in rows {
        println!(
            "{:<33}{:>6}{:>8}{:>10}{:>8}{:>13}{}",
            row.fault.name,
            row.tries.len(),
            span(row.longest(|attempt| attempt.held)),
            span(row.longest(|attempt| attempt.open)),
            span(row.longest(|attempt| attempt.mended)),
            row.lost(),
            if row.broken().next().is_some() { " !" } else { "" },
        );
    }
    let sum = |of: fn(&Try) -> usize| rows.iter().map(|row| row.sum(of)).sum::<usize>();
    println!(
        "\n{} tries; {} connections let in, {} not; {} standings lost.\n\
         pause: the longest time in which no connection came about. unjudged: in which\n\
         they passed without a verdict. mended: until all was well after the fault.",
        sum(|_| 1),
        sum(|attempt| attempt.let_in),
        sum(|attempt| attempt.refused),
        sum(|attempt| attempt.wrong),
    );
}

/// The same for the README.
pub(crate) fn print_markdown(rows: &[Row]) {
    println!("| fault | tries | longest pause seen | longest time unjudged (declared) | lost |");
    println!("|---|---|---|---|---|");
    for row in rows {
        println!(
            "| {} | {} | {} | {} ({}) | {} |",
            row.fault.name,
            row.tries.len(),
            span(row.longest(|attempt| attempt.held)),
            span(row.longest(|attempt| attempt.open)),
            row.fault.declared,
            row.lost(),
        );
    }
}

/// What was broken, if anything; returns whether that was so.
pub(crate) fn print_broken(rows: &[Row]) -> bool {
    let mut any = false;
    for row in rows {
        for (n, attempt) in row.tries.iter().enumerate() {
            for what in &attempt.broken {
                any = true;
                println!("BROKEN: {}, try {}: {what}", row.fault.name, n + 1);
            }
        }
    }
    any
}
