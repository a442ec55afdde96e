//! Standings that the gate has acknowledged: none may be lost, and none that was taken back may
//! return.

use std::collections::{BTreeMap, HashSet};
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use ipnet::IpNet;
use portcullis::control::{BanRow, Request, Response, ask_within};
use portcullis::policy::Standing;

use super::BANNED;

/// How long an admin waits for an answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// Longer than any campaign.
pub(crate) const LASTS: Duration = Duration::from_secs(90 * 24 * 3600);

/// What was acknowledged.
pub(crate) struct Standings {
    socket: PathBuf,
    record: Mutex<Record>,
}

#[derive(Default)]
struct Record {
    held: BTreeMap<IpNet, &'static str>,
    gone: HashSet<IpNet>,
    count: u32,
    /// Orders that nobody answered: nothing is known of those.
    unanswered: u64,
    acknowledged: u64,
}

impl Standings {
    pub(crate) fn new(socket: &Path) -> Self {
        Self { socket: socket.to_owned(), record: Mutex::default() }
    }

    /// Bans another address by hand. Was that acknowledged?
    pub(crate) fn add(&self) -> bool {
        let net = {
            let mut record = self.lock();
            record.count += 1;
            IpNet::from(IpAddr::from(Ipv4Addr::from_bits(BANNED.to_bits() + record.count)))
        };
        let request = Request::BansAdd {
            net,
            port: None,
            standing: Standing::Banned,
            lasts: Some(LASTS),
            reason: "campaign".into(),
        };
        let done = matches!(self.ask(&request), Some(Response::Done(_)));
        let mut record = self.lock();
        match done {
            true => record.acknowledge(net, "by hand"),
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
                .filter(|(_, how)| **how == "by hand")
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

    /// Has the gate given this one a standing by itself? Then it must keep it.
    pub(crate) fn has_offended(&self, source: IpAddr) -> bool {
        let Some(Response::Bans(rows)) = self.ask(&Request::Bans) else { return false };
        let net = IpNet::from(source);
        let there = rows.iter().any(|row| row.source == net);
        if there {
            self.lock().acknowledge(net, "by offence");
        }
        there
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

    /// Everybody whose standing was acknowledged.
    pub(crate) fn held(&self) -> Vec<IpNet> {
        self.lock().held.keys().copied().collect()
    }

    /// Is one still expected? It may have been taken back meanwhile.
    pub(crate) fn is_held(&self, net: IpNet) -> bool {
        self.lock().held.contains_key(&net)
    }

    /// Holds the record against what the gate says it has: those that are lost, and those that came
    /// back. `None` if it says nothing.
    pub(crate) fn wrong(&self) -> Option<Vec<String>> {
        let (held, gone) = {
            let record = self.lock();
            (record.held.clone(), record.gone.clone())
        };
        let Some(Response::Bans(rows)) = self.ask(&Request::Bans) else { return None };
        let there: HashSet<IpNet> = rows.iter().map(|row: &BanRow| row.source).collect();
        let lost = held.iter().filter(|(net, _)| !there.contains(net) && self.is_held(**net));
        let lost = lost.map(|(net, how)| format!("{net}, given {how}, is lost"));
        let back = gone.iter().filter(|net| there.contains(net));
        Some(lost.chain(back.map(|net| format!("{net}, taken back, is there again"))).collect())
    }

    fn ask(&self, request: &Request) -> Option<Response> {
        ask_within(&self.socket, request, PATIENCE).ok()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Record> {
        self.record.lock().expect("nobody panics with it")
    }
}

impl Record {
    fn acknowledge(&mut self, net: IpNet, how: &'static str) {
        if self.held.insert(net, how).is_none() {
            self.acknowledged += 1;
        }
    }
}
