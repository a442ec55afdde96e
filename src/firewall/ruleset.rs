//! Config → the kernel program. Pure: nothing here touches the kernel.
//!
//! ```text
//! prerouting  raw + 1     early   banned or refused? suspect at a port that is not served? ▶ drop
//!                                 opens a connection to what we guard ▶ marks it and hands it to the queue
//! prerouting  mangle + 1  settle  takes the marks off again
//! postrouting srcnat + 1  prove   a guarded service sends data ▶ its peer is proven
//! ```
//!
//! Every packet of the host goes through the base chains, and nearly all of them belong to
//! connections that exist: so each base chain lets those go as early as it can, and judging splits
//! by family. What it comes to: `cargo bench --bench rules`.
//!
//! - The *early* chain runs before connection tracking, so neither a ban nor a refusal by way of
//!   nft's queue costs a conntrack entry; and before DNAT: published container ports are judged as
//!   published. Connections that containers or inner hosts open outwards are addressed neither to
//!   this host nor to a protected prefix, so they are never judged. It runs behind whatever others do
//!   at *raw*: of two chains of one priority, the kernel takes now this one first and now that one,
//!   and a mark that somebody sets there must not take ours away.
//! - *prove* runs after source NAT has put the published address back on a container's replies,
//!   so "sent by an address of this host" covers local services and published ports alike.
//!   Why data proves the peer: a TCP sends data only after it accepted the ACK of its own random
//!   sequence number; a forged SYN, or a guessed ACK, does not get that far. The port that it is
//!   sent from says that it is a service's. Connection tracking is asked only where any port may be
//!   one: unless the host has another use for it, the kernel need not track its connections at all.
//! - A meter's set that is full lets packets through: `update` fails and the rule ends there.
//! - *Trusted* sources pass by every drop. They are judged, so that they are counted; beyond the
//!   judging capacity they pass unjudged, because a trusted address can be forged like any other
//!   and must not fill the queue.

use std::ops::RangeInclusive;

use ipnet::IpNet;
use nftables::expr::FibFlag;
use serde_json::Value;

use super::kernel_rate::KernelRate;
use super::names::{BANNED_AT, COUNTERS, FAMILIES, Family, PROVEN, STOPPED, STOPPED_AT};
use super::phrases::{self as say, Rule};
use super::sets::{self, KernelSet};
use crate::config::{Config, FailMode, Mode};
use crate::policy::PortSet;

/// How SYNs get into the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// nft's `queue` statement.
    Nft(Spread),
    /// A rule of iptables and one of ip6tables; our rules mark what they hand over.
    Iptables,
    /// As `Iptables`, but the admin places the rules.
    Manual,
}

/// How several queues share the work under [`Path::Nft`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spread {
    /// All SYNs of one source into the same queue (`jhash`).
    BySource,
    /// By the kernel's own hash of both addresses (a plain range, or a single queue).
    ByPair,
}

/// Which part of the program is installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Bans act and peers are proven, but nothing is handed to the queue.
    Closed,
    /// All of it.
    Open(Path),
}

/// A chain and what it is for.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Chain {
    pub(super) name: &'static str,
    /// Hook and priority of a base chain, with the priority as nft prints it.
    pub(super) hook: Option<(&'static str, i32, &'static str)>,
    pub(super) rules: Vec<Rule>,
    pub(super) why: &'static str,
}

/// The whole table.
#[derive(Clone, Debug, PartialEq)]
pub struct Ruleset {
    pub(super) counters: Vec<&'static str>,
    pub(super) sets: Vec<KernelSet>,
    pub(super) chains: Vec<Chain>,
}

impl Ruleset {
    /// The sets of these names have these elements.
    pub(super) fn fill(&mut self, sets: &[KernelSet]) {
        for set in &mut self.sets {
            if let Some(other) = sets.iter().find(|other| other.name == set.name) {
                set.elements.clone_from(&other.elements);
            }
        }
    }
}

/// The priority in prerouting at which new connections come to the gate and are marked: before
/// connection tracking (-200).
pub const EARLY_AT: i32 = -299;
const EARLY: Option<(&str, i32, &str)> = Some(("prerouting", EARLY_AT, "raw + 1"));
const SETTLE: Option<(&str, i32, &str)> = Some(("prerouting", -149, "mangle + 1"));
const PROVE: Option<(&str, i32, &str)> = Some(("postrouting", 101, "srcnat + 1"));

/// The three packet mark bits, from the lowest, [`crate::config::Guard::mark_bit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marks {
    /// The source is proven.
    pub proven: u32,
    /// The source is a suspect.
    pub suspect: u32,
    /// The packet is to be judged (where iptables hands it over).
    pub judge: u32,
}

