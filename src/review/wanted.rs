//! Which events somebody wants to hear about.

use ipnet::IpNet;
use jiff::Timestamp;

use super::entry::{Entry, More, What};
use crate::memory::SourceKey;

/// A choice; what is `None` does not matter.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wanted {
    /// At or after.
    pub since: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
    /// Sources in this prefix.
    pub source: Option<IpNet>,
    /// This port. Sums and standings name no port, so they are left out then.
    pub port: Option<u16>,
    /// This check, or the reason of a standing.
    pub reason: Option<String>,
}

impl Wanted {
    /// The event, or that part of it that is wanted. What the gate says of itself, and sums over
    /// many sources, belong to no source, port or reason, and are only wanted where none is asked
    /// for.
    pub fn part<'a>(&self, mut entry: Entry<'a>) -> Option<Entry<'a>> {
        if self.since.is_some_and(|since| entry.at < since)
            || self.until.is_some_and(|until| entry.at >= until)
        {
            return None;
        }
        let reason = |reason: &str| self.reason.as_deref().is_none_or(|wanted| wanted == reason);
        let wanted = match &mut entry.what {
            What::Refused(refused) => {
                self.source.is_none_or(|net| net.contains(&refused.src))
                    && self.port.is_none_or(|port| port == refused.port)
                    && reason(&refused.reason)
            }
            What::More(More { source, count, by, .. }) => {
                if self.reason.is_some() {
                    by.retain(|(name, _)| reason(name));
                    *count = by.iter().map(|(_, count)| *count).fold(0, u64::saturating_add);
                }
                self.port.is_none() && self.source(*source) && *count > 0
            }
            What::Standing(given) => {
                self.port.is_none() && self.source(Some(given.source)) && reason(&given.reason)
            }
            What::Standings(_) | What::Notice(_) => {
                self.port.is_none() && self.source.is_none() && self.reason.is_none()
            }
        };
        wanted.then_some(entry)
    }

    /// Are sums left out of this choice, since they do not tell what it asks for?
    pub fn without_sums(&self) -> bool {
        self.port.is_some()
    }

    /// A source lies in a prefix, or a prefix in the source, which may be a whole /64.
    fn source(&self, source: Option<SourceKey>) -> bool {
        match (self.source, source) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(net), Some(source)) => {
                net.contains(&source.base()) || source.prefix().contains(&net)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::entry::{Changes, Given, Rank, Refused};
    use super::*;

    fn at(what: What<'_>) -> Entry<'_> {
        Entry { at: "2026-09-21T14:13:20Z".parse().unwrap(), id: 1, what }
    }

    #[test]
    fn choices() {
        let src = "2001:db8::7".parse().unwrap();
        let refused = || {
            let what = "login".into();
            What::Refused(Refused { src, port: 22, reason: "rate".into(), what, enforced: true })
        };
        let more = |source| {
            let by = vec![("rate".into(), 5), ("scan".into(), 2)];
            What::More(More { source, count: 7, by, enforced: true })
        };
        let own = SourceKey::of(src);
        let given = || {
            let rank = Rank::Banned;
            What::Standing(Given { source: own, rank, reason: "rate".into(), enforced: true })
        };
        let net = |text: &str| Wanted { source: Some(text.parse().unwrap()), ..Wanted::default() };
        let port = |port| Wanted { port: Some(port), ..Wanted::default() };
        let reason = |text: &str| Wanted { reason: Some(text.into()), ..Wanted::default() };
        let time = |since: &str, until: &str| Wanted {
            since: since.parse().ok(),
            until: until.parse().ok(),
            ..Wanted::default()
        };
        // Of a refusal, a sum of its source, a sum of all, its standing, a sum of standings.
        for (wanted, expected) in [
            (Wanted::default(), [true; 5]),
            (net("2001:db8::/32"), [true, true, false, true, false]),
            (net("2001:db8::7/128"), [true, true, false, true, false]),
            (net("2001:db8::8/128"), [false, true, false, true, false]),
            (net("192.0.2.0/24"), [false; 5]),
            (port(22), [true, false, false, false, false]),
            (port(80), [false; 5]),
            (reason("rate"), [true, true, true, true, false]),
            (reason("ports"), [false; 5]),
            (time("2026-09-21T14:13:20Z", "2026-09-21T14:13:21Z"), [true; 5]),
            (time("2026-09-21T14:13:21Z", ""), [false; 5]),
            (time("", "2026-09-21T14:13:20Z"), [false; 5]),
        ] {
            let events = [
                refused(),
                more(Some(own)),
                more(None),
                given(),
                What::Standings(Changes::default()),
            ];
            assert_eq!(events.map(|what| wanted.part(at(what)).is_some()), expected, "{wanted:?}");
        }
        let part = reason("scan").part(at(more(None))).unwrap();
        assert!(matches!(part.what, What::More(More { count: 2, .. })));
    }
}
