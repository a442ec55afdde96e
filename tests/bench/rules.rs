//! What the kernel table costs each packet, without the daemon.
//!
//!     cargo bench --bench rules [-- ROUNDS]        (15)
//!
//! A neighbour sends packets that are dropped at the end of the server's prerouting; what is told is
//! the time of one, sending included, and how much of it is due to the rules: to ours, with the
//! shipped policy, and to meters for nft as they are written by hand. "Connection" is a packet of a
//! connection that exists, as nearly all of a host's packets are; "SYN" opens one, and goes all the
//! way to the queue, which is not there. By turns; of each the best round, since whatever disturbs
//! makes it slower.

use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use portcullis::cli::rules::as_text;
use portcullis::config::{Config, Redirect};
use portcullis::lab::{Forge, Host, Lab, Probe};
use portcullis::packet::Flags;
use portcullis::policy::Rate;

#[allow(dead_code, reason = "not all who measure need all of it")]
mod arms;
mod enter;
#[allow(dead_code, unused_imports, unused_macros, reason = "the end-to-end tests use all of it")]
#[path = "../e2e/stage/mod.rs"]
mod stage;

use arms::meters;
use enter::{Outcome, in_the_lab, numbers};
use stage::{nft, nft_load};

/// Packets of a round.
const COUNT: u32 = 20_000;
/// More than anybody sends here.
const RATE: u32 = 10_000_000;

fn main() -> ExitCode {
    in_the_lab(bench)
}

fn bench() -> Outcome<()> {
    let [rounds] = numbers([15])?;
    let mut lab = Lab::open()?;
    let server = lab.host("server", &["198.51.100.10/24".parse()?])?;
    let nets = ["203.0.113.10/24".parse()?, "2001:db8:1::10/64".parse()?];
    let client = lab.host_behind(&server, "client", &nets)?;
    lab.ready()?;
    let kinds = [
        ("connection, IPv4", Flags::ACK, ["203.0.113.10", "203.0.113.1"]),
        ("connection, IPv6", Flags::ACK, ["2001:db8:1::10", "2001:db8:1::1"]),
        ("SYN, IPv4", Flags::SYN, ["203.0.113.10", "203.0.113.1"]),
        ("SYN, IPv6", Flags::SYN, ["2001:db8:1::10", "2001:db8:1::1"]),
    ];
    let arms = ["none", "meters", "portcullis"];
    let mut best = [[f64::INFINITY; 3]; 4];
    for round in 0..rounds as usize {
        for place in 0..arms.len() {
            let arm = (round + place) % arms.len();
            furnish(&server, arms[arm])?;
            for ((_, flags, addresses), best) in kinds.iter().zip(&mut best) {
                let nanos = client.run(|| send(*addresses, *flags))??;
                best[arm] = best[arm].min(nanos);
            }
        }
    }
    println!("ns a packet, the best of {rounds} rounds of {COUNT}");
    println!("{:<18}{:>8}{:>10}{:>14}", "", "none", "meters", "portcullis");
    for ((name, ..), [none, meters, ours]) in kinds.iter().zip(best) {
        let (meters, ours) = (meters - none, ours - none);
        println!("{name:<18}{none:>8.0}{meters:>+10.0}{ours:>+14.0}");
    }
    Ok(())
}

/// The rules of an arm, and what drops everything in the end.
fn furnish(server: &Host, arm: &str) -> Outcome<()> {
    nft(server, &["flush", "ruleset"]);
    nft_load(
        server,
        "table inet end { chain end { type filter hook prerouting priority 0; tcp dport 80 drop; } }",
    );
    match arm {
        "meters" => nft_load(server, &meters(1_000_000, 1_000_000)),
        "portcullis" => {
            let mut config = Config::default();
            // Whoever hands over, does it later.
            config.guard.redirect = Redirect::Iptables;
            config.policy.ports.served = [22, 80].into_iter().collect();
            // Both limits are counted, and neither is reached.
            let high = Rate { count: 1_000_000, per: Duration::from_secs(1), burst: 1_000_000 };
            (config.guard.ceiling, config.queue.max_rate) = (Some(high), Some(high));
            nft_load(server, &as_text(&config));
        }
        _ => {}
    }
    Ok(())
}

/// Sends a round; returns the nanoseconds of one packet.
fn send([from, to]: [&str; 2], flags: u8) -> Result<f64, String> {
    let address = |text: &str, port| -> Result<SocketAddr, String> {
        let ip: IpAddr = text.parse().map_err(|error| format!("{text}: {error}"))?;
        Ok(SocketAddr::new(ip, port))
    };
    let probe = Probe::syn(address(from, 40_000)?, address(to, 80)?).flags(flags);
    let forge = Forge::open().map_err(|error| error.to_string())?;
    let begun = Instant::now();
    let packets = std::iter::repeat_n(probe, COUNT as usize);
    let sent = forge.flood(packets, RATE).map_err(|error| error.to_string())?;
    Ok(begun.elapsed().as_nanos() as f64 / sent as f64)
}
