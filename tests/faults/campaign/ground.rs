//! Where faults are forced: one server with its gate, whatever process that is at the moment, those
//! who come to it, and everything that a fault may break and has to mend.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use portcullis::control::{Request, Response, StatusReport, ask_within};
use rustix::mount::{MountFlags, mount};
use rustix::process::Signal;

use super::chance::Chance;
use super::load::Load;
use super::manager::Manager;
use super::observer::Observer;
use super::preload::Preload;
use super::standings::Standings;
use super::syslog::Syslog;
use super::vitals::Vitals;
use super::{HOME, STATE};
use crate::stage::{Gate, World, eventually, nft};

/// The policy of the gate: the shipped one, but for whom it trusts; and memory is small, so that it
/// reaches its bound soon.
pub(crate) const POLICY: &str = "[allowlist]\nfrom = [\"10.9.1.0/24\"]\n\
    [memory]\nsources = 8192\nnetworks = 4096\n";
/// Laid over it, whatever else is.
const OVERLAY: &str = "[events]\nto = \"syslog\"\nsyslog = \"/run/log\"\njson = \"\"\n";
/// The state folder is a disk of its own, so that it can be full or read-only. A ledger that grows for
/// an hour, and two copies of it while a damaged one is set aside, find room.
const DISK: &std::ffi::CStr = c"mode=0755,size=16m";
/// How long an answer of the daemon may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// What is to be told of the ground that a fault has left.
pub(crate) type Outcome = Result<(), String>;

/// All of it.
pub(crate) struct Ground<'w> {
    pub(crate) world: &'w World,
    pub(crate) chance: Chance,
    pub(crate) observer: Observer,
    pub(crate) standings: Arc<Standings>,
    pub(crate) preload: Preload,
    pub(crate) syslog: Syslog,
    pub(crate) load: Load,
    /// Which try of how many this is: what goes through something byte by byte shares it out among
    /// them. `None` where nobody knows how many there will be.
    pub(crate) share: Option<(usize, usize)>,
    gate: Option<(Gate<'w>, Manager)>,
    /// What the daemon held after its start, when it was quiet.
    quiet: Vitals,
    /// SYNs that processes before this one have lost.
    lost_before: u64,
    lost_now: u64,
    /// What a fault has declared beyond what its row says: as long as it kept the gate down itself.
    pub(crate) declared_held: Duration,
    pub(crate) declared_open: Duration,
    /// When there was no network.
    pub(crate) unplugged: Option<(Instant, Instant)>,
    pub(crate) starts: u64,
    /// How many reloads a try of many makes.
    pub(crate) reloads: u32,
}

impl<'w> Ground<'w> {
    /// Furnishes it and starts the gate. To be called on a thread that lasts: processes end with the
    /// thread that started them.
    pub(crate) fn new(world: &'w World, mut chance: Chance) -> Self {
        let home = Gate::furnish(HOME, POLICY);
        fs::write(home.join("conf.d/y-campaign.toml"), OVERLAY).expect("a file");
        mount("state", STATE, "tmpfs", MountFlags::NOSUID, DISK).expect("a file system");
        let preload = Preload::build(Path::new(STATE));
        let syslog = Syslog::start();
        let standings = Arc::new(Standings::new(&home.join("control.sock")));
        let gate = start(world, &preload, |_| {}).unwrap_or_else(|error| panic!("{error}"));
        let observer = Observer::start(world);
        let load = Load::start(world, &standings, &mut chance);
        let mut ground = Self {
            world,
            chance,
            observer,
            standings,
            preload,
            syslog,
            load,
            share: None,
            gate: Some(gate),
            quiet: Vitals::default(),
            lost_before: 0,
            lost_now: 0,
            declared_held: Duration::ZERO,
            declared_open: Duration::ZERO,
            unplugged: None,
            starts: 1,
            reloads: 20,
        };
        // The first of everything has come, so that what grows at first has grown.
        eventually(Duration::from_secs(30), "standings", || match ground.standings.count() {
            (held, _) if held >= 12 => Ok(()),
            (held, _) => Err(format!("{held} are acknowledged")),
        });
        ground.remember_quiet();
        ground
    }

