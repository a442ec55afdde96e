//! What this host says of itself: addresses, gateways, resolvers, listening ports, open SSH
//! sessions. Read from /proc and /etc; the readers are thin, the parsers pure.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;

use crate::policy::PortSet;

/// State column of /proc/net/tcp (include/net/tcp_states.h).
const ESTABLISHED: &str = "01";
const LISTEN: &str = "0A";

/// The TCP ports on which a socket of this network namespace listens, on any address that others
/// can reach (not only loopback).
///
/// # Errors
/// If /proc/self/net/tcp cannot be read. A host without IPv6 has no /proc/net/tcp6; that is none.
pub fn listening_ports() -> io::Result<PortSet> {
    let mut ports = PortSet::default();
    for path in ["/proc/self/net/tcp", "/proc/self/net/tcp6"] {
        let file = match fs::File::open(path) {
            Err(error) if path.ends_with('6') && error.kind() == io::ErrorKind::NotFound => {
                continue;
            }
            file => file?,
        };
        // The kernel lists the listening sockets first (tcp_seq_start): the thousands of
        // established ones behind them are never read.
        for line in BufReader::with_capacity(4096, file).lines().skip(1) {
            match socket(&line?) {
                Some((local, _, LISTEN)) if !local.ip().to_canonical().is_loopback() => {
                    ports.insert(local.port());
                }
                Some((_, _, LISTEN)) | None => {}
                Some(_) => break,
            }
        }
    }
    Ok(ports)
}

/// Everyone who must never be locked out, whatever arrives in their name: this host's own
/// addresses, its gateways and resolvers, and the peers of SSH sessions that are open now.
///
/// What cannot be read is left out: a missing file is a smaller list, not a failure.
pub fn indispensable() -> Vec<IpNet> {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let mut found: Vec<IpAddr> = Vec::new();
    found.extend(own_v4(&read("/proc/self/net/fib_trie")));
    found.extend(own_v6(&read("/proc/self/net/if_inet6")));
    found.extend(gateways_v4(&read("/proc/self/net/route")));
    found.extend(gateways_v6(&read("/proc/self/net/ipv6_route")));
    found.extend(resolvers(&read("/etc/resolv.conf")));
    found.extend(ssh_peers(&read("/proc/self/net/tcp")));
    found.extend(ssh_peers(&read("/proc/self/net/tcp6")));
    found.sort();
    found.dedup();
    found.into_iter().map(|address| IpNet::from(address.to_canonical())).collect()
}

/// The name of an interface, from its index.
pub fn interface_name(index: u32) -> Option<String> {
    let socket =
        rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::DGRAM, None)
            .ok()?;
    rustix::net::netdevice::index_to_name(socket, index).ok()
}

/// One line of /proc/net/tcp: local address, remote address, state.
fn socket(line: &str) -> Option<(SocketAddr, SocketAddr, &str)> {
    let mut words = line.split_ascii_whitespace().skip(1);
    let (local, remote) = (words.next()?, words.next()?);
    Some((socket_address(local)?, socket_address(remote)?, words.next()?))
}

/// `0100007F:0016`: each 32-bit word of the address in the byte order of the host.
fn socket_address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let mut bytes = Vec::with_capacity(16);
    for word in 0..address.len() / 8 {
        let word = u32::from_str_radix(address.get(word * 8..word * 8 + 8)?, 16).ok()?;
        bytes.extend_from_slice(&word.to_ne_bytes());
    }
    let address = match bytes.len() {
        4 => IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?),
        16 => IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?),
        _ => return None,
    };
    Some(SocketAddr::new(address, port))
}

fn ssh_peers(table: &str) -> impl Iterator<Item = IpAddr> {
    table.lines().skip(1).filter_map(socket).filter_map(|(local, remote, state)| {
        (state == ESTABLISHED && local.port() == 22).then(|| remote.ip())
    })
}

/// Local addresses stand in the routing trie as an address line followed by `/32 host LOCAL`.
fn own_v4(trie: &str) -> Vec<IpAddr> {
    let mut found = Vec::new();
    let mut last = None;
    for line in trie.lines() {
        if let Some((_, rest)) = line.split_once("-- ") {
            last = rest.trim().parse::<Ipv4Addr>().ok();
        } else if line.contains("host LOCAL") {
            found.extend(last.map(IpAddr::from));
        }
    }
    found
}

fn own_v6(table: &str) -> impl Iterator<Item = IpAddr> {
    table.lines().filter_map(|line| hex_v6(line.get(..32)?))
}

