//! Captures: what each wants, and what it gets. One may be the policy's, others are asked for
//! while the gate runs.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use ipnet::IpNet;

use super::taker::{Prefix, Taken, Taker, Tally, WAITING};
use crate::events::Judged;
use crate::memory::{Limit, Moment};
use crate::packet::Syn;
use crate::policy::PortSet;

/// Captures on request at the same time. Each, and the policy's, takes one bit of a [`Wanted`].
pub const MOST_TAPS: usize = 4;

/// Whose capture it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    /// The policy's.
    Policy,
    /// Somebody's who asks.
    Asker,
}

/// Which openings somebody wants to see.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    /// Those that were let in too, not only those that were refused.
    pub all: bool,
    /// From these prefixes only; from everywhere if there are none.
    pub from: Vec<IpNet>,
    /// To these ports only; to all if `None`.
    pub ports: Option<PortSet>,
}

impl Filter {
    /// Is this one wanted?
    #[inline]
    pub fn wants(&self, src: IpAddr, dport: u16, refused: bool) -> bool {
        let src = src.to_canonical();
        (refused || self.all)
            && self.ports.as_ref().is_none_or(|ports| ports.contains(dport))
            && (self.from.is_empty() || self.from.iter().any(|net| net.contains(&src)))
    }
}

/// In words: `refused from 192.0.2.0/24 to port 22`.
impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.all { "all" } else { "refused" })?;
        for (n, net) in self.from.iter().enumerate() {
            write!(f, "{} {net}", if n == 0 { " from" } else { "," })?;
        }
        match &self.ports {
            Some(ports) => write!(f, " to port {ports}"),
            None => Ok(()),
        }
    }
}

/// One capture: what it wants, and the way to whoever writes it.
#[derive(Debug)]
pub struct Tap {
    whose: Whose,
    filter: Filter,
    taker: Taker,
    since: SystemTime,
}

impl Tap {
    /// When it began.
    pub fn since(&self) -> SystemTime {
        self.since
    }

    /// What became of the packets that it wants.
    pub fn tally(&self) -> &Tally {
        &self.taker.tally
    }

    /// What it wants.
    pub fn filter(&self) -> &Filter {
        &self.filter
    }
}

/// All captures. While there are none, asking costs one load.
#[derive(Debug, Default)]
pub struct Taps {
    count: AtomicUsize,
    list: ArcSwap<Vec<Arc<Tap>>>,
    closed: AtomicBool,
}

/// A packet that somebody wants, on its way to them.
#[derive(Debug)]
pub struct Wanted {
    packet: Prefix,
    list: Arc<Vec<Arc<Tap>>>,
    bits: u8,
}

impl Wanted {
    /// Hands it over, with what was made of it, without ever waiting.
    pub fn take(self, judged: Judged) {
        let taken = Taken { packet: self.packet, judged };
        let wanting = self.list.iter().enumerate().filter(|(bit, _)| self.bits & (1 << bit) != 0);
        wanting.for_each(|(_, tap)| tap.taker.take(taken));
    }
}

impl Taps {
    /// Begins a capture on request. `None` if there are [`MOST_TAPS`] already, or no more are wanted.
    pub fn open(
        &self,
        filter: Filter,
        limit: Option<Limit>,
    ) -> Option<(Arc<Tap>, Receiver<Taken>)> {
        self.begin(Whose::Asker, filter, limit, Arc::default())
    }

    /// Begins the policy's capture, of what is refused. `None` if there is one already, or the gate
    /// ends.
    pub(super) fn open_own(
        &self,
        limit: Option<Limit>,
        tally: Arc<Tally>,
    ) -> Option<(Arc<Tap>, Receiver<Taken>)> {
        self.begin(Whose::Policy, Filter::default(), limit, tally)
    }

    fn begin(
        &self,
        whose: Whose,
        filter: Filter,
        limit: Option<Limit>,
        tally: Arc<Tally>,
    ) -> Option<(Arc<Tap>, Receiver<Taken>)> {
        let (sender, receiver) = sync_channel(WAITING);
        let tap = Arc::new(Tap {
            whose,
            filter,
            taker: Taker::new(sender, limit, tally),
            since: SystemTime::now(),
        });
        let mut opened = false;
        self.change(|list| {
            let alike = list.iter().filter(|tap| tap.whose == whose).count();
            let most = if whose == Whose::Policy { 1 } else { MOST_TAPS };
            opened = alike < most && !self.is_closed();
            if opened {
                list.push(Arc::clone(&tap));
            }
        });
        opened.then_some((tap, receiver))
    }

    /// Ends a capture.
    pub fn remove(&self, tap: &Arc<Tap>) {
        self.change(|list| list.retain(|other| !Arc::ptr_eq(other, tap)));
    }

