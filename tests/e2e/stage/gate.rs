//! The daemon under test: the real program with a policy of its own.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use portcullis::lab::{Host, Process};
use rustix::process::Signal;
use serde_json::Value;

use super::kernel::{counters, eventually, nft_json, text};

/// The program under test.
pub(crate) const PORTCULLIS: &str = env!("CARGO_BIN_EXE_portcullis");

/// How long a start, a stop or an answer may take before the test gives up. Generous, because
/// other tests use the machine too; what must be quick is measured where it matters.
const LIMIT: Duration = Duration::from_secs(20);

/// A running gate on a host.
pub(crate) struct Gate<'a> {
    host: &'a Host,
    process: Process,
    home: PathBuf,
    notify: UnixDatagram,
}

/// A gate that did not start.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) code: Option<i32>,
    pub(crate) said: String,
}

impl<'a> Gate<'a> {
    /// Starts the program and waits until it says that it is ready. The policy gets a control
    /// socket, a JSON file and a state directory of its own.
    pub(crate) fn start(host: &'a Host, policy: &str) -> Self {
        Self::try_start(host, "gate", policy)
            .unwrap_or_else(|refused| panic!("the gate did not start: {refused:?}"))
    }

    /// The same, for gates that may be refused; gates of the same `name` share their state.
    pub(crate) fn try_start(host: &'a Host, name: &str, policy: &str) -> Result<Self, Refused> {
        Self::start_with(host, name, policy, &[])
    }

    /// The same, with more words behind `run`.
    pub(crate) fn start_with(
        host: &'a Host,
        name: &str,
        policy: &str,
        more: &[&str],
    ) -> Result<Self, Refused> {
        let home = Self::furnish(name, policy);
        Self::run(host, home, |command| {
            command.args(more);
        })
    }

    /// Writes the files of a gate that is to be started later; returns the folder that they are in.
    pub(crate) fn furnish(name: &str, policy: &str) -> PathBuf {
        let home = PathBuf::from("/run").join(name);
        for folder in ["conf.d", "state"] {
            fs::create_dir_all(home.join(folder)).expect("a directory");
        }
        fs::write(home.join("conf.d/places.toml"), places(&home)).expect("a file");
        fs::write(home.join("policy.toml"), written(policy)).expect("a file");
        home
    }

    /// Starts a gate that has been there, with its files as they are.
    pub(crate) fn restart(host: &'a Host, name: &str) -> Result<Self, Refused> {
        Self::restart_with(host, name, |_| {})
    }

    /// The same, with a last word on the command: more arguments, an environment.
    pub(crate) fn restart_with(
        host: &'a Host,
        name: &str,
        last_word: impl FnOnce(&mut Command),
    ) -> Result<Self, Refused> {
        Self::run(host, PathBuf::from("/run").join(name), last_word)
    }

    fn run(
        host: &'a Host,
        home: PathBuf,
        last_word: impl FnOnce(&mut Command),
    ) -> Result<Self, Refused> {
        static STARTS: AtomicU32 = AtomicU32::new(0);
        let start = STARTS.fetch_add(1, Ordering::Relaxed);
        let socket = home.join(format!("notify{start}"));
        let notify = UnixDatagram::bind(&socket).expect("a notify socket");
        notify.set_read_timeout(Some(Duration::from_millis(20))).expect("a timeout");
        let said = fs::File::create(home.join("said")).expect("a file");
        let mut command = host.command(PORTCULLIS);
        command.args(["run", "--config"]).arg(home.join("policy.toml"));
        command.env("NOTIFY_SOCKET", &socket).stdin(Stdio::null());
        // As systemd's WatchdogSec=1 would have it.
        command.env("WATCHDOG_USEC", "1000000");
        command.stdout(said.try_clone().expect("a file")).stderr(said);
        last_word(&mut command);
        let process = Process::start(&mut command).expect("nsenter starts");
        let mut gate = Self { host, process, home, notify };
        gate.await_notice("READY=1")?;
        Ok(gate)
    }

