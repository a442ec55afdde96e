//! Notices that somebody else changed our table, and who it was.
//!
//! The kernel tells every change of nftables to the netlink group NFNLGRP_NFTABLES
//! (`include/uapi/linux/netfilter/nfnetlink.h`): one message per object, with its table's name,
//! and after each transaction a NEWGEN message with the process that made it. Only messages are
//! read, nothing is asked.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{
    AddressFamily, RecvFlags, SocketFlags, SocketType, bind, netlink, recv, socket_with, sockopt,
};

use super::child::OwnTools;
use super::names::TABLE;
use crate::host::netlink::{Message, Messages, attribute};

/// What happened to our table, or to that of iptables' mangle rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sighting {
    /// Somebody else changed something of ours.
    Changed {
        /// `name (process 123)`
        who: String,
        /// A word for what: `flushed or deleted`, `changed`.
        how: &'static str,
        /// It was our table; otherwise only iptables' rules, which may be none of ours.
        table: bool,
    },
    /// Messages were lost: nobody knows.
    Unsure,
}

/// The group 7, NFNLGRP_NFTABLES, as a bit.
const GROUP: u32 = 1 << 6;
/// The subsystem NFNL_SUBSYS_NFTABLES, in the upper byte of a message's type.
const SUBSYSTEM: u16 = 10;
/// `include/uapi/linux/netfilter/nf_tables.h`: the message types with which something goes.
const GOING: [u16; 6] = [2, 5, 8, 11, 14, 20];
const NEWGEN: u16 = 15;
/// NFPROTO_INET, NFPROTO_IPV4, NFPROTO_IPV6.
const INET: u8 = 1;
const IPV4: u8 = 2;
const IPV6: u8 = 10;
/// In every object's message the first attribute is the table's name.
const TABLE_NAME: u16 = 1;
const GEN_PROC_PID: u16 = 2;
const GEN_PROC_NAME: u16 = 3;
/// Our own 5,000 elements in one transaction are as many messages.
const RECEIVE_BUFFER: usize = 16 << 20;

/// A socket that hears of changes.
#[derive(Debug)]
pub(super) struct Watch {
    socket: OwnedFd,
    own: OwnTools,
    buffer: Vec<u8>,
    reader: Reader,
}

/// What was read since the last NEWGEN.
#[derive(Debug, Default)]
struct Reader {
    table: bool,
    mangle: bool,
    going: bool,
}

impl Watch {
    pub(super) fn open(own: OwnTools) -> Result<Self, Errno> {
        let socket = socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            Some(netlink::NETFILTER),
        )?;
        // As an ordinary limit or, with CAP_NET_ADMIN in the first namespace, beyond it.
        if sockopt::set_socket_recv_buffer_size_force(&socket, RECEIVE_BUFFER).is_err() {
            let _ = sockopt::set_socket_recv_buffer_size(&socket, RECEIVE_BUFFER);
        }
        bind(&socket, &SocketAddrNetlink::new(0, GROUP))?;
        Ok(Self { socket, own, buffer: vec![0; 1 << 16], reader: Reader::default() })
    }

    /// Tells `sighted` what is seen until `stop` is set (looked at every 200 ms) or the socket
    /// breaks.
    pub(super) fn run(mut self, stop: &Arc<AtomicBool>, mut sighted: impl FnMut(Sighting)) {
        let wait = Timespec::try_from(Duration::from_millis(200)).ok();
        while !stop.load(Ordering::Relaxed) {
            match poll(&mut [PollFd::new(&self.socket, PollFlags::IN)], wait.as_ref()) {
                Ok(0) | Err(Errno::INTR) => continue,
                Ok(_) => {}
                Err(_) => return,
            }
            match recv(&self.socket, &mut self.buffer[..], RecvFlags::DONTWAIT) {
                Ok((length, _)) => {
                    let own = &self.own;
                    self.reader.read(&self.buffer[..length], own, &mut sighted);
                }
                Err(Errno::NOBUFS) => sighted(Sighting::Unsure),
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(_) => return,
            }
        }
    }
}

