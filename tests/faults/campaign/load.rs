//! What goes on all the while, besides ordinary clients: SYNs that nobody completes, an admin who
//! bans and takes back, somebody who guesses passwords, somebody who scans. A soak has more of it: a
//! forged flood now and then, people who read, and reloads.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use portcullis::control::{Request, Response, ask_within};
use portcullis::lab::{Forge, Host, Probe, visit};

use super::chance::Chance;
use super::standings::Standings;
use super::{GUESSERS, NOBODY, SCANNERS};
use crate::stage::World;

/// SYNs a second that are never completed. The gate tolerates half of its `surplus` for ever.
const SYNS: u32 = 60;
/// A forged flood's, and how long it lasts.
const FLOOD: u32 = 1500;
const FLOOD_LASTS: u32 = 5;
/// Standings by hand that are kept at a time, and by offence in all.
const KEPT: usize = 150;
const OFFENDERS: u32 = 255;
/// For how long an admin bans, in seconds: some end while faults are forced, and on their end nothing
/// may have an influence.
const BANS: [u64; 4] = [15, 60, 600, 3600];
/// A guesser is so impatient.
const HASTE: Duration = Duration::from_millis(120);

/// Threads that work until it is dropped.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    pub(crate) told: Arc<Told>,
}

/// What they did.
#[derive(Default)]
pub(crate) struct Told {
    pub(crate) reloads: AtomicU64,
    pub(crate) refused_reloads: AtomicU64,
    pub(crate) reads: AtomicU64,
    pub(crate) floods: AtomicU64,
}

/// One of them, on its way.
struct Worker {
    stop: Arc<AtomicBool>,
    chance: Chance,
    to: SocketAddr,
}

impl Worker {
    fn goes_on(&self) -> bool {
        !self.stop.load(Relaxed)
    }

    /// Sleeps, but not beyond the end.
    fn pause(&self, span: Duration) {
        let end = Instant::now() + span;
        while self.goes_on() && Instant::now() < end {
            thread::sleep(
                Duration::from_millis(20).min(end.saturating_duration_since(Instant::now())),
            );
        }
    }

    fn syn(&self, from: IpAddr, port: u16, to_port: u16) -> Probe {
        Probe::syn(SocketAddr::new(from, port), SocketAddr::new(self.to.ip(), to_port))
    }
}

impl Load {
    /// What every campaign has.
    pub(crate) fn start(world: &World, standings: &Arc<Standings>, chance: &mut Chance) -> Self {
        let mut load = Self { stop: Arc::default(), threads: Vec::new(), told: Arc::default() };
        load.on(world, &world.rogues, chance, nobodies);
        let with = |work: fn(Worker, &Standings)| {
            let standings = Arc::clone(standings);
            move |worker: Worker| work(worker, &standings)
        };
        load.on(world, &world.rogues, chance, with(guess));
        load.on(world, &world.rogues, chance, with(scan));
        load.on(world, &world.people, chance, with(administer));
        load
    }

    /// What a soak has besides.
    pub(crate) fn add_more(&mut self, world: &World, socket: &Path, chance: &mut Chance) {
        let with = |work: fn(Worker, &Path, &Told), told: &Arc<Told>| {
            let (socket, told): (PathBuf, Arc<Told>) = (socket.to_owned(), Arc::clone(told));
            move |worker: Worker| work(worker, &socket, &told)
        };
        let told = Arc::clone(&self.told);
        self.on(world, &world.people, chance, with(read, &told));
        self.on(world, &world.people, chance, with(reload, &told));
        self.on(world, &world.rogues, chance, with(flood, &told));
    }

