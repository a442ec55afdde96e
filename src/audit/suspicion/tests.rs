//! Sockets that were made up, and what is suspicious about them.

use super::*;

fn many(count: u16, state: TcpState, local: &str, peer: impl Fn(u16) -> String) -> Vec<TcpSocket> {
    (0..count).map(|n| TcpSocket::idle(state, local, &peer(n))).collect()
}

/// `kind sockets`
fn told(sockets: &[TcpSocket], ports: &Ports) -> Vec<String> {
    let banned = Peer { standing: Standing::Banned, reason: "scan".into(), ..Peer::default() };
    let peers = [
        (SourceKey::of("192.0.2.66".parse().unwrap()), banned),
        (SourceKey::of("192.0.2.10".parse().unwrap()), Peer { score: Some(40), ..Peer::default() }),
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
    let web = || TcpSocket::idle(Listen, "0.0.0.0:80", "0.0.0.0:0");
    let at80 = "198.51.100.10:80";
    let one = |n: u16| format!("203.0.113.7:{}", 1000 + n);
    let each = |n: u16| format!("203.0.{}.{}:1000", n / 256, n % 256);
    let listening = Ports::default();
    let ssh_only = Ports { listening: false, open: [22].into_iter().collect(), ..Ports::default() };
    for (name, sockets, ports, expected) in [
        ("a visitor", many(1, Established, at80, one), &listening, &[][..]),
        ("a clean peer", many(9, Established, at80, |_| "192.0.2.10:9".into()), &listening, &[]),
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
        ("near", many(3, Established, "127.0.0.1:80", |_| "127.0.0.1:9".into()), &ssh_only, &[]),
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
        ("knocking", many(20, SynSent, "198.51.100.10:40000", each), &listening, &["knocking 20"]),
    ] {
        let sockets = [vec![web()], sockets].concat();
        assert_eq!(told(&sockets, ports), expected, "{name}");
    }
    let backdoor = [
        TcpSocket::idle(Listen, "[::]:31337", "[::]:0"),
        TcpSocket::idle(Established, "[::ffff:198.51.100.10]:31337", "[::ffff:192.0.2.66]:9"),
    ];
    assert_eq!(told(&backdoor, &listening), ["standing 1", "suspicious-port 1"]);
}

#[test]
fn said_in_words() {
    let sockets =
        many(12, TcpState::SynRecv, "[2001:db8::1]:80", |n| format!("[2001:db8:7:1::{n:x}]:9"));
    let peers = HashMap::new();
    let found = suspicions(&Scene { sockets: &sockets, peers: &peers, ports: &Ports::default() });
    assert_eq!(found[0].what, "2001:db8:7:1::/64 keeps 12 connections half-open");
    assert!(found[0].todo.starts_with("portcullis explain 2001:db8:7:1::;"), "{}", found[0].todo);
}
