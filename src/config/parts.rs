//! Long texts of many lines, read on several threads: a million lines are to be known before the
//! gate judges.

use std::panic::resume_unwind;
use std::thread;

/// A text that is longer is read on several threads.
pub(crate) const LONG: usize = 1 << 20;

/// Reads a text in parts of whole lines, on several threads if it is long. Returns for each part, in
/// their order, how many bytes it has and what `read` made of it.
pub(crate) fn by_parts<T: Send>(bytes: &[u8], read: impl Fn(&[u8]) -> T + Sync) -> Vec<(usize, T)> {
    let threads = thread::available_parallelism().map_or(1, usize::from).min(8);
    if bytes.len() < LONG || threads == 1 {
        return vec![(bytes.len(), read(bytes))];
    }
    let mut parts = Vec::new();
    let mut left = bytes;
    while !left.is_empty() {
        let middle = bytes.len().div_ceil(threads).min(left.len());
        let end = left[middle - 1..].iter().position(|byte| *byte == b'\n');
        let (part, rest) = left.split_at(end.map_or(left.len(), |end| middle + end));
        parts.push(part);
        left = rest;
    }
    let read = &read;
    thread::scope(|scope| {
        let threads: Vec<_> =
            parts.into_iter().map(|part| (part.len(), scope.spawn(move || read(part)))).collect();
        let joined = threads.into_iter().map(|(length, thread)| {
            (length, thread.join().unwrap_or_else(|panic| resume_unwind(panic)))
        });
        joined.collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_whole_lines_and_together_the_text() {
        for (lines, tail) in [(0, ""), (3, ""), (3, "half"), (200_000, ""), (200_000, "half")] {
            let text: String = (0..lines).map(|n| format!("line {n}\n")).collect();
            let text = text + tail;
            let parts = by_parts(text.as_bytes(), <[u8]>::to_vec);
            let together: Vec<u8> = parts.iter().flat_map(|(_, part)| part.clone()).collect();
            assert_eq!(together, text.as_bytes());
            assert!(parts.iter().all(|(length, part)| *length == part.len()));
            let whole = |(_, part): &(usize, Vec<u8>)| part.ends_with(b"\n");
            assert!(parts[..parts.len() - 1].iter().all(whole));
        }
    }
}
