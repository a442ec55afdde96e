//! What this host says of itself: addresses, gateways, resolvers, listening ports, open SSH
//! sessions. Sockets are asked of the kernel, the rest is read from /proc and /etc; the readers
//! are thin, the parsers pure.

mod diag;
mod modules;
pub(crate) mod netlink;
mod programs;
mod queues;
mod ssh;
mod tcp_state;

use std::collections::BTreeSet;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::{fs, io};

use ipnet::IpNet;

pub use self::diag::{TcpSocket, Timer, TimerKind};
pub use self::modules::{Loadable, loadable};
pub use self::programs::{Program, programs};
pub use self::queues::{Holder, free_queues, has_queues, queue_holders};
pub use self::ssh::{Sshd, own_session, sshd};
pub use self::tcp_state::{NotAState, TcpState, TcpStates};
use crate::policy::PortSet;

/// The TCP ports on which a socket of this network namespace listens, on any address that others
/// can reach (not only loopback).
///
/// # Errors
/// If the kernel does not tell.
pub fn listening_ports() -> io::Result<PortSet> {
    let listening = diag::sockets(TcpState::Listen.into(), None, false)?;
    let reachable = |local: &SocketAddr| !local.ip().to_canonical().is_loopback();
    Ok(listening.iter().map(|socket| socket.local).filter(reachable).map(|at| at.port()).collect())
}

/// The TCP sockets of this network namespace that are in one of these states, as an ordinary user
/// may ask, too. Half-open sockets are among them unless the kernel answers with SYN cookies: it
/// keeps nothing then.
///
/// # Errors
/// If the kernel does not tell.
pub fn tcp_sockets(states: TcpStates) -> io::Result<Vec<TcpSocket>> {
    diag::sockets(states, None, true)
}

/// The sessions that are open now at these ports of this host: its own end of each, and the
/// peer's. Whoever guesses passwords has such a session too, for as long as sshd lets him try.
pub fn ssh_sessions(ports: &BTreeSet<u16>) -> Vec<(SocketAddr, SocketAddr)> {
    // Each question makes the kernel walk all its connections, so many ports are asked at once.
    let few = ports.len() <= 4;
    let asked: Vec<Option<u16>> =
        if few { ports.iter().copied().map(Some).collect() } else { vec![None] };
    let open = asked.into_iter().flat_map(|port| {
        diag::sockets(TcpState::Established.into(), port, false).unwrap_or_default()
    });
    open.filter(|socket| ports.contains(&socket.local.port())).map(ends).collect()
}

/// The connections that are open now: this host's own end of each, and the peer's.
///
/// # Errors
/// If the kernel does not tell.
pub fn connections() -> io::Result<Vec<(SocketAddr, SocketAddr)>> {
    let open = diag::sockets(TcpState::Established.into(), None, false)?;
    Ok(open.into_iter().map(ends).collect())
}

fn ends(socket: TcpSocket) -> (SocketAddr, SocketAddr) {
    let plain = |at: SocketAddr| SocketAddr::new(at.ip().to_canonical(), at.port());
    (plain(socket.local), plain(socket.peer))
}

/// Everyone who must never be locked out, whatever arrives in their name: this host's own
/// addresses, its gateways and resolvers, and these peers, who have SSH sessions.
///
/// What cannot be read is left out: a missing file is a smaller list, not a failure.
pub fn indispensable(peers: &[IpAddr]) -> Vec<IpNet> {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let mut found: Vec<IpAddr> = Vec::new();
    found.extend(own_v4(&read("/proc/self/net/fib_trie")));
    found.extend(own_v6(&read("/proc/self/net/if_inet6")));
    found.extend(gateways_v4(&read("/proc/self/net/route")));
    found.extend(gateways_v6(&read("/proc/self/net/ipv6_route")));
    found.extend(resolvers(&read("/etc/resolv.conf")));
    found.extend(peers);
    found.sort();
    found.dedup();
    found.into_iter().map(|address| IpNet::from(address.to_canonical())).collect()
}

