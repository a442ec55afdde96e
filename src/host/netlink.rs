//! Netlink messages as they lie in a datagram (netlink(7), `include/uapi/linux/netlink.h`), and dumps:
//! questions to which the kernel answers in parts.

use std::io;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto,
    socket_with,
};

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

/// An attribute as it is written.
pub(crate) fn attribute_of(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = ((4 + value.len()) as u16).to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// A message as it is written, without sequence and port.
pub(crate) fn message_of(kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
    let mut bytes = ((HEADER + body.len()) as u32).to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.resize(HEADER, 0);
    bytes.extend(body);
    bytes
}

/// NLM_F_REQUEST; with NLM_F_ROOT and NLM_F_MATCH, for a dump.
pub(crate) const REQUEST: u16 = 1;
const DUMP: u16 = REQUEST | 0x300;
/// NLMSG_ERROR, NLMSG_DONE.
const ERROR: u16 = 2;
const DONE: u16 = 3;

/// The kernel sends no larger part of a dump (`netlink_dump`).
const PART: usize = 32 * 1024;

/// Asks for a dump, and hands on each message of it; the kernel may take so long for each part.
///
/// # Errors
/// The kernel refuses, ends with an error or says nothing, or what it says cannot be read; or `each`
/// has enough.
pub(crate) fn dump(
    protocol: Protocol,
    (kind, body): (u16, &[u8]),
    patience: Duration,
    mut each: impl FnMut(Message<'_>) -> io::Result<()>,
) -> io::Result<()> {
    let (family, flags) = (AddressFamily::NETLINK, SocketFlags::CLOEXEC);
    let socket = socket_with(family, SocketType::RAW, flags, Some(protocol))?;
    set_socket_timeout(&socket, Timeout::Recv, Some(patience))?;
    let request = message_of(kind, DUMP, body);
    sendto(&socket, &request, SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
    let mut buffer = vec![0; PART];
    loop {
        match recv(&socket, &mut *buffer, RecvFlags::empty()) {
            Ok((length, _)) => {
                if part(&buffer[..length.min(PART)], &mut each)? {
                    return Ok(());
                }
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Hands on the messages of one part. True: it was the last.
pub(crate) fn part(
    bytes: &[u8],
    mut each: impl FnMut(Message<'_>) -> io::Result<()>,
) -> io::Result<bool> {
    for message in Messages(bytes) {
        let message =
            message.map_err(|cut| io::Error::new(io::ErrorKind::InvalidData, cut.to_string()))?;
        if !matches!(message.kind, ERROR | DONE) {
            each(message)?;
            continue;
        }
        // The end tells of errors too, once there was a first part.
        let code = message.body.first_chunk().map_or(0, |code| i32::from_ne_bytes(*code));
        if message.kind == ERROR || code < 0 {
            return Err(io::Error::from_raw_os_error(code.saturating_neg()));
        }
        return Ok(true);
    }
    Ok(false)
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

    #[test]
    fn what_is_written_is_read() {
        let bytes =
            message_of(20, DUMP, &[attribute_of(2, b"five5"), attribute_of(3, b"")].concat());
        let messages: Vec<_> = Messages(&bytes).map(Result::unwrap).collect();
        let [Message { kind: 20, port: 0, body }] = messages[..] else { panic!("{messages:?}") };
        assert!(Attributes(body).eq([(2, &b"five5"[..]), (3, &b""[..])]));
        assert_eq!(bytes[6..8], DUMP.to_ne_bytes());
    }

    #[test]
    fn a_dump_ends_well_or_not() {
        let told = |bytes: &[u8]| {
            let mut told = Vec::new();
            let last = part(bytes, |message| {
                told.push(message.kind);
                Ok(())
            });
            (told, last.map_err(|error| error.kind()))
        };
        let (one, none) = (message_of(20, 0, b""), io::ErrorKind::NotFound);
        assert_eq!(told(&[one.clone(), one.clone()].concat()), (vec![20, 20], Ok(false)));
        for (code, end) in
            [(&[][..], Ok(true)), (&[0; 4], Ok(true)), (&(-2_i32).to_ne_bytes(), Err(none))]
        {
            let bytes = [one.clone(), message_of(DONE, 0, code)].concat();
            assert_eq!(told(&bytes), (vec![20], end), "{code:?}");
        }
        assert_eq!(told(&message_of(ERROR, 0, &(-2_i32).to_ne_bytes())), (vec![], Err(none)));
        let (cut, invalid) = (&one[..15], io::ErrorKind::InvalidData);
        assert_eq!(told(&message_of(ERROR, 0, &[0; 4])[..18]), (vec![], Err(invalid)));
        assert_eq!(told(cut), (vec![], Ok(false)), "less than a header is nothing");
        assert!(part(&one, |_| Err(io::ErrorKind::TimedOut.into())).is_err(), "who has enough");
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_break_it(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            Messages(&bytes).for_each(drop);
            attribute(&bytes, 2);
            let _ = part(&bytes, |_| Ok(()));
        }
    }
}
