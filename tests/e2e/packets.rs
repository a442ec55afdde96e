//! Every kind of packet through the kernel's table, against what is meant: all flags, from sources of
//! every mixture of standings, to each kind of destination, under each kind of policy. What is meant
//! is written here once more, and not as rules.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use portcullis::config::{Config, Mode};
use portcullis::firewall::{Marks, Path, Stage, ruleset};
use portcullis::lab::{Forge, Host, Lab, Probe};
use portcullis::packet::Flags;
use portcullis::policy::Allowlist;

use crate::stage::{PATIENCE, counters, eventually, in_lab, nft_json, nft_load};

// What the kernel's sets say of a source; a mixture is a number of these bits.
const BANNED: u8 = 1;
/// At port 80.
const BANNED_AT: u8 = 2;
/// Its network is banned.
const REFUSED: u8 = 4;
const SUSPECT: u8 = 8;
const PROVEN: u8 = 16;
const TRUSTED: u8 = 32;
const MIXTURES: u8 = 64;

/// FIN, SYN, RST, PSH, ACK and URG: each mixture of them. With explicit congestion notification
/// (RFC 3168) in a SYN, and with its two flags alone.
fn all_flags() -> impl Iterator<Item = u8> {
    (0..64).chain([0xc0, 0xc2])
}

/// Where to, and what that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum To {
    /// This host, at a served port.
    Served,
    /// This host, at another.
    Closed,
    /// A protected host, at a port that is served there and not here.
    BehindServed,
    /// A protected host, at another.
    BehindClosed,
    /// What is only forwarded.
    Elsewhere,
}

const DESTINATIONS: [To; 5] =
    [To::Served, To::Closed, To::BehindServed, To::BehindClosed, To::Elsewhere];

impl To {
    fn at(self, v4: bool) -> SocketAddr {
        let (four, six, port) = match self {
            To::Served => ("203.0.113.1", "2001:db8:1::1", 80),
            To::Closed => ("203.0.113.1", "2001:db8:1::1", 81),
            To::BehindServed => ("10.99.0.7", "2001:db8:99::7", 25),
            To::BehindClosed => ("10.99.0.7", "2001:db8:99::7", 80),
            To::Elsewhere => ("10.98.0.7", "2001:db8:98::7", 80),
        };
        SocketAddr::new((if v4 { four } else { six }).parse().expect("an address"), port)
    }
}

/// Each mixture has a network of its own.
fn source(mixture: u8, v4: bool) -> IpAddr {
    if v4 {
        Ipv4Addr::new(10, mixture, 0, 1).into()
    } else {
        Ipv6Addr::new(0xfd00, mixture.into(), 0, 0, 0, 0, 0, 1).into()
    }
}

/// What a network's sources are called in the sets.
fn element(mixture: u8, v4: bool) -> String {
    if v4 { format!("10.{mixture}.0.1") } else { format!("fd00:{mixture:x}::") }
}

fn network(mixture: u8, v4: bool) -> String {
    if v4 { format!("10.{mixture}.0.0/24") } else { format!("fd00:{mixture:x}::/64") }
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Counted as banned, and gone.
    Banned,
    /// A suspect where it may not be.
    Stopped,
    /// It goes on, with these mark bits until the table takes them off.
    On(u32),
}

/// Does a packet open a connection, or pretend to?
fn opens(flags: u8) -> bool {
    let is = |flag| flags & flag != 0;
    if is(Flags::SYN) { !is(Flags::ACK) } else { !is(Flags::ACK) && !is(Flags::RST) }
}

/// The meaning of it all.
fn meant(config: &Config, open: bool, mixture: u8, to: To, flags: u8) -> Fate {
    let is = |what| mixture & what != 0;
    let marks = Marks::from_bit(config.guard.mark_bit);
    let enforce = config.mode == Mode::Enforce;
    let protects = !config.guard.protect.is_empty();
    let banned = is(BANNED) || is(REFUSED) || (is(BANNED_AT) && to.at(true).port() == 80);
    if enforce && banned && !is(TRUSTED) && (opens(flags) || config.bans.drop_established) {
        return Fate::Banned;
    }
    let guarded = match to {
        To::Served | To::Closed => true,
        To::BehindServed | To::BehindClosed => protects,
        To::Elsewhere => false,
    };
    if !opens(flags) || !guarded || !(open || enforce) {
        return Fate::On(0);
    }
    let suspect = is(SUSPECT) && !is(TRUSTED);
    if enforce && suspect && matches!(to, To::Closed | To::BehindClosed) {
        return Fate::Stopped;
    }
    if !open {
        return Fate::On(0);
    }
    let bits = [(is(PROVEN), marks.proven), (suspect, marks.suspect), (true, marks.judge)];
    Fate::On(bits.into_iter().filter(|(it, _)| *it).map(|(_, bit)| bit).sum())
}