/// How many connections the listening sockets of this network namespace have ever completed, TCP
/// over either protocol: the kernel's `PassiveOpens` (RFC 4022). It is counted when a handshake is
/// done, SYN cookies included (net/ipv4/tcp_minisocks.c: `tcp_create_openreq_child`), and so are
/// connections over loopback. What is forwarded or ends in another namespace is not.
///
/// # Errors
/// If the kernel does not tell.
pub fn completed_connections() -> io::Result<u64> {
    let mut table = [0; 8192];
    let length = fs::File::open("/proc/self/net/snmp")?.read(&mut table)?;
    passive_opens(&String::from_utf8_lossy(&table[..length]))
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "snmp has no PassiveOpens"))
}

/// Two lines per protocol: names, and below them values.
fn passive_opens(table: &str) -> Option<u64> {
    let mut lines = table.lines().filter_map(|line| line.strip_prefix("Tcp: "));
    let (names, values) = (lines.next()?, lines.next()?);
    let place = names.split(' ').position(|name| name == "PassiveOpens")?;
    values.split(' ').nth(place)?.parse().ok()
}

/// This host's own addresses, those of its loopback interface among them. What cannot be read is
/// left out.
pub fn own_addresses() -> Vec<IpAddr> {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let mut found = own_v4(&read("/proc/self/net/fib_trie"));
    found.extend(own_v6(&read("/proc/self/net/if_inet6")));
    found.sort();
    found.dedup();
    found
}

/// The name of an interface, from its index.
pub fn interface_name(index: u32) -> Option<String> {
    let socket =
        rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::DGRAM, None)
            .ok()?;
    rustix::net::netdevice::index_to_name(socket, index).ok()
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

/// The networks at this host's inner interfaces, with those: everywhere but where a default route
/// leads. Without a default route nobody knows what is inner, and there are none.
pub fn inner_networks() -> Vec<(IpNet, String)> {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let mut found = inner(routes_v4(&read("/proc/self/net/route")));
    found.extend(inner(routes_v6(&read("/proc/self/net/ipv6_route"))));
    found
}

/// A route: where to, through a gateway or not, by which interface.
type Route = (IpNet, bool, String);

fn inner(routes: Vec<Route>) -> Vec<(IpNet, String)> {
    let outer = |interface: &str| {
        routes.iter().any(|(net, _, outer)| net.prefix_len() == 0 && outer == interface)
    };
    if !routes.iter().any(|(net, _, _)| net.prefix_len() == 0) {
        return Vec::new();
    }
    let local = |net: &IpNet| match net {
        IpNet::V4(net) => net.network().is_link_local() || net.network().is_multicast(),
        IpNet::V6(net) => (net.network().segments()[0] & 0xff00) >= 0xfe00,
    };
    let networks = routes.iter().filter(|(net, via, interface)| {
        let single = net.prefix_len() == net.max_prefix_len();
        !via && !single
            && net.prefix_len() > 0
            && interface != "lo"
            && !local(net)
            && !outer(interface)
    });
    networks.map(|(net, _, interface)| (*net, interface.clone())).collect()
}

fn routes_v4(table: &str) -> Vec<Route> {
    let row = |line: &str| {
        let columns: Vec<&str> = line.split_ascii_whitespace().collect();
        let number =
            |at: usize| u32::from_str_radix(columns.get(at)?, 16).ok().map(u32::to_ne_bytes);
        let (to, via, mask) = (number(1)?, number(2)?, number(7)?);
        let net = IpNet::with_netmask(IpAddr::from(to), IpAddr::from(mask)).ok()?;
        Some((net, via != [0; 4], (*columns.first()?).to_owned()))
    };
    table.lines().skip(1).filter_map(row).collect()
}

