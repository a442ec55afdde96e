//! The usual cast: a server with a web and a login service, people who use it, rogues who do not
//! mean well. Each host has several addresses of both families.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;
use portcullis::lab::{Forge, Host, Lab, Probe, Service, Trade, Visit, visit};

/// How long visitors wait. A SYN that was dropped is sent again after 1 s and after 3 s.
pub(crate) const PATIENCE: Duration = Duration::from_millis(2500);
/// For visits that are expected to get nowhere at all: too short for a retransmission.
pub(crate) const HASTE: Duration = Duration::from_millis(400);

/// The hosts, and the server's services.
pub(crate) struct World {
    pub(crate) lab: Lab,
    pub(crate) server: Host,
    pub(crate) people: Host,
    pub(crate) rogues: Host,
    _services: [Service; 2],
}

/// People, by address.
pub(crate) const ANNA: &str = "203.0.113.10";
pub(crate) const BEN: &str = "203.0.113.11";
pub(crate) const CARLA: &str = "2001:db8:7:1::10";
/// Shares Carla's /64.
pub(crate) const CARLAS_PHONE: &str = "2001:db8:7:1::11";
/// Has a /64 of her own.
pub(crate) const DORA: &str = "2001:db8:7:2::10";
/// Rogues, by address.
pub(crate) const MALLORY: &str = "192.0.2.66";
pub(crate) const TRUDY: &str = "192.0.2.77";
pub(crate) const MALLORY6: &str = "2001:db8:bad::66";

impl World {
    /// Builds it, links ready and services listening, without a gate.
    pub(crate) fn new() -> Self {
        let mut lab = Lab::open().expect("a lab");
        let mut host = |name: &str, addresses: &[&str]| {
            let addresses: Vec<IpNet> =
                addresses.iter().map(|address| address.parse().expect("a network")).collect();
            lab.host(name, &addresses).expect("a host")
        };
        let server = host("server", &["198.51.100.10/24", "2001:db8:5::10/64"]);
        let people = host(
            "people",
            &[
                "203.0.113.10/24",
                "203.0.113.11/24",
                "2001:db8:7:1::10/64",
                "2001:db8:7:1::11/64",
                "2001:db8:7:2::10/64",
            ],
        );
        let rogues = host("rogues", &["192.0.2.66/24", "192.0.2.77/24", "2001:db8:bad::66/64"]);
        lab.ready().expect("links carry both families");
        let service = |port, trade| {
            let at = SocketAddr::new("::".parse().expect("an address"), port);
            Service::start(&server, at, trade).expect("a service")
        };
        let _services = [service(80, Trade::Web), service(22, Trade::Login)];
        Self { lab, server, people, rogues, _services }
    }

    /// The server's address that someone at `from` would use.
    pub(crate) fn server_for(&self, from: IpAddr) -> IpAddr {
        let own = if from.is_ipv4() { self.server.v4() } else { self.server.v6() };
        own.expect("the server has both families")
    }

    /// The host that `from` is an address of.
    pub(crate) fn home(&self, from: IpAddr) -> &Host {
        let at_home = |host: &&Host| host.addresses().iter().any(|net| net.addr() == from);
        [&self.people, &self.rogues].into_iter().find(at_home).expect("a known address")
    }

    /// Visits a port of the server.
    pub(crate) fn visit(&self, from: &str, port: u16) -> Visit {
        self.visit_within(from, port, PATIENCE)
    }

    /// Visits a port of the server with another patience.
    pub(crate) fn visit_within(&self, from: &str, port: u16, patience: Duration) -> Visit {
        let from = address(from);
        let to = SocketAddr::new(self.server_for(from), port);
        self.home(from).run(|| visit(from, to, patience)).expect("a host")
    }

    /// SYNs in the name of `from` to these ports of the server, sent by the rogues' host.
    pub(crate) fn forged(&self, from: &str, ports: impl IntoIterator<Item = u16>) -> Vec<Probe> {
        let from = address(from);
        let to = self.server_for(from);
        let syn = |(index, port)| {
            let from = SocketAddr::new(from, 30_000 + index as u16);
            Probe::syn(from, SocketAddr::new(to, port))
        };
        ports.into_iter().enumerate().map(syn).collect()
    }

    /// Sends packets from `host`, at most so many a second.
    pub(crate) fn send(&self, host: &Host, packets: Vec<Probe>, per_second: u32) {
        let sent = host.run(|| Forge::open()?.flood(packets, per_second)).expect("a host");
        sent.expect("packets leave");
    }
}

/// An address from its text.
pub(crate) fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}
