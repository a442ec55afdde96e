//! What sshd says of itself, and who is behind a verb that somebody typed over SSH.

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where OpenSSH has its configuration.
const CONFIG: &str = "/etc/ssh/sshd_config";
/// Include files may include others; sshd stops there, too (servconf.c: SERVCONF_MAX_DEPTH).
const DEPTH: usize = 16;
/// A file that is longer is no configuration of sshd.
const LONGEST: u64 = 1 << 20;
/// The parents that are asked: nobody types a verb through more shells.
const PARENTS: usize = 32;

/// What matters to us of sshd's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sshd {
    /// The ports on which it listens, by its configuration; 22 is always among them.
    pub ports: BTreeSet<u16>,
    /// How long it lets somebody try to log in; `None` for as long as he likes. If its
    /// configuration does not say, the 120 s of OpenSSH.
    pub login_grace: Option<Duration>,
}

impl Default for Sshd {
    fn default() -> Self {
        Self { ports: BTreeSet::from([22]), login_grace: Some(Duration::from_secs(120)) }
    }
}

/// Reads sshd's configuration and what it includes, as far as this user may. What cannot be read
/// is as it is by default.
pub fn sshd() -> Sshd {
    read(Path::new(CONFIG))
}

fn read(path: &Path) -> Sshd {
    let mut found = Found::default();
    found.file(path, path.parent().unwrap_or(Path::new("/")), 0);
    let Found { ports, listens, login_grace } = found;
    let mut sshd = Sshd::default();
    sshd.ports.extend(ports.into_iter().chain(listens));
    if let Some(grace) = login_grace {
        sshd.login_grace = grace;
    }
    sshd
}

/// What was read so far.
#[derive(Default)]
struct Found {
    ports: BTreeSet<u16>,
    listens: BTreeSet<u16>,
    /// The first value counts.
    login_grace: Option<Option<Duration>>,
}

impl Found {
    fn file(&mut self, path: &Path, folder: &Path, depth: usize) {
        let small = fs::metadata(path).is_ok_and(|file| file.is_file() && file.len() <= LONGEST);
        let Some(text) = small.then(|| fs::read(path).ok()).flatten() else { return };
        for line in String::from_utf8_lossy(&text).lines() {
            let words = words(line);
            let Some((keyword, values)) = words.split_first() else { continue };
            match (keyword.to_ascii_lowercase().as_str(), values) {
                // What follows holds for some users only, and cannot set any of this.
                ("match", _) => return,
                ("port", [port, ..]) => self.ports.extend(port.parse::<u16>()),
                ("listenaddress", [at, ..]) => self.listens.extend(port_of(at)),
                ("logingracetime", [span, ..]) if self.login_grace.is_none() => {
                    self.login_grace = grace(span);
                }
                ("include", patterns) if depth < DEPTH => {
                    for pattern in patterns {
                        for file in matching(&folder.join(pattern)) {
                            self.file(&file, folder, depth + 1);
                        }
                    }
                }
                _ => {}
            }
        }
    }
}

/// A line of sshd_config(5): words between blanks, an `=` behind the first, quotes, `#`.
fn words(line: &str) -> Vec<String> {
    let line = line.trim();
    let (first, rest) = line.split_at(line.find(['=', ' ', '\t']).unwrap_or(line.len()));
    if first.is_empty() || first.starts_with('#') {
        return Vec::new();
    }
    let rest = rest.trim_start().strip_prefix('=').unwrap_or(rest);
    let mut words = vec![first.to_owned()];
    let mut rest = rest.trim_start();
    while !rest.is_empty() && !rest.starts_with('#') {
        let (word, more) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => rest.split_once([' ', '\t']).unwrap_or((rest, "")),
        };
        words.push(word.to_owned());
        rest = more.trim_start();
    }
    words
}

/// `ListenAddress` has a port or not: `host`, `host:port`, `address`, `[address]:port`.
fn port_of(at: &str) -> Option<u16> {
    if at.parse::<IpAddr>().is_ok() {
        return None;
    }
    at.rsplit_once(':')?.1.parse().ok()
}

/// A span as sshd_config(5) writes it: `120`, `2m`, `1h30m`; 0 for no limit.
fn grace(text: &str) -> Option<Option<Duration>> {
    let mut seconds = 0_u64;
    let mut number = String::new();
    for c in text.chars().chain(['s']) {
        if c.is_ascii_digit() {
            number.push(c);
            continue;
        }
        if number.is_empty() {
            // The unit that was added behind one that was there.
            continue;
        }
        let unit = match c.to_ascii_lowercase() {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            'w' => 7 * 86_400,
            _ => return None,
        };
        let count = std::mem::take(&mut number).parse::<u64>().ok()?;
        seconds = seconds.checked_add(count.checked_mul(unit)?)?;
    }
    text.starts_with(|c: char| c.is_ascii_digit())
        .then_some((seconds > 0).then(|| Duration::from_secs(seconds)))
}

