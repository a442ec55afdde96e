//! Knocks at this host's own doors and hears what answers. Never at anybody else's.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::audit::{Answer, Poke, Protocol, recognise};
use crate::host;

/// Doors that are tried at the same time.
const TOGETHER: usize = 32;
/// What a whole door may take.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long a server may take to greet, where it is known to speak first…
const GREETING: Duration = Duration::from_millis(600);
/// …and where nobody knows.
const HUSH: Duration = Duration::from_millis(250);
/// How long it may take to answer a poke.
const REPLY: Duration = Duration::from_millis(250);

/// An address that is not this host's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0} is not an address of this host, and the audit knocks at its own doors only\n\
     run it on the host that has this address; the ones of this host are listed by: ip address"
)]
pub(super) struct Foreign(IpAddr);

/// Makes sure that these are addresses of this host.
///
/// # Errors
/// The first that is not.
pub(super) fn own_only(addresses: &[IpAddr]) -> Result<(), Foreign> {
    let own = host::own_addresses();
    let is_own = |address: &IpAddr| {
        let address = address.to_canonical();
        address.is_loopback() || own.contains(&address)
    };
    addresses
        .iter()
        .find(|address| !is_own(address))
        .map_or(Ok(()), |&strange| Err(Foreign(strange)))
}

/// Knocks at each door, many at the same time, for at most about a second each; with the protocol
/// that is expected there. The answers come in the order of the doors.
///
/// # Errors
/// If one of the addresses is not this host's; nothing is sent then.
pub(super) fn knock(doors: &[(SocketAddr, Option<Protocol>)]) -> Result<Vec<Answer>, Foreign> {
    own_only(&doors.iter().map(|(at, _)| at.ip()).collect::<Vec<_>>())?;
    let next = AtomicUsize::new(0);
    let answers = Mutex::new(vec![Answer::Shut; doors.len()]);
    thread::scope(|scope| {
        for _ in 0..TOGETHER.min(doors.len()) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some((at, expected)) = doors.get(index) else { return };
                    let answer = hear(*at, *expected);
                    answers.lock().unwrap_or_else(PoisonError::into_inner)[index] = answer;
                }
            });
        }
    });
    Ok(answers.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// Waits for a greeting, then pokes: as the port's own service is asked, and else as others are.
fn hear(at: SocketAddr, expected: Option<Protocol>) -> Answer {
    let deadline = Instant::now() + PATIENCE;
    let Ok(mut stream) = TcpStream::connect_timeout(&at, PATIENCE) else { return Answer::Shut };
    let greets = expected.is_some_and(Protocol::greets);
    let hush = match expected {
        Some(_) if greets => GREETING,
        // It is known to wait for the first word.
        Some(_) => Duration::ZERO,
        None => HUSH,
    };
    if !hush.is_zero()
        && let Some(banner) = recognise(&listen(&mut stream, hush), Poke::Nothing, expected)
    {
        return Answer::Speaks(banner);
    }
    let first = expected.map_or(Poke::Nothing, Poke::of);
    let others = [Poke::Http, Poke::Tls, Poke::Redis, Poke::Postgres, Poke::Rdp];
    let pokes = [first].into_iter().filter(|poke| *poke != Poke::Nothing);
    let mut fresh = Some(stream);
    for poke in pokes.chain(others.into_iter().filter(|poke| *poke != first)) {
        if Instant::now() + REPLY > deadline {
            break;
        }
        // Each is asked on a connection of its own: a wrong word mostly ends it.
        let stream = fresh.take().map_or_else(|| TcpStream::connect_timeout(&at, REPLY), Ok);
        let Ok(mut stream) = stream else { break };
        if stream.write_all(poke.bytes()).is_err() {
            continue;
        }
        if let Some(banner) = recognise(&listen(&mut stream, REPLY), poke, expected) {
            return Answer::Speaks(banner);
        }
    }
    Answer::Unknown
}

/// What is said within this time, at most 4 KiB; a first piece is enough, unless it is half a line.
fn listen(stream: &mut TcpStream, patience: Duration) -> Vec<u8> {
    let deadline = Instant::now() + patience;
    let mut heard = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || stream.set_read_timeout(Some(left)).is_err() {
            return heard;
        }
        match stream.read(&mut piece) {
            Ok(0) => return heard,
            Ok(length) => {
                heard.extend(&piece[..length]);
                // Text that is not at the end of a line goes on.
                let text = heard.first().is_some_and(|byte| byte.is_ascii_graphic());
                if heard.len() >= piece.len() || !text || heard.len() == 1 || heard.ends_with(b"\n")
                {
                    return heard;
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // Too slow, or it hung up.
            Err(_) => return heard,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// A server on loopback that says `greeting`, reads, and says `answer`; for five callers.
    fn server(greeting: &'static [u8], answer: &'static [u8]) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming().take(5) {
                let mut stream = stream.unwrap();
                let _ = stream.write_all(greeting);
                let _ = stream.read(&mut [0; 256]);
                let _ = stream.write_all(answer);
            }
        });
        at
    }

    #[test]
    fn each_door_is_heard() {
        let shut = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let doors = [
            (server(b"SSH-2.0-x\r\n", b""), None),
            (server(b"", b"HTTP/1.0 200 OK\r\n\r\n"), Some(Protocol::Http)),
            (server(b"", b"HTTP/1.0 200 OK\r\n\r\n"), None),
            (server(b"", b"\x15\x03\x01\0\x02"), Some(Protocol::Tls)),
            (server(b"", b"what?"), Some(Protocol::Ssh)),
            (shut, None),
        ];
        let heard = knock(&doors).unwrap();
        let told: Vec<Option<Protocol>> = heard
            .iter()
            .map(|answer| match answer {
                Answer::Speaks(banner) => Some(banner.protocol),
                _ => None,
            })
            .collect();
        use Protocol::*;
        assert_eq!(told, [Some(Ssh), Some(Http), Some(Http), Some(Tls), None, None]);
        assert_eq!((&heard[4], &heard[5]), (&Answer::Unknown, &Answer::Shut));
    }

    #[test]
    fn only_our_own_doors() {
        let strange: SocketAddr = "192.0.2.1:22".parse().unwrap();
        let own: SocketAddr = "127.0.0.1:1".parse().unwrap();
        assert_eq!(knock(&[(own, None), (strange, None)]), Err(Foreign(strange.ip())));
        assert_eq!(
            own_only(&["::ffff:127.0.0.1".parse().unwrap(), "::1".parse().unwrap()]),
            Ok(())
        );
    }
}
