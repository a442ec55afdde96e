//! Screens of 80 columns, from sockets that were made up.

use std::time::Duration;

use clap::Parser;

use super::*;
use crate::audit::Peer;
use crate::host::Timer;
use crate::policy::Standing;

/// A web server with visitors, a half-open pile, calls of its own, and one that is over.
fn sockets() -> Vec<TcpSocket> {
    let mut sockets = vec![
        TcpSocket::idle(TcpState::Listen, "[::]:80", "[::]:0"),
        TcpSocket {
            quiet: Some(Duration::from_millis(303_456)),
            ..TcpSocket::idle(
                TcpState::Established,
                "[::ffff:198.51.100.10]:80",
                "[::ffff:203.0.113.7]:51234",
            )
        },
        TcpSocket {
            quiet: Some(Duration::from_millis(3)),
            ..TcpSocket::idle(
                TcpState::Established,
                "[2001:db8:5::10]:80",
                "[2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff]:65535",
            )
        },
        TcpSocket {
            timer: Some(Timer { kind: TimerKind::TimeWait, left: Duration::from_millis(43_210) }),
            ..TcpSocket::idle(TcpState::TimeWait, "198.51.100.10:40000", "192.0.2.5:443")
        },
    ];
    sockets.extend((0..1204).map(|n| TcpSocket {
        repeated: 2,
        ..TcpSocket::idle(
            TcpState::SynRecv,
            "198.51.100.10:80",
            &format!("192.0.2.66:{}", 1000 + n),
        )
    }));
    sockets
}

fn peers() -> Peers {
    let key = |address: &str| SourceKey::of(address.parse().unwrap());
    let banned = Peer {
        standing: Standing::Banned,
        left: Some(Duration::from_secs(552)),
        reason: "scan".into(),
        score: Some(120),
    };
    let known = Peer { score: Some(0), ..Peer::default() };
    let list = [(key("203.0.113.7"), banned), (key("192.0.2.66"), known)];
    Peers { known: list.into_iter().collect(), trouble: None }
}

fn view(typed: &str) -> (View, Args) {
    let args = typed_args(typed).unwrap();
    let states = match &args.state[..] {
        [] => TcpStates::ALL,
        chosen => chosen.iter().copied().collect(),
    };
    let seen = |s: &TcpSocket| states.contains(s.state) || s.state == TcpState::Listen;
    let sockets = sockets().into_iter().filter(seen).collect();
    (View::of(sockets, states, peers(), &Ports::default(), &args), args)
}

fn typed_args(typed: &str) -> Result<Args, String> {
    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }
    let words = std::iter::once("connections").chain(typed.split_whitespace());
    Cli::try_parse_from(words).map(|cli| cli.args).map_err(|error| error.to_string())
}

#[test]
fn the_usual_screen() {
    let (view, args) = view("");
    assert_eq!(
        format!("\n{}", screen::whole(&view, &args)),
        r#"
        1  LISTEN       a program waits for callers (more: portcullis audit)
    1,204  SYN-RECV     half-open: answered, but the caller has not confirmed.
                        Many that stay are a flood or a scan
        2  ESTAB        open for both sides
        1  TIME-WAIT    over, and remembered for a minute. Harmless; only tens
                        of thousands of own calls to one service use up ports

  STATE        PORT  COUNT  TIME         STANDING    PEER
! SYN-RECV       80  1,204  sent 3x      clean 0     192.0.2.66
! ESTAB          80      1  quiet 5m 3s  banned 120  203.0.113.7
  ESTAB          80      1  active       -           2001:db8:aaaa:bbbb::/64
  TIME-WAIT  to 443      1  43s left     -           192.0.2.5

PORT: of this host; with "to", of whom it called.
STANDING: what the gate thinks of the peer, with its points of suspicion; 100
make a suspect.

! 2 things look suspicious; see: portcullis connections --suspicious
"#
    );
}

