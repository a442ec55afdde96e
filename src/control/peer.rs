//! Who is at the other end of the socket?

use std::io;
use std::os::unix::net::UnixStream;

/// May this peer give orders? Root and the daemon's own user may. Others may only if a group was
/// given: then the socket's permissions have let nobody else through. The kernel says who it is,
/// not the peer.
pub(super) fn may_ask(stream: &UnixStream, group: bool) -> io::Result<bool> {
    let peer = rustix::net::sockopt::socket_peercred(stream)?.uid;
    Ok(allowed(peer.as_raw(), rustix::process::geteuid().as_raw(), group))
}

fn allowed(peer: u32, own: u32, group: bool) -> bool {
    peer == 0 || peer == own || group
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may() {
        for (peer, own, group, expected) in [
            (0, 990, false, true),
            (990, 990, false, true),
            (1000, 990, false, false),
            (1000, 990, true, true),
            (1000, 0, false, false),
        ] {
            assert_eq!(allowed(peer, own, group), expected, "{peer} {own} {group}");
        }
        let (ours, _theirs) = UnixStream::pair().unwrap();
        assert!(may_ask(&ours, false).unwrap());
    }
}
