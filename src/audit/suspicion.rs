//! Which connections are worth a second look, and why.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;
use std::time::Duration;

use serde::Serialize;

use crate::events::{Grouped, Span};
use crate::host::{TcpSocket, TcpState};
use crate::memory::SourceKey;
use crate::policy::{PortSet, Ports, Standing};

#[cfg(test)]
mod tests;

/// So many half-open connections of one peer are no accident…
const HALF_OPEN: usize = 10;
/// …nor so many at one port, whoever claims to send them.
const HALF_OPEN_PORT: usize = 100;
/// A program that has so many hung-up connections does not close them.
const NOT_CLOSED: usize = 10;
/// So many unanswered attempts of this host at once.
const KNOCKING: usize = 20;

/// What the gate says of a peer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peer {
    /// Its standing.
    pub standing: Standing,
    /// How much longer that lasts.
    pub left: Option<Duration>,
    /// Why it has it: a check's name, or an admin's words.
    pub reason: String,
    /// Points of suspicion; 100 make a suspect. `None` if the gate does not remember the peer.
    pub score: Option<u64>,
}

/// What is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Scene<'a> {
    /// The sockets; those that listen tell who called whom.
    pub sockets: &'a [TcpSocket],
    /// The peers that the gate knows.
    pub peers: &'a HashMap<SourceKey, Peer>,
    /// The policy; who listens is seen from the sockets.
    pub ports: &'a Ports,
}

/// What makes connections suspicious.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SuspicionKind {
    /// The peer is suspect or banned.
    Standing,
    /// One peer leaves many connections half-open, or many peers do at one port.
    HalfOpen,
    /// The policy does not serve the port that was reached.
    Unserved,
    /// A port of `[ports] suspicious`, here or at the other end.
    SuspiciousPort,
    /// The peers have hung up, and the program here does not close.
    NotClosed,
    /// This host tries many addresses that do not answer.
    Knocking,
}

/// Connections that are worth a second look.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Suspicion {
    /// Its kind.
    pub kind: SuspicionKind,
    /// What was seen, in a sentence.
    pub what: String,
    /// Why it matters.
    pub why: &'static str,
    /// What to do.
    #[serde(rename = "do")]
    pub todo: String,
    /// Which sockets, by their places in [`Scene::sockets`].
    #[serde(skip)]
    pub sockets: Vec<usize>,
}

impl SuspicionKind {
    /// Why it matters.
    fn why(self) -> &'static str {
        match self {
            SuspicionKind::Standing => {
                "The gate holds back new connections of such a peer; what is open already stays open."
            }
            SuspicionKind::HalfOpen => {
                "Callers who never confirm are flooding or scanning; the addresses may be forged."
            }
            SuspicionKind::Unserved => {
                "It passed although the policy does not serve the port: before the gate ran, from a \
                 trusted address, or around the gate."
            }
            SuspicionKind::SuspiciousPort => {
                "Backdoors and bots use this port; perhaps a program here is remote-controlled."
            }
            SuspicionKind::NotClosed => {
                "The peers have hung up, and the program here does not close its end. It leaks, and \
                 will run out of files."
            }
            SuspicionKind::Knocking => {
                "A program here may be scanning others, or a service that it needs is down."
            }
        }
    }
}

/// Everything suspicious, the worst kinds first, and of each kind what concerns most sockets.
pub fn suspicions(scene: &Scene<'_>) -> Vec<Suspicion> {
    let mut listening = PortSet::default();
    let mut reachable = PortSet::default();
    for socket in scene.sockets.iter().filter(|socket| socket.state == TcpState::Listen) {
        listening.insert(socket.local.port());
        if !socket.local.ip().to_canonical().is_loopback() {
            reachable.insert(socket.local.port());
        }
    }
    let mut ports = scene.ports.clone();
    ports.serve(&reachable, &PortSet::default());

    let mut piles: BTreeMap<Pile, Vec<usize>> = BTreeMap::new();
    for (index, socket) in scene.sockets.iter().enumerate() {
        if socket.state == TcpState::Listen {
            continue;
        }
        let inbound = socket.state == TcpState::SynRecv || listening.contains(socket.local.port());
        let mut put = |pile| piles.entry(pile).or_default().push(index);
        let here = socket.local.port();
        let there = socket.peer.port();
        let source = SourceKey::of(socket.peer.ip());
        let near = socket.peer.ip().to_canonical().is_loopback();
        if scene.peers.get(&source).is_some_and(|peer| peer.standing != Standing::Clean) {
            put(Pile::Standing(source));
        }
        match socket.state {
            TcpState::SynRecv => {
                put(Pile::HalfOpenFrom(source));
                put(Pile::HalfOpenAt(here));
            }
            TcpState::CloseWait => {
                put(Pile::NotClosed(inbound, if inbound { here } else { there }));
            }
            TcpState::SynSent => put(Pile::Knocking),
            _ => {}
        }
        // What is over cannot do anything any more; what never leaves this host needs no gate.
        if near || socket.state == TcpState::TimeWait {
            continue;
        }
        if inbound && ports.suspicious.contains(here) {
            put(Pile::Visited(here));
        } else if !inbound && ports.suspicious.contains(there) {
            put(Pile::Calls(source, there));
        }
        if inbound && !ports.serves(here, false) {
            put(Pile::Unserved(here));
        }
    }
    let told: HashSet<usize> = piles
        .iter()
        .filter(|(pile, own)| matches!(pile, Pile::HalfOpenFrom(_)) && own.len() >= HALF_OPEN)
        .flat_map(|(_, own)| own.iter().copied())
        .collect();
    let covered =
        |own: &[usize]| own.iter().filter(|index| told.contains(index)).count() * 2 > own.len();
    let mut found: Vec<Suspicion> = piles
        .into_iter()
        .filter(|(pile, sockets)| match pile {
            Pile::HalfOpenFrom(_) => sockets.len() >= HALF_OPEN,
            // Most of them may be told of one peer already.
            Pile::HalfOpenAt(_) => sockets.len() >= HALF_OPEN_PORT && !covered(sockets),
            Pile::NotClosed(..) => sockets.len() >= NOT_CLOSED,
            Pile::Knocking => sockets.len() >= KNOCKING,
            _ => true,
        })
        .map(|(pile, sockets)| pile.told(sockets, scene))
        .collect();
    found.sort_by_key(|suspicion| (suspicion.kind, std::cmp::Reverse(suspicion.sockets.len())));
    found
}

