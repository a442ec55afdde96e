//! What came of it, fault by fault.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Try;
use super::faults::Fault;

/// Memory that all tries of a fault may add to one process, kB: allocators do not give everything
/// back at once, and what they keep they keep once for each process, however many tries there are.
const SLACK: i64 = 16 * 1024;

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

    /// Everything that was not as declared, with the number of the try.
    fn broken(&self) -> Vec<String> {
        let tries = self.tries.iter().enumerate();
        let mut broken: Vec<String> = tries
            .flat_map(|(n, attempt)| {
                attempt.broken.iter().map(move |what| format!("try {}: {what}", n + 1))
            })
            .collect();
        if self.grown() > SLACK {
            broken.push(format!("its memory grew by {} kB", self.grown()));
        }
        broken
    }

    /// The most memory that its tries added to one process that outlived them, kB. What grows from
    /// try to try is a leak; what each of many processes needs once is none.
    fn grown(&self) -> i64 {
        let mut of_each: BTreeMap<u64, i64> = BTreeMap::new();
        for Try { process, grown, .. } in &self.tries {
            *of_each.entry(*process).or_default() += grown.unwrap_or_default();
        }
        of_each.into_values().max().unwrap_or_default()
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
    println!(
        "{:<33}{:>6}{:>8}{:>10}{:>8}{:>13}",
        "", "tries", "pause", "unjudged", "mended", "lost"
    );
    for row in rows {
        println!(
            "{:<33}{:>6}{:>8}{:>10}{:>8}{:>13}{}",
            row.fault.name,
            row.tries.len(),
            span(row.longest(|attempt| attempt.held)),
            span(row.longest(|attempt| attempt.open)),
            span(row.longest(|attempt| attempt.mended)),
            row.lost(),
            if row.broken().is_empty() { "" } else { " !" },
        );
    }
    println!("\n{}", in_all(rows));
    println!(
        "pause: the longest time in which no connection came about. unjudged: in which\n\
         they passed without a verdict. mended: until all was well after the fault."
    );
    if let Some(row) = rows.iter().max_by_key(|row| row.grown()) {
        println!(
            "Memory of one process grew most by: {} ({} kB in all its tries).",
            row.fault.name,
            row.grown()
        );
    }
}

fn in_all(rows: &[Row]) -> String {
    let sum = |of: fn(&Try) -> usize| rows.iter().map(|row| row.sum(of)).sum::<usize>();
    format!(
        "{} tries of {} faults; {} connections let in, {} not; {} standings lost or too long.",
        sum(|_| 1),
        rows.len(),
        sum(|attempt| attempt.let_in),
        sum(|attempt| attempt.refused),
        sum(|attempt| attempt.wrong),
    )
}

/// The same for the README.
pub(crate) fn print_markdown(rows: &[Row]) {
    println!(
        "| fault | tries | longest pause | passed unjudged (declared) | mended after | lost |"
    );
    println!("|---|---|---|---|---|---|");
    for row in rows {
        println!(
            "| {} | {} | {} | {} ({}) | {} | {} |",
            row.fault.name,
            row.tries.len(),
            span(row.longest(|attempt| attempt.held)),
            span(row.longest(|attempt| attempt.open)),
            row.fault.declared,
            span(row.longest(|attempt| attempt.mended)),
            match row.tries.iter().map(|attempt| attempt.lost).sum() {
                0_u64 => row.lost(),
                syns => format!("{}; {syns} SYNs found no room", row.lost()),
            },
        );
    }
    println!("\n{}", in_all(rows));
}

/// What was broken, if anything; returns whether that was so.
pub(crate) fn print_broken(rows: &[Row]) -> bool {
    let mut any = false;
    for row in rows {
        for what in row.broken() {
            any = true;
            println!("BROKEN: {}, {what}", row.fault.name);
        }
    }
    any
}
