//! What is typed behind `/`.

use ipnet::IpNet;

use crate::memory::SourceKey;

/// Which rows are shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Filter {
    /// Sources in this prefix.
    Net(IpNet),
    /// This port, and who asked for it.
    Port(u16),
    /// What has these words somewhere, in lower case.
    Text(String),
}

impl Filter {
    /// `192.0.2.0/24`, `2001:db8::1`, `22`, `port 22`, or any text; `None` if nothing was typed.
    pub(super) fn read(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.is_empty() {
            return None;
        }
        let number = text.strip_prefix("port ").unwrap_or(text).trim();
        if let Ok(port) = number.parse() {
            return Some(Filter::Port(port));
        }
        if let Ok(address) = text.parse() {
            return Some(Filter::Net(SourceKey::of(address).prefix()));
        }
        match text.parse::<IpNet>() {
            Ok(net) => Some(Filter::Net(net.trunc())),
            Err(_) => Some(Filter::Text(text.to_lowercase())),
        }
    }

    /// Is a source shown that asked for this port, with these words in its row?
    pub(super) fn source(&self, source: IpNet, port: Option<u16>, words: &[&str]) -> bool {
        match self {
            Filter::Net(net) => net.contains(&source) || source.contains(net),
            Filter::Port(wanted) => port == Some(*wanted),
            Filter::Text(text) => {
                source.to_string().contains(text)
                    || words.iter().any(|word| word.to_lowercase().contains(text))
            }
        }
    }

    /// Is a port shown, with these words in its row? A prefix says nothing about ports.
    pub(super) fn port(&self, port: u16, words: &[&str]) -> bool {
        match self {
            Filter::Net(_) => true,
            Filter::Port(wanted) => port == *wanted,
            Filter::Text(text) => words.iter().any(|word| word.to_lowercase().contains(text)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed() {
        let net = |text: &str| Some(Filter::Net(text.parse().unwrap()));
        for (text, filter) in [
            ("", None),
            ("  ", None),
            ("192.0.2.7", net("192.0.2.7/32")),
            ("192.0.2.7/24", net("192.0.2.0/24")),
            ("2001:db8::7", net("2001:db8::/64")),
            ("22", Some(Filter::Port(22))),
            ("port 443", Some(Filter::Port(443))),
            ("70000", Some(Filter::Text("70000".into()))),
            ("Scan", Some(Filter::Text("scan".into()))),
            ("192.0.2", Some(Filter::Text("192.0.2".into()))),
        ] {
            assert_eq!(Filter::read(text), filter, "{text:?}");
        }
    }

    #[test]
    fn who_is_shown() {
        let source: IpNet = "192.0.2.7/32".parse().unwrap();
        for (text, shown) in [
            ("192.0.2.0/24", true),
            ("192.0.2.7", true),
            ("192.0.3.0/24", false),
            ("23", true),
            ("2", false),
            ("0.2.7", true),
            ("BANNED", true),
            ("clean", false),
        ] {
            let filter = Filter::read(text).unwrap();
            assert_eq!(filter.source(source, Some(23), &["banned", "scan"]), shown, "{text}");
        }
        let port = |text: &str| Filter::read(text).unwrap().port(22, &["ssh", "rate"]);
        assert!(port("22") && port("192.0.2.0/24") && port("SS") && !port("23") && !port("http"));
    }
}
