//! Keys that nobody knows, and what may have been meant.

use std::collections::BTreeSet;

use super::source::Place;
use super::units::Mistake;

/// A key that no reader asked for.
pub(super) struct Unknown {
    /// The table it stands in; empty for the top of the file.
    pub(super) table: String,
    pub(super) key: String,
    pub(super) place: Place,
}

/// Names the nearest known key, or the table where it belongs, or all keys of its table.
pub(super) fn explain(unknown: &Unknown, known: &BTreeSet<String>) -> Mistake {
    let Unknown { table, key, .. } = unknown;
    let split = |path: &'_ str| -> (String, String) {
        let (table, key) = path.rsplit_once('.').unwrap_or(("", path));
        (table.to_owned(), key.to_owned())
    };
    let all: Vec<(String, String)> = known.iter().map(|path| split(path)).collect();
    let siblings = || all.iter().filter(|(of, _)| of == table).map(|(_, key)| key);

    let near = siblings()
        .map(|sibling| (strsim::damerau_levenshtein(&key.to_lowercase(), sibling), sibling))
        .filter(|(distance, sibling)| *distance <= (sibling.len().max(key.len()) / 3).max(1))
        .min();
    let elsewhere = all.iter().find(|(of, name)| name == key && of != table);
    let help = match (near, elsewhere) {
        (Some((_, near)), _) => format!("did you mean `{near}`?"),
        (None, Some((of, _))) if of.is_empty() => {
            format!("`{key}` belongs at the top of the file, above all tables")
        }
        (None, Some((of, _))) => format!("`{key}` belongs in the table [{of}]"),
        (None, None) => {
            let list: Vec<String> = siblings().map(|key| format!("`{key}`")).collect();
            format!("known here: {}", list.join(", "))
        }
    };
    let wherein = if table.is_empty() { String::new() } else { format!(" in [{table}]") };
    Mistake::new(format!("unknown key `{key}`{wherein}")).help(help)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_what_was_probably_meant() {
        let known = ["mode", "queue", "queue.threads", "queue.length", "rate", "rate.source"];
        let known: BTreeSet<String> = known.into_iter().map(Into::into).collect();
        for (table, key, wanted) in [
            ("queue", "thread", "did you mean `threads`?"),
            ("queue", "Threads", "did you mean `threads`?"),
            ("", "qeue", "did you mean `queue`?"),
            ("rate", "threads", "`threads` belongs in the table [queue]"),
            ("queue", "mode", "`mode` belongs at the top of the file, above all tables"),
            ("queue", "colour", "known here: `length`, `threads`"),
        ] {
            let place = Place { file: 0, start: 0, end: 0 };
            let unknown = Unknown { table: table.into(), key: key.into(), place };
            assert_eq!(explain(&unknown, &known).help.as_deref(), Some(wanted), "{table} {key}");
        }
    }
}