    fn on(
        &mut self,
        world: &World,
        host: &Host,
        chance: &mut Chance,
        work: impl FnOnce(Worker) + Send + 'static,
    ) {
        let to = SocketAddr::new(world.server.v4().expect("an address"), 80);
        let worker =
            Worker { stop: Arc::clone(&self.stop), chance: Chance::new(chance.number()), to };
        let thread = host.spawn(move || work(worker)).expect("a host");
        let name = host.name().to_owned();
        let watched = move || drop(thread.join().unwrap_or_else(|_| panic!("a load of {name}")));
        self.threads.push(thread::spawn(watched));
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// The `n`th address of a network.
fn nth(net: Ipv4Addr, n: u32) -> IpAddr {
    Ipv4Addr::from_bits(net.to_bits() + n).into()
}

fn nobodies(mut worker: Worker) {
    let forge = Forge::open().expect("root here");
    while worker.goes_on() {
        let syns: Vec<Probe> = (0..SYNS / 4)
            .map(|_| {
                let (n, port) = (worker.chance.below(2000), worker.chance.below(60_000));
                worker.syn(nth(NOBODY, n as u32 + 1), 1024 + port as u16, 80)
            })
            .collect();
        // The device may be gone at the moment.
        let _ = forge.flood(syns, SYNS);
    }
}

fn administer(mut worker: Worker, standings: &Standings) {
    while worker.goes_on() {
        let lasts = BANS[worker.chance.below(BANS.len() as u64) as usize];
        standings.add(Duration::from_secs(lasts));
        standings.thin(KEPT);
        let pause = worker.chance.millis(50..250);
        worker.pause(pause);
    }
}

/// Each guesser is of another network, so that their networks' rates spare none.
fn guess(mut worker: Worker, standings: &Standings) {
    for n in 0..OFFENDERS {
        let from = nth(GUESSERS, n * 256 + 1);
        let to = SocketAddr::new(worker.to.ip(), 22);
        let begun = Instant::now();
        for _ in 0..14 {
            if !worker.goes_on() {
                return;
            }
            visit(from, to, HASTE);
        }
        standings.has_offended(from, begun);
        let pause = worker.chance.millis(1000..25_000);
        worker.pause(pause);
    }
}

fn scan(mut worker: Worker, standings: &Standings) {
    let forge = Forge::open().expect("root here");
    for n in 0..OFFENDERS {
        let from = nth(SCANNERS, n * 256 + 1);
        let begun = Instant::now();
        let scan: Vec<Probe> = (0..8).map(|port| worker.syn(from, 40_000, 8100 + port)).collect();
        let _ = forge.flood(scan, 50);
        worker.pause(Duration::from_millis(300));
        standings.has_offended(from, begun);
        let pause = worker.chance.millis(1000..25_000);
        worker.pause(pause);
        if !worker.goes_on() {
            return;
        }
    }
}

fn read(mut worker: Worker, socket: &Path, told: &Told) {
    let explain = Request::Explain { address: nth(GUESSERS, 1), port: 22 };
    while worker.goes_on() {
        for request in [&Request::Bans, &Request::Status, &explain, &Request::Busiest { most: 20 }]
        {
            if ask_within(socket, request, Duration::from_secs(3)).is_ok() {
                told.reads.fetch_add(1, Relaxed);
            }
            let pause = worker.chance.millis(100..500);
            worker.pause(pause);
        }
    }
}

fn reload(mut worker: Worker, socket: &Path, told: &Told) {
    let request = Request::Reload { confirm: None, session: None };
    while worker.goes_on() {
        match ask_within(socket, &request, Duration::from_secs(3)) {
            Ok(Response::Done(_)) => told.reloads.fetch_add(1, Relaxed),
            _ => told.refused_reloads.fetch_add(1, Relaxed),
        };
        let pause = worker.chance.millis(50..400);
        worker.pause(pause);
    }
}

fn flood(mut worker: Worker, _: &Path, told: &Told) {
    let forge = Forge::open().expect("root here");
    while worker.goes_on() {
        let pause = worker.chance.millis(20_000..60_000);
        worker.pause(pause);
        told.floods.fetch_add(1, Relaxed);
        for _ in 0..FLOOD_LASTS * 5 {
            let syns: Vec<Probe> = (0..FLOOD / 5)
                .map(|_| {
                    let n = worker.chance.below(50_000) as u32;
                    worker.syn(nth(NOBODY, n + 1), 2000, 80)
                })
                .collect();
            if !worker.goes_on() {
                return;
            }
            let _ = forge.flood(syns, FLOOD);
        }
    }
}
