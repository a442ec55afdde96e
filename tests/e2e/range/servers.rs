//! The servers under attack: nginx on two ports, and OpenSSH where every password is wrong.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::process::{Command, Stdio};

use portcullis::lab::{Host, Process, Service, Trade};

use super::web::nginx;
use crate::stage::{is_there, text};

/// An unprivileged sshd cannot look passwords up, so it takes none.
const SSHD: &str = "\
Port 22\nHostKey /run/hostkey\nPidFile none\nUsePAM no\nUseDNS no\nStrictModes no\n\
PasswordAuthentication yes\nPermitRootLogin yes\nMaxStartups 100:30:200\n";
const SSHD_LOG: &str = "/run/sshd.log";

/// They end when this is dropped.
pub(super) struct Servers {
    _nginx: Option<Process>,
    sshd: Option<Process>,
    /// In the place of those that are not installed.
    _own: Vec<Service>,
}

impl Servers {
    pub(super) fn start(host: &Host) -> Self {
        let mut own = Vec::new();
        let mut stand_in = |port, trade| {
            let at = SocketAddr::new(IpAddr::from([0, 0, 0, 0]), port);
            own.push(Service::start(host, at, trade).expect("a service"));
        };
        let _nginx = is_there("nginx").then(|| nginx(host, "listen 80; listen 8080;"));
        if _nginx.is_none() {
            stand_in(80, Trade::Web);
            stand_in(8080, Trade::Web);
        }
        let sshd = is_there("sshd").then(|| sshd(host));
        if sshd.is_none() {
            stand_in(22, Trade::Login);
        }
        Self { _nginx, sshd, _own: own }
    }

    /// Is it the real one?
    pub(super) fn has_sshd(&self) -> bool {
        self.sshd.is_some()
    }

    /// How many passwords sshd has refused somebody so far.
    pub(super) fn guesses(&self, who: IpAddr) -> usize {
        let log = fs::read_to_string(SSHD_LOG).unwrap_or_default();
        let (failed, from) = ("Failed password", format!(" from {who} "));
        log.lines().filter(|line| line.contains(failed) && line.contains(&from)).count()
    }

    /// Their complaints.
    pub(super) fn said(&self) -> String {
        ["/run/nginx.error", SSHD_LOG]
            .map(|log| fs::read_to_string(log).unwrap_or_default())
            .concat()
    }
}

/// As root, sshd changes to a user of its own, whom a lab of an ordinary user does not have. So it
/// runs as somebody ordinary, who may listen on port 22 in here.
fn sshd(host: &Host) -> Process {
    let mut keygen = Command::new("ssh-keygen");
    keygen.args(["-q", "-t", "ed25519", "-N", "", "-f", "/run/hostkey"]).stdin(Stdio::null());
    let made = keygen.output().expect("ssh-keygen runs");
    assert!(made.status.success(), "{}", text(&made));
    fs::write("/run/sshd.conf", SSHD).expect("a file");
    let everyone = || fs::write("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0");
    host.run(everyone).expect("a host").expect("a sysctl of the network");
    let program = std::env::split_paths(&portcullis::lab::search_path())
        .map(|dir| dir.join("sshd"))
        .find(|file| file.is_file());
    // It wants to know its own path.
    let mut sshd = host.command("unshare");
    sshd.args(["--user", "--map-user=1000", "--"]).arg(program.expect("it was there"));
    sshd.args(["-D", "-f", "/run/sshd.conf", "-E", SSHD_LOG]).stdin(Stdio::null());
    Process::start(&mut sshd).expect("nsenter starts")
}
