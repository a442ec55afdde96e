//! Who plays: hosts, services, and the people behind the addresses.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;

use crate::lab::{Host, Lab, Service, Trade, Visit, visit};

use super::Stop;

/// Someone with an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Person {
    /// By which the story calls them.
    pub(super) name: &'static str,
    /// Their own address.
    pub(super) address: &'static str,
    /// The port of the server they want.
    pub(super) port: u16,
}

/// An ordinary reader.
pub(super) const ANNA: Person = Person { name: "Anna", address: "203.0.113.10", port: 80 };
/// An ordinary user of ssh, over IPv6.
pub(super) const BEN: Person = Person { name: "Ben", address: "2001:db8:7::20", port: 22 };
/// His script is in too much of a hurry.
pub(super) const CARL: Person = Person { name: "Carl", address: "203.0.113.30", port: 80 };
/// Someone else sends packets in her name.
pub(super) const DORA: Person = Person { name: "Dora", address: "203.0.113.40", port: 80 };
/// On the deny list.
pub(super) const MALLORY: Person = Person { name: "Mallory", address: "192.0.2.66", port: 80 };
/// Scans ports.
pub(super) const TRUDY: Person = Person { name: "Trudy", address: "192.0.2.130", port: 80 };
/// Guesses passwords.
pub(super) const GUS: Person = Person { name: "Gus", address: "192.0.2.140", port: 22 };

/// Everyone, in the order of the table at the end.
pub(super) const CAST: [Person; 7] = [ANNA, BEN, CARL, DORA, MALLORY, TRUDY, GUS];

/// How long the very first packets between two hosts may take.
const FIRST_VISIT: Duration = Duration::from_secs(3);
const SERVER: [&str; 2] = ["198.51.100.10/24", "2001:db8:5::10/64"];
const VISITORS: [&str; 4] =
    ["203.0.113.10/24", "203.0.113.30/24", "203.0.113.40/24", "2001:db8:7::20/64"];
const ATTACKERS: [&str; 3] = ["192.0.2.66/24", "192.0.2.130/24", "192.0.2.140/24"];

/// The private network, built and ready.
pub(super) struct Stage {
    pub(super) server: Host,
    pub(super) visitors: Host,
    pub(super) attackers: Host,
    _services: [Service; 2],
}

impl Stage {
    /// Builds it.
    pub(super) fn build() -> Result<Self, Stop> {
        let broken = |e: &dyn std::error::Error| Stop::Broken(e.to_string());
        let mut lab = Lab::open().map_err(|e| broken(&e))?;
        let mut host = |name, addresses: &[&str]| {
            let nets: Vec<IpNet> = addresses.iter().filter_map(|net| net.parse().ok()).collect();
            lab.host(name, &nets).map_err(|e| broken(&e))
        };
        let server = host("server", &SERVER)?;
        let visitors = host("visitors", &VISITORS)?;
        let attackers = host("attackers", &ATTACKERS)?;
        lab.ready().map_err(|e| broken(&e))?;
        let service = |port, trade| {
            let everywhere = SocketAddr::new(std::net::Ipv6Addr::UNSPECIFIED.into(), port);
            Service::start(&server, everywhere, trade).map_err(|e| broken(&e))
        };
        let _services = [service(22, Trade::Login)?, service(80, Trade::Web)?];
        // Hosts find their neighbours with the first packet, which can cost the first visitor a
        // second. Nobody is to think that it was the gate, which is not there yet.
        for host in [&visitors, &attackers] {
            for (from, to) in
                [host.v4().zip(server.v4()), host.v6().zip(server.v6())].into_iter().flatten()
            {
                let first = || visit(from, SocketAddr::new(to, 80), FIRST_VISIT);
                host.run(first).map_err(|e| broken(&e))?;
            }
        }
        Ok(Self { server, visitors, attackers, _services })
    }

    /// The host that someone works at.
    pub(super) fn home(&self, person: Person) -> &Host {
        let here = |host: &Host| host.addresses().iter().any(|net| net.addr() == person.ip());
        if here(&self.visitors) { &self.visitors } else { &self.attackers }
    }

    /// Where someone finds a port of the server.
    pub(super) fn server_for(&self, person: Person, port: u16) -> SocketAddr {
        let own = if person.ip().is_ipv4() { self.server.v4() } else { self.server.v6() };
        SocketAddr::new(own.unwrap_or(person.ip()), port)
    }

    /// Someone visits a service as often as said, one visit after the other.
    pub(super) fn visits(
        &self,
        person: Person,
        times: usize,
        patience: Duration,
    ) -> Result<std::thread::JoinHandle<std::io::Result<Vec<Visit>>>, Stop> {
        let (from, to) = (person.ip(), self.server_for(person, person.port));
        let work = move || (0..times).map(|_| visit(from, to, patience)).collect();
        self.home(person).spawn(work).map_err(|e| Stop::Broken(e.to_string()))
    }
}

impl Person {
    /// The address.
    pub(super) fn ip(self) -> IpAddr {
        // The cast above is checked by a test; an address that is none would reach nobody.
        self.address.parse().unwrap_or(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED))
    }

    /// What they want, in words.
    pub(super) fn wants(self) -> &'static str {
        if self.port == 22 { "ssh" } else { "the web page" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everyone_has_an_address_on_one_of_the_hosts() {
        let nets: Vec<IpNet> =
            VISITORS.iter().chain(&ATTACKERS).map(|net| net.parse().unwrap()).collect();
        for person in CAST {
            assert!(nets.iter().any(|net| net.addr() == person.ip()), "{}", person.name);
        }
        assert_eq!(nets.len(), CAST.len());
        assert!(SERVER.iter().all(|net| net.parse::<IpNet>().is_ok()));
    }
}
