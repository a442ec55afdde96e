//! A DNS server of the lab, and the files that send a host's programs to it.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;

use portcullis::lab::Host;

use super::kernel::text;

/// The port of DNS.
const PORT: u16 = 53;
/// The kinds of records that are served (RFC 1035, RFC 3596).
const A: u16 = 1;
const AAAA: u16 = 28;

/// What the server says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Zone {
    /// Names that exist, with their addresses of both families.
    pub(crate) names: BTreeMap<&'static str, Vec<IpAddr>>,
    /// It says that it cannot answer (SERVFAIL).
    pub(crate) broken: bool,
    /// It says nothing at all.
    pub(crate) silent: bool,
}

/// A server on a host's loopback address. It lasts as long as the test.
pub(crate) struct Dns(Arc<Mutex<Zone>>);

impl Dns {
    /// Starts it, and has the programs of this test ask it.
    pub(crate) fn start(host: &Host) -> Self {
        let bind = || UdpSocket::bind((Ipv4Addr::LOCALHOST, PORT));
        let socket = host.run(bind).expect("a host").expect("port 53 is free");
        let zone: Arc<Mutex<Zone>> = Arc::default();
        let serving = Arc::clone(&zone);
        thread::spawn(move || serve(&socket, &serving));
        put("/etc/resolv.conf", "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n");
        put("/etc/nsswitch.conf", "hosts: files dns\n");
        Self(zone)
    }

    /// Changes what it says from now on.
    pub(crate) fn says(&self, change: impl FnOnce(&mut Zone)) {
        change(&mut self.0.lock().expect("no panics"));
    }

    /// From now on `name` has these addresses.
    pub(crate) fn set(&self, name: &'static str, addresses: &[&str]) {
        let addresses = addresses.iter().map(|text| super::address(text)).collect();
        self.says(|zone| drop(zone.names.insert(name, addresses)));
    }
}

/// Puts a file in place of one of the machine's, for this test only.
pub(crate) fn put(path: &str, contents: &str) {
    if let Ok(link) = fs::read_link(path) {
        // It leads into /run, mostly, which belongs to the test and is empty.
        let target = Path::new(path).parent().expect("a folder").join(link);
        if !target.exists() {
            fs::create_dir_all(target.parent().expect("a folder")).expect("a folder");
            fs::write(target, contents).expect("a file");
            return;
        }
    }
    if !Path::new(path).exists() {
        return;
    }
    let own = PathBuf::from("/run").join(path.replace('/', "_"));
    fs::write(&own, contents).expect("a file");
    let mounted = Command::new("mount").arg("--bind").args([&own, Path::new(path)]).output();
    let mounted = mounted.expect("mount runs");
    assert!(mounted.status.success(), "{path}: {}", text(&mounted));
}

fn serve(socket: &UdpSocket, zone: &Mutex<Zone>) {
    let mut question = [0; 512];
    while let Ok((length, asker)) = socket.recv_from(&mut question) {
        let zone = zone.lock().expect("no panics").clone();
        if let Some(answer) = answer(&question[..length], &zone) {
            let _ = socket.send_to(&answer, asker);
        }
    }
}

/// The answer to a message with one question.
fn answer(message: &[u8], zone: &Zone) -> Option<Vec<u8>> {
    let mut name = String::new();
    let mut at = 12;
    while let Some(length) = message.get(at).map(|length| usize::from(*length)).filter(|l| *l > 0) {
        let label = message.get(at + 1..at + 1 + length)?;
        name += &format!(
            "{}{}",
            if name.is_empty() { "" } else { "." },
            String::from_utf8_lossy(label)
        );
        at += 1 + length;
    }
    let kind = u16::from_be_bytes([*message.get(at + 1)?, *message.get(at + 2)?]);
    let known = zone.names.get(name.to_lowercase().as_str());
    let code = match known {
        _ if zone.silent => return None,
        _ if zone.broken => 2,
        None => 3,
        Some(_) => 0,
    };
    let fits = |address: &&IpAddr| kind == if address.is_ipv4() { A } else { AAAA };
    let addresses: Vec<&IpAddr> =
        known.into_iter().flatten().filter(|_| code == 0).filter(fits).collect();
    let mut answer = message[..2].to_vec();
    // A response, recursion desired and available; one question, so many answers.
    answer.extend([0x81, 0x80 | code, 0, 1, 0, addresses.len() as u8, 0, 0, 0, 0]);
    answer.extend(&message[12..at + 5]);
    for address in addresses {
        // The name of the question; class IN; a lifetime of nothing.
        answer.extend([0xc0, 12]);
        answer.extend(kind.to_be_bytes());
        answer.extend([0, 1, 0, 0, 0, 0]);
        let bytes = match address {
            IpAddr::V4(v4) => v4.octets().to_vec(),
            IpAddr::V6(v6) => v6.octets().to_vec(),
        };
        answer.extend((bytes.len() as u16).to_be_bytes());
        answer.extend(bytes);
    }
    Some(answer)
}
