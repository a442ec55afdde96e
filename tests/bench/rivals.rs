//! Programs that accept everything that a queue hands over: what any program there costs.

use std::io::{BufRead, BufReader, Lines};
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, Stdio};

use portcullis::lab::Process;

use super::enter::Outcome;

/// A program that accepts everything, and says how many it has answered when it sees a SYN to port
/// 81.
#[derive(Debug)]
pub(crate) struct Rival {
    pub(crate) name: &'static str,
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<String>,
}

#[allow(dead_code, reason = "not all who measure need all of it")]
impl Rival {
    /// The loop in C on libnetfilter_queue, built in `folder`; `None`, with the reason told, where
    /// that cannot be had.
    pub(crate) fn in_c(folder: &Path, queue: u16) -> Option<Self> {
        let program = folder.join("noop");
        let mut compile = Command::new("cc");
        compile.args(["-O2", "-o"]).arg(&program).arg(source("noop.c"));
        let built = compile.args(["-lnetfilter_queue", "-lnfnetlink"]).output();
        let error = match built {
            Ok(built) if built.status.success() => {
                return Some(Self { name: "no-op, C", program, args: vec![queue.to_string()] });
            }
            Ok(built) => String::from_utf8_lossy(&built.stderr).trim().to_owned(),
            Err(error) => error.to_string(),
        };
        eprintln!("no rival in C (cc, libnetfilter-queue-dev): {error}");
        None
    }

    /// The loop in Python on NetfilterQueue.
    pub(crate) fn in_python(queue: u16) -> Option<Self> {
        let there = Command::new("python3").args(["-c", "import netfilterqueue"]).output();
        if !there.is_ok_and(|there| there.status.success()) {
            eprintln!("no rival in Python (pip install NetfilterQueue)");
            return None;
        }
        let args = vec![source("noop.py").display().to_string(), queue.to_string()];
        Some(Self { name: "no-op, Python", program: "python3".into(), args })
    }

    /// Starts it by a command that was prepared for the place where it is to run, waits until it
    /// listens, and returns what it says from then on.
    pub(crate) fn start(
        &self,
        command: &mut Command,
    ) -> Outcome<(Process, Lines<BufReader<ChildStdout>>)> {
        let mut process = Process::start(command.args(&self.args).stdout(Stdio::piped()))?;
        let mut lines = BufReader::new(process.child().stdout.take().ok_or("no output")?).lines();
        lines.next().ok_or_else(|| format!("{} did not start", self.name))??;
        Ok((process, lines))
    }
}

fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bench/gate").join(name)
}
