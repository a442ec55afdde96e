//! Long texts of many lines, read on several threads: a million lines are to be known before the
//! gate judges.

use std::net::Ipv4Addr;
use std::panic::resume_unwind;
use std::thread;

use ipnet::{IpNet, Ipv4Net};

/// A text that is longer is read on several threads.
pub(crate) const LONG: usize = 1 << 20;

/// On so many.
pub(crate) fn threads() -> usize {
    thread::available_parallelism().map_or(1, usize::from).min(8)
}

/// Reads a text in parts of whole lines, on several threads if it is long. Returns for each part, in
/// their order, how many bytes it has and what `read` made of it.
pub(crate) fn by_parts<T: Send>(bytes: &[u8], read: impl Fn(&[u8]) -> T + Sync) -> Vec<(usize, T)> {
    let threads = threads();
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

/// `192.0.2.7` or `192.0.2.0/24` and nothing else; `None` of anything else, be it right or wrong.
pub(crate) fn plain_v4(text: &[u8]) -> Option<IpNet> {
    let mut rest = text;
    let mut number = |end: Option<u8>, most: u32| {
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if !(1..=3).contains(&digits) || (digits > 1 && rest[0] == b'0') {
            return None;
        }
        let value = rest[..digits].iter().fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'));
        let behind = &rest[digits..];
        rest = match end {
            Some(end) => behind.strip_prefix(&[end])?,
            None => behind,
        };
        (value <= most).then_some(value)
    };
    let [a, b, c] = [(); 3].map(|()| number(Some(b'.'), 255));
    let address = (a? << 24) | (b? << 16) | (c? << 8) | number(None, 255)?;
    let length = if rest.is_empty() {
        32
    } else {
        rest = rest.strip_prefix(b"/")?;
        match rest {
            [digit @ b'0'..=b'9'] => digit - b'0',
            [tens @ b'1'..=b'3', ones @ b'0'..=b'9'] => (tens - b'0') * 10 + (ones - b'0'),
            _ => return None,
        }
    };
    let net = Ipv4Net::new(Ipv4Addr::from_bits(address), length).ok()?;
    (net.network().to_bits() == address).then_some(net.into())
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
