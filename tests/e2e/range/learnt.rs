//! Which ports a tool reports as open, read from what it prints.

use super::{Reads, SERVER};

/// The open ports, in order.
pub(super) fn ports(reads: Reads, printed: &str) -> Vec<u16> {
    let mut ports: Vec<u16> = match reads {
        Reads::Nmap => {
            let differs = printed.contains(" closed tcp ports")
                || printed.lines().filter_map(state).any(|(_, state)| state == "closed");
            printed.lines().filter_map(|line| nmap(line, differs)).collect()
        }
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

/// `Discovered open port 22/tcp on 198.51.100.10` as soon as nmap knows it, and `22/tcp open ssh` at
/// the end. Stealth scans only tell `open|filtered`, which says something if the tool knows that other
/// ports are closed.
fn nmap(line: &str, differs: bool) -> Option<u16> {
    if let Some(known) = line.strip_prefix("Discovered open port ") {
        return known.split_once("/tcp")?.0.parse().ok();
    }
    let (port, state) = state(line)?;
    (state == "open" || state == "open|filtered" && differs).then_some(port)
}

/// `22/tcp   open   ssh`
fn state(line: &str) -> Option<(u16, &str)> {
    let (port, state) = line.split_once("/tcp ")?;
    Some((port.parse().ok()?, state.split_whitespace().next()?))
}

/// `open tcp 80 198.51.100.10 1790000000`
fn masscan(line: &str) -> Option<u16> {
    line.strip_prefix("open tcp ")?.split_whitespace().next()?.parse().ok()
}

#[test]
fn what_the_tools_print_is_understood() {
    for (reads, printed, expected) in [
        (
            Reads::Nmap,
            "Not shown: 198 closed tcp ports (reset)\nPORT STATE SERVICE\n22/tcp open ssh\n25/tcp filtered smtp\n80/tcp   open  http",
            &[22, 80][..],
        ),
        (
            Reads::Nmap,
            "Discovered open port 80/tcp on 198.51.100.10\nSYN Stealth Scan Timing:",
            &[80],
        ),
        (Reads::Nmap, "Not shown: 198 closed tcp ports (reset)\n22/tcp open|filtered ssh", &[22]),
        (Reads::Nmap, "21/tcp closed        ftp\n22/tcp open|filtered ssh", &[22]),
        (Reads::Nmap, "22/tcp open|filtered ssh\n80/tcp open|filtered http", &[]),
        (Reads::Nmap, "All 201 scanned ports on 198.51.100.10 are in ignored states.", &[]),
        (
            Reads::Masscan,
            "#masscan\nopen tcp 8080 198.51.100.10 1790000000\nopen tcp 22 198.51.100.10 1790000000\n# end",
            &[22, 8080],
        ),
        (Reads::Zmap(80), "saddr\n198.51.100.10\n", &[80]),
        (Reads::Zmap(80), "scanning 198.51.100.10/32\n", &[]),
    ] {
        assert_eq!(ports(reads, printed), expected, "{printed}");
    }
}
