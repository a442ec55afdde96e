//! TCP sockets, asked of the kernel by sock_diag(7).
//!
//! /proc/net/tcp has the same, but reading even its first line makes the kernel walk the whole
//! table of established connections: 15 ms where a question for listening sockets takes 15 µs.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use rustix::net::{AddressFamily, netlink};

use super::netlink::{attribute, dump};
use super::tcp_state::{TcpState, TcpStates};

/// `include/uapi/linux/sock_diag.h`
const SOCK_DIAG_BY_FAMILY: u16 = 20;
/// struct inet_diag_req_v2 (`include/uapi/linux/inet_diag.h`)
const REQUEST: usize = 56;
/// struct inet_diag_msg
const ANSWER: usize = 72;
/// No part of an answer takes nearly so long.
const PATIENCE: Duration = Duration::from_secs(1);
/// INET_DIAG_INFO: a struct tcp_info comes with each socket.
const INFO: u16 = 2;
/// INET_DIAG_SKV6ONLY: sent with every listening IPv6 socket.
const V6ONLY: u16 = 11;

/// One TCP socket of this network namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpSocket {
    /// Its state.
    pub state: TcpState,
    /// Its own address and port.
    pub local: SocketAddr,
    /// The other end; unspecified while it listens.
    pub peer: SocketAddr,
    /// What the kernel waits for.
    pub timer: Option<Timer>,
    /// How often the last packet was repeated, because nobody confirmed it.
    pub repeated: u8,
    /// How long nothing has come or gone; unknown of sockets that listen or are half-open or over.
    pub quiet: Option<Duration>,
    /// Bytes that the program has not read yet; of a listening socket, connections that it has not
    /// accepted yet.
    pub unread: u32,
    /// Bytes that the peer has not confirmed yet; of a listening socket, how many connections may
    /// wait.
    pub unsent: u32,
    /// Its number in `/proc/*/fd`; 0 if no program has it open.
    pub inode: u32,
    /// A listening IPv6 socket that takes no IPv4 connections.
    pub v6_only: bool,
}

#[cfg(test)]
impl TcpSocket {
    /// One that was made up, on which nothing goes on.
    pub(crate) fn idle(state: TcpState, local: &str, peer: &str) -> Self {
        Self {
            state,
            local: local.parse().expect("an address and port"),
            peer: peer.parse().expect("an address and port"),
            timer: None,
            repeated: 0,
            quiet: None,
            unread: 0,
            unsent: 0,
            inode: 0,
            v6_only: false,
        }
    }
}

/// A timer of a socket, and when it goes off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timer {
    /// What happens then.
    pub kind: TimerKind,
    /// In how long.
    pub left: Duration,
}

/// What a socket's timer is for (`idiag_timer`, sock_diag(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimerKind {
    /// The last packet is sent once more.
    Repeat,
    /// The peer is asked for a sign of life.
    KeepAlive,
    /// The socket is forgotten.
    TimeWait,
    /// The peer is asked whether it has room again.
    Probe,
}

/// The sockets of both families in `states`; with `port`, only those with that local port. Without
/// `detail` it is not known how long they are quiet, and the kernel is quicker.
///
/// # Errors
/// If the kernel has no sock_diag, or what it answers cannot be read.
pub(super) fn sockets(
    states: TcpStates,
    port: Option<u16>,
    detail: bool,
) -> io::Result<Vec<TcpSocket>> {
    let mut found = Vec::new();
    for family in [AddressFamily::INET, AddressFamily::INET6] {
        let request = request(family.as_raw() as u8, states, port, detail);
        let question = (SOCK_DIAG_BY_FAMILY, &request[..]);
        dump(netlink::SOCK_DIAG, question, PATIENCE, |message| {
            found.extend(socket(message.body));
            Ok(())
        })?;
    }
    Ok(found)
}

fn request(family: u8, states: TcpStates, port: Option<u16>, detail: bool) -> [u8; REQUEST] {
    /// IPPROTO_TCP
    const TCP: u8 = 6;
    let mut bytes = [0; REQUEST];
    bytes[0] = family;
    bytes[1] = TCP;
    bytes[2] = u8::from(detail) << (INFO - 1);
    bytes[4..8].copy_from_slice(&states.bits().to_ne_bytes());
    bytes[8..10].copy_from_slice(&port.unwrap_or(0).to_be_bytes());
    bytes
}

