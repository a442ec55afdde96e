//! The kernel's waiting room: bytes in, verdicts out (I/O, and nothing but).
//!
//! A [`Queue`] is one NFQUEUE number. It judges nothing and knows no policy. What it promises is
//! that its socket really holds as many waiting packets as it was asked for, or says how many it
//! holds; and that packets lost between kernel and socket are noticed.
//!
//! nfq opens and configures it. Packets are read and answered past nfq, as many at once as wait: a
//! packet that comes alone costs one call to read and one to answer, and under load, when it
//! matters, many share them.

mod message;
mod moderation;
mod socket;

use std::io::{self, ErrorKind};
use std::time::Duration;

use thiserror::Error;

pub use self::moderation::Moderation;

use self::message::{Answers, Packet, Said};
use self::socket::{MOST, Mail, Socket};

/// Only the headers are needed: IPv6 with a few extensions, and a full TCP header.
const COPY: u16 = 256;

/// ENOENT of errno(3): the kernel holds no packet with this number.
const NO_SUCH_PACKET: i32 = 2;

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
         and at every boot: echo nfnetlink_queue | sudo tee /etc/modules-load.d/portcullis.conf\n\
         If modprobe cannot load it: portcullis doctor"
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
    /// Opened and configured it, and closes it.
    _inner: nfq::Queue,
    socket: Socket,
    number: u16,
    holds: u32,
    last_id: u32,
    lost: u64,
    waits: bool,
    mail: Mail,
    /// Where in the mail the packets are that are held, and their numbers.
    held: Vec<(usize, u32)>,
    verdicts: Vec<(u32, Verdict)>,
    answers: Answers,
}

/// A packet that the kernel holds until it is answered.
#[derive(Clone, Copy, Debug)]
pub struct Held<'a>(Packet<'a>);

/// What becomes of a held packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on its way.
    Accept,
    /// It ends here.
    Drop,
}

impl Queue {
    /// The most packets that [`Queue::receive`] takes at once.
    pub const MOST: usize = MOST;

    /// Binds a queue.
    ///
    /// # Errors
    /// [`QueueError`]; nothing stays bound then.
    pub fn open(settings: Settings) -> Result<Self, QueueError> {
        let number = settings.number;
        let io = |step| move |error| QueueError::Io { number, step, error };
        let (mut inner, socket) = socket::open_queue().map_err(|error| match error.kind() {
            ErrorKind::PermissionDenied => QueueError::Forbidden,
            _ => QueueError::Missing(error),
        })?;
        inner.bind(number).map_err(|error| match error.kind() {
            ErrorKind::PermissionDenied if socket::may_administer() => QueueError::Taken { number },
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
        Ok(Self {
            _inner: inner,
            socket,
            number,
            holds: holds.min(settings.length),
            last_id: 0,
            lost: 0,
            waits: true,
            mail: Mail::new(),
            held: Vec::with_capacity(MOST),
            verdicts: Vec::with_capacity(MOST),
            answers: Answers::new(number),
        })
    }

    /// Takes the packets that wait, and says how many it took; `None` if nothing came within the
    /// patience. It may be none at all although something came: then the kernel had something else
    /// to say. All of them are to be answered before the next call.
    ///
    /// # Errors
    /// What the kernel says; the queue is then of no more use.
    #[inline]
    pub fn receive(&mut self) -> io::Result<Option<usize>> {
        // Twice as many as came last time: who asks for many pays for each place, used or not.
        let most = self.held.len() * 2 + 1;
        self.held.clear();
        match self.socket.receive(&mut self.mail, most, self.waits) {
            Ok(()) => {}
            // A time limit on the socket makes the kernel interrupt the call when the process is
            // stopped and continued (signal(7)).
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(error),
        }
        for place in 0..self.mail.count() {
            match Said::read(self.mail.message(place)) {
                Said::Packet(packet) => {
                    // The kernel numbers packets before it puts them into the socket: a gap is what
                    // found no room there (net/netfilter/nfnetlink_queue.c,
                    // __nfqnl_enqueue_packet).
                    let step = packet.id.wrapping_sub(self.last_id);
                    // A number from before the last one is no gap of four billion.
                    if step < 1 << 31 {
                        self.lost += u64::from(step.saturating_sub(1));
                    }
                    self.last_id = packet.id;
                    self.held.push((place, packet.id));
                }
                // The packet is gone: the kernel drops what waits when its network device goes
                // (nfqnl_dev_drop).
                Said::Refused(NO_SUCH_PACKET) | Said::Other => {}
                Said::Refused(error) => return Err(io::Error::from_raw_os_error(error)),
            }
        }
        Ok(Some(self.held.len()))
    }

    /// One of the packets that were taken, by its place among them; there must be so many.
    #[inline]
    pub fn held(&self, place: usize) -> Held<'_> {
        match Said::read(self.mail.message(self.held[place].0)) {
            Said::Packet(packet) => Held(packet),
            // It was one when it came.
            Said::Refused(_) | Said::Other => Held(Packet::default()),
        }
    }

    /// Releases the packets that were taken: one verdict for each, in their order.
    ///
    /// # Errors
    /// What the kernel says; the packets then wait until the queue is closed.
    #[inline]
    pub fn answer(&mut self, verdicts: impl Iterator<Item = Verdict>) -> io::Result<()> {
        self.verdicts.clear();
        let answered = self.held.iter().zip(verdicts).map(|((_, id), verdict)| (*id, verdict));
        self.verdicts.extend(answered);
        debug_assert_eq!(self.verdicts.len(), self.held.len(), "one verdict for each packet");
        self.socket.send(self.answers.to(&self.verdicts))
    }

    /// From now on [`Queue::receive`] does not wait: for draining.
    pub fn stop_waiting(&mut self) {
        self.waits = false;
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

impl<'a> Held<'a> {
    /// The packet from its IP header on; at most the first 256 bytes.
    #[inline]
    pub fn bytes(&self) -> &'a [u8] {
        self.0.bytes
    }

    /// The packet mark.
    #[inline]
    pub fn mark(&self) -> u32 {
        self.0.mark
    }

    /// Index of the interface it came in by.
    #[inline]
    pub fn interface(&self) -> u32 {
        self.0.interface
    }
}
