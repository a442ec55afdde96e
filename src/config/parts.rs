//! Long texts of many lines, read on several threads: a million lines are to be known before the
//! gate judges.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::panic::resume_unwind;
use std::thread;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

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

/// An address or a prefix as most lines of long files have it, several times as quickly as the
/// standard library reads it; `None` of anything else, be it right or wrong.
pub(crate) fn plain_net(text: &[u8]) -> Option<IpNet> {
    plain_v4(text).or_else(|| plain_v6(text))
}

/// `2001:db8::7` or `2001:db8::/32` and nothing else; `None` of anything else, be it right or wrong:
/// addresses with an IPv4 address at their end, or in place of one, are left to others.
fn plain_v6(text: &[u8]) -> Option<IpNet> {
    const ALL: usize = 8;
    let (mut groups, mut count, mut gap) = ([0_u16; ALL], 0, None);
    let mut rest = text;
    if let Some(behind) = rest.strip_prefix(b"::") {
        (gap, rest) = (Some(0), behind);
    }
    loop {
        let digits = rest.iter().take(5).take_while(|byte| byte.is_ascii_hexdigit()).count();
        if digits == 0 && gap == Some(count) {
            break;
        }
        if !(1..=4).contains(&digits) || count == ALL {
            return None;
        }
        let value =
            |sum: u32, digit: &u8| (sum << 4) | char::from(*digit).to_digit(16).unwrap_or(0);
        groups[count] = rest[..digits].iter().fold(0, value) as u16;
        count += 1;
        rest = &rest[digits..];
        match rest {
            [b':', b':', ..] if gap.is_some() => return None,
            [b':', b':', behind @ ..] => (gap, rest) = (Some(count), behind),
            [b':', behind @ ..] => rest = behind,
            _ => break,
        }
    }
    // Two colons stand for one group at least.
    match gap {
        Some(gap) if count < ALL => groups[gap..].rotate_right(ALL - count),
        None if count == ALL => {}
        _ => return None,
    }
    let length = match rest {
        [] => 128,
        [b'/', b'0'] => 0,
        [b'/', first @ b'1'..=b'9', more @ ..] if more.len() < 3 => {
            more.iter().try_fold(u32::from(first - b'0'), |sum, digit| {
                digit.is_ascii_digit().then(|| sum * 10 + u32::from(digit - b'0'))
            })?
        }
        _ => return None,
    };
    let address = Ipv6Addr::from(groups);
    let net = Ipv6Net::new(address, u8::try_from(length).ok()?).ok()?;
    (net.network() == address && groups[..5] != [0; 5]).then_some(net.into())
}

/// `192.0.2.7` or `192.0.2.0/24` and nothing else; `None` of anything else, be it right or wrong.
fn plain_v4(text: &[u8]) -> Option<IpNet> {
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

    fn slowly(text: &str) -> Option<IpNet> {
        let address = |text: &str| text.parse::<std::net::IpAddr>().ok().map(IpNet::from);
        text.parse().ok().or_else(|| address(text))
    }

    #[test]
    fn ipv6_as_it_is_written() {
        for text in [
            "2001:db8::/32",
            "2001:db8:0:7::/64",
            "2001:DB8::aB",
            "1:2:3:4:5:6:7:8",
            "1:2:3:4:5:6:7::",
            "1::8/128",
            "fe80::/10",
            "2000::/3",
        ] {
            let net = plain_net(text.as_bytes());
            assert!(net.is_some() && net == slowly(text), "{text}: {net:?}");
        }
        for text in [
            "",
            ":",
            "::",
            ":::",
            "::1",
            "::ffff:1.2.3.4",
            "::ffff:102:304",
            "1:2",
            "1:2:",
            ":1:2",
            "1::2::3",
            "1:::2",
            "1::2:",
            "12345::",
            "1:2:3:4:5:6:7:8:9",
            "1:2:3:4:5:6:7::8",
            "1:2:3:4:5:6:7:8::",
            "2001:db8::/",
            "2001:db8::/032",
            "2001:db8::/129",
            "2001:db8::/1280",
            "2001:db8::7/64",
            "2001:db8::/3x",
            "2001:db8::/+3",
            "2001:db8:: ",
            "g::",
            "fe80::1%eth0",
            "1:2:3:4:5:6:7.8.9.10",
        ] {
            assert_eq!(plain_net(text.as_bytes()), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_read_quickly_is_right(
            pieces in proptest::collection::vec(proptest::sample::select(vec![
                ":", "::", "0", "1", "db8", "2001", "ffff", "fffff", "/", "64", "128", "/48", "1.2",
            ]), 0..20),
            address in proptest::prelude::any::<u128>(),
            length in 0u8..=128,
        ) {
            let text = pieces.concat();
            if let Some(net) = plain_net(text.as_bytes()) {
                proptest::prop_assert_eq!(Some(net), slowly(&text), "{}", text);
            }
            let net = Ipv6Net::new(address.into(), length).unwrap().trunc();
            let text = net.to_string();
            let read = plain_net(text.as_bytes());
            // Near the beginning of all addresses are those that stand for IPv4.
            let left_out = net.network().to_bits() >> 48 == 0;
            proptest::prop_assert_eq!(read, (!left_out).then_some(net.into()), "{}", text);
        }
    }

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
