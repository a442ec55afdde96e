//! One host of the lab: a network namespace with a name.

use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::process::Command;
use std::thread::{self, JoinHandle};

use ipnet::IpNet;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// A host: its name, its addresses and the way into it. The namespace itself lives until the
/// lab's last process has ended.
#[derive(Debug)]
pub struct Host {
    name: String,
    addresses: Vec<IpNet>,
    namespace: File,
}

/// Work could not be moved into a host.
#[derive(Debug, thiserror::Error)]
#[error("cannot work inside the lab's host {host}: {source}")]
pub struct HostError {
    host: String,
    source: io::Error,
}

impl Host {
    /// Opens the namespace that `ip netns add` made.
    pub(super) fn open(name: &str, addresses: &[IpNet]) -> Result<Self, HostError> {
        let namespace =
            File::open(path(name)).map_err(|source| HostError { host: name.to_owned(), source })?;
        Ok(Self { name: name.to_owned(), addresses: addresses.to_vec(), namespace })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its addresses with their prefix lengths, in the order given.
    pub fn addresses(&self) -> &[IpNet] {
        &self.addresses
    }

    /// Its first IPv4 address, if it has one.
    pub fn v4(&self) -> Option<IpAddr> {
        self.addresses.iter().map(IpNet::addr).find(IpAddr::is_ipv4)
    }

    /// Its first IPv6 address, if it has one.
    pub fn v6(&self) -> Option<IpAddr> {
        self.addresses.iter().map(IpNet::addr).find(IpAddr::is_ipv6)
    }

    /// Runs `work` on a thread of its own whose sockets belong to this host, and waits for it.
    /// Sockets that `work` returns stay on this host.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, HostError> {
        thread::scope(|scope| {
            let moved = scope.spawn(|| {
                enter(&self.namespace)?;
                Ok(work())
            });
            match moved.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
        .map_err(|source| HostError { host: self.name.clone(), source })
    }

    /// Like [`run`](Self::run), in the background.
    pub fn spawn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<JoinHandle<io::Result<T>>, HostError> {
        let failed = |source| HostError { host: self.name.clone(), source };
        let namespace = self.namespace.try_clone().map_err(failed)?;
        thread::Builder::new()
            .name(format!("lab {}", self.name))
            .spawn(move || {
                enter(&namespace)?;
                Ok(work())
            })
            .map_err(failed)
    }

    /// A command that will run `program` on this host. The kernel kills it when the *thread* that
    /// starts it ends, so start it from one that lasts; see [`Process`](super::Process).
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", path(&self.name)));
        command.args(["setpriv", "--pdeathsig", "KILL", "--"]).arg(program);
        command
    }
}

/// Where `ip netns add` leaves a namespace.
fn path(name: &str) -> String {
    format!("/run/netns/{name}")
}

fn enter(namespace: &File) -> io::Result<()> {
    Ok(move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?)
}
