//! A line without its header → [`What`].

use std::borrow::Cow;
use std::net::IpAddr;

use ipnet::IpNet;

use super::entry::{Changes, Damage, Given, More, Rank, Refused, Said, What};
use super::fields::{Fields, Raw};
use crate::events::Verb;
use crate::memory::SourceKey;

/// Reads a message and its id. `None`: it is no event, but something else that the program said.
pub(super) fn message(text: &str) -> Option<Result<(u64, What<'_>), Damage>> {
    let text = text.trim_end();
    let (word, rest) = text.split_once(' ')?;
    let verb = Verb::of(word).filter(|_| word.bytes().all(|b| !b.is_ascii_lowercase()))?;
    Some(body(verb, rest).and_then(|(id, parts)| Ok((id, parts.what(verb)?))))
}

fn body(verb: Verb, rest: &str) -> Result<(u64, Parts<'_>), Damage> {
    // A line that was cut off ends in something else. An id inside of quotes is not the last word.
    let (_, last) = rest.rsplit_once("id=").ok_or(Damage::Torn)?;
    let id = id(last).ok_or(Damage::Torn)?;
    let mut parts = Parts { enforced: verb.enforced(), ..Parts::default() };
    let mut whole = false;
    for (name, raw) in Fields(rest) {
        whole = name == "id";
        parts.take(name, raw)?;
    }
    if whole { Ok((id, parts)) } else { Err(Damage::Torn) }
}

/// The 50 bits of an id, which is written in ten letters of Crockford's base 32.
pub(super) fn id(text: &str) -> Option<u64> {
    const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    const DIGITS: [u8; 256] = {
        let mut digits = [255; 256];
        let mut digit = 0;
        while digit < 32 {
            digits[ALPHABET[digit] as usize] = digit as u8;
            digit += 1;
        }
        digits
    };
    if text.len() != 10 {
        return None;
    }
    text.bytes().try_fold(0, |bits, letter| {
        let digit = DIGITS[usize::from(letter)];
        (digit < 32).then(|| bits << 5 | u64::from(digit))
    })
}

/// The fields that matter here, whatever the output was that they stood in.
#[derive(Clone, Debug, Default)]
pub(super) struct Parts<'a> {
    pub(super) src: Option<IpNet>,
    pub(super) port: Option<u16>,
    pub(super) reason: Cow<'a, str>,
    pub(super) what: Cow<'a, str>,
    pub(super) text: Cow<'a, str>,
    pub(super) count: Option<u64>,
    pub(super) by: Vec<(Cow<'a, str>, u64)>,
    pub(super) changes: Changes,
    pub(super) enforced: bool,
}

impl<'a> Parts<'a> {
    fn take(&mut self, name: &str, raw: Raw<'a>) -> Result<(), Damage> {
        match name {
            "SRC" => self.src = Some(net(raw.word()).ok_or(Damage::Unreadable("SRC"))?),
            "DPT" => self.port = Some(number(raw, "DPT")?),
            "reason" => self.reason = raw.text(),
            "what" => self.what = raw.text(),
            "text" => self.text = raw.text(),
            "count" => self.count = Some(number(raw, "count")?),
            "by" => self.by = counts(raw.word()).ok_or(Damage::Unreadable("by"))?,
            "clean" => self.changes.clean = number(raw, "clean")?,
            "suspect" => self.changes.suspect = number(raw, "suspect")?,
            "banned" => self.changes.banned = number(raw, "banned")?,
            "enforced" => self.enforced = raw.word() != "no",
            _ => {}
        }
        Ok(())
    }