/// A struct inet_diag_msg and its attributes: family, state, timer, retransmissions; ports and
/// addresses in network byte order, 16 bytes each, of which IPv4 uses four; interface and cookie;
/// then five numbers: the timer's milliseconds, both queues, user, inode.
fn socket(body: &[u8]) -> Option<TcpSocket> {
    let message: &[u8; ANSWER] = body.first_chunk()?;
    let attributes = &body[ANSWER..];
    let number = |at: usize| u32::from_ne_bytes([0, 1, 2, 3].map(|i| message[at + i]));
    let v6 = i32::from(message[0]) == i32::from(AddressFamily::INET6.as_raw());
    let end = |port: usize, address: usize| {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&message[address..address + 16]);
        let address: IpAddr = if v6 {
            Ipv6Addr::from(bytes).into()
        } else {
            Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3]).into()
        };
        SocketAddr::new(address, u16::from_be_bytes([message[port], message[port + 1]]))
    };
    let kind = match message[2] {
        1 => Some(TimerKind::Repeat),
        2 => Some(TimerKind::KeepAlive),
        3 => Some(TimerKind::TimeWait),
        4 => Some(TimerKind::Probe),
        _ => None,
    };
    let state = TcpState::from_kernel(message[1])?;
    Some(TcpSocket {
        state,
        local: end(4, 8),
        peer: end(6, 24),
        timer: kind.map(|kind| Timer { kind, left: Duration::from_millis(number(52).into()) }),
        repeated: message[3],
        quiet: attribute(attributes, INFO).filter(|_| state != TcpState::Listen).and_then(quiet),
        unread: number(56),
        unsent: number(60),
        inode: number(68),
        v6_only: attribute(attributes, V6ONLY).is_some_and(|only| only.first() == Some(&1)),
    })
}

/// From a struct tcp_info (`include/uapi/linux/tcp.h`): tcpi_last_data_sent, tcpi_last_data_recv
/// and tcpi_last_ack_recv say how many milliseconds ago that was; the latest counts.
fn quiet(info: &[u8]) -> Option<Duration> {
    let ago = |at: usize| info.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes);
    let latest = ago(44)?.min(ago(52)?).min(ago(56)?);
    Some(Duration::from_millis(latest.into()))
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use proptest::prelude::*;

    use super::*;

    fn ours(states: TcpStates, port: u16) -> Vec<TcpSocket> {
        sockets(states, Some(port), true).unwrap()
    }

    #[test]
    fn the_kernel_names_our_sockets() {
        for at in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(at) else { continue };
            let local = listener.local_addr().unwrap();
            let client = TcpStream::connect(local).unwrap();
            let peer = client.local_addr().unwrap();
            let listening = sockets(TcpState::Listen.into(), None, false).unwrap();
            let own = listening.iter().find(|socket| socket.local == local);
            assert!(own.is_some_and(|own| own.inode > 0 && own.unread == 1), "{listening:?}");
            let established = ours(TcpState::Established.into(), local.port());
            assert_eq!(established.len(), 1, "{established:?}");
            assert_eq!((established[0].local, established[0].peer), (local, peer));
            assert!(established[0].quiet.is_some_and(|quiet| quiet < Duration::from_secs(60)));
        }
    }

    #[test]
    fn a_connection_that_ends_is_in_other_states() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        drop(client);
        let state = |sockets: Vec<TcpSocket>| sockets.first().map(|socket| socket.state);
        let all = TcpStates::ALL.without(TcpState::Listen);
        assert_eq!(state(ours(all, port)), Some(TcpState::CloseWait));
        assert_eq!(state(ours(TcpState::Established.into(), port)), None, "it was filtered");
        drop(server);
        // Who closed first remembers: the client's end, whose local port is another.
        let over = sockets(TcpState::TimeWait.into(), None, false).unwrap();
        let over = over.iter().find(|socket| socket.peer.port() == port).unwrap();
        assert_eq!(over.timer.map(|timer| timer.kind), Some(TimerKind::TimeWait));
        assert!(over.timer.is_some_and(|timer| timer.left <= Duration::from_secs(60)));
    }

    #[test]
    fn both_families_or_one() {
        let socket = socket2::Socket::new(socket2::Domain::IPV6, socket2::Type::STREAM, None);
        let Ok(socket) = socket else { return };
        for only in [true, false] {
            let address: SocketAddr = "[::]:0".parse().unwrap();
            let socket = if only {
                &socket
            } else {
                &socket2::Socket::new(socket2::Domain::IPV6, socket2::Type::STREAM, None).unwrap()
            };
            socket.set_only_v6(only).unwrap();
            socket.bind(&address.into()).unwrap();
            socket.listen(1).unwrap();
            let port = socket.local_addr().unwrap().as_socket().unwrap().port();
            let seen = ours(TcpState::Listen.into(), port);
            assert_eq!(seen.iter().map(|s| s.v6_only).collect::<Vec<_>>(), [only]);
        }
    }

    proptest! {
        #[test]
        fn garbage_is_an_error_and_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = socket(&bytes);
            let _ = quiet(&bytes);
        }
    }
}
