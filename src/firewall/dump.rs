//! The elements of a set, asked of the kernel itself.
//!
//! `nft -j list set` needs 120 MB for 65,000 elements, and whoever reads its JSON as much again: too
//! much to ask of a small server again and again. What the kernel sends is read message by message.
//! It walks the set from its beginning for each (see [`super::sets`]), so it takes its time all the
//! same.

use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use ipnet::IpNet;
use rustix::net::netlink::NETFILTER;

use super::entry::Whom;
use super::names::TABLE;
use crate::host::netlink::{Attributes, Message, attribute, attribute_of, dump};
use crate::memory::SourceKey;

/// An element of a set of sources: whom it is about, the seconds it has left (0: it stays), and
/// packets it has met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) whom: Whom,
    pub(super) left: u64,
    pub(super) packets: u64,
}

// `include/uapi/linux/netfilter/nf_tables.h`, all of it in network byte order.
/// NFNL_SUBSYS_NFTABLES, NFT_MSG_GETSETELEM and NFT_MSG_NEWSETELEM.
const GET: u16 = 10 << 8 | 13;
const NEW: u16 = 10 << 8 | 12;
/// NFTA_SET_ELEM_LIST_TABLE, _SET, _ELEMENTS.
const LIST_TABLE: u16 = 1;
const LIST_SET: u16 = 2;
const LIST_ELEMENTS: u16 = 3;
/// NFTA_SET_ELEM_KEY, _FLAGS, _EXPIRATION (milliseconds), _EXPR.
const KEY: u16 = 1;
const FLAGS: u16 = 3;
const EXPIRATION: u16 = 5;
const EXPR: u16 = 7;
/// NFT_SET_ELEM_INTERVAL_END.
const INTERVAL_END: u32 = 1;
/// NFTA_DATA_VALUE; NFTA_EXPR_DATA; NFTA_COUNTER_PACKETS.
const DATA_VALUE: u16 = 1;
const EXPR_DATA: u16 = 2;
const COUNTER_PACKETS: u16 = 2;

/// NFPROTO_INET.
const INET: u8 = 1;

/// A dump that takes longer is given up.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often a set that others change meanwhile is read anew.
const TRIES: usize = 3;

/// What was read of a set.
#[derive(Debug)]
pub(super) struct Dump {
    /// Its elements, each once.
    pub(super) elements: Vec<Listed>,
    /// Somebody changed rules or sets meanwhile. Each part
    /// goes on behind as many elements as were told before it, so any elements may be missing then.
    pub(super) changed: bool,
    /// Why there may be more that was not read: the set is not there (any more), the kernel does not
    /// tell, or it takes too long.
    pub(super) failed: Option<io::Error>,
}

/// The elements of a set of the table, whose keys are addresses, or addresses and ports; as many as
/// can be had.
pub(super) fn elements(set: &str) -> Dump {
    let mut reading = Reading::default();
    let deadline = Instant::now() + PATIENCE;
    let failed = dump(NETFILTER, (GET, &request(set)), PATIENCE, |message| {
        reading.read(message);
        if Instant::now() > deadline { Err(io::ErrorKind::TimedOut.into()) } else { Ok(()) }
    });
    let failed = failed.err();
    let changed = reading.changed;
    Dump { elements: reading.finish(), changed, failed }
}

/// The same, read again where it was changed meanwhile: all of them, unless it changes all the time.
///
/// # Errors
/// As [`Dump::failed`].
pub(super) fn all_elements(set: &str) -> io::Result<Vec<Listed>> {
    let mut dump = elements(set);
    for _ in 1..TRIES {
        if !dump.changed {
            break;
        }
        dump = elements(set);
    }
    dump.failed.map_or(Ok(dump.elements), Err)
}

/// nfgenmsg (family u8, version u8, resource u16), then table and set.
fn request(set: &str) -> Vec<u8> {
    let named = |kind, name: &str| attribute_of(kind, &[name.as_bytes(), &[0]].concat());
    [vec![INET, 0, 0, 0], named(LIST_TABLE, TABLE), named(LIST_SET, set)].concat()
}

/// A bound of an interval: with an element, a first address; without, the first one behind it.
type Bound = (u128, Option<Listed>);

/// What has been read of a dump.
#[derive(Debug, Default)]
struct Reading {
    all: Vec<Listed>,
    /// Of interval sets, whose elements are bounds in no order: of IPv4 and of IPv6.
    bounds: [Vec<Bound>; 2],
    /// The lower half of the rules' number (see [`super::generation`]), which each part carries.
    generation: Option<[u8; 2]>,
    changed: bool,
}