    /// What a verb makes of them.
    pub(super) fn what(self, verb: Verb) -> Result<What<'a>, Damage> {
        let source = self.src.map(|net| SourceKey::of(net.addr()));
        Ok(match verb {
            Verb::Drop | Verb::WouldDrop => What::Refused(Refused {
                src: self.src.ok_or(Damage::Missing("SRC"))?.addr(),
                port: self.port.ok_or(Damage::Missing("DPT"))?,
                reason: self.reason,
                what: self.what,
                enforced: self.enforced,
            }),
            Verb::DropMore | Verb::WouldDropMore => What::More(More {
                source,
                count: self.count.ok_or(Damage::Missing("count"))?,
                by: self.by,
                enforced: self.enforced,
            }),
            Verb::Suspect | Verb::WouldSuspect | Verb::Ban | Verb::WouldBan | Verb::Clear => {
                What::Standing(Given {
                    source: source.ok_or(Damage::Missing("SRC"))?,
                    rank: match verb {
                        Verb::Clear => Rank::Clean,
                        Verb::Ban | Verb::WouldBan => Rank::Banned,
                        _ => Rank::Suspect,
                    },
                    reason: self.reason,
                    enforced: self.enforced,
                })
            }
            Verb::StandingsMore => What::Standings(self.changes),
            // Nobody writes the last of them into a log.
            Verb::Start | Verb::Stop | Verb::Reload | Verb::Alarm | Verb::Note | Verb::Accept => {
                What::Notice(Said { verb, what: self.what, text: self.text })
            }
        })
    }
}

/// An address, or a prefix as sources of IPv6 are written.
pub(super) fn net(text: &str) -> Option<IpNet> {
    if text.contains('/') {
        text.parse().ok()
    } else {
        text.parse::<IpAddr>().ok().map(IpNet::from)
    }
}

fn number<T: std::str::FromStr>(raw: Raw<'_>, name: &'static str) -> Result<T, Damage> {
    raw.word().parse().map_err(|_| Damage::Unreadable(name))
}

/// `rate:7,ports:1`.
fn counts(text: &str) -> Option<Vec<(Cow<'_, str>, u64)>> {
    if text.is_empty() {
        return Some(Vec::new());
    }
    let one = |item: &'_ str| {
        let (name, count) = item.split_once(':')?;
        Some((name.to_owned().into(), count.parse().ok()?))
    };
    text.split(',').map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ours_and_what_is_whole() {
        for (text, expected) in [
            ("STOP text=\"signal 15\" id=0123456789", Some(Ok(()))),
            ("listening on 3 ports", None),
            ("drop in=eth0", None),
            ("DROP", None),
            ("STOP text=\"signal 15\" id=012345678", Some(Err(Damage::Torn))),
            ("STOP text=\"id=0123456789", Some(Err(Damage::Torn))),
            ("STOP text=\"signal 15\"", Some(Err(Damage::Torn))),
            ("DROP SRC=192.0.2.1 id=0123456789", Some(Err(Damage::Missing("DPT")))),
            ("DROP SRC=192.0.2.1 DPT=70000 id=0123456789", Some(Err(Damage::Unreadable("DPT")))),
            ("DROP SRC=\"192.0.2.1\" DPT=7 id=0123456789", Some(Err(Damage::Unreadable("SRC")))),
            ("BAN reason=x id=0123456789", Some(Err(Damage::Missing("SRC")))),
            ("DROP-MORE SRC=192.0.2.1 id=0123456789", Some(Err(Damage::Missing("count")))),
            ("DROP-MORE count=1 by=rate id=0123456789", Some(Err(Damage::Unreadable("by")))),
            // An id in a text is not the line's.
            ("NOTE what=x text=\"id=0123456789\" id=012345678z", Some(Ok(()))),
            ("DROP SRC=192.0.2.1 id=0123456789 DPT=7", Some(Err(Damage::Torn))),
        ] {
            assert_eq!(message(text).map(|it| it.map(|_| ())), expected, "{text}");
        }
    }

    #[test]
    fn ids_are_numbers() {
        assert_eq!(id("0000000000"), Some(0));
        assert_eq!(id("0000000010"), Some(32));
        assert_eq!(id("zzzzzzzzzz"), Some((1 << 50) - 1));
        for wrong in ["", "000000000", "00000000000", "000000000i", "000000000é"] {
            assert_eq!(id(wrong), None, "{wrong}");
        }
    }
}
