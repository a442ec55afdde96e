//! Addresses, prefixes and the words that stand for some.

use std::net::IpAddr;
use std::ops::Range;

use ipnet::IpNet;

use super::{Mistake, items};

/// Words and the prefixes they stand for: loopback; private use (RFC 1918, the shared space of
/// RFC 6598, unique local addresses of RFC 4193); link-local (RFC 3927, RFC 4291).
const WORDS: [(&str, &[&str]); 3] = [
    ("loopback", &["127.0.0.0/8", "::1/128"]),
    ("private", &["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"]),
    ("link-local", &["169.254.0.0/16", "fe80::/10"]),
];

/// The words.
pub(super) fn words() -> impl Iterator<Item = &'static str> {
    WORDS.iter().map(|(word, _)| *word)
}

const EXAMPLE: &str = "write an address (\"192.0.2.7\"), a prefix (\"192.0.2.0/24\", \
                       \"2001:db8::/32\") or a word (loopback, private, link-local)";

const NO_NAMES: &str = "names are looked up for [allowlist] from only; write addresses here";

/// An address or prefix, without words. No bits may stand behind the prefix.
pub(in crate::config) fn net(text: &str) -> Result<IpNet, Mistake> {
    let Some((address, len)) = text.split_once('/') else {
        return text.parse::<IpAddr>().map(IpNet::from).map_err(|_| {
            let name = text.contains('.') && text.contains(|c: char| c.is_ascii_alphabetic());
            let help = if name { NO_NAMES } else { EXAMPLE };
            Mistake::new(format!("\"{text}\" is not an address")).help(help)
        });
    };
    let address: IpAddr = address
        .parse()
        .map_err(|_| Mistake::new(format!("\"{address}\" is not an address")).help(EXAMPLE))?;
    let longest = if address.is_ipv4() { 32 } else { 128 };
    let net = len.parse::<u8>().ok().and_then(|len| IpNet::new(address, len).ok());
    let net = net.filter(|_| len.bytes().all(|b| b.is_ascii_digit())).ok_or_else(|| {
        Mistake::new(format!("a prefix of {address} cannot be \"/{len}\" long"))
            .help(format!("write a number from 0 to {longest} behind the slash"))
    })?;
    if net.trunc() != net {
        let help = format!(
            "write \"{}\" for the whole network, \"{address}\" for one address",
            net.trunc()
        );
        return Err(Mistake::new(format!("{net} has bits set behind its /{len}")).help(help));
    }
    Ok(net)
}

/// Adds addresses, prefixes and words, each with the bytes it stands at.
pub(in crate::config) fn nets(
    text: &str,
    mut add: impl FnMut(IpNet, Range<usize>),
) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    for (item, part) in items(text) {
        if let Some((_, nets)) = WORDS.iter().find(|(word, _)| *word == item) {
            nets.iter().filter_map(|net| net.parse().ok()).for_each(|net| add(net, part.clone()));
            continue;
        }
        match net(item) {
            Ok(net) => add(net, part),
            Err(mistake) => mistakes.push(mistake.part(part)),
        }
    }
    mistakes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Vec<String>, Vec<Mistake>) {
        let mut found = Vec::new();
        let mistakes = nets(text, |net, _| found.push(net.to_string()));
        (found, mistakes)
    }

    #[test]
    fn addresses_prefixes_words() {
        for (text, wanted) in [
            ("192.0.2.7", &["192.0.2.7/32"][..]),
            ("2001:db8::/32, 10.0.0.0/8", &["2001:db8::/32", "10.0.0.0/8"]),
            ("loopback", &["127.0.0.0/8", "::1/128"]),
            ("link-local", &["169.254.0.0/16", "fe80::/10"]),
            ("0.0.0.0/0", &["0.0.0.0/0"]),
            ("", &[]),
        ] {
            let (found, mistakes) = read(text);
            assert_eq!((&found[..], &mistakes[..]), (&wanted.map_owned()[..], &[][..]), "{text}");
        }
        for (word, nets) in WORDS {
            assert_eq!(read(word).0, nets.map_owned(), "each prefix of {word} is one");
        }
    }

    trait MapOwned {
        fn map_owned(&self) -> Vec<String>;
    }

    impl MapOwned for &[&str] {
        fn map_owned(&self) -> Vec<String> {
            self.iter().map(|s| (*s).to_owned()).collect()
        }
    }

    #[test]
    fn host_bits_name_the_base() {
        let mistake = net("10.0.0.5/8").unwrap_err();
        assert!(mistake.help.unwrap().contains("\"10.0.0.0/8\""));
        assert!(net("2001:db8::1/64").unwrap_err().help.unwrap().contains("\"2001:db8::/64\""));
    }

    #[test]
    fn what_is_no_prefix() {
        for wrong in [
            "10.0.0/8",
            "10.0.0.0/33",
            "::/129",
            "::/+1",
            "10.0.0.0/",
            "/8",
            "010.0.0.1",
            "lan",
            "a.b",
        ] {
            assert!(net(wrong).is_err(), "{wrong}");
        }
        assert!(net("host.example").unwrap_err().help.unwrap().contains("names"));
    }
}