/// The files that a pattern names, in the order of their names. `*` and `?` stand in the last part
/// only, which is how distributions write it.
fn matching(pattern: &Path) -> Vec<PathBuf> {
    let (Some(folder), Some(name)) = (pattern.parent(), pattern.file_name()) else {
        return Vec::new();
    };
    let name = name.to_string_lossy();
    if !name.contains(['*', '?']) {
        return vec![pattern.to_owned()];
    }
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let fits = |path: &PathBuf| {
        let own = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        !own.starts_with('.') && like(own.as_bytes(), name.as_bytes())
    };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(fits).collect();
    files.sort();
    files
}

/// Does a name fit a pattern with `*` and `?`?
fn like(name: &[u8], pattern: &[u8]) -> bool {
    match (pattern.first(), name.first()) {
        (None, None) => true,
        (Some(b'*'), _) => {
            like(name, &pattern[1..]) || (!name.is_empty() && like(&name[1..], pattern))
        }
        (Some(b'?'), Some(_)) => like(&name[1..], &pattern[1..]),
        (Some(a), Some(b)) if a == b => like(&name[1..], &pattern[1..]),
        _ => false,
    }
}

/// The SSH session in which this program was started, as its own end and the peer's. sudo takes
/// `SSH_CONNECTION` out of the environment, so the parents are asked as well, as far as they may be.
pub fn own_session() -> Option<(SocketAddr, SocketAddr)> {
    if let Some(session) = std::env::var("SSH_CONNECTION").ok().and_then(|text| session(&text)) {
        return Some(session);
    }
    let mut pid = std::process::id();
    for _ in 0..PARENTS {
        pid = parent(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?).filter(|p| *p > 1)?;
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let mut variables = environment.split(|byte| *byte == 0);
        let own = variables.find_map(|text| text.strip_prefix(b"SSH_CONNECTION="));
        if let Some(session) = own.and_then(|text| session(&String::from_utf8_lossy(text))) {
            return Some(session);
        }
    }
    None
}

/// The fourth field of proc_pid_stat(5); the second, in brackets, may hold anything.
fn parent(stat: &str) -> Option<u32> {
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// `client-address client-port server-address server-port`, ssh(1).
fn session(text: &str) -> Option<(SocketAddr, SocketAddr)> {
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    let [peer, peer_port, own, own_port] = words[..] else { return None };
    let at = |address: &str, port: &str| {
        let address: IpAddr = address.split('%').next()?.parse().ok()?;
        Some(SocketAddr::new(address.to_canonical(), port.parse().ok()?))
    };
    Some((at(own, own_port)?, at(peer, peer_port)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_and_grace_of_a_configuration_with_includes() {
        let place = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(place.path().join(name), text).unwrap();
        fs::create_dir(place.path().join("d")).unwrap();
        write(
            "config",
            "Include d/*.conf\n#Port 1\nport=2222 # ours\nListenAddress [::1]:24\nListenAddress ::1\nLoginGraceTime 30\nMatch User x\nPort 99\n",
        );
        write("d/a.conf", "Port \"2022\"\nListenAddress host:25\nInclude loop.conf config\n");
        write("d/b.conf", "  LoginGraceTime\t3m\n");
        write("d/c.txt", "Port 98\n");
        let sshd = read(&place.path().join("config"));
        assert_eq!(sshd.ports, BTreeSet::from([22, 24, 25, 2022, 2222]));
        // The file includes itself, which does no harm; sshd takes the first value.
        assert_eq!(sshd.login_grace, Some(Duration::from_secs(30)));
        assert_eq!(read(&place.path().join("none")), Sshd::default());
    }

    #[test]
    fn spans_of_sshd() {
        let seconds = |n| Some(Some(Duration::from_secs(n)));
        for (text, wanted) in [
            ("120", seconds(120)),
            ("2m", seconds(120)),
            ("1h30M5", seconds(5405)),
            ("0", Some(None)),
            ("2x", None),
            ("m", None),
            ("", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(grace(text), wanted, "{text}");
        }
    }

    #[test]
    fn whose_session_it_is() {
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        for (text, wanted) in [
            (
                "203.0.113.7 50000 198.51.100.2 22",
                Some((at("198.51.100.2:22"), at("203.0.113.7:50000"))),
            ),
            (
                "fe80::1%eth0 5 ::ffff:192.0.2.1 2222",
                Some((at("192.0.2.1:2222"), at("[fe80::1]:5"))),
            ),
            ("203.0.113.7 50000 22", None),
            ("a b c d", None),
            ("", None),
        ] {
            assert_eq!(session(text), wanted, "{text}");
        }
        assert_eq!(parent("7 (a) b) c) S 42 7 7"), Some(42));
        assert_eq!(parent("7 sh S"), None);
        assert!(like(b"50-cloud.conf", b"*.conf") && like(b"a", b"?") && !like(b"ab", b"?"));
        assert!(!like(b"a.conf.bak", b"*.conf") && like(b"a.conf.conf", b"*.conf"));
    }
}
