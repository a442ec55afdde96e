//! Which ports a tool reports as open, read from what it prints.

use super::{Reads, SERVER};

/// The open ports, in order.
pub(super) fn ports(reads: Reads, printed: &str) -> Vec<u16> {
    let mut ports: Vec<u16> = match reads {
        Reads::Nmap => printed.lines().filter(|line| line.starts_with("Host:")).flat_map(nmap).collect(),
        Reads::Masscan => printed.lines().filter_map(masscan).collect(),
        Reads::Zmap(port) => {
            let told = printed.lines().any(|line| line.split(',').any(|word| word == SERVER));
            told.then_some(port).into_iter().collect()
        }
        Reads::Guesses | Reads::Nothing => Vec::new(),
    };
    ports.sort_unstable();
    ports.dedup();
    ports
}

/// `Host: 198.51.100.10 () Ports: 22/open/tcp//ssh///, … Ignored State: closed (998)`. Stealth scans
/// only tell `open|filtered` ports, which says something if others are known to be closed.
fn nmap(line: &str) -> Vec<u16> {
    let Some((_, list)) = line.split_once("Ports: ") else { return Vec::new() };
    let list = list.split('\t').next().unwrap_or(list);
    let differs = line.contains("closed");
    let open = |entry: &str| {
        let mut fields = entry.trim().split('/');
        let (port, state) = (fields.next()?.parse().ok()?, fields.next()?);
        (state == "open" || state == "open|filtered" && differs).then_some(port)
    };
    list.split(',').filter_map(open).collect()
}

/// `open tcp 80 198.51.100.10 1790000000`
fn masscan(line: &str) -> Option<u16> {
    line.strip_prefix("open tcp ")?.split_whitespace().next()?.parse().ok()
}

#[test]
fn what_the_tools_print_is_understood() {
    for (reads, printed, expected) in [
        (Reads::Nmap, "Host: 198.51.100.10 ()\tPorts: 22/open/tcp//ssh///, 25/filtered/tcp//smtp///, 80/open/tcp//http///\tIgnored State: closed (997)", &[22, 80][..]),
        (Reads::Nmap, "Host: 198.51.100.10 ()\tPorts: 22/open|filtered/tcp//ssh///\tIgnored State: closed (999)", &[22]),
        (Reads::Nmap, "Host: 198.51.100.10 ()\tPorts: 22/open|filtered/tcp//ssh///, 80/open|filtered/tcp//http///\n", &[]),
        (Reads::Nmap, "Host: 198.51.100.10 ()\tStatus: Up\n", &[]),
        (Reads::Masscan, "#masscan\nopen tcp 8080 198.51.100.10 1790000000\nopen tcp 22 198.51.100.10 1790000000\n# end", &[22, 8080]),
        (Reads::Zmap(80), "saddr\n198.51.100.10\n", &[80]),
        (Reads::Zmap(80), "scanning 198.51.100.10/32\n", &[]),
    ] {
        assert_eq!(ports(reads, printed), expected, "{printed}");
    }
}