/// What is counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Pile {
    Standing(SourceKey),
    HalfOpenFrom(SourceKey),
    HalfOpenAt(u16),
    Unserved(u16),
    /// Somebody reached a suspicious port of this host…
    Visited(u16),
    /// …or this host reached one elsewhere.
    Calls(SourceKey, u16),
    /// At this port of ours (true) or of theirs.
    NotClosed(bool, u16),
    Knocking,
}

impl Pile {
    fn told(self, sockets: Vec<usize>, scene: &Scene<'_>) -> Suspicion {
        let count = sockets.len();
        let some = |thing: &str| match count {
            1 => format!("1 {thing}"),
            n => format!("{} {thing}s", Grouped(n as u64)),
        };
        let ask = |source: SourceKey| format!("portcullis explain {}", source.base());
        let (kind, what, todo) = match self {
            Pile::Standing(source) => {
                let peer = scene.peers.get(&source).cloned().unwrap_or_default();
                let left = peer.left.map(|left| format!(" for another {}", Span(whole(left))));
                let reason = if peer.reason.is_empty() {
                    String::new()
                } else {
                    format!(" ({})", peer.reason)
                };
                (
                    SuspicionKind::Standing,
                    format!(
                        "{source} is {}{}{reason} and has {} here",
                        peer.standing.word(),
                        left.unwrap_or_default(),
                        some("socket")
                    ),
                    format!("{}; to cut what is open: ss -K dst {}", ask(source), end(source)),
                )
            }
            Pile::HalfOpenFrom(source) => (
                SuspicionKind::HalfOpen,
                format!("{source} keeps {} half-open", some("connection")),
                format!("{}; see also [guard] ceiling in the policy", ask(source)),
            ),
            Pile::HalfOpenAt(port) => {
                let sources: HashSet<_> = sockets
                    .iter()
                    .filter_map(|index| scene.sockets.get(*index))
                    .map(|socket| SourceKey::of(socket.peer.ip()))
                    .collect();
                (
                    SuspicionKind::HalfOpen,
                    format!(
                        "{} at port {port} are half-open, from {} sources",
                        some("connection"),
                        Grouped(sources.len() as u64)
                    ),
                    "portcullis status; and let the kernel answer floods without memory: \
                     sysctl net.ipv4.tcp_syncookies=1"
                        .to_owned(),
                )
            }
            Pile::Unserved(port) => (
                SuspicionKind::Unserved,
                format!(
                    "{} reached port {port}, which the policy does not serve",
                    some("connection")
                ),
                format!("portcullis connections --all | grep ' {port} '; portcullis audit"),
            ),
            Pile::Visited(port) => (
                SuspicionKind::SuspiciousPort,
                format!("{} reached port {port} of this host", some("connection")),
                format!("find the program: sudo ss -tnp sport = :{port}"),
            ),
            Pile::Calls(source, port) => (
                SuspicionKind::SuspiciousPort,
                format!("this host has {} to port {port} of {source}", some("connection")),
                format!("find the program: sudo ss -tnp dport = :{port}"),
            ),
            Pile::NotClosed(true, port) => (
                SuspicionKind::NotClosed,
                format!("{} to port {port} of this host wait to be closed", some("connection")),
                format!("find the program and restart it: sudo ss -tlnp sport = :{port}"),
            ),
            Pile::NotClosed(false, port) => (
                SuspicionKind::NotClosed,
                format!(
                    "{} of this host to port {port} elsewhere wait to be closed",
                    some("connection")
                ),
                format!(
                    "find the program and restart it: sudo ss -tnp state close-wait dport = :{port}"
                ),
            ),
            Pile::Knocking => (
                SuspicionKind::Knocking,
                format!("this host waits for the answer to {}", some("attempt")),
                "find the program: sudo ss -tnp state syn-sent".to_owned(),
            ),
        };
        Suspicion { kind, what, why: kind.why(), todo, sockets }
    }
}

/// As `ss` takes it: an address, or a prefix.
fn end(source: SourceKey) -> String {
    match source.base() {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(_) => format!("[{}]/64", source.base()),
    }
}

fn whole(span: Duration) -> Duration {
    Duration::from_secs(span.as_secs())
}