#[test]
fn the_suspicious_ones() {
    let (view, args) = view("--suspicious --state syn-recv,ESTABLISHED,close_wait");
    assert_eq!(
        format!("\n{}", screen::whole(&view, &args)),
        "
    1,204  SYN-RECV     half-open: answered, but the caller has not confirmed.
                        Many that stay are a flood or a scan
        1  ESTAB        open for both sides
        0  CLOSE-WAIT   the peer has hung up, the program here has not. Many
                        that stay are a fault of that program

! 203.0.113.7 is banned for another 9m 12s (scan) and has 1 socket here
  why: The gate holds back new connections of such a peer; what is open already
       stays open.
  do:  portcullis explain 203.0.113.7; to cut what is open: ss -K dst
       203.0.113.7

! 192.0.2.66 keeps 1,204 connections half-open
  why: Callers who never confirm are flooding or scanning; the addresses may be
       forged.
  do:  portcullis explain 192.0.2.66; see also [guard] ceiling in the policy

  STATE     PORT  COUNT  TIME         STANDING    PEER
! SYN-RECV    80  1,204  sent 3x      clean 0     192.0.2.66
! ESTAB       80      1  quiet 5m 3s  banned 120  203.0.113.7

STANDING: what the gate thinks of the peer, with its points of suspicion; 100
make a suspect.
"
    );
}

#[test]
fn every_socket_by_itself() {
    let (view, args) = view("--all --state estab,listen");
    let text = screen::whole(&view, &args);
    for line in [
        "  LISTEN  [::]:80              -                                               -            -",
        "! ESTAB   198.51.100.10:80     203.0.113.7:51234                               quiet 5m 3s  banned 120",
        "  ESTAB   [2001:db8:5::10]:80  [2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff]:65535  active       -",
    ] {
        assert!(text.lines().any(|own| own == line), "{line}\n{text}");
    }
}

#[test]
fn a_window_holds_what_it_can() {
    let (mut view, args) = view("");
    view.peers.trouble = Some("portcullis is not running: nobody answers at /run/x.sock".into());
    let text = screen::window(&view, &args, 10);
    assert!(text.starts_with("1 LISTEN, 1,204 SYN-RECV, 2 ESTAB, 1 TIME-WAIT\n! 203"), "{text}");
    assert!(text.contains("…and 1 more rows"), "{text}");
    assert!(text.contains("Standings are not known: portcullis is not running"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
}

#[test]
fn as_json() {
    let (view, _) = view("--state estab,time-wait");
    let json = serde_json::to_value(view.report()).unwrap();
    assert_eq!(json["states"], serde_json::json!({"established": 2, "time-wait": 1}));
    assert_eq!(json["gate"], serde_json::Value::Null);
    let row = |at: &str| {
        let rows = json["sockets"].as_array().unwrap();
        rows.iter().find(|row| row["peer"] == at).unwrap_or_else(|| panic!("{json:#}"))
    };
    let banned = row("203.0.113.7:51234");
    assert_eq!((&banned["standing"], &banned["score"]), (&"banned".into(), &120.into()));
    assert_eq!((&banned["inbound"], &banned["suspicious"][0]), (&true.into(), &"standing".into()));
    let over = row("192.0.2.5:443");
    assert_eq!((&over["inbound"], &over["timer"]), (&false.into(), &"time-wait".into()));
    assert_eq!(json["suspicions"].as_array().map(Vec::len), Some(1));
}

#[test]
fn what_can_be_typed() {
    let watch = |typed: &str| typed_args(typed).map(|args| args.watch);
    assert_eq!(
        (watch(""), watch("--watch"), watch("--watch 5")),
        (Ok(None), Ok(Some(2)), Ok(Some(5)))
    );
    assert!(watch("--watch 0").is_err());
    let wrong = typed_args("--state syn-recv,close-wiat").unwrap_err();
    assert!(wrong.contains("did you mean close-wait?"), "{wrong}");
}