    /// The gate's folder.
    pub(crate) fn home(&self) -> PathBuf {
        Path::new("/run").join(HOME)
    }

    /// Asks the daemon; says what came of it if it does not answer.
    pub(crate) fn ask(&self, request: &Request) -> Result<Response, String> {
        let socket = self.home().join("control.sock");
        ask_within(&socket, request, PATIENCE).map_err(|error| error.to_string())
    }

    /// How it says it is.
    pub(crate) fn status(&mut self) -> Option<Box<StatusReport>> {
        match self.ask(&Request::Status) {
            Ok(Response::Status(status)) => {
                let queues: u64 = status.queues.iter().map(|queue| queue.lost).sum();
                self.lost_now = status.counters.lost.max(queues);
                Some(status)
            }
            _ => None,
        }
    }

    /// SYNs that were lost or let by unjudged for lack of room, by all processes so far.
    pub(crate) fn lost(&self) -> u64 {
        self.lost_before + self.lost_now
    }

    /// A running gate.
    pub(crate) fn gate(&mut self) -> &mut Gate<'w> {
        &mut self.gate.as_mut().expect("the gate runs").0
    }

    /// Is there one?
    pub(crate) fn runs(&self) -> bool {
        self.gate.is_some()
    }

    /// Has it ended by itself?
    pub(crate) fn is_dead(&mut self) -> Option<String> {
        let pid = self.gate().pid();
        let alive = fs::read_to_string(format!("/proc/{pid}/stat"))
            .is_ok_and(|stat| !stat.contains(") Z ") && !stat.contains(") X "));
        (!alive).then(|| self.gate().said())
    }

    /// For how long its watchdog has not been fed.
    pub(crate) fn hungry(&self) -> Duration {
        self.gate.as_ref().map(|(_, manager)| manager.hungry()).unwrap_or_default()
    }

    pub(crate) fn signal(&mut self, signal: Signal) {
        self.gate().signal(signal);
    }

    /// kill -9.
    pub(crate) fn crash(&mut self) {
        self.lost_before += std::mem::take(&mut self.lost_now);
        let (gate, _) = self.gate.take().expect("the gate runs");
        gate.crash();
    }

    /// SIGTERM, and waits.
    pub(crate) fn stop(&mut self) -> Outcome {
        let _ = self.status();
        self.lost_before += std::mem::take(&mut self.lost_now);
        let (gate, _) = self.gate.take().expect("the gate runs");
        match gate.stop() {
            Some(0) => Ok(()),
            code => Err(format!("a clean stop ended with {code:?}")),
        }
    }

    /// Starts it anew, with its files as they are.
    pub(crate) fn start(&mut self) -> Outcome {
        self.start_with(|_| {})
    }

    /// The same, with a last word on the command.
    pub(crate) fn start_with(&mut self, last_word: impl FnOnce(&mut Command)) -> Outcome {
        self.gate = Some(start(self.world, &self.preload, last_word)?);
        self.starts += 1;
        Ok(())
    }

    /// A start that is to be refused, with these words.
    pub(crate) fn start_refused(&mut self, words: &str) -> Outcome {
        match start(self.world, &self.preload, |_| {}) {
            Ok(_) => Err("it started all the same".into()),
            Err(said) if said.contains(words) => Ok(()),
            Err(said) => Err(format!("it did not say {words:?}: {said}")),
        }
    }

    /// Does something while the gate is down: connections pass unjudged as long, as declared.
    pub(crate) fn while_down(&mut self, work: impl FnOnce(&mut Self) -> Outcome) -> Outcome {
        let since = Instant::now();
        let done = work(self);
        self.declared_open = self.declared_open.max(since.elapsed());
        done
    }

    /// The same where the door is shut meanwhile: nobody gets in as long.
    pub(crate) fn while_shut(&mut self, work: impl FnOnce(&mut Self) -> Outcome) -> Outcome {
        let since = Instant::now();
        let done = work(self);
        self.declared_held = self.declared_held.max(since.elapsed());
        done
    }

    /// The same where there is no network at all.
    pub(crate) fn while_unplugged(&mut self, work: impl FnOnce(&mut Self) -> Outcome) -> Outcome {
        let since = Instant::now();
        let done = self.while_shut(work);
        self.unplugged = Some((since, Instant::now()));
        done
    }

    /// Lays something over the policy, or nothing again; it acts from the next reload or start on.
    pub(crate) fn lay_over(&self, policy: &str) {
        let overlay = self.home().join("conf.d/z-fault.toml");
        // Put in its place whole, as an admin's editor does.
        let new = self.home().join("z-fault.new");
        let done = match policy {
            "" => fs::remove_file(&overlay).or(Ok(())),
            policy => fs::write(&new, policy).and_then(|()| fs::rename(&new, &overlay)),
        };
        done.unwrap_or_else(|error: std::io::Error| panic!("{error}"));
    }

    /// Reads the policy anew; tries again while somebody else's reload or nft is in the way.
    pub(crate) fn reload(&self) -> Outcome {
        let request = Request::Reload { confirm: None, session: None };
        let mut said = String::new();
        for _ in 0..10 {
            match self.ask(&request) {
                Ok(Response::Done(_)) => return Ok(()),
                other => said = format!("{other:?}"),
            }
            thread::sleep(Duration::from_millis(200));
        }
        Err(format!("a reload is refused: {said}"))
    }

    /// Takes away whatever a fault may have left that did not come to its end, and sees to it that a
    /// gate runs. Says why it cannot.
    pub(crate) fn recover(&mut self) -> Outcome {
        let _ = fs::remove_file(Path::new(STATE).join("ballast"));
        self.preload.set_clock(0);
        self.preload.set_readonly(false);
        self.preload.fail_nft(false);
        self.preload.hang_nft(false);
        self.syslog.sleep(false);
        self.syslog.go();
        self.syslog.come();
        self.lay_over("");
        fs::write(self.home().join("policy.toml"), POLICY).expect("a file");
        let server = &self.world.server;
        let _ = nft(server, &["delete", "table", "inet", "first"]);
        // If it is there, it stays as it is.
        let _ = self.world.lab.plug_in(server);
        let mut said = String::new();
        for _ in 0..5 {
            if self.runs() {
                self.crash();
            }
            match self.start() {
                Ok(()) => return Ok(()),
                Err(error) => said = error,
            }
            thread::sleep(Duration::from_secs(1));
        }
        Err(format!("the gate cannot be started any more: {said}"))
    }

    /// A moment of random length.
    pub(crate) fn moment(&mut self, millis: std::ops::Range<u64>) {
        let span = self.chance.millis(millis);
        thread::sleep(span);
    }

    /// What the process holds now, and what it held when it was quiet.
    pub(crate) fn vitals(&mut self) -> (Vitals, Vitals) {
        let pid = self.gate().pid();
        (Vitals::of(pid).unwrap_or_default(), self.quiet)
    }

    /// From now on, this many descriptors are as many as there should be.
    pub(crate) fn remember_quiet(&mut self) {
        let pid = self.gate().pid();
        // Whoever talks to it at the moment is not part of it.
        let looks = (0..10).filter_map(|_| {
            thread::sleep(Duration::from_millis(10));
            Vitals::of(pid)
        });
        self.quiet = looks.min_by_key(|vitals| vitals.descriptors).unwrap_or_default();
    }
}

fn start<'w>(
    world: &'w World,
    preload: &Preload,
    last_word: impl FnOnce(&mut Command),
) -> Result<(Gate<'w>, Manager), String> {
    let started = Gate::restart_with(&world.server, HOME, |command| {
        preload.load_into(command);
        last_word(command);
    });
    let gate = started.map_err(|refused| format!("{}, code {:?}", refused.said, refused.code))?;
    let notices: UnixDatagram = gate.notices();
    Ok((gate, Manager::attend(notices)))
}
