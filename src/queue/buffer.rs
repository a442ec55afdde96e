//! The receive buffer of a queue's socket.
//!
//! nfq keeps its descriptor to itself, and with the system's default buffer (usually 212,992
//! bytes) only 256 SYNs can wait, whatever the queue's length. So the descriptor is found when it
//! comes into being: among this process's netlink sockets for netfilter, it is the one that was
//! not there before. This file holds the only `unsafe` of the library, one call that borrows
//! that descriptor.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{BorrowedFd, RawFd};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::net::{AddressFamily, netlink, sockopt};
use rustix::thread::CapabilitySet;

/// What one waiting packet costs: a netlink message with 256 copied bytes in a 1 KiB slab, and
/// the kernel's own structures around it. Plain SYNs cost 832.
const COST: u64 = 1344;

/// Only one queue is opened at a time, so that a new descriptor has only one explanation.
static OPENING: Mutex<()> = Mutex::new(());

/// A queue's socket, borrowed by number. Must not outlive the queue.
pub(super) struct Socket(RawFd);

/// Opens a queue and finds its socket.
pub(super) fn open_queue() -> io::Result<(nfq::Queue, Socket)> {
    let _alone = OPENING.lock().unwrap_or_else(PoisonError::into_inner);
    let before = netfilter_sockets()?;
    let queue = nfq::Queue::open()?;
    let mut new = netfilter_sockets()?;
    new.retain(|fd| !before.contains(fd));
    match new[..] {
        [fd] => Ok((queue, Socket(fd))),
        _ => Err(io::Error::other(format!("{} new netlink sockets instead of one", new.len()))),
    }
}

/// Does this process have CAP_NET_ADMIN in its namespace?
pub(super) fn may_administer() -> bool {
    rustix::thread::capabilities(None)
        .is_ok_and(|sets| sets.effective.contains(CapabilitySet::NET_ADMIN))
}

/// The descriptors of this process that are netlink sockets for netfilter.
fn netfilter_sockets() -> io::Result<Vec<RawFd>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let name = entry?.file_name();
        let Some(fd) = name.to_str().and_then(|name| name.parse::<RawFd>().ok()) else { continue };
        let socket = Socket(fd);
        let socket = socket.borrow();
        // Asking a descriptor that is no socket, or that was closed meanwhile, is an error.
        let netfilter = sockopt::socket_domain(socket) == Ok(AddressFamily::NETLINK)
            && sockopt::socket_protocol(socket) == Ok(Some(netlink::NETFILTER));
        if netfilter {
            found.push(fd);
        }
    }
    Ok(found)
}

impl Socket {
    fn borrow(&self) -> BorrowedFd<'_> {
        // SAFETY: the descriptor came from /proc/self/fd, so it is not -1. It is only asked for
        // and given socket options; should it have been closed meanwhile, the kernel answers
        // EBADF, and no memory depends on it.
        unsafe { BorrowedFd::borrow_raw(self.0) }
    }

    /// Makes room for `packets` waiting packets, and says for how many there is room.
    pub(super) fn hold(&self, packets: u32) -> io::Result<u32> {
        let socket = self.borrow();
        // The kernel doubles what it is told (socket(7)).
        let wanted = usize::try_from(u64::from(packets) * COST / 2).unwrap_or(usize::MAX);
        // Beyond net.core.rmem_max only with CAP_NET_ADMIN in the first namespace.
        if sockopt::set_socket_recv_buffer_size_force(socket, wanted).is_err() {
            sockopt::set_socket_recv_buffer_size(socket, wanted)?;
        }
        let granted = sockopt::socket_recv_buffer_size(socket)? as u64;
        Ok(u32::try_from(granted / COST).unwrap_or(u32::MAX))
    }

    /// Bounds how long a read waits.
    pub(super) fn wait_at_most(&self, time: Duration) -> io::Result<()> {
        Ok(sockopt::set_socket_timeout(self.borrow(), sockopt::Timeout::Recv, Some(time))?)
    }
}
