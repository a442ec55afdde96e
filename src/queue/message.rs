//! What the kernel says of a packet that it holds, and how it is answered: netlink messages of
//! the queue subsystem (`include/uapi/linux/netfilter/nfnetlink_queue.h`). Pure.

use super::Verdict;
use crate::host::netlink::{Attributes, HEADER, Message, Messages};

/// NFNL_SUBSYS_QUEUE, the upper byte of a message's type…
const SUBSYSTEM: u16 = 3;
/// …and below it NFQNL_MSG_PACKET, _VERDICT and _VERDICT_BATCH.
const PACKET: u16 = SUBSYSTEM << 8;
const VERDICT: u16 = SUBSYSTEM << 8 | 1;
const VERDICT_BATCH: u16 = SUBSYSTEM << 8 | 3;
/// NLMSG_ERROR of netlink(7).
const ERROR: u16 = 2;
/// NLM_F_REQUEST.
const REQUEST: u16 = 1;

/// NFQA_PACKET_HDR: id u32, protocol u16, hook u8; network byte order, as all below.
const PACKET_HDR: u16 = 1;
/// NFQA_VERDICT_HDR: verdict u32, id u32.
const VERDICT_HDR: u16 = 2;
const MARK: u16 = 3;
const IFINDEX_INDEV: u16 = 5;
const PAYLOAD: u16 = 10;

/// struct nfgenmsg: family u8, version u8, resource u16.
const GENERIC: usize = 4;
/// The attribute header and the two numbers of NFQA_VERDICT_HDR.
const VERDICT_ATTRIBUTE: usize = 4 + 8;

/// A packet that the kernel holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Packet<'a> {
    /// Its number; the kernel counts per queue.
    pub(super) id: u32,
    /// The packet mark.
    pub(super) mark: u32,
    /// The interface it came in by.
    pub(super) interface: u32,
    /// From the IP header on.
    pub(super) bytes: &'a [u8],
}

/// One message of the kernel's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said<'a> {
    /// A packet waits for a verdict.
    Packet(Packet<'a>),
    /// An earlier message was not carried out, for this reason (errno(3)).
    Refused(i32),
    /// Nothing that concerns us.
    Other,
}

impl<'a> Said<'a> {
    /// Reads one datagram, which holds one message.
    #[inline]
    pub(super) fn read(datagram: &'a [u8]) -> Self {
        match Messages(datagram).next() {
            Some(Ok(Message { kind: PACKET, body, .. })) => match packet(body) {
                Some(packet) => Said::Packet(packet),
                None => Said::Other,
            },
            // A cut one: what was copied may have been longer than the room for it.
            Some(Err(_)) => match datagram.get(HEADER..).and_then(packet) {
                Some(packet) if datagram[4..6] == PACKET.to_ne_bytes() => Said::Packet(packet),
                _ => Said::Other,
            },
            // struct nlmsgerr begins with the error, negative; 0 is an acknowledgement.
            Some(Ok(Message { kind: ERROR, body: [a, b, c, d, ..], .. })) => {
                match i32::from_ne_bytes([*a, *b, *c, *d]) {
                    0 => Said::Other,
                    error => Said::Refused(error.wrapping_neg()),
                }
            }
            _ => Said::Other,
        }
    }
}

/// `None` if it has no number, without which it cannot be answered.
#[inline]
fn packet(body: &[u8]) -> Option<Packet<'_>> {
    let number = |value: &[u8]| value.first_chunk().map(|bytes| u32::from_be_bytes(*bytes));
    let mut packet = Packet::default();
    let mut id = None;
    for (kind, value) in Attributes(body.get(GENERIC..)?) {
        match kind {
            PACKET_HDR => id = number(value),
            MARK => packet.mark = number(value).unwrap_or_default(),
            IFINDEX_INDEV => packet.interface = number(value).unwrap_or_default(),
            PAYLOAD => packet.bytes = value,
            _ => {}
        }
    }
    Some(Packet { id: id?, ..packet })
}

/// Messages to the kernel that answer packets.
#[derive(Debug)]
pub(super) struct Answers {
    queue: u16,
    bytes: Vec<u8>,
}

impl Answers {
    pub(super) fn new(queue: u16) -> Self {
        Self { queue, bytes: Vec::new() }
    }

    /// The messages that answer all these packets, which must be all that were received and not
    /// answered yet, in the order in which they came.
    ///
    /// The rarer verdict is given to each packet by itself. Then everything that still waits is
    /// answered at once, up to the last number: the kernel numbers packets and puts them into the
    /// socket under one lock, so nothing older is still on its way
    /// (net/netfilter/nfnetlink_queue.c: `__nfqnl_enqueue_packet`, `nfqnl_recv_verdict_batch`).
    #[inline]
    pub(super) fn to(&mut self, packets: &[(u32, Verdict)]) -> &[u8] {
        self.bytes.clear();
        if let [(id, verdict)] = *packets {
            self.put(VERDICT, id, verdict);
            return &self.bytes;
        }
        let drops = packets.iter().filter(|(_, verdict)| *verdict == Verdict::Drop).count();
        let common = if drops * 2 > packets.len() { Verdict::Drop } else { Verdict::Accept };
        for (id, verdict) in packets.iter().filter(|(_, verdict)| *verdict != common) {
            self.put(VERDICT, *id, *verdict);
        }
        // There is one: the common verdict is that of half of them at least.
        if let Some((last, _)) = packets.iter().rfind(|(_, verdict)| *verdict == common) {
            self.put(VERDICT_BATCH, *last, common);
        }
        &self.bytes
    }

