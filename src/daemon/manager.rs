//! What the service manager is told (sd_notify(3)).
//!
//! The crate's own `notify` waits for as long as the manager does not read its socket; the thread
//! that follows the listening ports, and the end of the daemon, would wait with it.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use sd_notify::NotifyState;

/// How long the manager may keep us waiting.
const PATIENCE: Duration = Duration::from_millis(250);

/// Tells the manager, if there is one; nothing depends on whether it heard.
pub(super) fn notify(states: &[NotifyState<'_>]) {
    if let Some(socket) = std::env::var_os("NOTIFY_SOCKET") {
        let lines: String = states.iter().map(|state| format!("{state}\n")).collect();
        let _ = send(&socket, &lines);
    }
}

/// Sends to a socket with a path, or with an abstract name behind `@`.
fn send(socket: &OsStr, lines: &str) -> io::Result<()> {
    let address = match socket.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(socket)?,
    };
    let sender = UnixDatagram::unbound()?;
    sender.set_write_timeout(Some(PATIENCE))?;
    sender.send_to_addr(lines.as_bytes(), &address).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manager_that_does_not_read_keeps_nobody_waiting() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let abstract_name = format!("@portcullis-test-{}", std::process::id());
        let named = SocketAddr::from_abstract_name(&abstract_name[1..]).unwrap();
        for (socket, manager) in [
            (path.as_os_str(), UnixDatagram::bind(&path).unwrap()),
            (OsStr::new(&abstract_name), UnixDatagram::bind_addr(&named).unwrap()),
        ] {
            // net.unix.max_dgram_qlen is 10, or 512 under systemd.
            let full = (0..100_000).find_map(|_| send(socket, "WATCHDOG=1\n").err()).unwrap();
            assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
            let mut buffer = [0; 64];
            let length = manager.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..length], b"WATCHDOG=1\n");
            send(socket, "STOPPING=1\n").unwrap();
        }
    }
}
