//! Group names → numbers.

use std::fs;
use std::path::Path;

/// The number of the group `name` in a file like `/etc/group` (group(5)). A number stands for
/// itself, so that groups which are kept elsewhere (LDAP) can be given too.
pub(super) fn number(name: &str, file: &Path) -> Option<u32> {
    if let Ok(number) = name.parse() {
        return Some(number);
    }
    let groups = fs::read_to_string(file).ok()?;
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then_some(())?;
        fields.nth(1)?.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("group");
        fs::write(&file, "root:x:0:\nadm:x:4:syslog,ann\nbroken\nodd:x:no:\n").unwrap();
        for (name, expected) in [
            ("root", Some(0)),
            ("adm", Some(4)),
            ("1234", Some(1234)),
            ("ad", None),
            ("broken", None),
            ("odd", None),
            ("", None),
        ] {
            assert_eq!(number(name, &file), expected, "{name}");
        }
        assert_eq!(number("root", &dir.path().join("missing")), None);
    }
}
