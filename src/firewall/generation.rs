//! How often the kernel's rules have been changed, as the kernel itself counts.
//!
//! nftables numbers its rules: each transaction that changes anything, whoever makes it and in
//! whatever table, raises the number by one (`nf_tables_commit` in `net/netfilter/nf_tables_api.c`).
//! iptables' newer variant speaks nftables too. So where the number is the same as before, so are the
//! rules; and it costs 2 µs to ask, where listing them takes a program and 5 ms. What ends by itself
//! in a set, and what rules put into one, does not count.

use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, sendto,
    socket_with,
};

use crate::host::netlink::{Message, Messages, REQUEST, attribute, message_of};

/// NFNL_SUBSYS_NFTABLES in the upper byte, NFT_MSG_GETGEN or NFT_MSG_NEWGEN in the lower
/// (`include/uapi/linux/netfilter/nf_tables.h`).
const GET: u16 = 10 << 8 | 16;
const NEW: u16 = 10 << 8 | 15;
/// NFTA_GEN_ID, in network byte order.
const ID: u16 = 1;

/// Asks for the number.
#[derive(Debug)]
pub(super) struct Generations(Option<OwnedFd>);

impl Generations {
    /// If it cannot be asked for, it is never known.
    pub(super) fn open() -> Self {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let family = AddressFamily::NETLINK;
        Self(socket_with(family, SocketType::RAW, flags, Some(netlink::NETFILTER)).ok())
    }

    /// The number at this moment; `None` if the kernel does not tell.
    pub(super) fn now(&self) -> Option<u32> {
        let socket = self.0.as_ref()?;
        // nfgenmsg: family u8, version u8, resource u16.
        let request = message_of(GET, REQUEST, &[0; 4]);
        sendto(socket, &request, SendFlags::empty(), &SocketAddrNetlink::new(0, 0)).ok()?;
        // The kernel has answered when the question is sent. If there is more than one answer, the
        // last one is to this question.
        let (mut last, mut buffer) = (None, [0; 1024]);
        loop {
            match recv(socket, &mut buffer, RecvFlags::DONTWAIT) {
                Ok((length, _)) => last = read(&buffer[..length.min(buffer.len())]),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return last,
                Err(_) => return None,
            }
        }
    }
}

fn read(answer: &[u8]) -> Option<u32> {
    match Messages(answer).next()?.ok()? {
        Message { kind: NEW, body: [_, _, _, _, attributes @ ..], .. } => {
            Some(u32::from_be_bytes(attribute(attributes, ID)?.try_into().ok()?))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::netlink::attribute_of;

    fn answer(kind: u16, attribute: &[u8]) -> Vec<u8> {
        message_of(kind, 0, &[&[0; 4][..], &attribute_of(ID, attribute)].concat())
    }

    #[test]
    fn the_number_is_read() {
        assert_eq!(read(&answer(NEW, &[0, 0, 1, 2])), Some(258));
        // NLMSG_ERROR; too short; nothing.
        assert_eq!(read(&answer(2, &[0, 0, 1, 2])), None);
        assert_eq!(read(&answer(NEW, &[1, 2])), None);
        assert_eq!(read(&answer(NEW, &[0, 0, 1, 2])[..18]), None);
        assert_eq!(read(&[]), None);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_break_it(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..99)) {
            read(&bytes);
        }
    }
}
