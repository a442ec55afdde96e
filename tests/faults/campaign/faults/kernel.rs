//! What others do to the kernel's tables, and what is too much for them.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use portcullis::lab::visit;

use super::Fault;
use crate::campaign::ground::{Ground, Outcome};
use crate::campaign::standings::LASTS;
use crate::stage::{nft, nft_load, text};

/// The promise after a flush.
const PROMISE: Duration = Duration::from_secs(2);
/// The smallest size of a set.
const SMALL: u32 = 1024;

pub(super) const FAULTS: &[Fault] = &[
    Fault { force: flushed, open: PROMISE, ..Fault::new("flush ruleset", "unjudged for 2 s") },
    Fault { force: table_first, ..Fault::new("another table accepts first", "none") },
    Fault { force: sets_full, ..Fault::new("no room in the sets (ENFILE)", "none") },
];

fn flushed(ground: &mut Ground<'_>) -> Outcome {
    let flushed = nft(&ground.world.server, &["flush", "ruleset"]);
    if flushed.status.success() { Ok(()) } else { Err(text(&flushed)) }
}

/// An accept ends its own chain and no other: those who are banned stay so.
fn table_first(ground: &mut Ground<'_>) -> Outcome {
    nft_load(
        &ground.world.server,
        "table inet first { \
         chain early { type filter hook prerouting priority -400; policy accept; tcp flags syn accept; } \
         chain late { type filter hook prerouting priority -151; policy accept; tcp flags syn accept; } }",
    );
    let banned = ground.standings.held();
    let world = ground.world;
    let to = std::net::SocketAddr::new(world.server.v4().expect("an address"), 80);
    let guesser = banned.iter().map(|net| net.addr()).find(is_a_guesser);
    let got_in = guesser.is_some_and(|from| {
        let seen = world.rogues.run(|| visit(from, to, Duration::from_millis(300)));
        seen.expect("a host").is_served()
    });
    ground.moment(200..1000);
    let gone = nft(&world.server, &["delete", "table", "inet", "first"]);
    match (got_in, gone.status.success()) {
        (true, _) => Err(format!("{guesser:?} is banned and got in")),
        (_, false) => Err(text(&gone)),
        _ => Ok(()),
    }
}

fn is_a_guesser(address: &IpAddr) -> bool {
    matches!(address, IpAddr::V4(address) if address.octets()[..2] == [10, 7])
}

/// Others fill the gate's set to its brim, so that the kernel has no room for what the gate puts in
/// (ENFILE).
fn sets_full(ground: &mut Ground<'_>) -> Outcome {
    ground.lay_over(&format!("[guard]\nset_size = {SMALL}\n"));
    ground.reload()?;
    let span = ground.chance.millis(300..1500);
    let end = Instant::now() + span;
    let mut refused = 0;
    while Instant::now() < end {
        // In ever smaller pieces, until not one more fits in.
        let (mut at, mut piece) = (0, 256);
        while piece > 0 {
            let mut elements = String::new();
            for n in at..at + piece {
                let address = Ipv4Addr::from_bits(0x0ac8_0000 + n);
                let _ = write!(elements, "{address} timeout 1h, ");
            }
            let add = format!("add element inet portcullis banned4 {{ {elements} }}");
            let added = nft(&ground.world.server, &[&add]);
            if added.status.success() {
                at += piece;
            } else {
                refused += u32::from(text(&added).contains("Too many open files"));
                piece /= 2;
            }
            if at > 4 * SMALL {
                break;
            }
        }
        ground.standings.add(LASTS);
    }
    ground.lay_over("");
    ground.reload()?;
    if refused == 0 { Err("the set was never full".into()) } else { Ok(()) }
}
