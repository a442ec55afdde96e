//! Runs one of the system's own tools, with a time limit.
//!
//! Input and output go through anonymous files instead of pipes: nobody can block on a full pipe,
//! so one thread is enough.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// A tool did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// It is not there.
    #[error("{tool} is not installed. Install it: apt-get install {package}")]
    Missing {
        /// Its name.
        tool: &'static str,
        /// The Debian package that holds it.
        package: &'static str,
    },
    /// It could not be started or talked to.
    #[error("cannot run {tool}: {source}")]
    Run {
        /// Its name.
        tool: &'static str,
        /// What went wrong.
        source: std::io::Error,
    },
    /// It may not be run.
    #[error(
        "{} may not be run. A gate that is confined runs no scripts, and only programs from where \
         they were when it started: systemctl restart portcullis; or, if that does not help, \
         [daemon] confine = false", program.display()
    )]
    Barred {
        /// Where it is.
        program: PathBuf,
    },
    /// It did not finish in time and was ended.
    #[error("{tool} did not answer within {} s and was ended", limit.as_secs())]
    TimedOut {
        /// Its name.
        tool: &'static str,
        /// How long it had.
        limit: Duration,
    },
    /// It said no.
    #[error("{tool}: {complaint}")]
    Refused {
        /// Its name.
        tool: &'static str,
        /// What it wrote to standard error, shortened.
        complaint: String,
    },
}

/// The longest that a tool may take.
pub(super) const LIMIT: Duration = Duration::from_secs(10);

/// The process ids of our own latest tools, so that what they change is not taken for the work of
/// others.
#[derive(Clone, Debug, Default)]
pub(super) struct OwnTools(Arc<Mutex<VecDeque<u32>>>);

impl OwnTools {
    const KEPT: usize = 64;

    /// Starts a process of ours. Nobody is told whether a process is ours meanwhile, so its
    /// changes cannot be seen before its number is known.
    fn start(&self, command: &mut Command) -> std::io::Result<Child> {
        let mut pids = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let child = command.spawn()?;
        pids.push_back(child.id());
        while pids.len() > Self::KEPT {
            pids.pop_front();
        }
        Ok(child)
    }

    #[cfg(test)]
    pub(super) fn pretend(&self, pid: u32) {
        self.0.lock().unwrap().push_back(pid);
    }

    /// Is it one of ours?
    pub(super) fn has(&self, pid: u32) -> bool {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).contains(&pid)
    }
}

/// A tool's file, with every link to it followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    changed: (i64, i64),
}

/// One of the tools that Portcullis calls.
#[derive(Clone, Debug)]
pub(super) struct Tool {
    name: &'static str,
    program: PathBuf,
    environment: Vec<(&'static str, PathBuf)>,
    own: OwnTools,
}

impl Tool {
    /// Finds a tool in PATH, then where Debian keeps it, which an ordinary PATH lacks.
    pub(super) fn find(
        name: &'static str,
        package: &'static str,
        own: OwnTools,
    ) -> Result<Self, ToolError> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let usual = ["/usr/sbin", "/sbin", "/usr/local/sbin"].map(PathBuf::from);
        std::env::split_paths(&path)
            .filter(|folder| folder.is_absolute())
            .chain(usual)
            .map(|folder| folder.join(name))
            .find(|program| program.is_file())
            .map(|program| Self { name, program, environment: Vec::new(), own })
            .ok_or(ToolError::Missing { tool: name, package })
    }

    /// Where it is.
    pub(super) fn into_path(self) -> PathBuf {
        self.program
    }

    /// What file it is at present: another one if the tool was upgraded, or if another was put in
    /// its place. `None` if it is gone.
    pub(super) fn stamp(&self) -> Option<Stamp> {
        let file = std::fs::metadata(&self.program).ok()?;
        Some(Stamp {
            device: file.dev(),
            inode: file.ino(),
            changed: (file.ctime(), file.ctime_nsec()),
        })
    }

    /// Sets an environment variable for it.
    pub(super) fn with(mut self, name: &'static str, value: PathBuf) -> Self {
        self.environment.push((name, value));
        self
    }