fn gateways_v4(table: &str) -> impl Iterator<Item = IpAddr> {
    table.lines().skip(1).filter_map(|line| {
        let gateway = u32::from_str_radix(line.split_ascii_whitespace().nth(2)?, 16).ok()?;
        (gateway != 0).then(|| IpAddr::from(gateway.to_ne_bytes()))
    })
}

fn gateways_v6(table: &str) -> impl Iterator<Item = IpAddr> {
    table.lines().filter_map(|line| {
        let gateway = hex_v6(line.split_ascii_whitespace().nth(4)?)?;
        (!gateway.is_unspecified()).then_some(gateway)
    })
}

fn hex_v6(digits: &str) -> Option<IpAddr> {
    Some(Ipv6Addr::from_bits(u128::from_str_radix(digits, 16).ok()?).into())
}

/// The `nameserver` lines of resolv.conf(5); a zone behind `%` is left off.
fn resolvers(file: &str) -> impl Iterator<Item = IpAddr> {
    file.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        (words.next()? == "nameserver").then_some(())?;
        words.next()?.split('%').next()?.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(list: &[&str]) -> Vec<IpAddr> {
        list.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn socket_lines() {
        let line =
            "   0: 0100007F:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0";
        assert_eq!(
            socket(line),
            Some(("127.0.0.1:22".parse().unwrap(), "0.0.0.0:0".parse().unwrap(), LISTEN))
        );
        let line =
            "1: 0000000000000000FFFF00000100007F:1F90 B80D01200000000000000000010000AB:C000 01 x";
        let (local, remote, state) = socket(line).unwrap();
        assert!(local.ip().to_canonical().is_loopback());
        assert_eq!((local.port(), state), (8080, ESTABLISHED));
        assert_eq!(remote.ip(), "2001:db8::ab00:1".parse::<IpAddr>().unwrap());
        for bad in ["", "x", "0: 1:2 3:4 0A", "0: 0100007F:zz 00000000:0000 0A"] {
            assert_eq!(socket(bad), None, "{bad}");
        }
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn the_peers_of_ssh_sessions() {
        let table = "header\n\
            0: 00000000:0016 00000000:0000 0A\n\
            1: 0A00000A:0016 0771CB0A:C000 01\n\
            2: 0A00000A:0050 0871CB0A:C000 01\n";
        assert_eq!(ssh_peers(table).collect::<Vec<_>>(), addresses(&["10.203.113.7"]));
    }

    #[test]
    fn own_addresses() {
        let trie = "Local:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 127.0.0.1\n        /32 host LOCAL\n     |-- 192.0.2.255\n        /32 link BROADCAST\n     |-- 192.0.2.5\n        /32 host LOCAL\n";
        assert_eq!(own_v4(trie), addresses(&["127.0.0.1", "192.0.2.5"]));
        let table = "20010db8000000000000000000000005 02 40 00 80 eth0\nshort\n";
        assert_eq!(own_v6(table).collect::<Vec<_>>(), addresses(&["2001:db8::5"]));
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn gateways() {
        let table = "Iface\tDestination\tGateway\neth0\t00000000\t010200C0\t0003\neth0\t000200C0\t00000000\t0001\n";
        assert_eq!(gateways_v4(table).collect::<Vec<_>>(), addresses(&["192.0.2.1"]));
        let table = "00000000000000000000000000000000 00 00000000000000000000000000000000 00 fe800000000000000000000000000001 00000400 eth0\n\
            fe800000000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 eth0\n";
        assert_eq!(gateways_v6(table).collect::<Vec<_>>(), addresses(&["fe80::1"]));
    }

    #[test]
    fn resolver_lines() {
        let file = "# comment\nnameserver 192.0.2.53\nnameserver fe80::1%eth0\nsearch example\nnameserver junk\n";
        assert_eq!(resolvers(file).collect::<Vec<_>>(), addresses(&["192.0.2.53", "fe80::1"]));
    }

    #[test]
    fn the_running_host_can_be_read() {
        let listener = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
        let hidden = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let ports = listening_ports().unwrap();
        assert!(ports.contains(listener.local_addr().unwrap().port()));
        assert!(!ports.contains(hidden.local_addr().unwrap().port()));
        assert!(
            indispensable().contains(&"127.0.0.1/32".parse().unwrap())
                || own_v4(&fs::read_to_string("/proc/self/net/fib_trie").unwrap()).is_empty()
        );
    }
}