impl Reading {
    fn read(&mut self, message: Message<'_>) {
        let Message { kind: NEW, body: [_, _, high, low, attributes @ ..], .. } = message else {
            return;
        };
        let now = [*high, *low];
        self.changed |= *self.generation.get_or_insert(now) != now;
        let elements = attribute(attributes, LIST_ELEMENTS).unwrap_or_default();
        Attributes(elements).for_each(|(_, element)| self.take(element));
    }

    fn take(&mut self, element: &[u8]) {
        let value = |nest| attribute(element, nest).and_then(|nest| attribute(nest, DATA_VALUE));
        // Fields are padded to four bytes.
        let (address, port) = match value(KEY) {
            Some(&[a, b, c, d]) => (IpAddr::from(Ipv4Addr::new(a, b, c, d)), None),
            Some(&[a, b, c, d, high, low, _, _]) => {
                (Ipv4Addr::new(a, b, c, d).into(), Some([high, low]))
            }
            Some(key) => match key.split_first_chunk::<16>() {
                Some((address, [])) => (Ipv6Addr::from(*address).into(), None),
                Some((address, &[high, low, _, _])) => {
                    (Ipv6Addr::from(*address).into(), Some([high, low]))
                }
                _ => return,
            },
            None => return,
        };
        let counter = attribute(element, EXPR).and_then(|expr| attribute(expr, EXPR_DATA));
        let number = |bytes: Option<&[u8]>| {
            bytes.and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_be_bytes)
        };
        let listed = Listed {
            whom: Whom { net: SourceKey::of(address).prefix(), port: port.map(u16::from_be_bytes) },
            left: number(attribute(element, EXPIRATION)) / 1000,
            packets: number(counter.and_then(|data| attribute(data, COUNTER_PACKETS))),
        };
        let flags = attribute(element, FLAGS).and_then(|bytes| bytes.try_into().ok());
        let ends = u32::from_be_bytes(flags.unwrap_or_default()) & INTERVAL_END != 0;
        let (bounds, first) = match address {
            IpAddr::V4(address) => (&mut self.bounds[0], u32::from(address).into()),
            IpAddr::V6(address) => (&mut self.bounds[1], u128::from(address)),
        };
        match (ends, listed.whom.port) {
            (true, _) => bounds.push((first, None)),
            (false, None) => bounds.push((first, Some(listed))),
            (false, Some(_)) => self.all.push(listed),
        }
    }

    /// All of it. Where there are ends, the set is one of intervals, and each is a prefix here.
    fn finish(self) -> Vec<Listed> {
        let Self { mut all, bounds, .. } = self;
        for (width, mut bounds) in [32_u8, 128].into_iter().zip(bounds) {
            if !bounds.iter().any(|(_, listed)| listed.is_none()) {
                all.extend(bounds.into_iter().filter_map(|(_, listed)| listed));
                continue;
            }
            // Where one ends and another begins, the end comes first.
            bounds.sort_by_key(|(first, listed)| (*first, listed.is_some()));
            let mut ends = bounds.iter().skip(1);
            for (first, listed) in &bounds {
                let end = ends.next().map(|(end, _)| *end);
                if let Some(listed) = listed
                    && let Some(net) = prefix(*first, end, width)
                {
                    all.push(Listed { whom: net.into(), ..*listed });
                }
            }
        }
        let mut known = HashSet::with_capacity(all.len());
        all.retain(|listed| known.insert(listed.whom));
        all
    }
}