    fn change(&self, mut change: impl FnMut(&mut Vec<Arc<Tap>>)) {
        self.list.rcu(|list| {
            let mut list = Vec::clone(list);
            change(&mut list);
            list
        });
        self.count.store(self.list.load().len(), Relaxed);
    }

    /// Those that were asked for.
    pub fn asked(&self) -> Vec<Arc<Tap>> {
        let list = self.list.load();
        list.iter().filter(|tap| tap.whose == Whose::Asker).map(Arc::clone).collect()
    }

    /// The gate ends: whoever writes a capture is to end too.
    pub fn close(&self) {
        self.closed.store(true, Relaxed);
    }

    /// Does the gate end?
    pub fn is_closed(&self) -> bool {
        self.closed.load(Relaxed)
    }

    /// A copy of the packet, if anybody wants it and has room for it in their rate.
    #[inline]
    pub fn want(&self, packet: &[u8], syn: &Syn, refused: bool, now: Moment) -> Option<Wanted> {
        if self.count.load(Relaxed) == 0 {
            return None;
        }
        self.ask_each(packet, syn, refused, now)
    }

    #[cold]
    fn ask_each(&self, packet: &[u8], syn: &Syn, refused: bool, now: Moment) -> Option<Wanted> {
        let list = self.list.load_full();
        let mut bits = 0;
        for (bit, tap) in list.iter().enumerate() {
            if tap.filter.wants(syn.src, syn.dport, refused) && tap.taker.wants(now) {
                bits |= 1 << bit;
            }
        }
        (bits != 0).then(|| Wanted { packet: Prefix::of(packet), list, bits })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::sample;

    #[test]
    fn filters() {
        let net = |text: &str| text.parse::<IpNet>().unwrap();
        let refused = Filter::default();
        let all = Filter { all: true, ..Filter::default() };
        let ours = Filter { from: vec![net("192.0.2.0/24"), net("2001:db8::/32")], ..all.clone() };
        let ssh = Filter { ports: Some([22].into_iter().collect()), ..ours.clone() };
        for (filter, src, port, was_refused, expected) in [
            (&refused, "203.0.113.7", 22, true, true),
            (&refused, "203.0.113.7", 22, false, false),
            (&all, "203.0.113.7", 22, false, true),
            (&ours, "203.0.113.7", 22, true, false),
            (&ours, "192.0.2.7", 23, true, true),
            (&ours, "::ffff:192.0.2.7", 23, true, true),
            (&ours, "2001:db8::1", 23, false, true),
            (&ssh, "192.0.2.7", 23, true, false),
            (&ssh, "192.0.2.7", 22, true, true),
        ] {
            let src = src.parse().unwrap();
            assert_eq!(filter.wants(src, port, was_refused), expected, "{filter:?} {src} {port}");
        }
        assert_eq!(refused.to_string(), "refused");
        assert_eq!(ssh.to_string(), "all from 192.0.2.0/24, 2001:db8::/32 to port 22");
    }

    #[test]
    fn each_gets_what_it_wants_and_no_more_than_its_rate() {
        let taps = Taps::default();
        let judged = sample::judged("203.0.113.7");
        let see = |refused: bool| {
            if let Some(wanted) = taps.want(&[0x45; 40], &judged.syn, refused, Moment(1)) {
                wanted.take(judged);
            }
        };
        see(true);
        let one_a_second = Limit::new(1, 1_000_000_000, 1);
        let (few, got_few) = taps.open(Filter::default(), Some(one_a_second)).unwrap();
        let all = Filter { all: true, ..Filter::default() };
        let (_, got_all) = taps.open(all, None).unwrap();
        for refused in [true, true, false, true] {
            see(refused);
        }
        assert_eq!((got_few.try_iter().count(), got_all.try_iter().count()), (1, 4));
        assert_eq!(few.tally().passed_over.get(), 2);
        taps.remove(&few);
        see(true);
        assert_eq!((got_few.try_iter().count(), got_all.try_iter().count()), (0, 1));
        // Whoever no longer listens keeps nobody waiting.
        drop(got_all);
        see(true);
        assert_eq!(taps.asked()[0].tally().lost.get(), 1);
    }

    #[test]
    fn there_are_not_too_many() {
        let taps = Taps::default();
        let open = || taps.open(Filter::default(), None);
        let open_now: Vec<_> = std::iter::from_fn(open).take(10).collect();
        assert_eq!(open_now.len(), MOST_TAPS);
        let own = || taps.open_own(None, Arc::default());
        assert!(own().is_some() && own().is_none());
        assert_eq!(taps.asked().len(), MOST_TAPS);
        taps.remove(&open_now[2].0);
        assert!(open().is_some() && open().is_none());
        taps.close();
        taps.remove(&open_now[0].0);
        assert!(open().is_none(), "the gate ends");
    }
}
