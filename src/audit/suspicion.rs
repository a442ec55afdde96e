//! Which connections are worth a second look, and why.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;
use std::time::Duration;

use serde::Serialize;

use crate::events::{Grouped, Span};
use crate::host::{TcpSocket, TcpState};
use crate::memory::SourceKey;
use crate::policy::{PortSet, Ports, Standing};

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
                "The gate stops new connections of such a peer; what is open already stays open."
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

#[cfg(test)]
mod tests {
    use super::*;

    fn socket(state: TcpState, local: &str, peer: &str) -> TcpSocket {
        TcpSocket {
            state,
            local: local.parse().unwrap(),
            peer: peer.parse().unwrap(),
            timer: None,
            repeated: 0,
            quiet: None,
            unread: 0,
            unsent: 0,
            inode: 0,
            v6_only: false,
        }
    }

    fn many(
        count: u16,
        state: TcpState,
        local: &str,
        peer: impl Fn(u16) -> String,
    ) -> Vec<TcpSocket> {
        (0..count).map(|n| socket(state, local, &peer(n))).collect()
    }

    /// `kind sockets`
    fn told(sockets: &[TcpSocket], ports: &Ports) -> Vec<String> {
        let banned = Peer { standing: Standing::Banned, reason: "scan".into(), ..Peer::default() };
        let peers = [
            (SourceKey::of("192.0.2.66".parse().unwrap()), banned),
            (
                SourceKey::of("192.0.2.10".parse().unwrap()),
                Peer { score: Some(40), ..Peer::default() },
            ),
        ];
        let peers = peers.into_iter().collect();
        suspicions(&Scene { sockets, peers: &peers, ports })
            .iter()
            .map(|s| {
                format!(
                    "{} {}",
                    serde_json::to_value(s.kind).unwrap().as_str().unwrap(),
                    s.sockets.len()
                )
            })
            .collect()
    }

    #[test]
    fn what_is_suspicious() {
        use TcpState::*;
        let web = || socket(Listen, "0.0.0.0:80", "0.0.0.0:0");
        let at80 = "198.51.100.10:80";
        let one = |n: u16| format!("203.0.113.7:{}", 1000 + n);
        let each = |n: u16| format!("203.0.{}.{}:1000", n / 256, n % 256);
        let listening = Ports::default();
        let ssh_only =
            Ports { listening: false, open: [22].into_iter().collect(), ..Ports::default() };
        for (name, sockets, ports, expected) in [
            ("a visitor", many(1, Established, at80, one), &listening, &[][..]),
            (
                "a clean peer",
                many(9, Established, at80, |_| "192.0.2.10:9".into()),
                &listening,
                &[],
            ),
            (
                "banned",
                many(2, Established, at80, |_| "192.0.2.66:9".into()),
                &listening,
                &["standing 2"],
            ),
            ("nine half-open", many(9, SynRecv, at80, one), &listening, &[]),
            ("ten half-open", many(10, SynRecv, at80, one), &listening, &["half-open 10"]),
            ("many peers", many(99, SynRecv, at80, each), &listening, &[]),
            ("more peers", many(100, SynRecv, at80, each), &listening, &["half-open 100"]),
            ("one of many", many(100, SynRecv, at80, one), &listening, &["half-open 100"]),
            ("not served", many(3, Established, at80, one), &ssh_only, &["unserved 3"]),
            (
                "near",
                many(3, Established, "127.0.0.1:80", |_| "127.0.0.1:9".into()),
                &ssh_only,
                &[],
            ),
            ("over", many(3, TimeWait, at80, one), &ssh_only, &[]),
            (
                "outwards",
                many(3, Established, "198.51.100.10:40000", |_| "192.0.2.5:443".into()),
                &ssh_only,
                &[],
            ),
            (
                "a bot",
                many(1, Established, "198.51.100.10:40000", |_| "192.0.2.5:6667".into()),
                &listening,
                &["suspicious-port 1"],
            ),
            ("not closed", many(10, CloseWait, at80, each), &listening, &["not-closed 10"]),
            ("soon closed", many(9, CloseWait, at80, each), &listening, &[]),
            (
                "knocking",
                many(20, SynSent, "198.51.100.10:40000", each),
                &listening,
                &["knocking 20"],
            ),
        ] {
            let sockets = [vec![web()], sockets].concat();
            assert_eq!(told(&sockets, ports), expected, "{name}");
        }
        let backdoor = [
            socket(Listen, "[::]:31337", "[::]:0"),
            socket(Established, "[::ffff:198.51.100.10]:31337", "[::ffff:192.0.2.66]:9"),
        ];
        assert_eq!(told(&backdoor, &listening), ["standing 1", "suspicious-port 1"]);
    }

    #[test]
    fn said_in_words() {
        let sockets =
            many(12, TcpState::SynRecv, "[2001:db8::1]:80", |n| format!("[2001:db8:7:1::{n:x}]:9"));
        let peers = HashMap::new();
        let found =
            suspicions(&Scene { sockets: &sockets, peers: &peers, ports: &Ports::default() });
        assert_eq!(found[0].what, "2001:db8:7:1::/64 keeps 12 connections half-open");
        assert!(
            found[0].todo.starts_with("portcullis explain 2001:db8:7:1::;"),
            "{}",
            found[0].todo
        );
    }
}
