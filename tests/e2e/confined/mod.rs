//! The gate locks itself up: what is forbidden then is tried, and the running daemon is looked at.

mod attempts;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use portcullis::confine::{Needs, confine};
use portcullis::control::{Request, Response, ask};
use portcullis::lab::{Process, Visit};
use serde_json::Value;

use self::attempts::{Attempt, Free, attempts, permitted};
use crate::stage::{ANNA, BEN, Gate, HASTE, MALLORY, World, eventually, in_lab, nft, text};

const SOON: Duration = Duration::from_secs(10);

/// A folder to write in, one to keep out of, and somebody else's process.
struct Scene {
    inside: PathBuf,
    outside: PathBuf,
    victim: u32,
    _victim: Process,
}

impl Scene {
    fn new() -> Self {
        let [inside, outside] = ["inside", "outside"].map(|name| Path::new("/run").join(name));
        for folder in [&inside, &outside] {
            fs::create_dir_all(folder).expect("a folder");
        }
        let lo = Command::new("ip").args(["link", "set", "lo", "up"]).status();
        assert!(lo.expect("ip runs").success());
        let victim = Process::start(Command::new("sleep").arg("100").stdin(Stdio::null()));
        let mut victim = victim.expect("sleep starts");
        Self { inside, outside, victim: victim.child().id(), _victim: victim }
    }

    fn needs(&self) -> Needs {
        Needs {
            folders: [self.inside.clone()].into(),
            sockets: Some(self.inside.clone()),
            programs: [attempts::tool()].into(),
            ..Needs::default()
        }
    }

    fn attempts(&self) -> Vec<Attempt> {
        attempts(&self.inside, &self.outside, self.victim)
    }
}

/// What `/proc` says of each thread of a process, for these keys.
fn of_threads(pid: u64, key: &str) -> BTreeSet<String> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("threads");
    let paths = tasks.filter_map(|task| Some(task.ok()?.path().join("status")));
    let value = |path: PathBuf| {
        // A thread that has just ended has none.
        let status = fs::read_to_string(path).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        line.map(|value| value.trim().to_owned())
    };
    paths.filter_map(value).collect()
}

fn pid(gate: &Gate<'_>) -> u64 {
    gate.status()["pid"].as_u64().expect("a number")
}

fn told(status: &Value, key: &str) -> String {
    status["confined"][key].to_string()
}

