//! The kernel's waiting room: bytes in, verdicts out (I/O, and nothing but).
//!
//! A [`Queue`] is one NFQUEUE number. It judges nothing and knows no policy. What it promises is
//! that its socket really holds as many waiting packets as it was asked for, or says how many it
//! holds; and that packets lost between kernel and socket are noticed.

mod buffer;

use std::io::{self, ErrorKind};
use std::time::Duration;

use thiserror::Error;

/// Only the headers are needed: IPv6 with a few extensions, and a full TCP header.
const COPY: u16 = 256;

/// What may go wrong with a queue.
#[derive(Debug, Error)]
pub enum QueueError {
    /// Another program listens on this number.
    #[error("queue {number} belongs to another program")]
    Taken {
        /// The queue number.
        number: u16,
    },
    /// CAP_NET_ADMIN is missing.
    #[error(
        "no permission to use packet queues; run as root, or with CAP_NET_ADMIN as the systemd unit does"
    )]
    Forbidden,
    /// The kernel has no NFQUEUE.
    #[error(
        "this kernel has no packet queues (the module nfnetlink_queue is not loaded: {0}).\n\
         Load it: sudo modprobe nfnetlink_queue\n\
         and at every boot: echo nfnetlink_queue | sudo tee /etc/modules-load.d/portcullis.conf"
    )]
    Missing(io::Error),
    /// Anything else.
    #[error("queue {number}: cannot {step}: {error}")]
    Io {
        /// The queue number.
        number: u16,
        /// What was attempted.
        step: &'static str,
        /// What the kernel said.
        error: io::Error,
    },
}

/// What a queue was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The NFQUEUE number.
    pub number: u16,
    /// How many packets may wait, at least: small ones take less room, so there may be more.
    pub length: u32,
    /// Accept (true) or drop what finds no room.
    pub fail_open: bool,
    /// How long [`Queue::receive`] waits for a packet.
    pub patience: Duration,
}

/// One bound NFQUEUE.
pub struct Queue {
    inner: nfq::Queue,
    number: u16,
    holds: u32,
    last_id: u32,
    lost: u64,
}

/// A packet that the kernel holds until it is answered.
pub struct Held(nfq::Message);

/// What becomes of a held packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on its way.
    Accept,
    /// It ends here.
    Drop,
}

impl Queue {
    /// Binds a queue.
    ///
    /// # Errors
    /// [`QueueError`]; nothing stays bound then.
    pub fn open(settings: Settings) -> Result<Self, QueueError> {
        let number = settings.number;
        let io = |step| move |error| QueueError::Io { number, step, error };
        let (mut inner, socket) = buffer::open_queue().map_err(|error| match error.kind() {
            ErrorKind::PermissionDenied => QueueError::Forbidden,
            _ => QueueError::Missing(error),
        })?;
        inner.bind(number).map_err(|error| match error.kind() {
            ErrorKind::PermissionDenied if buffer::may_administer() => QueueError::Taken { number },
            ErrorKind::PermissionDenied => QueueError::Forbidden,
            _ => QueueError::Missing(error),
        })?;
        inner.set_copy_range(number, COPY).map_err(io("set the copy range"))?;
        // What finds the queue at its length is let by or dropped before it gets a number, and
        // nobody would ever know. So the buffer shall be what is full first: it has room for
        // `length` large packets, and for fewer than twice as many small ones.
        let never_reached = settings.length.saturating_mul(2);
        inner.set_queue_max_len(number, never_reached).map_err(io("set its length"))?;
        inner
            .set_fail_open(number, settings.fail_open)
            .map_err(io("set what happens when it is full"))?;
        let holds = socket.hold(settings.length).map_err(io("raise its buffer"))?;
        socket.wait_at_most(settings.patience).map_err(io("set its time limit"))?;
        Ok(Self { inner, number, holds: holds.min(settings.length), last_id: 0, lost: 0 })
    }

    /// The next packet, or `None` if none came within the patience.
    ///
    /// # Errors
    /// What the kernel says; the queue is then of no more use.
    pub fn receive(&mut self) -> io::Result<Option<Held>> {
        match self.inner.recv() {
            Ok(message) => {
                // The kernel numbers packets before it puts them into the socket: a gap is what
                // found no room there (net/netfilter/nfnetlink_queue.c, __nfqnl_enqueue_packet).
                let id = message.get_packet_id();
                let step = id.wrapping_sub(self.last_id);
                // A number from before the last one is no gap of four billion.
                if step < 1 << 31 {
                    self.lost += u64::from(step.saturating_sub(1));
                }
                self.last_id = id;
                Ok(Some(Held(message)))
            }
            // A time limit on the socket makes the kernel interrupt the call when the process is
            // stopped and continued (signal(7)).
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Releases a packet.
    ///
    /// # Errors
    /// What the kernel says; the packet then waits until the queue is closed.
    pub fn answer(&mut self, held: Held, verdict: Verdict) -> io::Result<()> {
        let Held(mut message) = held;
        message.set_verdict(match verdict {
            Verdict::Accept => nfq::Verdict::Accept,
            Verdict::Drop => nfq::Verdict::Drop,
        });
        self.inner.verdict(message)
    }

    /// From now on [`Queue::receive`] does not wait: for draining.
    pub fn stop_waiting(&mut self) {
        self.inner.set_nonblocking(true);
    }

    /// Its number.
    pub fn number(&self) -> u16 {
        self.number
    }

    /// How many packets can wait for certain: the smaller of the queue's length and the socket's
    /// room.
    pub fn holds(&self) -> u32 {
        self.holds
    }

    /// Packets that found no room in the socket so far, whether they were accepted or dropped for
    /// that; noticed when the next packet comes.
    pub fn lost(&self) -> u64 {
        self.lost
    }
}

impl Held {
    /// The packet from its IP header on; at most the first 256 bytes.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        self.0.get_payload()
    }

    /// The packet mark.
    #[inline]
    pub fn mark(&self) -> u32 {
        self.0.get_nfmark()
    }

    /// Index of the interface it came in by.
    #[inline]
    pub fn interface(&self) -> u32 {
        self.0.get_indev()
    }
}
