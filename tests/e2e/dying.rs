//! kill -9 under traffic: how long it is interrupted.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use portcullis::lab::visit;
use rustix::process::Signal;

use crate::campaign::preload::Preload;
use crate::stage::{ANNA, Gate, MALLORY, PATIENCE, World, address, eventually, in_lab};

/// A connect is begun this often.
const STEP: Duration = Duration::from_millis(10);
/// A SYN that was lost is sent again after a second; whoever took so long had lost one.
const HELD_UP: Duration = Duration::from_millis(700);

/// One connect: when it was begun, and how long it took, if it came about.
struct Knock {
    begun: Instant,
    took: Option<Duration>,
}

impl Knock {
    fn done(&self) -> Option<Instant> {
        self.took.map(|took| self.begun + took)
    }

    fn is_held_up(&self) -> bool {
        self.took.is_none_or(|took| took > HELD_UP)
    }
}

/// Begins a connect every [`STEP`] for so long, whatever becomes of those before.
fn knocks(world: &World, lasting: Duration) -> Vec<Knock> {
    let (from, to) = (address(ANNA), SocketAddr::new(world.server.v4().unwrap(), 80));
    let knock = move || {
        let begun = Instant::now();
        Knock { begun, took: visit(from, to, PATIENCE).connected() }
    };
    let stream = || {
        std::thread::scope(|scope| {
            let first = Instant::now();
            let mut all = Vec::new();
            while first.elapsed() < lasting {
                all.push(scope.spawn(knock));
                let due = first + STEP * all.len() as u32;
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
            }
            all.into_iter().map(|knock| knock.join().unwrap()).collect()
        })
    };
    world.people.run(stream).unwrap()
}

/// Kills the gate in the middle of a stream of connects. Returns when the signal was sent, when
/// the process was gone, and the connects.
fn killed(world: &World, policy: &str) -> (Instant, Instant, Vec<Knock>) {
    let policy = format!("{policy}[rate.class.web]\nburst = 10_000\n");
    let mut gate = Gate::start(&world.server, &policy);
    std::thread::scope(|scope| {
        let stream = scope.spawn(|| knocks(world, Duration::from_millis(1500)));
        std::thread::sleep(Duration::from_millis(500));
        let killed = Instant::now();
        gate.signal(Signal::KILL);
        gate.crash();
        let gone = Instant::now();
        (killed, gone, stream.join().unwrap())
    })
}

/// The processes that a process has started, if any.
fn children(pid: u32) -> Result<String, String> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).map_err(|e| e.to_string())?;
    let of = |thread: std::io::Result<std::fs::DirEntry>| {
        std::fs::read_to_string(thread.ok()?.path().join("children")).ok()
    };
    let all: String = threads.filter_map(of).collect();
    if all.is_empty() { Err("no child".into()) } else { Ok(all) }
}

in_lab! {
    fn after_kill_traffic_flows_at_once() {
        let world = World::new();
        let (killed, gone, knocks) = killed(&world, "");
        let held_up: Vec<&Knock> = knocks.iter().filter(|knock| knock.is_held_up()).collect();
        let last = held_up.iter().map(|knock| knock.begun).max();
        let span = last.map_or(Duration::ZERO, |last| last.saturating_duration_since(killed));
        println!(
            "kill -9, when_down = \"accept\": {} of {} connects held up, the last begun {span:?} after the \
             signal; process gone after {:?}",
            held_up.len(), knocks.len(), gone - killed
        );
        assert!(knocks.iter().any(|knock| knock.begun > gone), "the stream went on");
        assert!(knocks.iter().all(|knock| knock.took.is_some()), "everybody gets in at last");
        assert!(span < Duration::from_millis(500), "interrupted for {span:?}");
        assert!(held_up.iter().all(|knock| knock.begun + STEP * 20 > killed), "not before");
    }

    /// It holds nothing of the gate's: least of all the queue, in which everybody would wait.
    fn an_nft_that_outlives_the_gate_keeps_nobody_waiting() {
        let world = World::new();
        let preload = Preload::build(Path::new("/run/gate/state"));
        Gate::furnish("gate", "");
        let mut gate = Gate::restart_with(&world.server, "gate", |run| preload.load_into(run)).unwrap();
        preload.hang_nft(true);
        let mut ban = gate.command(&["bans", "add", MALLORY]).spawn().unwrap();
        let nft = eventually(Duration::from_secs(10), "nft that hangs", || children(gate.pid()));
        gate.crash();
        let seen = world.visit(ANNA, 80);
        preload.hang_nft(false);
        ban.wait().unwrap();
        assert!(seen.is_served(), "{seen:?} while {nft} hangs");
        assert!(seen.connected().unwrap() < HELD_UP, "{seen:?}");
    }

    fn after_kill_traffic_stops_at_once_where_the_policy_says_so() {
        let world = World::new();
        let (killed, gone, knocks) = killed(&world, "[guard]\nwhen_down = \"drop\"\n");
        let last = knocks.iter().filter_map(Knock::done).max().unwrap();
        let open = last.saturating_duration_since(killed);
        println!(
            "kill -9, when_down = \"drop\": {} of {} connects got in, the last {open:?} after the signal; \
             process gone after {:?}",
            knocks.iter().filter(|knock| knock.took.is_some()).count(), knocks.len(), gone - killed
        );
        assert!(open < Duration::from_millis(500), "open for {open:?}");
        let late = knocks.iter().filter(|knock| knock.begun > gone);
        assert!(late.clone().count() > 20, "the stream went on");
        assert!(late.clone().all(|knock| knock.took.is_none()), "somebody got in");
        let before = knocks.iter().filter(|knock| knock.begun + STEP * 20 < killed);
        assert!(before.clone().count() > 20 && before.clone().all(|knock| !knock.is_held_up()));
    }
}
