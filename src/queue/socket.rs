//! The netlink socket of a queue: how much it holds, and many packets with one call.
//!
//! nfq keeps its descriptor to itself, and with the system's default buffer (usually 212,992
//! bytes) only 256 SYNs can wait, whatever the queue's length. And it reads one packet a call,
//! where the kernel hands over as many as are there (recvmmsg(2)). So the descriptor is found when
//! it comes into being: among this process's netlink sockets for netfilter, it is the one that was
//! not there before. This file holds the only `unsafe` of the library: one call that borrows that
//! descriptor, and the one that rustix does not have.
#![allow(unsafe_code)]

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::net::{AddressFamily, SendFlags, netlink, send, sockopt};
use rustix::thread::CapabilitySet;

/// What one waiting packet costs: a netlink message with 256 copied bytes in a 1 KiB slab, and
/// the kernel's own structures around it. Plain SYNs cost 832.
const COST: u64 = 1344;

/// The most packets of one call. More would save little, and the first of them waits for the last.
pub(super) const MOST: usize = 32;

/// Room for one message: 256 bytes of packet and what the kernel says of it (about 150 bytes). What
/// is longer is cut off at its end, where the packet is.
const ROOM: usize = 1024;

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
        [fd] => {
            let socket = Socket(fd);
            // nfq leaves it to the programs that this one starts. An nft that outlives the daemon
            // would keep the queue open, and everybody waiting in it.
            fcntl_setfd(socket.borrow(), FdFlags::CLOEXEC)?;
            Ok((queue, socket))
        }
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

/// What came with one call, message by message.
pub(super) struct Mail {
    room: Box<[[u8; ROOM]; MOST]>,
    lengths: [usize; MOST],
    count: usize,
}

impl Mail {
    pub(super) fn new() -> Self {
        Self { room: Box::new([[0; ROOM]; MOST]), lengths: [0; MOST], count: 0 }
    }

    /// How many messages came.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// One of them, by its place.
    #[inline]
    pub(super) fn message(&self, place: usize) -> &[u8] {
        &self.room[place][..self.lengths[place]]
    }
}

impl Socket {
    fn borrow(&self) -> BorrowedFd<'_> {
        // SAFETY: the descriptor came from /proc/self/fd, so it is not -1. It is only read from and
        // sent to, asked for and given socket options; should it have been closed meanwhile, the
        // kernel answers EBADF, and no memory depends on it.
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

    /// Reads what is there, `most` messages at most. If nothing is there it waits for one message
    /// if it may `wait`.
    ///
    /// # Errors
    /// `WouldBlock` if nothing came in time, and what else the kernel says (recvmmsg(2)).
    #[inline]
    pub(super) fn receive(&self, mail: &mut Mail, most: usize, wait: bool) -> io::Result<()> {
        mail.count = 0;
        let most = most.clamp(1, MOST);
        let mut places = [const { MaybeUninit::<libc::iovec>::uninit() }; MOST];
        let mut headers = [const { MaybeUninit::<libc::mmsghdr>::uninit() }; MOST];
        for (room, (place, header)) in
            mail.room.iter_mut().zip(places.iter_mut().zip(&mut headers)).take(most)
        {
            let place =
                place.write(libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: ROOM });
            // SAFETY: a mmsghdr is integers and pointers; all zero is a valid one.
            let header = header.write(unsafe { std::mem::zeroed() });
            (header.msg_hdr.msg_iov, header.msg_hdr.msg_iovlen) = (place, 1);
        }
        let flags = if wait { libc::MSG_WAITFORONE } else { libc::MSG_DONTWAIT };
        // SAFETY: the first `most` headers are initialised, and each names one place of ROOM bytes
        // in `mail`, which is borrowed until the call is over. There is no time limit to point to.
        let came = unsafe {
            let first = headers.as_mut_ptr().cast();
            libc::recvmmsg(
                self.borrow().as_raw_fd(),
                first,
                most as u32,
                flags,
                std::ptr::null_mut(),
            )
        };
        let count = usize::try_from(came).map_err(|_| io::Error::last_os_error())?;
        for (length, header) in mail.lengths.iter_mut().zip(&headers).take(count) {
            // SAFETY: as many headers as the kernel says were initialised above, and filled by it.
            *length = (unsafe { header.assume_init_ref() }.msg_len as usize).min(ROOM);
        }
        mail.count = count;
        Ok(())
    }

    /// Sends netlink messages to the kernel.
    ///
    /// # Errors
    /// What the kernel says (sendto(2)).
    #[inline]
    pub(super) fn send(&self, messages: &[u8]) -> io::Result<()> {
        // Unconnected netlink sockets talk to the kernel (netlink(7)).
        send(self.borrow(), messages, SendFlags::empty())?;
        Ok(())
    }
}
