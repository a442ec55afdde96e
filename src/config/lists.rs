//! Files of prefixes: one address or prefix per line; `#` and `;` begin a comment. Millions of
//! lines are fine.

use std::io::{self, BufRead};
use std::path::Path;

use ipnet::IpNet;

use super::parts::{by_parts, plain_net};
use super::problem::Problem;
use super::source::{ATTEMPTS, same};
use super::units;

/// How many bad lines of one file are told; the rest is counted.
const TOLD: usize = 10;

/// Reads a list file and adds its prefixes to `nets` under the number `list`. Bad lines become
/// problems; the good ones are added all the same.
pub(super) fn read(
    path: &Path,
    list: u16,
    nets: &mut Vec<(IpNet, u16)>,
) -> io::Result<Vec<Problem>> {
    let kept = nets.len();
    for _ in 0..ATTEMPTS {
        // Asked before it is opened, because opening a named pipe would wait for a writer.
        let before = path.metadata()?;
        if before.is_dir() {
            return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a directory"));
        }
        if !before.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not an ordinary file"));
        }
        let bytes = std::fs::read(path)?;
        let problems = match quick(&bytes, list) {
            Some(found) => {
                for some in found {
                    nets.extend(some);
                }
                Vec::new()
            }
            None => read_lines(&bytes[..], path, list, nets)?,
        };
        if same(&before, &path.metadata()?) {
            return Ok(problems);
        }
        nets.truncate(kept);
    }
    Err(io::Error::other("it keeps changing while it is read; try again when its writer is done"))
}

/// Reads a list in which every line is right, in parts. `None` if a line has to be told.
fn quick(bytes: &[u8], list: u16) -> Option<Vec<Vec<(IpNet, u16)>>> {
    by_parts(bytes, |part| quick_part(part, list)).into_iter().map(|(_, nets)| nets).collect()
}

fn quick_part(bytes: &[u8], list: u16) -> Option<Vec<(IpNet, u16)>> {
    // Most lines are at least as long as "192.0.2.0/24": room for all, without growing in steps.
    let mut nets = Vec::with_capacity(bytes.len() / 13 + 1);
    for line in bytes.split(|byte| *byte == b'\n') {
        if let Some(net) = plain_net(line) {
            nets.push((net, list));
            continue;
        }
        let end = line.iter().position(|b| matches!(b, b'#' | b';')).unwrap_or(line.len());
        let entry = std::str::from_utf8(&line[..end]).ok()?.trim();
        if !entry.is_empty() {
            nets.push((units::net(entry).ok()?, list));
        }
    }
    Some(nets)
}