/// What somebody else has put on every packet: the table must neither lose it nor trip over it.
const FOREIGN: u32 = 0x5;

/// Looks at what passes between the two chains of the table, and behind them, where all of it ends:
/// there our bits are off all openings, and what others carry is as it came, so only what is strange
/// is written down. A packet is known by its addresses and ports: the source port tells its flags.
fn witness(host: &Host, stray: u32) {
    let (mut sets, mut between, mut behind) = (String::new(), String::new(), String::new());
    for (ip, kind) in [("ip", "ipv4_addr"), ("ip6", "ipv6_addr")] {
        let write = |set: &str| {
            format!(
                "add @{ip}_{set} {{ {ip} saddr . {ip} daddr . tcp sport . tcp dport . meta mark }}\n"
            )
        };
        for set in ["seen", "strange"] {
            sets += &format!(
                "set {ip}_{set} {{\n type {kind} . {kind} . inet_service . inet_service . mark
                 size 65535\n flags dynamic\n}}\n"
            );
        }
        between += &write("seen");
        for (kind, mark) in [
            ("tcp flags & (syn|ack) == syn", FOREIGN),
            ("tcp flags & (syn|rst|ack) == 0x0", FOREIGN),
            ("tcp flags & (syn|ack) != syn tcp flags & (syn|rst|ack) != 0x0", FOREIGN | stray),
        ] {
            behind += &format!("{kind} meta mark != {mark} {}", write("strange"));
        }
    }
    let all = FOREIGN | stray;
    nft_load(
        host,
        &format!(
            "table inet witness {{
             {sets}
             counter left {{ }}
             chain before {{\n type filter hook prerouting priority -301\n meta mark set {all}\n}}
             chain between {{\n type filter hook prerouting priority -150\n meta l4proto != tcp return
             {between}}}
             chain behind {{\n type filter hook prerouting priority -148\n meta l4proto != tcp return
             {behind} counter name left drop\n}}
             }}"
        ),
    );
}

/// Who passed, by source, destination and ports, and with which mark.
type Seen = BTreeMap<(IpAddr, SocketAddr, u16), BTreeSet<u32>>;

fn seen(host: &Host, set: &str) -> Seen {
    let listed = nft_json(host, &["list", "set", "inet", "witness", set]);
    let sets = listed["nftables"].as_array().expect("objects").iter();
    let elements = sets.filter_map(|object| object["set"]["elem"].as_array()).flatten();
    let mut seen = Seen::new();
    for element in elements {
        let fields = element["concat"].as_array().expect("fields");
        let address = |n: usize| fields[n].as_str().expect("text").parse().expect("an address");
        let number =
            |n: usize| u32::try_from(fields[n].as_u64().expect("a number")).expect("small");
        let port = |n: usize| u16::try_from(number(n)).expect("a port");
        let whose = (address(0), SocketAddr::new(address(1), port(3)), port(2));
        seen.entry(whose).or_default().insert(number(4));
    }
    seen
}

/// Every packet: family, mixture, destination, flags.
fn everything() -> impl Iterator<Item = (bool, u8, To, u8)> {
    let families = [true, false].into_iter();
    let mixtures = families.flat_map(|v4| (0..MIXTURES).map(move |mixture| (v4, mixture)));
    mixtures.flat_map(|(v4, mixture)| {
        DESTINATIONS
            .into_iter()
            .flat_map(move |to| all_flags().map(move |flags| (v4, mixture, to, flags)))
    })
}

/// The standings of each mixture, in the sets.
fn fill(host: &Host) {
    let mut lines = String::new();
    for v4 in [true, false] {
        let family = if v4 { 4 } else { 6 };
        for mixture in 0..MIXTURES {
            let (one, all) = (element(mixture, v4), network(mixture, v4));
            for (what, set, element) in [
                (BANNED, "banned", one.clone()),
                (BANNED_AT, "banned_at", format!("{one} . 80")),
                (REFUSED, "refused", all),
                (SUSPECT, "suspect", one.clone()),
                (PROVEN, "proven", one),
            ] {
                if mixture & what != 0 {
                    lines.push_str(&format!(
                        "add element inet portcullis {set}{family} {{ {element} timeout 1h }}\n"
                    ));
                }
            }
        }
    }
    nft_load(host, &lines);
}

