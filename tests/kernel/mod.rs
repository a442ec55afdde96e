#![allow(unreachable_pub, reason = "shared by test programs")]
//! A network of one's own for tests: each test runs again in a child process that has its own
//! network namespace, as root or, with a user namespace, as anybody.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const INSIDE: &str = "PORTCULLIS_TEST_INSIDE";

const OWN_TOOLS: &str = "PORTCULLIS_TEST_TOOLS";

/// Puts a shell script in the way of a tool.
pub fn instead_of(tool: &str, script: &str) {
    let folder = std::path::PathBuf::from(std::env::var_os(OWN_TOOLS).unwrap());
    std::fs::write(folder.join(tool), format!("#!/bin/sh\n{script}\n")).unwrap();
    run(&format!("chmod +x {}", folder.join(tool).display()));
}

/// The tools that these tests need, with their Debian packages.
const TOOLS: [(&str, &str); 6] = [
    ("unshare", "util-linux"),
    ("nsenter", "util-linux"),
    ("ip", "iproute2"),
    ("nft", "nftables"),
    ("iptables", "iptables"),
    ("ip6tables", "iptables"),
];

/// Where tools are looked for; an ordinary user's PATH lacks the second half on Debian.
fn path() -> String {
    format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default())
}

/// Runs `body` in a network namespace of its own. `test` is the test's own name.
pub fn alone(test: &str, body: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        run("ip link set lo up");
        return body();
    }
    for (tool, package) in TOOLS {
        let found = std::env::split_paths(&path()).any(|folder| folder.join(tool).is_file());
        assert!(found, "{tool} is not installed. Install it: apt-get install {package}");
    }
    // A folder where the test can put tools of its own before the real ones.
    let tools = tempfile::tempdir().unwrap();
    let root = rustix::process::geteuid().is_root();
    let output = Command::new("unshare")
        .args(if root { &["-n", "--"][..] } else { &["-Urn", "--"][..] })
        .arg(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(INSIDE, "1")
        .env("PATH", format!("{}:{}", tools.path().display(), path()))
        .env(OWN_TOOLS, tools.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let text = format!("{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.contains("1 passed"), "{text}");
    print!("{text}");
}

/// Runs a shell command that has to succeed; returns what it printed.
pub fn run(command: &str) -> String {
    let output = Command::new("sh").args(["-c", command]).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command}\n{errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Another host: a namespace that lives as long as this value.
pub struct Host(Child);

impl Host {
    pub fn new() -> Self {
        let child = Command::new("unshare").args(["-n", "sleep", "300"]).spawn().unwrap();
        let host = Self(child);
        let own = std::fs::read_link("/proc/self/ns/net").unwrap();
        let there = || std::fs::read_link(format!("/proc/{}/ns/net", host.pid())).unwrap();
        wait("the namespace", || there() != own);
        host.run("ip link set lo up");
        host
    }

    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// A shell command on that host.
    pub fn run(&self, command: &str) -> String {
        run(&format!("nsenter -t {} -n sh -c '{command}'", self.pid()))
    }

    /// Runs `body` on a thread that lives on that host.
    pub fn on<T: Send + 'static>(&self, body: impl FnOnce() -> T + Send + 'static) -> T {
        let namespace = std::fs::File::open(format!("/proc/{}/ns/net", self.pid())).unwrap();
        let there = move || {
            use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
            let network = Some(LinkNameSpaceType::Network);
            move_into_link_name_space(std::os::fd::AsFd::as_fd(&namespace), network).unwrap();
            body()
        };
        std::thread::spawn(there).join().unwrap()
    }

    /// Joins it to this host by a cable: `name` here, `eth0` there.
    pub fn plug(&self, name: &str, here: &[&str], there: &[&str]) {
        run(&format!("ip link add {name} type veth peer name eth0 netns {}", self.pid()));
        run(&format!("ip link set {name} up"));
        self.run("ip link set eth0 up");
        for (addresses, host) in [(here, None), (there, Some(self))] {
            for address in addresses {
                let device = if host.is_some() { "eth0" } else { name };
                let nodad = if address.contains(':') { "nodad" } else { "" };
                let command = format!("ip addr add {address} dev {device} {nodad}");
                match host {
                    Some(host) => host.run(&command),
                    None => run(&command),
                };
            }
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until something is so, but not for more than two seconds, which is what Portcullis
/// promises for repairs. Returns how long it took.
pub fn wait(what: &str, mut so: impl FnMut() -> bool) -> Duration {
    let start = Instant::now();
    while !so() {
        assert!(start.elapsed() < Duration::from_secs(2), "{what}: not within 2 s");
        std::thread::sleep(Duration::from_millis(5));
    }
    start.elapsed()
}