fn read_lines(
    mut reader: impl BufRead,
    path: &Path,
    list: u16,
    nets: &mut Vec<(IpNet, u16)>,
) -> io::Result<Vec<Problem>> {
    let name = path.display().to_string();
    let mut problems = Vec::new();
    let mut untold = 0_u64;
    let mut bytes = Vec::new();
    for number in 1.. {
        bytes.clear();
        if reader.read_until(b'\n', &mut bytes)? == 0 {
            break;
        }
        // A comment may be in any encoding.
        let end = bytes.iter().position(|b| matches!(b, b'#' | b';')).unwrap_or(bytes.len());
        let entry = String::from_utf8_lossy(&bytes[..end]);
        let entry = if number == 1 { entry.trim_start_matches('\u{feff}') } else { &entry };
        let trimmed = entry.trim();
        if trimmed.is_empty() {
            continue;
        }
        match units::net(trimmed) {
            Ok(net) => nets.push((net, list)),
            Err(_) if problems.len() >= TOLD => untold += 1,
            Err(mistake) => {
                let column = entry.chars().take_while(|c| c.is_whitespace()).count() + 1;
                let line = String::from_utf8_lossy(&bytes);
                let place = (number, column, trimmed.chars().count());
                problems.push(Problem::at(
                    &name,
                    place,
                    line.trim_end_matches(['\n', '\r']),
                    mistake.message,
                    mistake.help,
                ));
            }
        }
    }
    if untold > 0 {
        let message = format!("and {untold} more lines that are no address or prefix");
        let help = "is this a list of addresses, one in each line?";
        problems.push(Problem::of_file(&name, message, Some(help.into())));
    }
    Ok(problems)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn lines(text: &[u8]) -> (Vec<String>, Vec<Problem>) {
        let mut nets = Vec::new();
        let problems = read_lines(text, Path::new("list"), 3, &mut nets).unwrap();
        assert!(nets.iter().all(|(_, list)| *list == 3));
        (nets.into_iter().map(|(net, _)| net.to_string()).collect(), problems)
    }

    #[test]
    fn comments_blank_lines_and_endings() {
        let text =
            b"\xef\xbb\xbf192.0.2.0/24 ; SBL1\r\n# no\xfftes\n\n  2001:db8::/32\n198.51.100.7";
        let (nets, problems) = lines(text);
        assert_eq!(nets, ["192.0.2.0/24", "2001:db8::/32", "198.51.100.7/32"]);
        assert_eq!(problems, []);
    }

    #[test]
    fn what_is_read_quickly_is_read_alike() {
        for line in [
            "192.0.2.7",
            "192.0.2.0/24",
            "0.0.0.0/0",
            "255.255.255.255",
            "192.0.2.7/32",
            "10.0.0.0/8",
            "192.0.2.1/24",
            "01.2.3.4",
            "1.2.3",
            "1.2.3.4.5",
            "1.2.3.256",
            "1.2.3.4/33",
            "1.2.3.4/",
            "1.2.3.4/032",
            "1.2.3.4/8x",
            "1.2.3.4 ",
            " 1.2.3.4",
            "1.2.3.4\r",
            "",
            ".",
            "1..2.3",
            "10.0.0.0/08",
            "2001:db8::/32",
            "1.2.3.4/+8",
            "1000.2.3.4",
            "1.2.3.4/99",
        ] {
            if let Some(net) = plain_net(line.as_bytes()) {
                assert_eq!(units::net(line).ok(), Some(net), "{line}");
            }
        }
        for line in ["192.0.2.7", "192.0.2.0/24", "0.0.0.0/0", "255.255.255.255", "10.0.0.0/8"] {
            assert_eq!(plain_net(line.as_bytes()), units::net(line).ok(), "{line}");
        }
    }

    #[test]
    fn long_lists_lose_no_line() {
        let mut text = String::new();
        for n in 0..200_000_u32 {
            let net = match n % 3 {
                0 => format!("{}/32\n", Ipv4Addr::from_bits(n * 17)),
                1 => format!("2001:db8:{:x}:{:x}::/64 ; word\n", n >> 16, n & 0xffff),
                _ => format!(" {}\r\n", Ipv4Addr::from_bits(n * 17)),
            };
            text += &net;
        }
        assert!(text.len() > crate::config::parts::LONG);
        let found: Vec<_> = quick(text.as_bytes(), 3).unwrap().concat();
        let mut slowly = Vec::new();
        read_lines(text.as_bytes(), Path::new("list"), 3, &mut slowly).unwrap();
        assert!(found == slowly && found.len() == 200_000);
        text += "not this";
        assert_eq!(quick(text.as_bytes(), 3), None);
    }

    #[test]
    fn bad_lines_are_told_and_counted() {
        let text = format!("192.0.2.1\n  192.0.2.1/24\n{}192.0.2.2", "what\n".repeat(20));
        let (nets, problems) = lines(text.as_bytes());
        assert_eq!(nets.len(), 2);
        assert_eq!((problems[0].line, problems[0].column), (2, 3));
        assert_eq!(problems.len(), TOLD + 1);
        assert!(problems[TOLD].message.starts_with("and 11 more"), "{}", problems[TOLD]);
    }
}