    /// Runs it to its end and returns what it wrote.
    pub(super) fn run(&self, arguments: &[&str], input: &[u8]) -> Result<Vec<u8>, ToolError> {
        let failed = |source: std::io::Error| ToolError::Run { tool: self.name, source };
        let mut stdin = memory().map_err(|e| failed(e.into()))?;
        let mut stdout = memory().map_err(|e| failed(e.into()))?;
        let mut stderr = memory().map_err(|e| failed(e.into()))?;
        stdin.write_all(input).and_then(|()| stdin.rewind()).map_err(failed)?;
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .envs(self.environment.iter().map(|(name, value)| (*name, value)))
            .stdin(Stdio::from(stdin))
            .stdout(Stdio::from(stdout.try_clone().map_err(failed)?))
            .stderr(Stdio::from(stderr.try_clone().map_err(failed)?));
        let mut child = self.own.start(&mut command).map_err(|error| match error.kind() {
            ErrorKind::PermissionDenied => ToolError::Barred { program: self.program.clone() },
            _ => failed(error),
        })?;
        if !finished_within(&child, LIMIT).map_err(|e| failed(e.into()))? {
            let _ = child.kill();
            let _ = child.wait();
            return Err(ToolError::TimedOut { tool: self.name, limit: LIMIT });
        }
        let status = child.wait().map_err(failed)?;
        let read = |file: &mut File| {
            let mut bytes = Vec::new();
            file.rewind().and_then(|()| file.read_to_end(&mut bytes)).map(|_| bytes)
        };
        if status.success() {
            return read(&mut stdout).map_err(failed);
        }
        let complaint = read(&mut stderr).map_err(failed)?;
        Err(ToolError::Refused { tool: self.name, complaint: shorten(&complaint, status) })
    }
}

/// A file in memory that nobody can run, where the kernel knows such (Linux 6.3): a gate that is
/// confined may make no others.
fn memory() -> Result<File, Errno> {
    let make = |flags| memfd_create("portcullis", MemfdFlags::CLOEXEC | flags).map(File::from);
    match make(MemfdFlags::NOEXEC_SEAL) {
        Err(Errno::INVAL) => make(MemfdFlags::empty()),
        made => made,
    }
}

fn finished_within(child: &Child, limit: Duration) -> Result<bool, Errno> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or(Errno::SRCH)?;
    let handle = pidfd_open(pid, PidfdFlags::empty())?;
    let end = Instant::now() + limit;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let left = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
        match poll(&mut [PollFd::new(&handle, PollFlags::IN)], Some(&left)) {
            Ok(0) => return Ok(false),
            Ok(_) => return Ok(true),
            Err(Errno::INTR) => {}
            Err(other) => return Err(other),
        }
    }
}

/// The first lines of a complaint: nft repeats a whole transaction in its own.
fn shorten(complaint: &[u8], status: std::process::ExitStatus) -> String {
    let text = String::from_utf8_lossy(complaint);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).take(3).collect();
    let mut line = lines.join(" / ");
    if line.len() > 400 {
        let end = (0..=400).rev().find(|i| line.is_char_boundary(*i)).unwrap_or(0);
        line.truncate(end);
        line.push('…');
    }
    if line.is_empty() { format!("failed ({status})") } else { line }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_is_fed_read_and_quoted() {
        let own = OwnTools::default();
        let cat = Tool::find("cat", "coreutils", own.clone()).unwrap();
        let big = vec![b'x'; 1 << 20];
        assert_eq!(cat.run(&[], &big).unwrap(), big);
        let pid = *own.0.lock().unwrap().front().unwrap();
        assert!(own.has(pid) && !own.has(1));
        let missing = cat.run(&["/nowhere/at all"], b"").unwrap_err().to_string();
        assert!(missing.contains("/nowhere/at all"), "{missing}");
        let unknown = Tool::find("no-such-tool", "some-package", own).unwrap_err().to_string();
        assert!(unknown.contains("apt-get install some-package"), "{unknown}");
    }
}
