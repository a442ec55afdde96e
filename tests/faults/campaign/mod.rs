//! Every fault that the gate must live with, forced for real and again and again, while people come
//! and go: what they notice is what counts.
//!
//! [`ground`] is where it happens, [`observer`] are the people, [`standings`] what the gate has
//! promised, [`faults`] the list; [`attempt`] forces one and judges it.

pub(crate) mod chance;
pub(crate) mod faults;
pub(crate) mod ground;
mod load;
mod manager;
mod observer;
pub(crate) mod preload;
pub(crate) mod report;
pub(crate) mod soak;
pub(crate) mod standings;
mod syslog;
mod vitals;

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::thread;
use std::time::{Duration, Instant};

use self::faults::{Fault, NOISE};
use self::ground::Ground;
use self::observer::End;
use crate::stage::{World, nft, text};

/// The gate's name, and so its folder below /run, and in that its state.
const HOME: &str = "gate";
const STATE: &str = "/run/gate/state";
/// Who comes: people on the allow list, others, and those at closed ports.
const ALLOWED: Ipv4Addr = Ipv4Addr::new(10, 9, 1, 0);
const NEWCOMERS: Ipv4Addr = Ipv4Addr::new(10, 9, 16, 0);
const WALKERS: Ipv4Addr = Ipv4Addr::new(10, 9, 128, 0);
/// Rogues: those who guess, scan, and are made up.
const GUESSERS: Ipv4Addr = Ipv4Addr::new(10, 7, 0, 0);
const SCANNERS: Ipv4Addr = Ipv4Addr::new(10, 5, 0, 0);
const NOBODY: Ipv4Addr = Ipv4Addr::new(10, 6, 0, 0);
/// Whom the admin bans; they never come.
const BANNED: Ipv4Addr = Ipv4Addr::new(10, 66, 0, 0);
/// Descriptors beyond those of a quiet daemon that may be open for a moment.
const TRANSIENT: usize = 2;

/// The hosts, with addresses for everybody.
pub(crate) fn world() -> World {
    let mut world = World::new();
    let World { lab, people, rogues, .. } = &mut world;
    for (host, prefix) in [(people, "10.9.0.0/16"), (rogues, "10.4.0.0/14")] {
        lab.own(host, prefix.parse().expect("a prefix")).expect("a route");
    }
    world
}

/// What a fault did, once.
#[derive(Debug, Default)]
pub(crate) struct Try {
    /// The longest time in which nobody got in.
    pub(crate) held: Duration,
    /// The longest time in which nobody judged.
    pub(crate) open: Duration,
    /// How many got in meanwhile, and how many did not who should have.
    pub(crate) let_in: usize,
    pub(crate) refused: usize,
    /// Standings that were acknowledged and are gone, or were taken back and are there again.
    pub(crate) wrong: usize,
    /// SYNs for which there was no room.
    pub(crate) lost: u64,
    /// Memory that it needs more than before, kB, if it is the same process.
    pub(crate) grown: Option<i64>,
    /// Which process that is: the gate was started so often by then.
    pub(crate) process: u64,
    /// How long after its end everything was as it should be.
    pub(crate) mended: Duration,
    /// Everything that is not as declared.
    pub(crate) broken: Vec<String>,
}

