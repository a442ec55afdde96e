//! A line of JSON: our own log's, or the journal's (`journalctl -o json`).

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;

use super::entry::{Damage, Entry, What};
use super::message::{Parts, id, net};
use crate::events::Verb;

/// What a line of JSON is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Object<'a> {
    /// An event of our own log.
    Event(Result<Entry<'a>, Damage>),
    /// Something of the journal.
    Journal {
        /// When it was taken in.
        at: Timestamp,
        /// Who said it: `SYSLOG_IDENTIFIER`.
        sender: Cow<'a, str>,
        /// What they said.
        message: Cow<'a, str>,
    },
    /// JSON, but not of that kind.
    Foreign,
}

/// Both kinds in one, so that a line is read only once.
#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow, default)]
    time: Cow<'a, str>,
    #[serde(borrow, default)]
    event: Cow<'a, str>,
    #[serde(borrow, default)]
    src: Cow<'a, str>,
    dpt: Option<u16>,
    #[serde(borrow, default)]
    reason: Cow<'a, str>,
    #[serde(borrow, default)]
    what: Cow<'a, str>,
    #[serde(borrow, default)]
    text: Cow<'a, str>,
    count: Option<u64>,
    #[serde(default)]
    by: BTreeMap<String, u64>,
    #[serde(default)]
    clean: u64,
    #[serde(default)]
    suspect: u64,
    #[serde(default)]
    banned: u64,
    enforced: Option<bool>,
    #[serde(borrow, default)]
    id: Cow<'a, str>,
    #[serde(rename = "__REALTIME_TIMESTAMP", borrow, default)]
    realtime: Cow<'a, str>,
    #[serde(rename = "SYSLOG_IDENTIFIER", borrow, default)]
    identifier: Words<'a>,
    #[serde(rename = "MESSAGE", borrow, default)]
    message: Words<'a>,
}

/// A field of the journal: text; bytes, if it has any that do not print; or several, or none.
#[derive(Deserialize)]
#[serde(untagged)]
enum Words<'a> {
    Text(#[serde(borrow)] Cow<'a, str>),
    Bytes(Vec<u8>),
    Other(serde::de::IgnoredAny),
}

impl Default for Words<'_> {
    fn default() -> Self {
        Self::Text("".into())
    }
}

impl<'a> Words<'a> {
    fn words(self) -> Cow<'a, str> {
        match self {
            Words::Text(text) => text,
            Words::Bytes(bytes) => String::from_utf8_lossy(&bytes).into_owned().into(),
            Words::Other(_) => "".into(),
        }
    }
}

/// Reads a line that begins with `{`.
///
/// # Errors
/// If it is no JSON up to its end.
pub(super) fn object(line: &str) -> Result<Object<'_>, Damage> {
    let fields: Fields<'_> = match serde_json::from_str(line) {
        Ok(fields) => fields,
        // Whole, but with other values than ours under such names.
        Err(error) if error.is_data() => {
            return serde_json::from_str::<serde::de::IgnoredAny>(line)
                .map(|_| Object::Foreign)
                .map_err(|_| Damage::Json);
        }
        Err(_) => return Err(Damage::Json),
    };
    if !fields.realtime.is_empty() {
        let time = fields.realtime.parse().ok().and_then(|us| Timestamp::from_microsecond(us).ok());
        return Ok(match time {
            Some(at) => Object::Journal {
                at,
                sender: fields.identifier.words(),
                message: fields.message.words(),
            },
            None => Object::Foreign,
        });
    }
    let Some(verb) = Verb::of(&fields.event) else { return Ok(Object::Foreign) };
    Ok(Object::Event(event(verb, fields)))
}

fn event(verb: Verb, fields: Fields<'_>) -> Result<Entry<'_>, Damage> {
    let at = fields.time.parse().map_err(|_| Damage::Unreadable("time"))?;
    let id = id(&fields.id).ok_or(Damage::Missing("id"))?;
    let src = match &*fields.src {
        "" => None,
        text => Some(net(text).ok_or(Damage::Unreadable("src"))?),
    };
    let parts = Parts {
        src,
        port: fields.dpt,
        reason: fields.reason,
        what: fields.what,
        text: fields.text,
        count: fields.count,
        by: fields.by.into_iter().map(|(name, count)| (name.into(), count)).collect(),
        changes: super::entry::Changes {
            clean: fields.clean,
            suspect: fields.suspect,
            banned: fields.banned,
            told: false,
        },
        enforced: fields.enforced.unwrap_or_else(|| verb.enforced()),
    };
    let mut what = parts.what(verb)?;
    if let What::Standings(changes) = &mut what {
        // The JSON file has every change of standing in full besides.
        changes.told = true;
    }
    Ok(Entry { at, id, what })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_journal_has_its_ways() {
        let journal = |identifier: &str, message: &str| {
            let line = format!(
                "{{\"__REALTIME_TIMESTAMP\":\"1790000000250000\",\"PRIORITY\":\"4\",\
                 \"SYSLOG_IDENTIFIER\":{identifier},\"MESSAGE\":{message}}}"
            );
            match object(&line) {
                Ok(Object::Journal { at, sender, message }) => {
                    assert_eq!(at.as_microsecond(), 1_790_000_000_250_000);
                    (sender.into_owned(), message.into_owned())
                }
                other => panic!("{line}: {other:?}"),
            }
        };
        for (identifier, message, expected) in [
            (r#""portcullis""#, r#""STOP \"x\"""#, ("portcullis", "STOP \"x\"")),
            (r#""portcullis""#, "[83,84,79,80]", ("portcullis", "STOP")),
            (r#""portcullis""#, "null", ("portcullis", "")),
            (r#"["a","b"]"#, r#""STOP""#, ("", "STOP")),
        ] {
            let (sender, text) = journal(identifier, message);
            assert_eq!((&*sender, &*text), expected);
        }
    }

    #[test]
    fn others_write_json_too() {
        for (line, expected) in [
            ("{}", Ok(())),
            (r#"{"event":"login","time":1}"#, Ok(())),
            (r#"{"event":"drop","time":"now""#, Err(Damage::Json)),
            ("{", Err(Damage::Json)),
            (r#"{"event":7"#, Err(Damage::Json)),
            (r#"{"__REALTIME_TIMESTAMP":"soon","MESSAGE":"x"}"#, Ok(())),
        ] {
            let found = object(line).map(|found| assert_eq!(found, Object::Foreign, "{line}"));
            assert_eq!(found, expected, "{line}");
        }
        let event = r#"{"time":"2026-09-21T14:13:20Z","event":"stop","text":"x"}"#;
        assert_eq!(object(event), Ok(Object::Event(Err(Damage::Missing("id")))));
    }
}
