//! Those whom the daemon talks to: clients of its control socket, and the syslog daemon.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use super::Fault;
use crate::campaign::chance::Chance;
use crate::campaign::ground::{Ground, Outcome};

/// Clients of the control socket at a time; it has seats for fewer.
const CLIENTS: usize = 24;
/// After such a time at the latest, log lines come again: it tries after 1 s, then after twice as
/// long.
const HEARD: Duration = Duration::from_secs(10);

pub(super) const FAULTS: &[Fault] = &[
    Fault { force: garbage, ..Fault::new("control socket: garbage", "none") },
    Fault {
        force: slow,
        mended: Duration::from_secs(15),
        ..Fault::new("control socket: slow clients", "none")
    },
    Fault { force: syslog_gone, mended: HEARD, ..Fault::new("syslog socket gone", "none") },
    Fault { force: syslog_blocks, mended: HEARD, ..Fault::new("syslog blocks", "none") },
];

/// Bytes that make no sense, as fast as they are taken.
fn garbage(ground: &mut Ground<'_>) -> Outcome {
    let socket = ground.home().join("control.sock");
    let span = ground.chance.millis(200..1500);
    let end = Instant::now() + span;
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS / 4 {
            let (socket, mut chance) = (&socket, Chance::new(ground.chance.number()));
            scope.spawn(move || {
                while Instant::now() < end {
                    let Ok(mut client) = UnixStream::connect(socket) else { continue };
                    let _ = client.set_read_timeout(Some(Duration::from_millis(50)));
                    let _ = client.set_write_timeout(Some(Duration::from_millis(50)));
                    let length = 1 + chance.below(100_000) as usize;
                    let mut bytes: Vec<u8> = (0..length).map(|_| chance.number() as u8).collect();
                    // Some of it nearly makes sense.
                    if chance.below(2) == 0 {
                        let start = br#"{"ask":"bans_add","net":"203.0.113.0/33"}"#;
                        bytes.splice(0..0, start.iter().copied());
                    }
                    let _ = client.write_all(&bytes);
                    let _ = client.read(&mut [0; 64]);
                }
            });
        }
    });
    Ok(())
}

/// One byte now and then, or an answer that nobody reads.
fn slow(ground: &mut Ground<'_>) -> Outcome {
    let socket = ground.home().join("control.sock");
    let mut clients: Vec<UnixStream> =
        (0..CLIENTS).filter_map(|_| UnixStream::connect(&socket).ok()).collect();
    for client in &mut clients {
        let _ = client.set_write_timeout(Some(Duration::from_millis(50)));
    }
    let half = clients.len() / 2;
    for client in &mut clients[..half] {
        for _ in 0..50 {
            let _ = client.write_all(b"{\"ask\":\"bans\"}\n");
        }
    }
    let span = ground.chance.millis(300..3000);
    let end = Instant::now() + span;
    while Instant::now() < end {
        for client in &mut clients[half..] {
            let _ = client.write_all(b" ");
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

fn syslog_gone(ground: &mut Ground<'_>) -> Outcome {
    ground.syslog.go();
    ground.moment(200..2000);
    ground.syslog.come();
    heard_again(ground)
}

fn syslog_blocks(ground: &mut Ground<'_>) -> Outcome {
    ground.syslog.sleep(true);
    ground.moment(500..2500);
    ground.syslog.sleep(false);
    heard_again(ground)
}

/// Closed ports are tried all the while: there is something to tell.
fn heard_again(ground: &Ground<'_>) -> Outcome {
    let (before, since) = (ground.syslog.lines(), Instant::now());
    while ground.syslog.lines() <= before + 20 {
        if since.elapsed() > HEARD {
            return Err(format!("no line came within {HEARD:?}"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