fn routes_v6(table: &str) -> Vec<Route> {
    let row = |line: &str| {
        let columns: Vec<&str> = line.split_ascii_whitespace().collect();
        let bits = u8::from_str_radix(columns.get(1)?, 16).ok()?;
        let net = IpNet::new(hex_v6(columns.first()?)?, bits).ok()?;
        let via = hex_v6(columns.get(4)?)?;
        let interface = (*columns.last()?).to_owned();
        // The kernel keeps an unreachable default route at lo.
        (interface != "lo").then(|| (net, !via.is_unspecified(), interface))
    };
    table.lines().filter_map(row).collect()
}

fn hex_v6(digits: &str) -> Option<IpAddr> {
    Some(Ipv6Addr::from_bits(u128::from_str_radix(digits, 16).ok()?).into())
}

/// The DNS servers that /etc/resolv.conf names. What cannot be read is left out.
pub fn name_servers() -> Vec<IpAddr> {
    resolvers(&fs::read_to_string("/etc/resolv.conf").unwrap_or_default()).collect()
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
    #[cfg(target_endian = "little")]
    fn networks_behind_this_host() {
        let table = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n\
            eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\n\
            eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\n\
            docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\n\
            lan\t0000FEA9\t00000000\t0001\t0\t0\t0\t0000FFFF\n\
            lan\t0000010A\t0200000A\t0003\t0\t0\t0\t0000FFFF\n\
            wg0\t0700000A\t00000000\t0005\t0\t0\t0\tFFFFFFFF\n";
        let net = |text: &str, at: &str| (text.parse::<IpNet>().unwrap(), at.to_owned());
        assert_eq!(inner(routes_v4(table)), [net("172.17.0.0/16", "docker0")]);
        let without = table.lines().filter(|line| !line.contains("010200C0"));
        let without: Vec<&str> = without.collect();
        assert_eq!(inner(routes_v4(&without.join("\n"))), []);
        let none = "00000000000000000000000000000000";
        let table = format!(
            "{none} 00 {none} 00 fe800000000000000000000000000001 00000400 0 0 00000003 eth0\n\
             {none} 00 {none} 00 {none} ffffffff 0 0 00200200 lo\n\
             20010db8002000000000000000000000 40 {none} 00 {none} 00000100 0 0 00000001 lan\n\
             20010db8002000000000000000000001 80 {none} 00 {none} 00000100 0 0 00000001 lan\n\
             fe800000000000000000000000000000 40 {none} 00 {none} 00000100 0 0 00000001 lan\n\
             20010db8000500000000000000000000 40 {none} 00 {none} 00000100 0 0 00000001 eth0\n"
        );
        assert_eq!(inner(routes_v6(&table)), [net("2001:db8:20::/64", "lan")]);
    }

    #[test]
    fn resolver_lines() {
        let file = "# comment\nnameserver 192.0.2.53\nnameserver fe80::1%eth0\nsearch example\nnameserver junk\n";
        assert_eq!(resolvers(file).collect::<Vec<_>>(), addresses(&["192.0.2.53", "fe80::1"]));
    }

    #[test]
    fn completions() {
        let table =
            "Ip: Forwarding\nIp: 1\nTcp: RtoMin MaxConn PassiveOpens InSegs\nTcp: 200 -1 4242 9\n";
        assert_eq!(passive_opens(table), Some(4242));
        for broken in ["", "Tcp: PassiveOpens\n", "Tcp: PassiveOpens\nTcp: many\n"] {
            assert_eq!(passive_opens(broken), None, "{broken}");
        }
        let before = completed_connections().unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let _client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert!(completed_connections().unwrap() > before);
    }

    #[test]
    fn the_running_host_can_be_read() {
        let listener = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
        let hidden = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let ports = listening_ports().unwrap();
        assert!(ports.contains(listener.local_addr().unwrap().port()));
        assert!(!ports.contains(hidden.local_addr().unwrap().port()));
        let found = indispensable(&["::ffff:203.0.113.9".parse().unwrap()]);
        assert!(found.contains(&"203.0.113.9/32".parse().unwrap()), "{found:?}");
        assert!(
            found.contains(&"127.0.0.1/32".parse().unwrap())
                || own_v4(&fs::read_to_string("/proc/self/net/fib_trie").unwrap()).is_empty()
        );
    }
}