/// The prefix from `first` to before `end`, or to the last address of all.
fn prefix(first: u128, end: Option<u128>, width: u8) -> Option<IpNet> {
    let last = end.map_or(u128::MAX >> (128 - width), |end| end.wrapping_sub(1));
    let host_bits = 128 - (first ^ last).leading_zeros();
    let bits = width.checked_sub(u8::try_from(host_bits).ok()?)?;
    let address = match width {
        32 => IpAddr::from(Ipv4Addr::from(u32::try_from(first).ok()?)),
        _ => Ipv6Addr::from(first).into(),
    };
    IpNet::new(address, bits).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::netlink::{self, message_of};

    fn element(key: &[u8], more: &[Vec<u8>]) -> Vec<u8> {
        let key = attribute_of(KEY, &attribute_of(DATA_VALUE, key));
        attribute_of(1, &[key, more.concat()].concat())
    }

    fn part(elements: &[Vec<u8>]) -> Vec<u8> {
        let list = attribute_of(LIST_ELEMENTS | 0x8000, &elements.concat());
        message_of(NEW, 0, &[&[INET, 0, 0, 0][..], &list].concat())
    }

    /// An end as the kernel tells it.
    fn done(code: i32) -> Vec<u8> {
        message_of(3, 0, &code.to_ne_bytes())
    }

    /// True: it was the last.
    fn take(reading: &mut Reading, part: &[u8]) -> io::Result<bool> {
        netlink::part(part, |message| {
            reading.read(message);
            Ok(())
        })
    }

    fn read(elements: &[Vec<Vec<u8>>]) -> Vec<(String, Option<u16>, u64, u64)> {
        let mut reading = Reading::default();
        for elements in elements {
            assert!(!take(&mut reading, &part(elements)).unwrap());
        }
        assert!(take(&mut reading, &done(0)).unwrap());
        let all = reading.finish();
        all.iter().map(|e| (e.whom.net.to_string(), e.whom.port, e.left, e.packets)).collect()
    }

    fn expires(millis: u64) -> Vec<u8> {
        attribute_of(EXPIRATION, &millis.to_be_bytes())
    }

    #[test]
    fn sources_with_and_without_ports() {
        let counts = [
            attribute_of(1, &1_u64.to_be_bytes()),
            attribute_of(COUNTER_PACKETS, &7_u64.to_be_bytes()),
        ];
        let counter = attribute_of(
            EXPR,
            &[attribute_of(1, b"counter\0"), attribute_of(EXPR_DATA, &counts.concat())].concat(),
        );
        let six = "2001:db8:0:7::".parse::<Ipv6Addr>().unwrap().octets();
        let parts = [
            vec![element(&[192, 0, 2, 1], &[]), element(&six, &[expires(59_999), counter])],
            vec![
                element(&[192, 0, 2, 2, 0, 22, 0, 0], &[expires(4_000)]),
                element(&[&six[..], &[1, 187, 0, 0]].concat(), &[]),
                element(&[1, 2, 3], &[]),
                attribute_of(1, &[]),
            ],
        ];
        let told = |net: &str, port, left, packets| (net.to_owned(), port, left, packets);
        let mut expected = vec![
            told("192.0.2.2/32", Some(22), 4, 0),
            told("2001:db8:0:7::/64", Some(443), 0, 0),
            told("192.0.2.1/32", None, 0, 0),
            told("2001:db8:0:7::/64", None, 59, 7),
        ];
        let mut seen = read(&parts);
        seen.sort();
        expected.sort();
        assert_eq!(seen, expected);
    }

    #[test]
    fn intervals_are_prefixes() {
        let end = || attribute_of(FLAGS, &INTERVAL_END.to_be_bytes());
        let bounds = vec![
            // As the kernel tells them: backwards, and from the beginning of all.
            element(&[255, 0, 0, 0], &[]),
            element(&[10, 2, 0, 0], &[end()]),
            element(&[10, 1, 0, 0], &[expires(5_000)]),
            element(&[10, 1, 0, 0], &[end()]),
            element(&[10, 0, 0, 0], &[]),
            element(&[0, 0, 0, 0], &[end()]),
        ];
        let seen = read(&[bounds]);
        let nets: Vec<(&str, u64)> = seen.iter().map(|(net, _, left, _)| (&**net, *left)).collect();
        assert_eq!(nets, [("10.0.0.0/16", 0), ("10.1.0.0/16", 5), ("255.0.0.0/8", 0)]);
        let whole = |n: &str| n.parse::<Ipv6Addr>().unwrap().octets();
        let bounds =
            vec![element(&whole("2001:db8::"), &[]), element(&whole("2001:db9::"), &[end()])];
        assert_eq!(read(&[bounds])[0].0, "2001:db8::/32");
    }

    #[test]
    fn what_was_read_before_an_error_is_there() {
        let mut reading = Reading::default();
        take(&mut reading, &part(&[element(&[192, 0, 2, 1], &[])])).unwrap();
        let error = take(&mut reading, &done(-2)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert_eq!(reading.finish().len(), 1);
    }

    #[test]
    fn what_changes_meanwhile_is_noticed() {
        let mut reading = Reading::default();
        let mut parts = [1, 2, 2].map(|n| part(&[element(&[192, 0, 2, n], &[])]));
        parts[2][netlink::HEADER + 3] = 1;
        for (part, changed) in parts.iter().zip([false, false, true]) {
            take(&mut reading, part).unwrap();
            assert_eq!(reading.changed, changed);
        }
        assert_eq!(reading.finish().len(), 2, "each once");
    }

    #[test]
    fn what_is_asked() {
        let body = request("stopped4");
        let [INET, 0, 0, 0, attributes @ ..] = &body[..] else { panic!("{body:?}") };
        assert_eq!(attribute(attributes, LIST_TABLE), Some(&b"portcullis\0"[..]));
        assert_eq!(attribute(attributes, LIST_SET), Some(&b"stopped4\0"[..]));
        assert_eq!(body.len() % 4, 0);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_break_it(
            bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200),
            key in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..24),
            flags in proptest::prelude::any::<[u8; 4]>(),
        ) {
            let mut reading = Reading::default();
            let _ = take(&mut reading, &bytes);
            let _ = take(&mut reading, &part(&[element(&key, &[attribute_of(FLAGS, &flags)]), bytes.clone()]));
            reading.finish();
        }
    }
}
