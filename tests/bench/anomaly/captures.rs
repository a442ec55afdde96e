//! Labelled captures, as `portcullis replay` reads them.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::BufReader;
use std::net::IpAddr;
use std::path::Path;

use etherparse::{LaxIpSlice, TcpSlice};
use portcullis::memory::SourceKey;
use portcullis::packet::parse;
use portcullis::replay::{Capture, Label, Labels, ip_of};

use super::party::{Kind, Party, Sent};

/// The sources of one capture. One without a label is left out.
pub(crate) fn read(path: &str, labels: &str) -> Result<Vec<Party>, String> {
    let wrong = |error: &dyn std::fmt::Display| format!("{path}: {error}");
    let open = || -> Result<_, String> {
        let file = File::open(path).map_err(|error| wrong(&error))?;
        Capture::open(BufReader::new(file)).map_err(|error| wrong(&error))
    };
    let labels = Labels::load(Path::new(labels)).map_err(|error| wrong(&error))?;
    let Some(label) = labels.of(Path::new(path)) else { return Ok(Vec::new()) };
    let (served, spoken) = answers(open()?);
    let mut places = HashMap::new();
    let mut parties: Vec<Party> = Vec::new();
    let mut capture = open()?;
    while let Some(packet) = capture.next_packet() {
        let Some(Ok(syn)) = ip_of(packet.link, packet.bytes).map(parse) else { continue };
        let Some(kind) = kind(label, SourceKey::of(syn.src), spoken.contains(&syn.src)) else {
            continue;
        };
        let index = *places.entry(syn.src).or_insert_with(|| {
            let completes = spoken.contains(&syn.src);
            parties.push(Party { kind, sent: Vec::new(), completes, offends: false });
            parties.len() - 1
        });
        let served = served.contains(&(syn.dst, syn.dport));
        parties[index].sent.push(Sent { at: packet.at, syn, served });
    }
    Ok(parties.into_iter().flat_map(Party::pieces).collect())
}

/// What a source is; `None` for one whose address was forged, who is neither this nor that.
fn kind(label: &Label, source: SourceKey, completes: bool) -> Option<Kind> {
    match (label.class.as_str(), label.attackers.has(source)) {
        ("benign", _) => Some(Kind::Honest),
        ("flood", _) => Some(Kind::Flood),
        ("brute", true) => Some(Kind::Guess),
        ("scan", true) if completes => Some(Kind::Connect),
        ("scan", true) => Some(Kind::Raw),
        _ => None,
    }
}

/// Targets that answer, and addresses to which data was sent from such a target.
fn answers<R: std::io::Read>(mut capture: Capture<R>) -> (HashSet<(IpAddr, u16)>, HashSet<IpAddr>) {
    let (mut served, mut spoken) = (HashSet::new(), HashSet::new());
    while let Some(packet) = capture.next_packet() {
        let Some(bytes) = ip_of(packet.link, packet.bytes) else { continue };
        let Ok((ip, _)) = LaxIpSlice::from_slice(bytes) else { continue };
        let Ok(tcp) = TcpSlice::from_slice(ip.payload().payload) else { continue };
        let from = (ip.source_addr(), tcp.source_port());
        if tcp.syn() && tcp.ack() && !tcp.rst() {
            served.insert(from);
        }
        if tcp.psh() && tcp.ack() && !tcp.syn() && !tcp.rst() && served.contains(&from) {
            spoken.insert(ip.destination_addr());
        }
    }
    (served, spoken)
}
