//! Netlink messages as they lie in a datagram (netlink(7), `include/uapi/linux/netlink.h`).

/// struct nlmsghdr: length u32, type u16, flags u16, sequence u32, port u32; host byte order.
pub(crate) const HEADER: usize = 16;

/// One message of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Message<'a> {
    /// Its type.
    pub(crate) kind: u16,
    /// Whose doing it is; 0 for the kernel's own.
    pub(crate) port: u32,
    /// What follows the header.
    pub(crate) body: &'a [u8],
}

/// A message ends before its length says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a netlink message is cut off")]
pub(crate) struct Cut;

/// The messages of a datagram, one after the other; a cut one is the last.
#[derive(Clone, Debug)]
pub(crate) struct Messages<'a>(pub(crate) &'a [u8]);

impl<'a> Iterator for Messages<'a> {
    type Item = Result<Message<'a>, Cut>;

    fn next(&mut self) -> Option<Self::Item> {
        let (header, _) = self.0.split_at_checked(HEADER)?;
        let u32_at = |at: usize| u32::from_ne_bytes([0, 1, 2, 3].map(|i| header[at + i]));
        let length = u32_at(0) as usize;
        let Some(body) = self.0.get(HEADER..length) else {
            self.0 = &[];
            return Some(Err(Cut));
        };
        let kind = u16::from_ne_bytes([header[4], header[5]]);
        let port = u32_at(12);
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Ok(Message { kind, port, body }))
    }
}

/// The attributes of a message, one after the other: kind and value (nlattr: length u16, type u16,
/// value, padding). One that is cut off ends them.
#[derive(Clone, Debug)]
pub(crate) struct Attributes<'a>(pub(crate) &'a [u8]);

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let [a, b, c, d, ..] = *self.0 else { return None };
        let length = usize::from(u16::from_ne_bytes([a, b]));
        // The two highest bits of the type are flags.
        let kind = u16::from_ne_bytes([c, d]) & 0x3fff;
        let value = self.0.get(4..length)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    }
}

/// The value of the first attribute of this kind.
pub(crate) fn attribute(bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    Attributes(bytes).find_map(|(kind, value)| (kind == wanted).then_some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(length: u32, kind: u16, body: &[u8]) -> Vec<u8> {
        let mut bytes = length.to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend([0; 6]);
        bytes.extend(7_u32.to_ne_bytes());
        bytes.extend(body);
        bytes
    }

    #[test]
    fn messages_are_padded_to_four_bytes() {
        let bytes = [message(18, 20, b"ab\0\0"), message(16, 3, b"")].concat();
        let seen: Vec<_> = Messages(&bytes).collect();
        let read = |kind, body| Ok(Message { kind, port: 7, body });
        assert_eq!(seen, [read(20, &b"ab"[..]), read(3, b"")]);
    }

    #[test]
    fn lengths_may_lie() {
        for length in [0, 15, 21, u32::MAX] {
            let bytes = message(length, 20, b"abcd");
            assert_eq!(Messages(&bytes).collect::<Vec<_>>(), [Err(Cut)], "{length}");
        }
        assert_eq!(Messages(&[0; 15]).count(), 0);
    }

    #[test]
    fn attributes() {
        let mut bytes = [5_u16.to_ne_bytes(), 11_u16.to_ne_bytes()].concat();
        bytes.extend([1, 0, 0, 0]);
        bytes.extend([8_u16.to_ne_bytes(), (2 | 0x8000_u16).to_ne_bytes()].concat());
        bytes.extend(b"four");
        assert_eq!(attribute(&bytes, 11), Some(&[1][..]));
        assert_eq!(attribute(&bytes, 2), Some(&b"four"[..]));
        assert_eq!(attribute(&bytes, 3), None);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_break_it(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            Messages(&bytes).for_each(drop);
            attribute(&bytes, 2);
        }
    }
}
