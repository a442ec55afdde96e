//! The gate of the demo: this very program, started as a daemon on the server.

use std::fs::{self, File};
use std::net::IpAddr;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use super::Stop;
use super::log::Log;
use crate::control::protocol::{BanRow, ExplainReport};
use crate::control::{self, Request, Response};
use crate::events::Span;
use crate::lab::{Host, Process};

/// The policy, as the demo shows it.
pub(super) const POLICY: &str = include_str!("policy.toml");

/// Where the gate keeps its things: inside the lab's own /run, which vanishes with it.
const HOME: &str = "/run/portcullis";

/// How long a stop may take, before the daemon is killed.
const STOP: Duration = Duration::from_secs(2);
/// How long a start may take. Kernel modules may have to be loaded, on a slow machine.
const START: Duration = Duration::from_secs(30);

/// The running daemon. It ends when this is dropped.
pub(super) struct Gate<'a> {
    server: &'a Host,
    daemon: Process,
}

impl<'a> Gate<'a> {
    /// Starts the daemon on `server` and waits until it judges.
    pub(super) fn start(server: &'a Host) -> Result<(Self, Log), Stop> {
        let home = Path::new(HOME);
        let cannot = |what: &str, e: std::io::Error| Stop::Broken(format!("{what}: {e}"));
        let program = std::env::current_exe().map_err(|e| cannot("finding this program", e))?;
        fs::create_dir_all(home).map_err(|e| cannot(HOME, e))?;
        let (config, said) = (home.join("policy.toml"), home.join("said"));
        let overlay = home.join("conf.d/demo.toml");
        for folder in ["conf.d", "state"] {
            fs::create_dir_all(home.join(folder)).map_err(|e| cannot(HOME, e))?;
        }
        fs::write(&config, POLICY).map_err(|e| cannot("writing the policy", e))?;
        fs::write(&overlay, places()).map_err(|e| cannot("writing the policy", e))?;
        let output = File::create(&said).map_err(|e| cannot("creating a log", e))?;
        let mut command = server.command(&program);
        command.args(["run", "--config"]).arg(&config);
        // Ctrl-C is for the demo, which then stops the daemon.
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(output);
        let mut daemon =
            Process::start(&mut command).map_err(|e| cannot("starting the gate", e))?;
        let mut log = Log::open(home.join("events.json"));
        let deadline = Instant::now() + START;
        while !log.news().iter().any(|entry| entry.kind.starts_with("start ")) {
            let ended = daemon.ended().ok().flatten();
            if ended.is_some() || Instant::now() > deadline {
                let said = fs::read_to_string(&said).unwrap_or_default();
                let late = format!(" within {} s", START.as_secs());
                let late = if ended.is_some() { "" } else { &late };
                let said = said.trim_end();
                return Err(Stop::Broken(format!("the gate did not start{late}:\n{said}")));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok((Self { server, daemon }, log))
    }

    /// Every standing, as `portcullis bans list` gets them: over the control socket.
    pub(super) fn bans(&self) -> Result<Vec<BanRow>, Stop> {
        match self.ask(&Request::Bans)? {
            Response::Bans(rows) => Ok(rows),
            other => Err(Stop::Broken(format!("unexpected answer: {other:?}"))),
        }
    }

    /// What would become of a visit now, as `portcullis explain` gets it.
    pub(super) fn explain(&self, address: IpAddr, port: u16) -> Result<ExplainReport, Stop> {
        match self.ask(&Request::Explain { address, port })? {
            Response::Explain(report) => Ok(*report),
            other => Err(Stop::Broken(format!("unexpected answer: {other:?}"))),
        }
    }

    fn ask(&self, request: &Request) -> Result<Response, Stop> {
        let socket = Path::new(HOME).join("control.sock");
        control::ask(&socket, request).map_err(|e| Stop::Broken(e.to_string()))
    }

    /// The elements of a kernel set with what remains of their time, as nft tells them.
    pub(super) fn set(&self, name: &str) -> Result<Vec<String>, Stop> {
        let mut command = self.server.command("nft");
        command.args(["-j", "list", "set", "inet", "portcullis", name]);
        let said = output(&mut command, "nft list set")?;
        let listing: Value = serde_json::from_str(&said).unwrap_or_default();
        let objects = listing["nftables"].as_array();
        let set = objects.into_iter().flatten().find_map(|object| object.get("set"));
        let elements = set.and_then(|set| set["elem"].as_array()).cloned().unwrap_or_default();
        Ok(elements.iter().map(element).collect())
    }
}

impl Drop for Gate<'_> {
    fn drop(&mut self) {
        // Gently, so that no tool which it has called is left behind.
        let _ = self.daemon.signal(Signal::TERM);
        let _ = self.daemon.wait(STOP);
    }
}

/// One element of a set: `192.0.2.140, 9m 52s left`.
fn element(element: &Value) -> String {
    let value = element.pointer("/elem/val").unwrap_or(element);
    let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match element.pointer("/elem/expires").and_then(Value::as_u64) {
        Some(seconds) => {
            let left = Span(Duration::from_secs(seconds));
            format!("{value} ({left} left)")
        }
        None => value,
    }
}

fn output(command: &mut Command, what: &str) -> Result<String, Stop> {
    let output = command.output().map_err(|e| Stop::Broken(format!("{what}: {e}")))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Stop::Broken(format!("{what}: {}", said.trim_end())))
}

/// Laid over the policy: where the daemon keeps its things, and a queue that an ordinary user's
/// socket buffer has room for.
fn places() -> String {
    format!(
        "[queue]\nlength = 128\n[bans]\nstate_dir = \"{HOME}/state\"\n[events]\njson = \"{HOME}/events.json\"\n\
         lines = 1000\n\
         [control]\nsocket = \"{HOME}/control.sock\"\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_is_valid_and_nothing_in_it_needs_a_warning() {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("policy.toml");
        fs::create_dir(dir.path().join("conf.d")).unwrap();
        fs::write(&config, POLICY).unwrap();
        fs::write(dir.path().join("conf.d/demo.toml"), places()).unwrap();
        let loaded = crate::config::load(&config).unwrap();
        assert_eq!(loaded.warnings, []);
        assert!(loaded.config.bans.state_dir.starts_with(HOME));
        assert!(POLICY.lines().all(|line| line.chars().count() <= 75));
    }
}