    #[inline]
    fn put(&mut self, kind: u16, id: u32, verdict: Verdict) {
        let length = HEADER + GENERIC + VERDICT_ATTRIBUTE;
        // NF_DROP and NF_ACCEPT of linux/netfilter.h.
        let word: u32 = match verdict {
            Verdict::Drop => 0,
            Verdict::Accept => 1,
        };
        self.bytes.extend_from_slice(&(length as u32).to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(&REQUEST.to_ne_bytes());
        // Sequence and port, then family (unspecified) and version of the generic header.
        self.bytes.extend_from_slice(&[0; 8 + 2]);
        self.bytes.extend_from_slice(&self.queue.to_be_bytes());
        self.bytes.extend_from_slice(&(VERDICT_ATTRIBUTE as u16).to_ne_bytes());
        self.bytes.extend_from_slice(&VERDICT_HDR.to_ne_bytes());
        self.bytes.extend_from_slice(&word.to_be_bytes());
        self.bytes.extend_from_slice(&id.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::netlink::{attribute_of as attribute, message_of};

    fn message(kind: u16, body: &[u8]) -> Vec<u8> {
        message_of(kind, 0, body)
    }

    /// As Linux 6.18 writes it.
    fn from_kernel(id: u32, payload: &[u8]) -> Vec<u8> {
        let mut body = vec![2, 0, 0, 7];
        let header = [&id.to_be_bytes()[..], &[8, 0, 0]].concat();
        body.extend(attribute(PACKET_HDR, &header));
        body.extend(attribute(IFINDEX_INDEV, &3_u32.to_be_bytes()));
        body.extend(attribute(MARK, &0x1000_0000_u32.to_be_bytes()));
        body.extend(attribute(9, &[0, 6, 0, 0, 2, 0, 0, 0, 0, 1, 0, 0]));
        body.extend(attribute(PAYLOAD, payload));
        message(PACKET, &body)
    }

    #[test]
    fn packets_are_read() {
        let bytes = from_kernel(70_000, b"a packet");
        let packet = Packet { id: 70_000, mark: 0x1000_0000, interface: 3, bytes: b"a packet" };
        assert_eq!(Said::read(&bytes), Said::Packet(packet));
        // Longer than the room for it: it can be answered all the same.
        let cut = &from_kernel(70_000, &[7; 2000])[..1024];
        let Said::Packet(packet) = Said::read(cut) else { panic!("{cut:?}") };
        assert_eq!((packet.id, packet.bytes), (70_000, &[][..]));
    }

    #[test]
    fn what_is_no_packet() {
        let unknown = message(VERDICT, &[2, 0, 0, 7]);
        let unnumbered = message(PACKET, &[2, 0, 0, 7]);
        for other in [&unknown[..], &unnumbered, b"", b"junk"] {
            assert_eq!(Said::read(other), Said::Other, "{other:?}");
        }
        let refusal = |error: i32| message(ERROR, &[&error.to_ne_bytes()[..], &[0; 16]].concat());
        assert_eq!(Said::read(&refusal(-2)), Said::Refused(2));
        assert_eq!(Said::read(&refusal(0)), Said::Other);
    }

    /// What the kernel makes of messages: verdicts by number. Written from the kernel's side
    /// (`nfqnl_recv_verdict`, `nfqnl_recv_verdict_batch`), as an oracle.
    fn carried_out(waiting: &[u32], bytes: &[u8]) -> Vec<(u32, Verdict)> {
        let mut waiting = waiting.to_vec();
        let mut answered = Vec::new();
        for message in Messages(bytes) {
            let message = message.unwrap();
            assert_eq!(message.body[..4], [0, 0, 0, 9], "queue 9");
            let (kind, value) = Attributes(&message.body[4..]).next().unwrap();
            assert_eq!((kind, value.len()), (VERDICT_HDR, 8));
            let number = |at: usize| u32::from_be_bytes(value[at..at + 4].try_into().unwrap());
            let verdict = [Verdict::Drop, Verdict::Accept][number(0) as usize];
            let covered = |id: &u32| match message.kind {
                VERDICT => *id == number(4),
                VERDICT_BATCH => (id.wrapping_sub(number(4)) as i32) <= 0,
                other => panic!("message type {other}"),
            };
            answered.extend(waiting.iter().filter(|id| covered(id)).map(|id| (*id, verdict)));
            waiting.retain(|id| !covered(id));
        }
        assert!(waiting.is_empty(), "{waiting:?} still wait");
        answered
    }

    proptest::proptest! {
        #[test]
        fn each_packet_gets_its_verdict(
            first in proptest::prelude::any::<u32>(),
            packets in proptest::collection::vec((1_u32..4, proptest::prelude::any::<bool>()), 1..40),
        ) {
            // Numbers grow, with gaps, and may wrap.
            let mut id = first;
            let packets: Vec<(u32, Verdict)> = packets
                .into_iter()
                .map(|(step, drop)| {
                    id = id.wrapping_add(step);
                    (id, if drop { Verdict::Drop } else { Verdict::Accept })
                })
                .collect();
            let waiting: Vec<u32> = packets.iter().map(|(id, _)| *id).collect();
            let mut answers = Answers::new(9);
            let mut answered = carried_out(&waiting, answers.to(&packets));
            let by_number = |(id, _): &(u32, Verdict)| id.wrapping_sub(first);
            answered.sort_by_key(by_number);
            proptest::prop_assert_eq!(answered, packets.clone());
            // Half of them at most by themselves, and one for all others.
            let most = (packets.len() / 2 + 1) * (HEADER + GENERIC + VERDICT_ATTRIBUTE);
            proptest::prop_assert!(answers.to(&packets).len() <= most);
        }

        #[test]
        fn no_bytes_break_it(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
            Said::read(&bytes);
            Said::read(&message(PACKET, &bytes));
        }
    }
}