in_lab! {
    /// Each is tried by a thread that is free, so that it is known to work here, and by one that is
    /// confined.
    fn what_is_forbidden_is_refused_and_what_is_needed_is_not() {
        let scene = Scene::new();
        let free: Vec<_> = thread::scope(|scope| {
            let tried = scope.spawn(|| {
                scene.attempts().into_iter().map(|attempt| attempt.tried()).collect()
            });
            tried.join().expect("no attempt panics")
        });
        // What was removed and moved is put back.
        drop(scene.attempts());
        let (confinement, held, more, permitted) = thread::scope(|scope| {
            let confined = scope.spawn(|| {
                let confinement = confine(&scene.needs());
                let held: Vec<_> = scene.attempts().into_iter().map(|a| a.tried()).collect();
                // A thread that it starts is no freer.
                let more = thread::scope(|scope| {
                    let all = || scene.attempts().into_iter().map(|a| a.tried()).collect::<Vec<_>>();
                    scope.spawn(all).join().expect("no attempt panics")
                });
                (confinement, held, more, permitted(&scene.inside))
            });
            confined.join().expect("no attempt panics")
        });
        println!("{confinement:#?}");
        let mut wrong = Vec::new();
        for (((attempt, free), held), more) in scene.attempts().iter().zip(&free).zip(&held).zip(&more) {
            println!("{:52} {:34} {}", attempt.what, words(free), words(held));
            if attempt.free == Free::Works && free.is_err() {
                wrong.push(format!("{} does not work even for the free: {free:?}", attempt.what));
            }
            // What the kernel is too old to prevent is said to be open.
            let excused = attempt.since.is_some_and(|linux| {
                confinement.open.iter().any(|open| open.contains(linux))
            });
            for outcome in [held, more] {
                let refused = outcome.as_ref().err().and_then(|error| error.raw_os_error());
                if !excused && !refused.is_some_and(|errno| attempt.errors.contains(&errno)) {
                    wrong.push(format!("{}: {outcome:?}", attempt.what));
                }
            }
        }
        for (what, outcome) in permitted {
            println!("{what:52} {:34} {}", "", words(&outcome));
            if let Err(error) = outcome {
                wrong.push(format!("{what} is needed: {error}"));
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
        assert!(!confinement.held.is_empty());
    }

    fn every_thread_of_the_daemon_is_confined() {
        let world = World::new();
        let gate = Gate::start(&world.server, "");
        let pid = pid(&gate);
        let only = |key: &str| {
            let values = of_threads(pid, key);
            assert_eq!(values.len(), 1, "{key}: {values:?}");
            values.into_iter().next().unwrap_or_default()
        };
        assert!(fs::read_dir(format!("/proc/{pid}/task")).expect("threads").count() > 4);
        assert_eq!((only("Seccomp").as_str(), only("NoNewPrivs").as_str()), ("2", "1"));
        // CAP_NET_ADMIN is the 13th bit (capability.h); where iptables is the legacy variant,
        // CAP_NET_RAW goes with it.
        for key in ["CapEff", "CapPrm", "CapBnd"] {
            let bits = u64::from_str_radix(&only(key), 16).expect("a number");
            assert!(bits == 1 << 12 || bits == (1 << 12 | 1 << 13), "{key}: {bits:#x}");
        }
        let status = gate.status();
        let held = told(&status, "held");
        for words in ["CAP_NET_ADMIN", "writes only in", "no shell", "system calls"] {
            assert!(held.contains(words), "{held}");
        }
        // And it does all that a gate does.
        assert_eq!(world.visit_within(BEN, 81, HASTE), Visit::TimedOut);
        assert!(world.visit(ANNA, 80).is_served());
        assert!(gate.ask(&["bans", "add", MALLORY, "--for", "1h"]).status.success());
        gate.await_set("banned4", MALLORY);
        eventually(SOON, "the line that tells it", || {
            let told = gate.events().into_iter().find(|event| event["what"] == "confined");
            told.map(drop).ok_or_else(|| gate.said())
        });
        assert_eq!(gate.stop(), Some(0));
    }

    fn who_does_not_want_it_is_told_what_that_means() {
        let world = World::new();
        let gate = Gate::start(&world.server, "[daemon]\nconfine = false\n");
        assert_eq!(of_threads(pid(&gate), "NoNewPrivs"), ["0".to_owned()].into());
        let status = gate.status();
        assert_eq!(told(&status, "held"), "[]");
        assert!(told(&status, "open").contains("confine = false"), "{status}");
        let doctor = gate.ask(&["doctor"]);
        assert!(text(&doctor).contains("process is not confined"), "{}", text(&doctor));
        // It is not taken back while it runs, and not begun either.
        gate.write_policy("");
        let reload = gate.ask(&["reload"]);
        assert!(text(&reload).contains("[daemon] takes effect at the next start"), "{}", text(&reload));
    }

    /// Whoever may ask the gate for bans gives reasons, and the kernel never sees them.
    fn hostile_words_stay_words() {
        let world = World::new();
        let gate = Gate::start(&world.server, "");
        let long = "evil ".repeat(2000);
        let nasty = "evil\"; flush ruleset; $(touch /run/evil) `touch /run/evil`\n'evil'; touch /run/evil #";
        for (n, reason) in [nasty, "evil\0evil", &long].into_iter().enumerate() {
            let net = format!("192.0.2.{}/32", 80 + n).parse().expect("a network");
            let standing = portcullis::policy::Standing::Banned;
            let lasts = Some(Duration::from_secs(3600));
            let request = Request::BansAdd { net, port: None, standing, lasts, reason: reason.into() };
            let socket = Path::new("/run/gate/control.sock");
            let answer = world.server.run(|| ask(socket, &request)).expect("a host");
            // Refused, or a ban like any other; what it says is on one line, whole and harmless.
            match answer.expect("an answer") {
                Response::Done(_) => gate.await_set("banned4", &format!("192.0.2.{}", 80 + n)),
                Response::Error(refusal) => assert!(!refusal.lines.is_empty()),
                other => panic!("{other:?}"),
            }
        }
        let rules = nft(&world.server, &["list", "ruleset"]);
        assert!(rules.status.success() && !text(&rules).contains("evil"), "{}", text(&rules));
        assert!(!Path::new("/run/evil").exists());
        assert!(world.visit(ANNA, 80).is_served());
        for address in ["192.0.2.9; flush ruleset", "$(touch /run/evil)", "@banned4", "192.0.2.9\"", "192.0.2.9\n"] {
            let refused = gate.ask(&["bans", "add", address]);
            assert_eq!(refused.status.code(), Some(64), "{address}: {}", text(&refused));
        }
    }

    fn another_folder_takes_a_restart_and_that_is_said() {
        let world = World::new();
        let gate = Gate::start(&world.server, "");
        fs::create_dir("/run/later").expect("a folder");
        gate.write_policy("[capture]\ndir = \"/run/later\"\n");
        let reload = gate.ask(&["reload"]);
        assert!(reload.status.success(), "{}", text(&reload));
        let said = text(&reload);
        assert!(said.contains("[capture] dir") && said.contains("systemctl restart portcullis"), "{said}");
        assert_eq!(world.visit_within(BEN, 81, HASTE), Visit::TimedOut);
        assert_eq!(gate.stop(), Some(0));
        assert_eq!(fs::read_dir("/run/later").expect("a folder").count(), 0);
        let gate = Gate::restart(&world.server, "gate").expect("it starts");
        assert_eq!(world.visit_within(BEN, 82, HASTE), Visit::TimedOut);
        eventually(SOON, "a capture", || {
            let there = Path::new("/run/later/portcullis.pcapng").exists();
            if there { Ok(()) } else { Err(gate.said()) }
        });
    }
}

fn words(outcome: &std::io::Result<()>) -> String {
    match outcome {
        Ok(()) => "works".to_owned(),
        Err(error) => error.to_string(),
    }
}
