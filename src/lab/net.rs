//! Hosts, links, addresses and routes.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use rustix::mount::{MountFlags, mount};

use super::host::{Host, HostError};

/// How long links may take until they carry IPv6.
const LINKS: Duration = Duration::from_secs(5);

/// The router in the middle: the namespace that was entered. Hosts are added to it.
#[derive(Debug)]
pub struct Lab {
    /// IPv6 addresses that are not known to be usable yet, each with `ip`'s option for its host.
    awaited: Vec<(String, Ipv6Addr)>,
}

/// The lab could not be built.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// This process does not run in namespaces of its own; changing the network would hit the
    /// real one.
    #[error("refusing to build a lab outside private namespaces")]
    Outside,
    /// An `ip` command failed.
    #[error("`ip {command}` failed: {said}")]
    Ip {
        /// Its arguments.
        command: String,
        /// What it said.
        said: String,
    },
    /// A link does not come up.
    #[error("the lab's address {0} is not usable after {LINKS:?}")]
    NotReady(Ipv6Addr),
    /// A file or file system was refused.
    #[error("{what}: {source}")]
    File {
        /// What was tried.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
    /// A host could not be entered.
    #[error(transparent)]
    Host(#[from] HostError),
}

impl Lab {
    /// Makes the entered namespace the lab's router. `/run` becomes an empty file system that is
    /// private to the lab and vanishes with it.
    pub fn open() -> Result<Self, LabError> {
        if !super::is_inside() {
            return Err(LabError::Outside);
        }
        mount("lab", "/run", "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, c"mode=0755")
            .map_err(|e| file("mounting a private /run", e.into()))?;
        fs::create_dir("/run/netns").map_err(|e| file("creating /run/netns", e))?;
        ip("link set lo up")?;
        be_quick_and_open()?;
        forward()?;
        Ok(Self { awaited: Vec::new() })
    }

    /// Adds a host to the router. Each address brings its network with it: the router has the
    /// first address of that network, and the host's default routes lead there. Names have at
    /// most 15 letters, as interfaces do.
    pub fn host(&mut self, name: &str, addresses: &[IpNet]) -> Result<Host, LabError> {
        let host = add(name, addresses)?;
        self.link(&host)?;
        Ok(host)
    }

    /// Takes the network device of a host of this router away, as when a card is pulled out; its
    /// addresses and routes go with it.
    pub fn unplug(&self, host: &Host) -> Result<(), LabError> {
        ip(&format!("link del {}", host.name())).map(drop)
    }

    /// Puts it back, with the host's addresses and default routes; what [`own`](Self::own) gave is
    /// lost. Returns when it carries both families.
    pub fn plug_in(&self, host: &Host) -> Result<(), LabError> {
        let mut again = Self { awaited: Vec::new() };
        again.link(host)?;
        again.ready()
    }

    /// Adds a host behind `gateway`, which forwards from then on.
    pub fn host_behind(
        &mut self,
        gateway: &Host,
        name: &str,
        addresses: &[IpNet],
    ) -> Result<Host, LabError> {
        let host = add(name, addresses)?;
        let outer = gateway.name();
        gateway.run(forward)??;
        ip(&format!("-n {outer} link add {name} type veth peer name eth0 netns {name}"))?;
        for inner in gateways(addresses) {
            ip(&format!("-n {outer} addr add {inner} dev {name}{}", nodad(inner.addr())))?;
            self.awaited(&format!("-n {outer}"), inner.addr());
            let via = if inner.addr().is_ipv4() { gateway.v4() } else { gateway.v6() };
            if let Some(via) = via {
                ip(&format!("{} route add {} via {via}", family(via), inner.trunc()))?;
            }
        }
        ip(&format!("-n {outer} link set {name} up"))?;
        self.join(&host)?;
        Ok(host)
    }

    /// Gives `host` every address of `prefix`, so that thousands of sources can really connect
    /// from it: it accepts packets for all of them, and may send from each.
    pub fn own(&mut self, host: &Host, prefix: IpNet) -> Result<(), LabError> {
        let (name, family) = (host.name(), family(prefix.addr()));
        ip(&format!("-n {name} {family} route add local {prefix} dev lo"))?;
        let via = if prefix.addr().is_ipv4() { host.v4() } else { host.v6() };
        match via {
            Some(via) => ip(&format!("{family} route add {prefix} via {via}")).map(drop),
            None => Ok(()),
        }
    }

    /// Waits until every link of the hosts added so far carries both families. Linux lets IPv6
    /// wait for a new link's carrier, which it looks at once a second.
    pub fn ready(&mut self) -> Result<(), LabError> {
        let deadline = Instant::now() + LINKS;
        while let Some((namespace, address)) = self.awaited.last() {
            let routes = ip(&format!("{namespace} -6 route show table local"))?;
            let route = format!("local {address} ");
            if routes.lines().any(|line| line.starts_with(&route)) {
                self.awaited.pop();
            } else if Instant::now() > deadline {
                return Err(LabError::NotReady(*address));
            } else {
                thread::sleep(Duration::from_millis(10));
            }
        }
        Ok(())
    }

    /// Joins a host to the router.
    fn link(&mut self, host: &Host) -> Result<(), LabError> {
        let name = host.name();
        ip(&format!("link add {name} type veth peer name eth0 netns {name}"))?;
        for gateway in gateways(host.addresses()) {
            ip(&format!("addr add {gateway} dev {name}{}", nodad(gateway.addr())))?;
            self.awaited("", gateway.addr());
        }
        ip(&format!("link set {name} up"))?;
        self.join(host)
    }

    /// The host's own end of its link.
    fn join(&mut self, host: &Host) -> Result<(), LabError> {
        let name = host.name();
        for address in host.addresses() {
            ip(&format!("-n {name} addr add {address} dev eth0{}", nodad(address.addr())))?;
            self.awaited(&format!("-n {name}"), address.addr());
        }
        ip(&format!("-n {name} link set lo up"))?;
        ip(&format!("-n {name} link set eth0 up"))?;
        let gateways = gateways(host.addresses());
        for v4 in [true, false] {
            if let Some(via) = gateways.iter().map(IpNet::addr).find(|via| via.is_ipv4() == v4) {
                ip(&format!("-n {name} {} route add default via {via}", family(via)))?;
            }
        }
        Ok(())
    }

    fn awaited(&mut self, namespace: &str, address: IpAddr) {
        if let IpAddr::V6(address) = address {
            self.awaited.push((namespace.to_owned(), address));
        }
    }
}

fn add(name: &str, addresses: &[IpNet]) -> Result<Host, LabError> {
    ip(&format!("netns add {name}"))?;
    let host = Host::open(name, addresses)?;
    host.run(be_quick_and_open)??;
    Ok(host)
}

/// The router's address in each network that `addresses` belong to: the first one, once.
fn gateways(addresses: &[IpNet]) -> Vec<IpNet> {
    let mut gateways: Vec<IpNet> = Vec::new();
    for address in addresses {
        let first: IpAddr = match address.network() {
            IpAddr::V4(base) => Ipv4Addr::from_bits(base.to_bits() | 1).into(),
            IpAddr::V6(base) => Ipv6Addr::from_bits(base.to_bits() | 1).into(),
        };
        let gateway = IpNet::new_assert(first, address.prefix_len());
        if !gateways.contains(&gateway) {
            gateways.push(gateway);
        }
    }
    gateways
}

/// Lets this thread's namespace forward, for both families.
fn forward() -> Result<(), LabError> {
    sysctl("net/ipv4/ip_forward", "1")?;
    sysctl("net/ipv6/conf/all/forwarding", "1")
}

/// Before a thread's namespace gets links: forged source addresses shall get as far as they do on
/// the internet (no reverse path filter), and link-local addresses be usable at once (no duplicate
/// address detection), because neighbours are asked for from them.
fn be_quick_and_open() -> Result<(), LabError> {
    for scope in ["all", "default"] {
        sysctl(&format!("net/ipv4/conf/{scope}/rp_filter"), "0")?;
        sysctl(&format!("net/ipv6/conf/{scope}/accept_dad"), "0")?;
    }
    Ok(())
}

/// Writes a sysctl of this thread's network namespace.
fn sysctl(name: &str, value: &str) -> Result<(), LabError> {
    let path = Path::new("/proc/sys").join(name);
    match fs::read_to_string(&path) {
        Ok(old) if old.trim() == value => Ok(()),
        _ => fs::write(&path, value)
            .map_err(|e| file(&format!("writing {value} to {}", path.display()), e)),
    }
}

/// Duplicate address detection would leave IPv6 addresses unusable for two seconds.
fn nodad(address: IpAddr) -> &'static str {
    if address.is_ipv6() { " nodad" } else { "" }
}

fn family(address: IpAddr) -> &'static str {
    if address.is_ipv6() { "-6" } else { "-4" }
}

/// Runs `ip` and returns what it prints.
fn ip(arguments: &str) -> Result<String, LabError> {
    let failed = |said| LabError::Ip { command: arguments.to_owned(), said };
    let output = Command::new("ip")
        .args(arguments.split_whitespace())
        .output()
        .map_err(|e| failed(e.to_string()))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}

fn file(what: &str, source: io::Error) -> LabError {
    LabError::File { what: what.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_gateway_for_each_network() {
        let addresses: Vec<IpNet> =
            ["203.0.113.10/24", "203.0.113.11/24", "2001:db8:2::10/64", "192.0.2.130/25"]
                .iter()
                .map(|text| text.parse().unwrap())
                .collect();
        let names: Vec<String> = gateways(&addresses).iter().map(IpNet::to_string).collect();
        assert_eq!(names, ["203.0.113.1/24", "2001:db8:2::1/64", "192.0.2.129/25"]);
    }

    #[test]
    fn no_lab_outside_namespaces() {
        assert!(matches!(Lab::open(), Err(LabError::Outside)));
    }
}
