//! Names of hosts, by their syntax (RFC 1123 §2.1, RFC 1035 §2.3.4).

use std::ops::Range;

use super::{Mistake, items, nets};

/// The longest name, and the longest part of one between two dots.
const LONGEST: (usize, usize) = (253, 63);

const EXAMPLE: &str = "write an address (\"192.0.2.7\"), a prefix (\"192.0.2.0/24\"), a whole name \
                       (\"office.example.org\") or a word (loopback, private, link-local)";

/// Adds addresses, prefixes and words like [`nets()`], and names as well.
pub(in crate::config) fn nets_and_names(
    text: &str,
    mut add_net: impl FnMut(ipnet::IpNet, Range<usize>),
    mut add_name: impl FnMut(String, Range<usize>),
) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    for (item, part) in items(text) {
        if is_meant_as_name(item) {
            match name(item) {
                Ok(name) => add_name(name, part),
                Err(mistake) => mistakes.push(mistake.part(part)),
            }
            continue;
        }
        let found = nets(item, |net, _| add_net(net, part.clone()));
        mistakes.extend(found.into_iter().map(|mistake| {
            let near = near_word(item).map(|word| format!("did you mean \"{word}\"?"));
            let help = match item.contains('/') {
                true => mistake.help,
                false => near.or(Some(EXAMPLE.to_owned())),
            };
            Mistake { help, ..mistake }.part(part.clone())
        }));
    }
    mistakes
}

/// Is it more likely a name than an address that went wrong? Names have a dot and letters;
/// addresses have at most one part that is not a number (`192.0.2.l`).
fn is_meant_as_name(item: &str) -> bool {
    let dotted = item.contains('.') && item.contains(|c: char| c.is_alphabetic());
    let number = |label: &&str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_digit());
    let labels = item.split('.');
    let numbers = labels.clone().filter(number).count();
    dotted && !(numbers >= 3 && labels.count() <= 4) && !item.contains("::")
}

/// The name in small letters. A dot at its end is kept: it says that no search domain of
/// resolv.conf is to be tried.
fn name(item: &str) -> Result<String, Mistake> {
    let wrong = |why: &str, help: &str| {
        Err(Mistake::new(format!("\"{}\" is not a name: {why}", item.escape_debug())).help(help))
    };
    if item.contains("://") {
        return wrong("it is a web address", "write the host alone: \"office.example.org\"");
    }
    if item.contains('/') {
        let help = "a name stands for addresses, not for networks: leave the slash away";
        return wrong("nothing can stand behind a slash", help);
    }
    if item.contains(':') {
        return wrong("it has a port", "write the host alone; trust holds for every port");
    }
    if item.contains('*') {
        let help = "a resolver cannot list what an asterisk stands for: write each name";
        return wrong("it has an asterisk", help);
    }
    if !item.is_ascii() {
        let help = "write it as resolvers know it: \"xn--...\" (idn2 NAME tells)";
        return wrong("it has letters beyond a to z", help);
    }
    let bare = item.strip_suffix('.').unwrap_or(item);
    if bare.len() > LONGEST.0 {
        return wrong("it is too long", "a name has at most 253 characters");
    }
    for label in bare.split('.') {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        if label.is_empty() {
            return wrong("there is nothing between two dots", "leave one of the dots away");
        }
        if label.len() > LONGEST.1 {
            return wrong("a part is too long", "between two dots stand at most 63 characters");
        }
        if !label.bytes().all(plain) {
            let help = "write letters a to z, digits, hyphens and dots";
            return wrong("a host's name has no such characters", help);
        }
        if label.starts_with('-') || label.ends_with('-') {
            return wrong("a part begins or ends with a hyphen", "hyphens stand between letters");
        }
    }
    let last = bare.rsplit('.').next().unwrap_or_default();
    if last.bytes().all(|b| b.is_ascii_digit()) {
        return wrong("it ends with a number", "write an address (\"192.0.2.7\") or a whole name");
    }
    Ok(item.to_ascii_lowercase())
}

/// The word that was probably meant.
fn near_word(item: &str) -> Option<&'static str> {
    let words = super::nets::words();
    let distance = |word: &str| strsim::damerau_levenshtein(&item.to_lowercase(), word);
    words.map(|word| (distance(word), word)).filter(|(d, _)| *d <= 2).min().map(|(_, word)| word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Vec<String>, Vec<String>, Vec<Mistake>) {
        let (mut found, mut names) = (Vec::new(), Vec::new());
        let mistakes = nets_and_names(
            text,
            |net, _| found.push(net.to_string()),
            |name, part| {
                assert!(text[part].eq_ignore_ascii_case(&name));
                names.push(name);
            },
        );
        (found, names, mistakes)
    }

    #[test]
    fn names_beside_prefixes() {
        let (nets, names, mistakes) = read(
            "192.0.2.0/24, Office.Example.org, loopback, xn--bcher-kva.example., 1.pool.example",
        );
        assert_eq!(nets, ["192.0.2.0/24", "127.0.0.0/8", "::1/128"]);
        assert_eq!(names, ["office.example.org", "xn--bcher-kva.example.", "1.pool.example"]);
        assert_eq!(mistakes, []);
        for good in ["a.b", "3com.example", "4.3.2.1.in-addr.arpa", "a--b.example"] {
            assert_eq!(read(good).1, [good]);
        }
    }

    #[test]
    fn what_is_no_name() {
        let long = format!("{}.example", "a".repeat(64));
        let longer = format!("{}example", "abcdefgh.".repeat(30));
        for (wrong, word) in [
            ("https://office.example.org/", "web address"),
            ("office.example.org/24", "slash"),
            ("office.example.org:22", "port"),
            ("*.example.org", "asterisk"),
            ("büro.example", "beyond a to z"),
            ("office..org", "between two dots"),
            (".example.org", "between two dots"),
            ("my_host.example", "no such characters"),
            ("user@example.org", "no such characters"),
            ("-a.example", "hyphen"),
            ("a-.example", "hyphen"),
            ("office.example.1", "ends with a number"),
            (&long, "a part is too long"),
            (&longer, "it is too long"),
            // More likely an address, or a word.
            ("192.0.2.l", "is not an address"),
            ("192.0.2.l/24", "is not an address"),
            ("2001:db8::1.example", "is not an address"),
            ("office", "is not an address"),
            ("privat", "is not an address"),
        ] {
            let (nets, names, mistakes) = read(wrong);
            assert_eq!((nets.len(), names.len(), mistakes.len()), (0, 0, 1), "{wrong}");
            assert!(mistakes[0].message.contains(word), "{wrong}: {mistakes:?}");
            assert_eq!(mistakes[0].part, Some(0..wrong.len()), "{wrong}");
        }
        assert_eq!(read("privat").2[0].help.as_deref(), Some("did you mean \"private\"?"));
        assert_eq!(read("loopbakc").2[0].help.as_deref(), Some("did you mean \"loopback\"?"));
    }
}