/// Forces a fault at a random moment, waits until all is well again, and judges.
pub(crate) fn attempt(ground: &mut Ground<'_>, fault: &Fault) -> Try {
    (ground.declared_held, ground.declared_open) = Default::default();
    ground.unplugged = None;
    let _ = ground.status();
    let (lost, starts, before) = (ground.lost(), ground.starts, ground.vitals().0);
    let begun = Instant::now();
    ground.moment(100..700);
    let mut broken = Vec::new();
    if let Err(what) = (fault.force)(ground) {
        broken.push(what);
    }
    let over = Instant::now();
    if let Err(what) = await_well(ground, over, fault.mended) {
        broken.push(what);
        broken.extend(ground.recover().err());
    }
    let ended = Instant::now();
    let sight = ground.observer.sight(begun, ended);
    let unplugged = ground.unplugged;
    let refused: Vec<_> = sight
        .refused
        .iter()
        // While there is no network, the router says so.
        .filter(|knock| {
            let router = matches!(knock.end, End::Failed(_));
            let gone = |(from, to): (Instant, Instant)| from <= knock.begun && knock.begun <= to;
            !(router && unplugged.is_some_and(gone))
        })
        .collect();
    for knock in refused.iter().take(3) {
        let when = knock.begun.duration_since(begun);
        let after = knock.ended.duration_since(knock.begun);
        broken.push(format!(
            "{} ({:?}) did not get in, {when:.1?} after the beginning: {:?} after {after:.1?}",
            knock.from, knock.who, knock.end
        ));
    }
    let may_hold = fault.held + ground.declared_held;
    let may_open = match fault.open + ground.declared_open {
        Duration::ZERO => Duration::ZERO,
        declared => declared + NOISE,
    };
    if sight.held > may_hold {
        broken.push(format!("nobody got in for {:.2?} (declared {may_hold:.2?})", sight.held));
    }
    if sight.open > may_open {
        broken.push(format!("nobody judged for {:.2?} (declared {may_open:.2?})", sight.open));
    }
    let wrong = match ground.standings.wrong() {
        Some(wrong) => wrong,
        None => vec!["it does not say who has a standing".into()],
    };
    broken.extend(wrong.iter().take(3).cloned());
    let _ = ground.status();
    let same = ground.runs() && ground.starts == starts;
    let grown = same.then(|| ground.vitals().0.rss as i64 - before.rss as i64);
    Try {
        grown,
        process: ground.starts,
        held: sight.held,
        open: sight.open,
        let_in: sight.let_in,
        refused: refused.len(),
        wrong: wrong.len(),
        lost: ground.lost().saturating_sub(lost),
        mended: ended - over,
        broken,
    }
}

/// Waits until everything is as it should be.
fn await_well(ground: &mut Ground<'_>, since: Instant, limit: Duration) -> Result<(), String> {
    let deadline = since + limit.max(Duration::from_secs(1));
    loop {
        let ill = match ill(ground, since) {
            None => return Ok(()),
            Some(ill) => ill,
        };
        if Instant::now() > deadline {
            return Err(format!("{limit:?} later: {ill}"));
        }
        thread::sleep(Duration::from_millis(30));
    }
}

/// What is not as it should be, if anything.
fn ill(ground: &mut Ground<'_>, since: Instant) -> Option<String> {
    if !ground.runs() {
        return Some("the gate does not run".into());
    }
    if let Some(said) = ground.is_dead() {
        return Some(format!("the gate has ended: {said}"));
    }
    let Some(status) = ground.status() else { return Some("the gate does not answer".into()) };
    if !status.firewall.healthy {
        return Some(format!("its table is not in step: {}", status.firewall.text));
    }
    if !ground.observer.is_judged_since(since) {
        return Some("a closed port answers".into());
    }
    let held = ground.standings.held();
    let listed = ["banned4", "suspect4"]
        .map(|set| text(&nft(&ground.world.server, &["list", "set", "inet", "portcullis", set])));
    let there: BTreeSet<&str> =
        listed.iter().flat_map(|text| text.split([' ', ',', '\n', '\t', '{', '}'])).collect();
    let missing = held.iter().filter(|net| !there.contains(net.addr().to_string().as_str()));
    let missing: Vec<_> = missing.filter(|net| ground.standings.is_held(**net)).collect();
    if let Some(first) = missing.first() {
        return Some(format!("{} standings are not in the kernel, as {first}", missing.len()));
    }
    let over = ground.standings.over();
    if let Some(late) = over.iter().find(|net| there.contains(net.addr().to_string().as_str())) {
        return Some(format!("{late} is over and still in the kernel"));
    }
    let (now, quiet) = ground.vitals();
    let most = quiet.descriptors + TRANSIENT;
    (now.descriptors > most)
        .then(|| format!("{} descriptors are open, usually {most} at most", now.descriptors))
}
