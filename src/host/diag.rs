//! TCP sockets, asked of the kernel by sock_diag(7).
//!
//! /proc/net/tcp has the same, but reading even its first line makes the kernel walk the whole
//! table of established connections: 15 ms where a question for listening sockets takes 15 µs.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, sendto,
    socket_with, sockopt,
};

/// `include/uapi/linux/sock_diag.h`
const SOCK_DIAG_BY_FAMILY: u16 = 20;
/// `include/uapi/linux/netlink.h`
const NLM_F_REQUEST_DUMP: u16 = 0x301;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const HEADER: usize = 16;
/// struct inet_diag_req_v2 (`include/uapi/linux/inet_diag.h`)
const REQUEST: usize = 56;

/// TCP states as bits (`include/net/tcp_states.h`).
#[derive(Clone, Copy, Debug)]
pub(super) enum State {
    Established = 1 << 1,
    Listen = 1 << 10,
}

/// The sockets of both families in `state`, local and remote address each; with `port`, only
/// those with that local port.
///
/// # Errors
/// If the kernel has no sock_diag, or what it answers cannot be read.
pub(super) fn sockets(
    state: State,
    port: Option<u16>,
) -> io::Result<Vec<(SocketAddr, SocketAddr)>> {
    let mut found = Vec::new();
    for family in [AddressFamily::INET, AddressFamily::INET6] {
        let (flags, protocol) = (SocketFlags::CLOEXEC, Some(netlink::SOCK_DIAG));
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, protocol)?;
        sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(Duration::from_secs(1)))?;
        let request = request(family.as_raw() as u8, state, port);
        sendto(&socket, &request, SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
        let mut buffer = vec![0; 1 << 16];
        loop {
            let length = match recv(&socket, &mut buffer[..], RecvFlags::empty()) {
                Ok((length, _)) => length,
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            };
            if read(&buffer[..length], &mut found)? {
                break;
            }
        }
    }
    Ok(found)
}

fn request(family: u8, state: State, port: Option<u16>) -> [u8; HEADER + REQUEST] {
    /// IPPROTO_TCP
    const TCP: u8 = 6;
    let mut bytes = [0; HEADER + REQUEST];
    bytes[0..4].copy_from_slice(&((HEADER + REQUEST) as u32).to_ne_bytes());
    bytes[4..6].copy_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    bytes[6..8].copy_from_slice(&NLM_F_REQUEST_DUMP.to_ne_bytes());
    bytes[HEADER] = family;
    bytes[HEADER + 1] = TCP;
    bytes[HEADER + 4..HEADER + 8].copy_from_slice(&(state as u32).to_ne_bytes());
    bytes[HEADER + 8..HEADER + 10].copy_from_slice(&port.unwrap_or(0).to_be_bytes());
    bytes
}

/// Reads one datagram of answers. True: it was the last.
fn read(mut bytes: &[u8], found: &mut Vec<(SocketAddr, SocketAddr)>) -> io::Result<bool> {
    while let Some((header, _)) = bytes.split_at_checked(HEADER) {
        let length = u32::from_ne_bytes([header[0], header[1], header[2], header[3]]) as usize;
        let Some(message) = bytes.get(HEADER..length) else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "sock_diag: a cut message"));
        };
        match u16::from_ne_bytes([header[4], header[5]]) {
            NLMSG_DONE => return Ok(true),
            NLMSG_ERROR => {
                let code = message.first_chunk().map_or(0, |code| i32::from_ne_bytes(*code));
                return Err(io::Error::from_raw_os_error(-code));
            }
            _ => found.extend(message.first_chunk().map(addresses)),
        }
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(false)
}

/// The addresses of a struct inet_diag_msg: family, state, timer, retransmissions, then ports and
/// addresses in network byte order, 16 bytes each, of which IPv4 uses four.
fn addresses(message: &[u8; 40]) -> (SocketAddr, SocketAddr) {
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
    (end(4, 8), end(6, 24))
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_kernel_names_our_sockets() {
        for at in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(at) else { continue };
            let local = listener.local_addr().unwrap();
            let client = TcpStream::connect(local).unwrap();
            let pair = (local, client.local_addr().unwrap());
            let listening = sockets(State::Listen, None).unwrap();
            assert!(listening.iter().any(|(address, _)| *address == local), "{listening:?}");
            let established = sockets(State::Established, Some(local.port())).unwrap();
            assert_eq!(established, [pair]);
        }
    }

    proptest! {
        #[test]
        fn garbage_is_an_error_and_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes, &mut Vec::new());
        }
    }
}
