//! The doors of this host: ports at which somebody listens, or which are handed on.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use super::banner::Banner;
use crate::host::Program;

/// One listening socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Where it listens.
    pub at: SocketAddr,
    /// Who does, if that may be known.
    pub program: Option<Program>,
    /// Connections that the program has not accepted yet…
    pub waiting: u32,
    /// …and how many may wait.
    pub room: u32,
}

/// What a door answered when it was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A service that is known.
    Speaks(Banner),
    /// The connection was made, but nothing known was said.
    Unknown,
    /// No connection could be made.
    Shut,
}

/// One port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Door {
    /// Its number.
    pub port: u16,
    /// Who listens there.
    pub listeners: Vec<Listener>,
    /// Where it is handed on to.
    pub published: Vec<String>,
    /// What it answered, if it was tried.
    pub answer: Option<Answer>,
}

/// From where a door can be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Only from this host.
    Loopback,
    /// On these addresses, all of them of private networks.
    Private(Vec<IpAddr>),
    /// On these addresses.
    Some(Vec<IpAddr>),
    /// On every address of this host.
    All,
}

impl Reach {
    /// Can others reach it?
    pub fn is_outer(&self) -> bool {
        *self != Reach::Loopback
    }
}

impl Door {
    /// From where it can be reached.
    pub fn reach(&self) -> Reach {
        let addresses = || self.listeners.iter().map(|listener| listener.at.ip().to_canonical());
        if !self.published.is_empty() || addresses().any(|address| address.is_unspecified()) {
            return Reach::All;
        }
        let mut outer: Vec<IpAddr> = addresses().filter(|address| !address.is_loopback()).collect();
        outer.sort();
        outer.dedup();
        match outer.iter().all(|address| is_private(*address)) {
            _ if outer.is_empty() => Reach::Loopback,
            true => Reach::Private(outer),
            false => Reach::Some(outer),
        }
    }

    /// The program that listens, if one is known.
    pub fn program(&self) -> Option<&Program> {
        self.listeners.iter().find_map(|listener| listener.program.as_ref())
    }

    /// What it said, if it is known.
    pub fn banner(&self) -> Option<&Banner> {
        match &self.answer {
            Some(Answer::Speaks(banner)) => Some(banner),
            _ => None,
        }
    }
}

/// RFC 1918, RFC 6598, link-local and RFC 4193.
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            v4.is_private() || v4.is_link_local() || (a == 100 && b & 0xc0 == 64)
        }
        IpAddr::V6(v6) => v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

/// As a table shows it: `all`, `127.0.0.1`, `198.51.100.10 +1`.
impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reach::Loopback => f.pad("loopback"),
            Reach::All => f.pad("all"),
            Reach::Private(addresses) | Reach::Some(addresses) => {
                let first = addresses.first().map(ToString::to_string).unwrap_or_default();
                let more = addresses.len().saturating_sub(1);
                if more == 0 { f.pad(&first) } else { f.pad(&format!("{first} +{more}")) }
            }
        }
    }
}

/// The doors, by port. A published range counts only where it begins: it may be thousands.
pub fn doors(
    listeners: impl IntoIterator<Item = Listener>,
    published: impl IntoIterator<Item = (RangeInclusive<u16>, String)>,
) -> Vec<Door> {
    let mut doors: BTreeMap<u16, Door> = BTreeMap::new();
    let new = |port| Door { port, listeners: Vec::new(), published: Vec::new(), answer: None };
    for listener in listeners {
        let port = listener.at.port();
        doors.entry(port).or_insert_with(|| new(port)).listeners.push(listener);
    }
    for (ports, to) in published {
        let port = *ports.start();
        let to =
            if ports.start() == ports.end() { to } else { format!("{to} (to {})", ports.end()) };
        let door = doors.entry(port).or_insert_with(|| new(port));
        if !door.published.contains(&to) {
            door.published.push(to);
        }
    }
    doors.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener(at: &str) -> Listener {
        Listener { at: at.parse().unwrap(), program: None, waiting: 0, room: 128 }
    }

    #[test]
    fn one_door_for_each_port() {
        for (at, reach) in [
            (&["127.0.0.1:22", "[::1]:22"][..], "loopback"),
            (&["127.0.0.1:22", "[::]:22"], "all"),
            (&["[::ffff:0.0.0.0]:22"], "all"),
            (&["198.51.100.10:22"], "198.51.100.10"),
            (&["10.0.0.1:22", "10.0.0.1:22", "[fd00::1]:22"], "10.0.0.1 +1"),
        ] {
            let found = doors(at.iter().map(|at| listener(at)), []);
            let [door] = &found[..] else { panic!("{found:?}") };
            assert_eq!(door.reach().to_string(), reach, "{at:?}");
        }
        let reach = |at: &str| doors([listener(at)], [])[0].reach();
        assert!(matches!(reach("[fe80::1]:22"), Reach::Private(_)));
        assert!(matches!(reach("[2001:db8::1]:22"), Reach::Some(_)));
        let found =
            doors([listener("127.0.0.1:80")], [(80..=80, "a".into()), (90..=99, "b".into())]);
        assert_eq!(found.iter().map(|door| door.port).collect::<Vec<_>>(), [80, 90]);
        assert!(found.iter().all(|door| door.reach() == Reach::All));
        assert_eq!(found[1].published, ["b (to 99)"]);
    }
}