impl Reader {
    fn read(&mut self, bytes: &[u8], own: &OwnTools, sighted: &mut impl FnMut(Sighting)) {
        for message in Messages(bytes) {
            // nfgenmsg: family u8, version u8, resource u16; then attributes.
            let Ok(Message { kind, port, body: [family, _, _, _, attributes @ ..] }) = message
            else {
                return;
            };
            if kind >> 8 == SUBSYSTEM {
                self.message(kind & 0xff, *family, port, attributes, own, sighted);
            }
        }
    }

    fn message(
        &mut self,
        kind: u16,
        family: u8,
        port: u32,
        attributes: &[u8],
        own: &OwnTools,
        sighted: &mut impl FnMut(Sighting),
    ) {
        if kind != NEWGEN {
            if own.has(port) {
                return;
            }
            let table = attribute(attributes, TABLE_NAME).map(text);
            let ours = family == INET && table.as_deref() == Some(TABLE);
            // iptables keeps its rules in tables of its own names.
            let mangle = matches!(family, IPV4 | IPV6) && table.as_deref() == Some("mangle");
            self.table |= ours;
            self.mangle |= mangle;
            self.going |= (ours || mangle) && GOING.contains(&kind);
            return;
        }
        let pid = attribute(attributes, GEN_PROC_PID).and_then(|pid| pid.try_into().ok());
        let pid = pid.map_or(0, u32::from_be_bytes);
        let seen = std::mem::take(self);
        if (seen.table || seen.mangle) && !own.has(pid) && !own.has(port) {
            let name = attribute(attributes, GEN_PROC_NAME).map_or_else(|| "?".into(), text);
            let how = if seen.going { "flushed or deleted" } else { "changed" };
            let who = format!("{name} (process {pid})");
            sighted(Sighting::Changed { who, how, table: seen.table });
        }
    }
}

/// A name with its ending zero cut off, as printable text.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let text = String::from_utf8_lossy(&bytes[..end]);
    text.chars().filter(|c| !c.is_control()).take(32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::netlink::{attribute_of as attr, message_of};

    fn message(kind: u16, family: u8, port: u32, attributes: &[u8]) -> Vec<u8> {
        let mut bytes =
            message_of(SUBSYSTEM << 8 | kind, 0, &[&[family, 0, 0, 0][..], attributes].concat());
        bytes[12..16].copy_from_slice(&port.to_ne_bytes());
        bytes
    }

    fn generation(pid: u32) -> Vec<u8> {
        let mut attributes = attr(1, &[0, 0, 0, 9]);
        attributes.extend(attr(GEN_PROC_PID, &pid.to_be_bytes()));
        attributes.extend(attr(GEN_PROC_NAME, b"nft\0"));
        message(NEWGEN, 0, 55, &attributes)
    }

    #[test]
    fn who_did_what() {
        let own = OwnTools::default();
        own.pretend(42);
        let ours = attr(TABLE_NAME, b"portcullis\0");
        let other = attr(TABLE_NAME, b"filter\0");
        let mangle = attr(TABLE_NAME, b"mangle\0");
        for (bytes, expected) in [
            ([message(2, INET, 55, &ours), generation(77)].concat(), Some("flushed or deleted")),
            ([message(6, INET, 55, &ours), generation(77)].concat(), Some("changed")),
            ([message(8, IPV4, 55, &mangle), generation(77)].concat(), Some("flushed or deleted")),
            ([message(8, INET, 55, &mangle), generation(77)].concat(), None),
            ([message(2, IPV4, 55, &ours), generation(77)].concat(), None),
            ([message(2, INET, 55, &other), generation(77)].concat(), None),
            ([message(2, INET, 42, &ours), generation(77)].concat(), None),
            ([message(2, INET, 55, &ours), generation(42)].concat(), None),
            // The next transaction starts from nothing.
            ([message(2, INET, 55, &ours), generation(42), generation(77)].concat(), None),
        ] {
            let mut seen = Vec::new();
            Reader::default().read(&bytes, &own, &mut |sighting| seen.push(sighting));
            let told = seen.first().map(|sighting| match sighting {
                Sighting::Changed { who, how, .. } => {
                    assert_eq!(who, "nft (process 77)");
                    *how
                }
                Sighting::Unsure => "?",
            });
            assert_eq!(told, expected);
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_break_it(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            Reader::default().read(&bytes, &OwnTools::default(), &mut |_| {});
        }
    }
}
