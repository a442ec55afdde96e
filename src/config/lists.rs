//! Files of prefixes: one address or prefix per line; `#` and `;` begin a comment. Millions of
//! lines are fine.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use ipnet::IpNet;

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
        // Most lines are at least as long as "192.0.2.0/24": room for all, without growing in steps.
        nets.reserve(usize::try_from(before.len() / 13).unwrap_or(0).min(1 << 20));
        let reader = BufReader::with_capacity(1 << 16, File::open(path)?);
        let problems = read_lines(reader, path, list, nets)?;
        if same(&before, &path.metadata()?) {
            return Ok(problems);
        }
        nets.truncate(kept);
    }
    Err(io::Error::other("it keeps changing while it is read; try again when its writer is done"))
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
    fn bad_lines_are_told_and_counted() {
        let text = format!("192.0.2.1\n  192.0.2.1/24\n{}192.0.2.2", "what\n".repeat(20));
        let (nets, problems) = lines(text.as_bytes());
        assert_eq!(nets.len(), 2);
        assert_eq!((problems[0].line, problems[0].column), (2, 3));
        assert_eq!(problems.len(), TOLD + 1);
        assert!(problems[TOLD].message.starts_with("and 11 more"), "{}", problems[TOLD]);
    }
}
