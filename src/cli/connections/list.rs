//! Sockets as rows: those that are alike together, or each by itself.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{View, canonical};
use crate::audit::Peer;
use crate::cli::layout::{Align, Table, clean};
use crate::events::{Grouped, Span};
use crate::host::{TcpSocket, TcpState, TimerKind};
use crate::memory::SourceKey;

/// What sockets that are alike have in common: state, who called whom, the port of the one who was
/// called, the peer.
type Alike = (TcpState, bool, u16, SourceKey);

/// Those that are alike in one row, what is suspicious and what is many first; at most so many
/// rows. Says how many rows are left off. Sockets that listen are not connections: they are left
/// out unless they are asked for.
pub(super) fn grouped(view: &View, listening: bool, most: usize) -> (String, usize) {
    let mut groups: BTreeMap<Alike, Vec<usize>> = BTreeMap::new();
    for (index, socket) in view.sockets.iter().enumerate() {
        if socket.state == TcpState::Listen && !listening {
            continue;
        }
        let port = if view.inbound[index] { socket.local.port() } else { socket.peer.port() };
        let source = SourceKey::of(socket.peer.ip());
        groups.entry((socket.state, view.inbound[index], port, source)).or_default().push(index);
    }
    let mut groups: Vec<(bool, Alike, Vec<usize>)> = groups
        .into_iter()
        .map(|(alike, own)| (own.iter().any(|i| view.suspicious.contains_key(i)), alike, own))
        .collect();
    groups.sort_by_key(|(odd, _, own)| (!*odd, std::cmp::Reverse(own.len())));
    if groups.is_empty() {
        return (String::new(), 0);
    }
    let mut heads = vec![
        ("  STATE", Align::Left),
        ("PORT", Align::Right),
        ("COUNT", Align::Right),
        ("TIME", Align::Left),
        ("STANDING", Align::Left),
        ("PEER", Align::Left),
    ];
    let named = !view.programs.is_empty();
    if named {
        heads.push(("PROGRAM", Align::Left));
    }
    let mut table = Table::new(0, &heads);
    for (odd, (state, inbound, port, source), own) in groups.iter().take(most) {
        let first = &view.sockets[own[0]];
        let times = own.iter().map(|index| &view.sockets[*index]);
        let longest = times.max_by_key(|socket| socket.quiet).unwrap_or(first);
        let peer = if *state == TcpState::Listen {
            format!("on {}", first.local.ip().to_canonical())
        } else if first.peer.ip().is_loopback() {
            first.peer.ip().to_string()
        } else {
            source.to_string()
        };
        let program = own.iter().find_map(|i| view.programs.get(&view.sockets[*i].inode));
        table.row([
            format!("{} {state}", if *odd { "!" } else { " " }),
            if *inbound { port.to_string() } else { format!("to {port}") },
            Grouped(own.len() as u64).to_string(),
            time(longest),
            standing(view.peers.known.get(source).filter(|_| *state != TcpState::Listen)),
            peer,
            program.map(|p| format!("{} ({})", clean(&p.name), p.pid)).unwrap_or_default(),
        ]);
    }
    (table.text(), groups.len().saturating_sub(most))
}

/// Each on a line of its own, as long as it takes.
pub(super) fn each(view: &View) -> String {
    let mut table = Table::new(
        0,
        &[
            ("  STATE", Align::Left),
            ("LOCAL", Align::Left),
            ("PEER", Align::Left),
            ("TIME", Align::Left),
            ("STANDING", Align::Left),
            ("PROGRAM", Align::Left),
        ],
    )
    .within(usize::MAX);
    for (index, socket) in view.sockets.iter().enumerate() {
        let listens = socket.state == TcpState::Listen;
        let peer = view.peers.known.get(&SourceKey::of(socket.peer.ip())).filter(|_| !listens);
        let program = view.programs.get(&socket.inode);
        let odd = if view.suspicious.contains_key(&index) { "!" } else { " " };
        table.row([
            format!("{odd} {}", socket.state),
            canonical(socket.local).to_string(),
            if listens { "-".to_owned() } else { canonical(socket.peer).to_string() },
            time(socket),
            standing(peer),
            program.map(|p| format!("{} ({})", clean(&p.name), p.pid)).unwrap_or_default(),
        ]);
    }
    table.text()
}

/// What is known of a socket's age.
fn time(socket: &TcpSocket) -> String {
    let short = |span: Duration| {
        // Nobody wants milliseconds of a minute.
        let span = if span.as_secs() > 0 { Duration::from_secs(span.as_secs()) } else { span };
        Span(span).to_string()
    };
    match (socket.state, socket.timer) {
        (TcpState::Listen, _) if socket.unread > 0 => format!("{} waiting", socket.unread),
        (TcpState::SynRecv | TcpState::SynSent, _) => {
            // Sent once, and then repeated.
            format!("sent {}x", u32::from(socket.repeated) + 1)
        }
        (_, Some(timer)) if timer.kind == TimerKind::TimeWait => {
            format!("{} left", short(Duration::from_secs(timer.left.as_secs())))
        }
        (_, Some(timer)) if timer.kind == TimerKind::Repeat && socket.repeated > 0 => {
            format!("repeated {}x", socket.repeated)
        }
        _ => match socket.quiet {
            Some(quiet) if quiet < Duration::from_secs(1) => "active".to_owned(),
            Some(quiet) => format!("quiet {}", short(quiet)),
            None => "-".to_owned(),
        },
    }
}

/// `suspect 120`: the standing and the points of suspicion.
fn standing(peer: Option<&Peer>) -> String {
    match peer {
        None => "-".to_owned(),
        Some(peer) => {
            let score = peer.score.map(|score| format!(" {score}")).unwrap_or_default();
            format!("{}{score}", peer.standing.word())
        }
    }
}
