//! What the gate says of the peers, asked in bulk.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use crate::audit::Peer;
use crate::control::{MOST_PEERS, PeerRow, Refusal, Request, Response, ask_within};
use crate::host::{TcpSocket, TcpState};
use crate::memory::SourceKey;

/// The daemon answers such questions in milliseconds, unless something hangs; the sockets are worth
/// seeing all the same, and sooner.
const PATIENCE: Duration = Duration::from_secs(3);

/// The peers that the gate knows.
#[derive(Debug, Default)]
pub(super) struct Peers {
    pub(super) known: HashMap<SourceKey, Peer>,
    /// Why nobody, or not everybody, could be asked for; a sentence.
    pub(super) trouble: Option<String>,
}

impl Peers {
    /// Asks about every peer that is not on this host itself.
    pub(super) fn ask(daemon: &Path, sockets: &[TcpSocket]) -> Self {
        let others: BTreeMap<SourceKey, IpAddr> = sockets
            .iter()
            .filter(|socket| socket.state != TcpState::Listen)
            .map(|socket| socket.peer.ip().to_canonical())
            .filter(|address| !address.is_loopback())
            .map(|address| (SourceKey::of(address), address))
            .collect();
        let addresses: Vec<IpAddr> = others.into_values().collect();
        let mut peers = Self::default();
        // Without any, it is still worth knowing whether somebody is there.
        let parts: Vec<&[IpAddr]> =
            if addresses.is_empty() { vec![&[]] } else { addresses.chunks(MOST_PEERS).collect() };
        for part in parts {
            let request = Request::Standings { addresses: part.to_vec() };
            match ask_within(daemon, &request, PATIENCE) {
                Ok(Response::Standings(rows)) => peers.known.extend(rows.into_iter().map(row)),
                Ok(Response::Error(Refusal { lines, .. })) => {
                    peers.trouble = Some(lines.join(" "));
                    break;
                }
                Ok(_) => {
                    peers.trouble = Some("the gate gave an answer to another question".to_owned());
                    break;
                }
                Err(error) => {
                    let text = error.to_string();
                    // What is wrong, and what helps.
                    let lines: Vec<&str> = text.lines().take(2).collect();
                    peers.trouble = Some(lines.join("; "));
                    break;
                }
            }
        }
        peers
    }
}

fn row(row: PeerRow) -> (SourceKey, Peer) {
    let peer = Peer {
        standing: row.standing,
        left: row.standing_left,
        reason: row.reason,
        score: row.memory.map(|memory| memory.score),
    };
    (SourceKey::of(row.source.addr()), peer)
}
