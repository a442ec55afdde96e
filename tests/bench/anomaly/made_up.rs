//! Made-up traffic: honest clients of three systems, and four kinds of attackers.

use std::net::{Ipv4Addr, SocketAddr};

use portcullis::packet::{Options, Syn};

use super::party::{Kind, Party, Sent};

/// As many honest sources as a small server sees in some days.
const HONEST: u32 = 4000;
const ATTACKERS: u32 = 200;

struct Dice(u64);

impl Dice {
    /// From 0 to one less than `sides`.
    fn throw(&mut self, sides: u32) -> u32 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as u32) % sides
    }
}

pub(crate) fn everybody() -> Vec<Party> {
    let mut dice = Dice(2016);
    let mut parties = Vec::new();
    for n in 0..HONEST {
        parties.push(honest(&mut dice, Ipv4Addr::from_bits(0x0b00_0000 + n * 7919)));
    }
    for n in 0..ATTACKERS {
        let from = Ipv4Addr::from_bits(0x2d00_0000 + n * 104_729);
        for kind in Kind::ATTACKS {
            parties.push(attacker(&mut dice, from, kind));
        }
    }
    parties
}

/// The header of Linux, Windows or macOS, from some hops away.
fn stack(dice: &mut Dice, from: Ipv4Addr, system: u32, to: SocketAddr) -> Syn {
    let hops = 4 + dice.throw(16) as u8;
    let port = 32_768 + dice.throw(28_000) as u16;
    let linux = Syn::linux(SocketAddr::from((from, port)), to);
    let (ttl, window, layout, length, scale) = match system {
        0 => (64, 64_240, linux.options.layout, 20, 7),
        // mss, nop, ws, nop, nop, sok
        1 => (128, 64_240, 0x41_1312, 12, 8),
        // mss, nop, ws, nop, nop, ts, sok, eol
        _ => (64, 65_535, 0x481_1312, 24, 6),
    };
    let options = Options { layout, length, window_scale: Some(scale), ..linux.options };
    Syn { ttl: ttl - hops, window, options, seq: dice.throw(u32::MAX), ..linux }
}

fn target(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::new(198, 51, 100, 2), port))
}

fn honest(dice: &mut Dice, from: Ipv4Addr) -> Party {
    let system = dice.throw(3);
    let ports: &[u16] = match dice.throw(10) {
        0 => &[22],
        1 | 2 => &[80, 443],
        _ => &[443],
    };
    let browses = dice.throw(3) == 0;
    let mut at = u64::from(dice.throw(1_000_000));
    let mut sent = Vec::new();
    for _ in 0..1 + dice.throw(12) {
        let port = ports[dice.throw(ports.len() as u32) as usize];
        // One in a hundred asks for a port that is closed.
        let port = if dice.throw(100) == 0 { 8080 } else { port };
        let syn = stack(dice, from, system, target(port));
        sent.push(Sent { at: at * 1_000_000, syn, served: port != 8080 });
        at += if browses { u64::from(dice.throw(300)) } else { u64::from(dice.throw(60_000)) };
    }
    Party { kind: Kind::Honest, sent, completes: true, offends: false }
}

fn attacker(dice: &mut Dice, from: Ipv4Addr, kind: Kind) -> Party {
    let mut sent = Vec::new();
    let mut at = u64::from(dice.throw(1_000_000));
    let count = if kind == Kind::Flood { 1 } else { 8 };
    for _ in 0..count {
        let any = 1 + dice.throw(65_535) as u16;
        let port = match kind {
            Kind::Guess => 22,
            Kind::Flood => 80,
            _ => any,
        };
        let plain = stack(dice, from, 0, target(port));
        let bare = Options { layout: 2, mss: Some(1460), length: 4, ..Options::default() };
        let syn = match kind {
            Kind::Raw => {
                Syn { options: bare, window: 1024, dont_fragment: false, length: 44, ..plain }
            }
            Kind::Flood => Syn {
                options: Options::default(),
                window: dice.throw(65_536) as u16,
                ttl: 30 + dice.throw(220) as u8,
                sport: dice.throw(65_536) as u16,
                dont_fragment: false,
                length: 40,
                ..plain
            },
            _ => plain,
        };
        sent.push(Sent { at: at * 1_000_000, syn, served: matches!(port, 22 | 80 | 443) });
        at += match kind {
            Kind::Guess => 1500 + u64::from(dice.throw(4000)),
            _ => 1 + u64::from(dice.throw(20)),
        };
    }
    Party { kind, sent, completes: matches!(kind, Kind::Guess | Kind::Connect), offends: false }
}