    /// Waits until the daemon tells its service manager `notice`.
    pub(crate) fn await_notice(&mut self, notice: &str) -> Result<(), Refused> {
        let deadline = Instant::now() + LIMIT;
        let mut buffer = [0; 4096];
        loop {
            if let Ok(length) = self.notify.recv(&mut buffer) {
                let told = String::from_utf8_lossy(&buffer[..length]);
                if told.lines().any(|line| line == notice) {
                    return Ok(());
                }
            }
            let ended = self.process.ended().expect("a child can be waited for");
            if ended.is_some() || Instant::now() > deadline {
                return Err(Refused { code: ended.and_then(|e| e.code()), said: self.said() });
            }
        }
    }

    /// The socket at which it notifies its service manager, for whoever plays that part.
    pub(crate) fn notices(&self) -> UnixDatagram {
        self.notify.try_clone().expect("a descriptor")
    }

    /// Its process: those that started it have become it.
    pub(crate) fn pid(&mut self) -> u32 {
        self.process.child().id()
    }

    /// What it wrote to standard output and standard error.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(self.home.join("said")).unwrap_or_default()
    }

    /// Waits until it ends by itself; returns the exit code.
    pub(crate) fn wait(mut self) -> Option<i32> {
        let ended = self.process.wait(LIMIT).expect("a child can be waited for");
        ended.unwrap_or_else(|| panic!("does not end:\n{}", self.said())).code()
    }

    /// Runs the program with this gate's control socket.
    pub(crate) fn ask(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("it runs")
    }

    /// The program with this gate's control socket, still to be started.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = self.host.command(PORTCULLIS);
        command.args(args).arg("--socket").arg(self.home.join("control.sock"));
        command
    }

    /// The same, for an answer in JSON.
    pub(crate) fn ask_json(&self, args: &[&str]) -> Value {
        let output = self.ask(&[args, &["--json"]].concat());
        assert!(output.status.success(), "{args:?}: {}\n{}", text(&output), self.said());
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{args:?}: {error} in {}", text(&output)))
    }

    /// `status`.
    pub(crate) fn status(&self) -> Value {
        self.ask_json(&["status"])
    }

    /// Waits for an alarm with these words, and returns all of them: they are told behind everything
    /// else.
    pub(crate) fn await_alarm(&self, words: &str) -> Value {
        eventually(LIMIT, &format!("alarm `{words}`"), || {
            let alarms = self.status()["alarms"].take();
            if alarms.to_string().contains(words) { Ok(alarms) } else { Err(alarms.to_string()) }
        })
    }

    /// SYNs that never reached it, or were answered without it.
    pub(crate) fn lost(&self) -> u64 {
        let status = self.status();
        let of_queues = status["queues"].as_array().expect("queues").iter();
        let lost: u64 = of_queues.map(|queue| queue["lost"].as_u64().expect("a number")).sum();
        lost + status["counters"]["lost"].as_u64().expect("a number")
    }

    /// SYNs it has judged so far.
    pub(crate) fn judged(&self) -> u64 {
        let status = self.status();
        status["counters"]["received"].as_u64().unwrap_or_else(|| panic!("no counter in {status}"))
    }

    /// Packets that one of the kernel table's named counters has counted.
    pub(crate) fn kernel_count(&self, name: &str) -> u64 {
        let counters = counters(self.host, "portcullis");
        *counters.get(name).unwrap_or_else(|| panic!("no counter {name} in {counters:?}"))
    }

    /// What it would say to a visit, and why.
    pub(crate) fn explain(&self, from: &str, port: u16) -> Value {
        self.ask_json(&["explain", from, &port.to_string()])
    }

    /// The standing it has on record for a source: `banned`, `suspect`, or nothing.
    pub(crate) fn standing(&self, source: &str) -> Option<String> {
        let bans = self.ask_json(&["bans", "list"]);
        let single = |entry: &&Value| {
            let net = entry["source"].as_str().expect("a prefix");
            net == source || net.strip_suffix("/32") == Some(source)
        };
        let entry = bans.as_array().expect("a list").iter().find(single)?;
        Some(entry["standing"].as_str().expect("a word").to_owned())
    }

    /// The events it has written so far.
    pub(crate) fn events(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.home.join("events.json")).unwrap_or_default();
        // The last line may be half written.
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Waits for an event of this kind about this source.
    pub(crate) fn await_event(&self, event: &str, source: &str) -> Value {
        let about = |e: &Value| e["event"] == event && e["src"] == source;
        eventually(LIMIT, &format!("event {event} of {source}"), || {
            let found = self.events().into_iter().find(about);
            found.ok_or_else(|| format!("{:#?}\n{}", self.events(), self.said()))
        })
    }

    /// The elements of one of the kernel sets, as nft prints them.
    pub(crate) fn set(&self, name: &str) -> Vec<String> {
        let listing = nft_json(self.host, &["list", "set", "inet", "portcullis", name]);
        let set = listing["nftables"]
            .as_array()
            .into_iter()
            .flatten()
            .find_map(|object| object.get("set"));
        let elements = set.and_then(|set| set["elem"].as_array()).into_iter().flatten();
        let value = |element: &Value| {
            let value = element.pointer("/elem/val").unwrap_or(element);
            value.as_str().map_or_else(|| value.to_string(), str::to_owned)
        };
        elements.map(value).collect()
    }

    /// Waits until a kernel set holds an element.
    pub(crate) fn await_set(&self, name: &str, element: &str) {
        eventually(LIMIT, &format!("{element} in {name}"), || {
            let elements = self.set(name);
            if elements.iter().any(|e| e == element) {
                Ok(())
            } else {
                Err(format!("{elements:?}\n{}", self.said()))
            }
        });
    }

    /// The CPU time of all its threads (Documentation/scheduler/sched-stats.rst).
    #[allow(dead_code, reason = "for those who measure")]
    pub(crate) fn cpu(&self) -> std::io::Result<Duration> {
        let mut sum = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.process.id()))? {
            let text = fs::read_to_string(task?.path().join("schedstat"))?;
            let first = text.split_whitespace().next().and_then(|word| word.parse::<u64>().ok());
            sum += first.unwrap_or_default();
        }
        Ok(Duration::from_nanos(sum))
    }

    /// Replaces the policy file.
    pub(crate) fn write_policy(&self, policy: &str) {
        fs::write(self.home.join("policy.toml"), written(policy)).expect("a file");
    }

    /// Sends a signal.
    pub(crate) fn signal(&mut self, signal: Signal) {
        self.process.signal(signal).expect("it can be signalled");
    }

    /// SIGTERM, and waits; returns the exit code.
    pub(crate) fn stop(mut self) -> Option<i32> {
        self.signal(Signal::TERM);
        let ended = self.process.wait(LIMIT).expect("a child can be waited for");
        ended.unwrap_or_else(|| panic!("does not stop:\n{}", self.said())).code()
    }

    /// SIGKILL, and waits.
    pub(crate) fn crash(mut self) {
        self.signal(Signal::KILL);
        assert!(self.process.wait(LIMIT).expect("a child can be waited for").is_some());
    }
}

/// An empty file is a mistake; a test's empty policy stands for the defaults.
fn written(policy: &str) -> &str {
    if policy.is_empty() { "mode = \"enforce\"\n" } else { policy }
}

/// Which way packets must take, where the machine offers several: `nft` or `iptables`.
const REDIRECT: &str = "PORTCULLIS_TEST_REDIRECT";

/// The paths of a test's gate, to be laid over its policy.
fn places(home: &std::path::Path) -> String {
    let home = home.display();
    let redirect = std::env::var(REDIRECT).unwrap_or_else(|_| "auto".into());
    format!(
        "[guard]\nredirect = \"{redirect}\"\n[bans]\nstate_dir = \"{home}/state\"\n[events]\njson = \"{home}/events.json\"\n\
         [control]\nsocket = \"{home}/control.sock\"\n"
    )
}