impl Marks {
    /// The bits for a configured lowest bit, 0–29.
    pub fn from_bit(bit: u8) -> Self {
        let lowest = 1u32 << bit.min(29);
        Self { proven: lowest, suspect: lowest << 1, judge: lowest << 2 }
    }

    /// All three.
    pub fn all(self) -> u32 {
        self.proven | self.suspect | self.judge
    }
}

/// The prefixes of one family among `nets`.
pub(super) fn of_family(nets: &[IpNet], family: Family) -> Vec<IpNet> {
    nets.iter().copied().filter(|net| Family::of(net.addr()) == family).collect()
}

/// A chain that each family has, IPv4 first.
type Lane = [&'static str; 2];

const BANS: Lane = ["bans4", "bans6"];
const OPENING: Lane = ["opening4", "opening6"];
const GUARDED: Lane = ["guarded4", "guarded6"];

fn chain_of([v4, v6]: Lane, family: Family) -> &'static str {
    match family {
        Family::V4 => v4,
        Family::V6 => v6,
    }
}

/// A chain that others lead to.
fn plain(name: &'static str, why: &'static str, rules: Vec<Rule>) -> Chain {
    Chain { name, hook: None, rules, why }
}

/// The program that `config` asks for.
pub fn ruleset(config: &Config, stage: Stage) -> Ruleset {
    let enforce = config.mode == Mode::Enforce;
    let path = match stage {
        Stage::Closed => None,
        Stage::Open(path) => Some(path),
    };
    let mut chains = vec![early(config, enforce || path.is_some())];
    if enforce {
        chains.extend(FAMILIES.map(|family| bans(config, family)));
    }
    if enforce || path.is_some() {
        chains.push(opening());
        chains.extend(FAMILIES.map(|family| opening_of(config, family)));
        chains.extend(FAMILIES.map(|family| guarded(config, path, family)));
    }
    if enforce {
        chains.extend(suspects(config, path));
        chains.extend(stops());
    }
    if let Some(path) = path {
        chains.extend(hand_over(config, path));
        chains.extend(settle(config));
    }
    chains.extend(prove(config));
    let mut sets = sets::sets(config);
    sets.retain(|set| !set.dynamic || updated(&chains, &set.name));
    Ruleset { counters: COUNTERS.map(|(name, _)| name).to_vec(), sets, chains }
}

/// Does any rule fill this set?
fn updated(chains: &[Chain], set: &str) -> bool {
    let mut statements = chains.iter().flat_map(|chain| chain.rules.iter().flatten());
    statements
        .any(|s| s["set"]["set"].as_str().and_then(|name| name.strip_prefix('@')) == Some(set))
}

/// What everything goes through; `leads_on` to where openings are looked at.
fn early(config: &Config, leads_on: bool) -> Chain {
    let drop_established = config.bans.drop_established && config.mode == Mode::Enforce;
    let loopback = vec![say::loopback(), say::accept()];
    let answers = vec![say::answers(), say::accept()];
    let mut rules = Vec::new();
    if drop_established {
        rules.push(loopback);
        rules.extend(FAMILIES.map(|f| vec![say::family_is(f), say::jump(chain_of(BANS, f))]));
        rules.push(answers);
    } else if leads_on {
        rules.extend([answers, loopback]);
    }
    if leads_on {
        rules.extend(say::openings().map(|opens| vec![opens, say::goto("opening")]));
    }
    let why = if drop_established {
        "First of all, before connection tracking: who is banned; who opens a connection."
    } else {
        "First of all, before connection tracking: what belongs to a connection goes on."
    };
    Chain { name: "early", hook: EARLY, rules, why }
}

/// Who is banned or refused, of one family.
fn bans(config: &Config, family: Family) -> Chain {
    let mut rules: Vec<Rule> = trusted(config, family, say::leave()).collect();
    rules.extend([
        vec![say::source_in(family, "banned"), say::goto("stop_banned")],
        vec![say::source_and_port_in(family, BANNED_AT), say::goto("stop_banned_at")],
        vec![say::address_in(family, "saddr", "refused"), say::count("banned"), say::drop()],
    ]);
    plain(chain_of(BANS, family), "Banned, at all ports or at one, or refused.", rules)
}

/// What becomes of trusted sources, if there are any in this family.
fn trusted(config: &Config, family: Family, then: Value) -> impl Iterator<Item = Rule> {
    let source = say::address_in(family, "saddr", "trusted");
    has_trusted(config, family).then(|| vec![source, then]).into_iter()
}

/// Are there trusted prefixes of this family that the kernel is told, or may there be some? Names
/// have addresses of either family, now or later; the rules need not change with them.
pub(super) fn has_trusted(config: &Config, family: Family) -> bool {
    let allowed = &config.policy.allowlist;
    !allowed.names.is_empty() || !of_family(allowed.in_kernel(), family).is_empty()
}

