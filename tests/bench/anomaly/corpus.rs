//! SYNs as CSV, one row each, with the columns named below and `label` one of benign, raw,
//! connect, flood.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;

use portcullis::packet::{Flags, Options, Syn};
use serde::Deserialize;

use super::party::{Kind, Party, Sent};

/// Of a flood from one capture so many sources are looked at: they are all alike.
const FLOOD: usize = 2000;

#[derive(Deserialize)]
struct Row {
    label: String,
    file: String,
    ts: f64,
    src: std::net::IpAddr,
    dst: std::net::IpAddr,
    sport: u16,
    dport: u16,
    seq: u32,
    ack: u32,
    win: u16,
    ttl: u8,
    df: u8,
    ipid: u16,
    mss: Option<u16>,
    ws: Option<u8>,
    optlayout: String,
    flags: String,
    urp: u16,
    payload: u32,
    totlen: u32,
    port_answered_synack: u8,
}

pub(crate) fn read(path: &str) -> Result<Vec<Party>, String> {
    let wrong = |error: &dyn std::fmt::Display| format!("{path}: {error}");
    let input: Box<dyn Read> = match path {
        "-" => Box::new(std::io::stdin()),
        path => Box::new(File::open(path).map_err(|error| wrong(&error))?),
    };
    let mut places = HashMap::new();
    let mut parties: Vec<Party> = Vec::new();
    let mut floods = 0;
    for row in csv::Reader::from_reader(input).into_deserialize::<Row>() {
        let row = row.map_err(|error| wrong(&error))?;
        let kind = match row.label.as_str() {
            "benign" => Kind::Honest,
            "raw" => Kind::Raw,
            "connect" => Kind::Connect,
            "flood" => Kind::Flood,
            other => return Err(wrong(&format!("unknown label {other}"))),
        };
        let place = (row.label.clone(), row.file.clone(), row.src);
        let index = match places.get(&place) {
            Some(index) => *index,
            None => {
                floods += usize::from(kind == Kind::Flood);
                if kind == Kind::Flood && floods > FLOOD {
                    continue;
                }
                places.insert(place, parties.len());
                parties.push(Party { kind, sent: Vec::new(), completes: false, offends: false });
                parties.len() - 1
            }
        };
        let served = row.port_answered_synack == 1;
        let party = &mut parties[index];
        party.completes |= served && matches!(kind, Kind::Honest | Kind::Connect);
        let at = (row.ts.max(0.0) * 1e9) as u64;
        party.sent.push(Sent { at, syn: syn(&row).ok_or_else(|| wrong(&"bad flags"))?, served });
    }
    parties.iter_mut().for_each(|party| party.sent.sort_by_key(|sent| sent.at));
    Ok(parties.into_iter().flat_map(Party::pieces).collect())
}

fn syn(row: &Row) -> Option<Syn> {
    let (layout, length) = layout(&row.optlayout);
    Some(Syn {
        src: row.src,
        dst: row.dst,
        sport: row.sport,
        dport: row.dport,
        seq: row.seq,
        ack: row.ack,
        flags: Flags(u8::from_str_radix(&row.flags, 16).ok()?),
        window: row.win,
        urgent: row.urp,
        ttl: row.ttl,
        ip_id: row.ipid,
        dont_fragment: row.df == 1 || row.src.is_ipv6(),
        ip_options: false,
        length: row.totlen,
        payload: row.payload,
        options: Options {
            layout,
            mss: row.mss,
            window_scale: row.ws,
            sack_permitted: row.optlayout.contains("sok"),
            timestamps: row.optlayout.contains("ts"),
            fast_open: false,
            malformed: false,
            length,
        },
        proven: false,
        suspect: false,
        banned: false,
    })
}

/// Kinds as [`Options::layout`] has them, and their length with padding.
fn layout(words: &str) -> (u64, u8) {
    let (mut layout, mut length) = (0u64, 0u8);
    for (place, word) in words.split('|').filter(|word| !word.is_empty()).enumerate() {
        let (kind, bytes) = match word {
            "eol" => (0, 1),
            "nop" => (1, 1),
            "mss" => (2, 4),
            "ws" => (3, 3),
            "sok" => (4, 2),
            "ts" => (8, 10),
            _ => (15, 2),
        };
        if place < 16 {
            layout |= kind << (4 * place);
        }
        length = length.saturating_add(bytes);
    }
    (layout, length.div_ceil(4).saturating_mul(4).min(40))
}
