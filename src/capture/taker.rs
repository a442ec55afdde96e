//! The way from the threads that hold packets to whoever wants them.

use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use super::blocks::SNAP;
use crate::events::{Count, Judged};
use crate::memory::{Limit, Moment, SharedBucket};

/// Packets that may wait to be written.
pub(super) const WAITING: usize = 1024;

/// The beginning of a packet.
#[derive(Clone, Copy, Debug)]
pub struct Prefix {
    pub(super) bytes: [u8; SNAP],
    pub(super) length: usize,
}

impl Prefix {
    /// A copy of what fits.
    #[inline]
    pub fn of(packet: &[u8]) -> Self {
        let mut bytes = [0; SNAP];
        let length = packet.len().min(SNAP);
        bytes[..length].copy_from_slice(&packet[..length]);
        Self { bytes, length }
    }
}

/// A packet with what was made of it.
#[derive(Clone, Copy, Debug)]
pub struct Taken {
    /// Its first bytes.
    pub packet: Prefix,
    /// The decision and its evidence.
    pub judged: Judged,
}

/// What became of packets that were to be captured.
#[derive(Debug, Default)]
pub struct Tally {
    /// They are in a file.
    pub written: Count,
    /// They were over the rate.
    pub passed_over: Count,
    /// There was no room in the channel, or none on the disk.
    pub lost: Count,
}

/// Hands packets over.
#[derive(Debug)]
pub(super) struct Taker {
    sender: SyncSender<Taken>,
    limit: Option<Limit>,
    bucket: Arc<SharedBucket>,
    pub(super) tally: Arc<Tally>,
}

impl Taker {
    pub(super) fn new(sender: SyncSender<Taken>, limit: Option<Limit>, tally: Arc<Tally>) -> Self {
        Self { sender, limit, bucket: Arc::default(), tally }
    }

    /// Is there room for another packet in the rate? If so it is charged; if not, counted.
    #[inline]
    pub(super) fn wants(&self, now: Moment) -> bool {
        let Some(limit) = self.limit else { return true };
        // Two threads may be told the same at once: then one more is written.
        let fits = self.bucket.test(limit, now).is_ok();
        if fits {
            self.bucket.charge(limit, now);
        } else {
            self.tally.passed_over.add(1);
        }
        fits
    }

    /// Hands a packet over without ever waiting; one for which there is no room is counted.
    #[inline]
    pub(super) fn take(&self, taken: Taken) {
        if self.sender.try_send(taken).is_err() {
            self.tally.lost.add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, sync_channel};

    use super::*;
    use crate::events::sample;

    fn taken() -> Taken {
        Taken { packet: Prefix::of(&[0x45; 300]), judged: sample::judged("203.0.113.7") }
    }

    fn taker(room: usize, limit: Option<Limit>) -> (Taker, Receiver<Taken>) {
        let (sender, receiver) = sync_channel(room);
        (Taker::new(sender, limit, Arc::default()), receiver)
    }

    #[test]
    fn what_finds_no_room_is_counted_and_keeps_nobody_waiting() {
        let (taker, receiver) = taker(2, None);
        // Nobody takes anything out: waiting would never end.
        (0..5).for_each(|_| taker.take(taken()));
        assert_eq!((taker.tally.lost.get(), receiver.try_iter().count()), (3, 2));
        drop(receiver);
        taker.take(taken());
        assert_eq!(taker.tally.lost.get(), 4);
    }

    #[test]
    fn no_more_than_the_rate_is_wanted() {
        let (taker, _receiver) = taker(1, Some(Limit::new(10, 1_000_000_000, 3)));
        let wanted = |millis: u64| taker.wants(Moment(1 + millis * 1_000_000));
        let times = [0, 0, 0, 0, 99, 100, 101, 1_000, 1_000, 1_000, 1_000];
        let expected = [1, 1, 1, 0, 0, 1, 0, 1, 1, 1, 0].map(|wanted| wanted == 1);
        assert_eq!(times.map(wanted), expected);
        assert_eq!(taker.tally.passed_over.get(), 4);
    }
}