/// The families that have protected prefixes.
fn protected(config: &Config) -> impl Iterator<Item = Family> {
    let nets = &config.guard.protect;
    FAMILIES.into_iter().filter(|family| !of_family(nets, *family).is_empty())
}

fn opening() -> Chain {
    let [first, second] = FAMILIES.map(|family| say::goto(chain_of(OPENING, family)));
    let rules = vec![vec![say::family_is(FAMILIES[0]), first], vec![second]];
    plain("opening", "Packets that open a connection, or pretend to.", rules)
}

/// Openings of one family: bans hold for all of them, the rest for what is guarded.
fn opening_of(config: &Config, family: Family) -> Chain {
    let mut rules = Vec::new();
    if config.mode == Mode::Enforce && !config.bans.drop_established {
        rules.push(vec![say::jump(chain_of(BANS, family))]);
    }
    let guarded = || say::goto(chain_of(GUARDED, family));
    rules.push(vec![say::is_ours(FibFlag::Daddr), guarded()]);
    if protected(config).any(|other| other == family) {
        rules.push(vec![say::address_in(family, "daddr", "protect"), guarded()]);
    }
    plain(chain_of(OPENING, family), "Only towards this host and what it protects.", rules)
}

/// Openings of one family towards what is guarded.
fn guarded(config: &Config, path: Option<Path>, family: Family) -> Chain {
    let marks = Marks::from_bit(config.guard.mark_bit);
    let enforce = config.mode == Mode::Enforce;
    let mut rules = Vec::new();
    if path.is_some() {
        rules.push(vec![say::unmark(marks.all())]);
        rules.push(vec![say::source_in(family, PROVEN), say::mark(marks.proven)]);
    }
    let past = if path.is_some() { say::goto("trusted") } else { say::accept() };
    rules.extend(trusted(config, family, past));
    let suspect = if enforce { say::jump("suspects") } else { say::mark(marks.suspect) };
    rules.push(vec![say::source_in(family, "suspect"), suspect]);
    if path.is_some() {
        // A flood from one source stays out of the queue that everybody waits in.
        rules.extend(config.guard.ceiling.map(|ceiling| {
            let meter = say::over(KernelRate::of(ceiling));
            let over = say::update(family, "saddr", "ceiling", Some(meter));
            let act = if enforce { say::drop() } else { say::accept() };
            vec![over, say::count("over_ceiling"), act]
        }));
        rules.push(vec![say::goto("hand_over")]);
    }
    let why = if path.is_some() {
        "The packet carries what the kernel knows of its source, as mark bits."
    } else {
        "Openings towards what is guarded."
    };
    plain(chain_of(GUARDED, family), why, rules)
}

/// Suspects reach served ports only.
fn suspects(config: &Config, path: Option<Path>) -> Vec<Chain> {
    let marks = Marks::from_bit(config.guard.mark_bit);
    // At served ports there is no limit but everybody's ceiling: whoever forges a suspect's address
    // would use it up, and its own knocks would not be heard.
    let unless = |set| {
        let mut rules = vec![vec![say::port_not_in(set), say::goto("stop")]];
        rules.extend(path.map(|_| vec![say::mark(marks.suspect)]));
        rules
    };
    if config.guard.protect.is_empty() {
        return vec![plain("suspects", "Suspects reach only served ports.", unless("served"))];
    }
    let apart = vec![
        vec![say::is_ours(FibFlag::Daddr), say::goto("suspects_here")],
        vec![say::goto("suspects_behind")],
    ];
    vec![
        plain("suspects", "Suspects: here, or behind us?", apart),
        plain("suspects_here", "Suspects at this host.", unless("served")),
        plain("suspects_behind", "Suspects at hosts behind us.", unless("served_behind")),
    ]
}

/// Where packets end.
fn stops() -> [Chain; 3] {
    let by_source = |f| say::update(f, "saddr", STOPPED, Some(say::counter()));
    let at_a_port = |f| say::update_source_and_port(f, STOPPED_AT, Some(say::counter()));
    // If there is no room for a count, the rule ends there and the next one drops all the same.
    let stop = |count: &dyn Fn(Family) -> Value, total| {
        let mut rules = FAMILIES.map(|f| vec![count(f)]).to_vec();
        rules.push(vec![say::count(total), say::drop()]);
        rules
    };
    [
        plain("stop", "Counted per suspect, then dropped.", stop(&by_source, "suspect_stopped")),
        plain(
            "stop_banned",
            "Counted per banned source, then dropped.",
            stop(&by_source, "banned"),
        ),
        plain(
            "stop_banned_at",
            "Counted per source and port, then dropped.",
            stop(&at_a_port, "banned"),
        ),
    ]
}