/// A gateway with what makes a table large: trusted and protected prefixes, ports served behind it.
fn gateway() -> Config {
    let mut config = Config::default();
    config.policy.ports.served = [80].into_iter().collect();
    config.policy.ports.open_behind = Some([25].into_iter().collect());
    config.guard.protect =
        ["10.99.0.0/16", "2001:db8:99::/48"].map(|net| net.parse().expect("a prefix")).into();
    let trusted = (0..MIXTURES).filter(|mixture| mixture & TRUSTED != 0);
    let trusted = trusted.flat_map(|mixture| [true, false].map(|v4| network(mixture, v4)));
    let trusted = trusted.map(|net| net.parse().expect("a prefix")).collect();
    config.policy.allowlist = Allowlist::new(trusted).into();
    config
}

/// The same, where bans cut connections, too.
fn cutting() -> Config {
    let mut config = gateway();
    config.bans.drop_established = true;
    config
}

const OPEN: Stage = Stage::Open(Path::Manual);

/// Sends every packet through the table of a policy.
fn every_packet_gets_what_is_meant(config: &Config, stage: Stage) {
    let mut lab = Lab::open().expect("a lab");
    let net = |text: &str| text.parse().expect("a network");
    let server = lab.host("server", &[net("198.51.100.10/24")]).expect("a host");
    let nets = [net("203.0.113.10/24"), net("2001:db8:1::10/64")];
    let client = lab.host_behind(&server, "client", &nets).expect("a host");
    lab.ready().expect("links");
    let marks = Marks::from_bit(config.guard.mark_bit);
    let open = stage != Stage::Closed;
    // A bit of ours that comes along means nothing, and goes off openings with the others.
    let stray = if open { marks.proven } else { 0 };
    witness(&server, stray);
    nft_load(&server, &ruleset(config, stage).to_text());
    fill(&server);
    let mut counts = BTreeMap::from([("banned", 0), ("suspect_stopped", 0), ("queued", 0)]);
    let mut wanted = Seen::new();
    let mut probes = Vec::new();
    for (v4, mixture, to, flags) in everything() {
        let (from, at) = (source(mixture, v4), to.at(v4));
        let sport = 1024 + u16::from(flags);
        probes.push(Probe::syn(SocketAddr::new(from, sport), at).flags(flags));
        let counter = match meant(config, open, mixture, to, flags) {
            Fate::Banned => Some("banned"),
            Fate::Stopped => Some("suspect_stopped"),
            Fate::On(bits) => {
                let judged = bits & marks.judge != 0;
                let stays = if judged { 0 } else { stray };
                wanted.insert((from, at, sport), [FOREIGN | stays | bits].into());
                judged.then_some("queued")
            }
        };
        counter.into_iter().for_each(|name| *counts.get_mut(name).expect("its name") += 1);
    }
    let all = probes.len() as u64;
    let sent = client.run(|| Forge::open().and_then(|forge| forge.flood(probes, 1_000_000)));
    assert_eq!(sent.expect("a host").expect("packets"), all);
    // Another processor may still be busy with the last of them.
    let left = || counters(&server, "witness")["left"];
    eventually(PATIENCE, "end of it", || match left() {
        n if n == wanted.len() as u64 => Ok(()),
        n => Err(format!("{n} of {} came out", wanted.len())),
    });
    let both = |set| -> Seen {
        ["ip", "ip6"].into_iter().flat_map(|ip| seen(&server, &format!("{ip}_{set}"))).collect()
    };
    let passed = both("seen");
    let differ: Vec<_> = wanted
        .keys()
        .chain(passed.keys())
        .filter(|who| wanted.get(who) != passed.get(who))
        .take(8)
        .map(|who| (who, wanted.get(who), passed.get(who)))
        .collect();
    assert!(differ.is_empty(), "packet, marks meant, marks: {differ:#?}");
    let strange: Vec<_> = both("strange").into_iter().take(8).collect();
    assert!(strange.is_empty(), "marks that came out: {strange:#?}");
    assert_eq!(left(), wanted.len() as u64);
    let counted = counters(&server, "portcullis");
    for (counter, packets) in counts {
        assert_eq!(counted[counter], packets, "{counter}");
    }
    assert!(counted["over_ceiling"] == 0 && counted["over_rate"] == 0, "{counted:?}");
}

in_lab! {
    fn a_server() {
        let mut config = gateway();
        config.guard.protect = Vec::new();
        every_packet_gets_what_is_meant(&config, OPEN);
    }

    fn a_gateway() {
        every_packet_gets_what_is_meant(&gateway(), OPEN);
    }

    fn a_gateway_that_cuts_connections() {
        every_packet_gets_what_is_meant(&cutting(), OPEN);
    }

    fn one_that_observes() {
        every_packet_gets_what_is_meant(&Config { mode: Mode::Observe, ..gateway() }, OPEN);
    }

    fn a_closed_gateway() {
        every_packet_gets_what_is_meant(&gateway(), Stage::Closed);
    }

    fn a_closed_one_that_cuts_connections() {
        every_packet_gets_what_is_meant(&cutting(), Stage::Closed);
    }
}
