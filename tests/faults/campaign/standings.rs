//! Standings that the gate has acknowledged: none may be lost before its time, none may outlast it,
//! and none that was taken back may return. Their time is that of a clock that nobody sets.

use std::collections::{BTreeMap, HashSet};
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use portcullis::control::{BanRow, Request, Response, ask_within};
use portcullis::policy::Standing;

use super::BANNED;

/// How long an admin waits for an answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// What the gate's clock and this one may differ by, rounding and all, before a standing counts as
/// lost, and what a busy gate may take to end one.
const EARLY: Duration = Duration::from_millis(500);
const LATE: Duration = Duration::from_secs(3);
/// A kernel's element ends by whole seconds, and goes on when its table is being mended.
const LATE_IN_KERNEL: Duration = Duration::from_secs(8);
/// What a fault gives itself.
pub(crate) const LASTS: Duration = Duration::from_secs(3600);

/// What was acknowledged.
pub(crate) struct Standings {
    socket: PathBuf,
    record: Mutex<Record>,
}

#[derive(Default)]
struct Record {
    held: BTreeMap<IpNet, Held>,
    gone: HashSet<IpNet>,
    /// Those by hand whose time was over, and when at the latest.
    ended: BTreeMap<IpNet, Instant>,
    count: u32,
    /// Orders that nobody answered: nothing is known of those.
    unanswered: u64,
    acknowledged: u64,
}

/// One that must be there.
#[derive(Clone, Copy)]
struct Held {
    how: &'static str,
    /// It must be there until then,
    at_least: Instant,
    /// and not after that; offenders who come again earn more.
    at_most: Option<Instant>,
}

impl Held {
    fn is_due(&self, at: Instant) -> bool {
        at + EARLY < self.at_least
    }
}

impl Standings {
    pub(crate) fn new(socket: &Path) -> Self {
        Self { socket: socket.to_owned(), record: Mutex::default() }
    }

    /// Bans another address by hand for so long. Was that acknowledged?
    pub(crate) fn add(&self, lasts: Duration) -> bool {
        let net = {
            let mut record = self.lock();
            record.count += 1;
            IpNet::from(IpAddr::from(Ipv4Addr::from_bits(BANNED.to_bits() + record.count)))
        };
        let request = Request::BansAdd {
            net,
            port: None,
            standing: Standing::Banned,
            lasts: Some(lasts),
            reason: "campaign".into(),
        };
        let asked = Instant::now();
        let done = matches!(self.ask(&request), Some(Response::Done(_)));
        let at_most = Some(Instant::now() + lasts);
        let mut record = self.lock();
        match done {
            true => {
                let at_least = asked + lasts;
                record.acknowledge(net, Held { how: "by hand", at_least, at_most });
            }
            false => record.unanswered += 1,
        }
        done
    }

    /// Takes back the oldest one that was given by hand, if there are more than so many.
    pub(crate) fn thin(&self, most: usize) {
        let oldest = {
            let mut record = self.lock();
            let by_hand: Vec<IpNet> = record
                .held
                .iter()
                .filter(|(_, held)| held.at_most.is_some())
                .map(|(net, _)| *net)
                .collect();
            if by_hand.len() <= most {
                return;
            }
            // From now on it may be there or not.
            record.held.remove(&by_hand[0]);
            by_hand[0]
        };
        let done = self.ask(&Request::BansRemove { net: Some(oldest), port: None });
        let mut record = self.lock();
        match done {
            Some(Response::Done(_)) => drop(record.gone.insert(oldest)),
            _ => record.unanswered += 1,
        }
    }

    /// Has the gate given this one, who offends since then, a standing by itself? Then it must keep it.
    pub(crate) fn has_offended(&self, source: IpAddr, since: Instant) -> bool {
        let Some(Response::Bans(rows)) = self.ask(&Request::Bans) else { return false };
        let net = IpNet::from(source);
        let Some(row) = rows.iter().find(|row| row.source == net) else { return false };
        let lasts = Duration::try_from(row.until.duration_since(row.since)).unwrap_or_default();
        let held = Held { how: "by offence", at_least: since + lasts, at_most: None };
        self.lock().acknowledge(net, held);
        true
    }

    /// How many are held now, and how many were acknowledged in all.
    pub(crate) fn count(&self) -> (usize, u64) {
        let record = self.lock();
        (record.held.len(), record.acknowledged)
    }

    /// Orders that got no answer.
    pub(crate) fn unanswered(&self) -> u64 {
        self.lock().unanswered
    }

    /// Everybody whose standing was acknowledged and is not over.
    pub(crate) fn held(&self) -> Vec<IpNet> {
        self.lock().held.keys().copied().collect()
    }

    /// Is one still expected? It may have been taken back or have ended meanwhile.
    pub(crate) fn is_held(&self, net: IpNet) -> bool {
        self.lock().held.get(&net).is_some_and(|held| held.is_due(Instant::now()))
    }

    /// Those that must be over even in the kernel, the latest first.
    pub(crate) fn over(&self) -> Vec<IpNet> {
        let record = self.lock();
        let over = record.ended.iter().filter(|(_, end)| end.elapsed() > LATE_IN_KERNEL);
        over.map(|(net, _)| *net).collect()
    }

    /// Holds the record against what the gate says it has: those that are lost, those that last too
    /// long, and those that came back. `None` if it says nothing.
    pub(crate) fn wrong(&self) -> Option<Vec<String>> {
        let asked = Instant::now();
        let (held, gone, ended) = {
            let record = self.lock();
            (record.held.clone(), record.gone.clone(), record.ended.clone())
        };
        let Some(Response::Bans(rows)) = self.ask(&Request::Bans) else { return None };
        let there: HashSet<IpNet> = rows.iter().map(|row: &BanRow| row.source).collect();
        let lost = held.iter().filter(|(net, _)| !there.contains(net) && self.is_held(**net));
        let lost = lost.map(|(net, Held { how, .. })| format!("{net}, given {how}, is lost"));
        let late = ended.iter().filter(|(net, end)| **end + LATE < asked && there.contains(net));
        let late = late.map(|(net, end)| {
            format!("{net} was over {:.1?} ago and is still there", asked.duration_since(*end))
        });
        let back = gone.iter().filter(|net| there.contains(net));
        let back = back.map(|net| format!("{net}, taken back, is there again"));
        Some(lost.chain(late).chain(back).collect())
    }

    fn ask(&self, request: &Request) -> Option<Response> {
        ask_within(&self.socket, request, PATIENCE).ok()
    }

    /// The record as it is now: what is over is no longer held.
    fn lock(&self) -> std::sync::MutexGuard<'_, Record> {
        let mut record = self.record.lock().expect("nobody panics with it");
        let now = Instant::now();
        let over = record.held.extract_if(.., |_, held| !held.is_due(now));
        let ended: Vec<_> = over.filter_map(|(net, held)| Some((net, held.at_most?))).collect();
        record.ended.extend(ended);
        record
    }
}

impl Record {
    fn acknowledge(&mut self, net: IpNet, held: Held) {
        if self.held.insert(net, held).is_none() {
            self.acknowledged += 1;
        }
    }
}