/// Into the queue, or past it where there are too many.
fn hand_over(config: &Config, path: Path) -> Vec<Chain> {
    let within_capacity = |act: Value| {
        let mut rules = Vec::new();
        if let Some(most) = config.queue.max_rate {
            rules.push(vec![say::over(KernelRate::of(most)), say::count("over_rate"), act]);
        }
        rules.push(vec![say::goto("enqueue")]);
        rules
    };
    let dropping = config.mode == Mode::Enforce && config.queue.when_over == FailMode::Drop;
    let act = if dropping { say::drop() } else { say::accept() };
    let mut handing = vec![vec![say::count("queued")]];
    handing.extend(to_queue(config, path, Marks::from_bit(config.guard.mark_bit)));
    let mut chains = vec![
        plain("hand_over", "No more than can be judged.", within_capacity(act)),
        plain("enqueue", "What is left is judged.", handing),
    ];
    if FAMILIES.into_iter().any(|family| has_trusted(config, family)) {
        chains.push(plain(
            "trusted",
            "Trusted sources are judged, or pass unjudged where there are too many.",
            within_capacity(say::accept()),
        ));
    }
    chains
}

/// The mark bits come off again, whether the packet was judged or not.
fn settle(config: &Config) -> [Chain; 2] {
    let marks = Marks::from_bit(config.guard.mark_bit).all();
    let mut unmark = vec![vec![say::loopback(), say::leave()]];
    unmark.extend(say::openings().map(|opens| vec![opens, say::unmark(marks)]));
    [
        Chain {
            name: "settle",
            hook: SETTLE,
            rules: vec![vec![say::marked(marks), say::goto("unmark")]],
            why: "The mark bits come off again, whether the packet was judged or not.",
        },
        plain("unmark", "Ours are on openings only.", unmark),
    ]
}

/// Is the queue skipped while nobody listens?
pub(super) fn bypass(config: &Config) -> bool {
    config.guard.when_down == FailMode::Accept || config.mode == Mode::Observe
}

fn to_queue(config: &Config, path: Path, marks: Marks) -> Vec<Rule> {
    let (first, count) = (config.queue.number, config.queue.threads);
    let bypass = bypass(config);
    match path {
        Path::Nft(Spread::BySource) if count > 1 => FAMILIES
            .map(|f| vec![say::family_is(f), say::queue_by_source(f, first, count, bypass)])
            .to_vec(),
        Path::Nft(_) => vec![vec![say::queue(first, count, bypass)]],
        Path::Iptables | Path::Manual => vec![vec![say::mark(marks.judge)]],
    }
}

/// The ports from which the kernel itself opens connections (the default of
/// `net.ipv4.ip_local_port_range`).
const LOCAL_PORTS: RangeInclusive<u16> = 32_768..=60_999;

/// So many of them may be served before a port no longer tells a service from a client.
const FEW: usize = 64;

/// Are there so many ports that data from one of them need not come from a service?
fn are_vague(ports: &PortSet) -> bool {
    LOCAL_PORTS.filter(|port| ports.contains(*port)).nth(FEW).is_some()
}

/// Does data from this host, and data from behind it, prove a peer only on a connection that was
/// opened from outside, which connection tracking knows? Otherwise the port that it is sent from
/// tells, and the program needs no connection tracking: none that costs each packet, and no table
/// of it that a flood could fill.
///
/// Either way the proof is sound. Tracking, or the port, keeps the peers of whom this host visits
/// itself out of the set, of which there can be many where it hides a network.
fn asks_tracking(config: &Config) -> (bool, bool) {
    let ports = &config.policy.ports;
    let behind = !config.guard.protect.is_empty();
    (
        ports.any || are_vague(&ports.open),
        behind && ports.open_behind.as_ref().is_none_or(are_vague),
    )
}

/// Does the program for `config` make the kernel track connections?
pub fn tracks(config: &Config) -> bool {
    let (here, behind) = asks_tracking(config);
    here || behind
}

fn prove(config: &Config) -> [Chain; 2] {
    let (here, behind) = asks_tracking(config);
    let told = |tracked, served, from| {
        let answers = if tracked { say::is_reply() } else { say::sent_from(served) };
        vec![say::pushes_data(), say::leaves(), answers, from, say::goto("remember")]
    };
    let mut rules = vec![told(here, "served", say::is_ours(FibFlag::Saddr))];
    rules.extend(
        protected(config)
            .map(|f| told(behind, "served_behind", say::address_in(f, "saddr", "protect"))),
    );
    [
        Chain {
            name: "prove",
            hook: PROVE,
            rules,
            why: "Whoever is sent data by a guarded service has completed a real handshake.",
        },
        Chain {
            name: "remember",
            hook: None,
            rules: FAMILIES.map(|f| vec![say::update(f, "daddr", "proven", None)]).to_vec(),
            why: "The peer is proven from now on.",
        },
    ]
}
