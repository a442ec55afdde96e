//! The first word of a line.

use std::fmt;

/// What happened, in one word: whoever filters or counts lines looks at this first. The table in
/// [the room's documentation](super) explains them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the table in the room's documentation explains them")]
pub enum Verb {
    Drop,
    WouldDrop,
    DropMore,
    WouldDropMore,
    Suspect,
    WouldSuspect,
    Ban,
    WouldBan,
    Clear,
    StandingsMore,
    Start,
    Stop,
    Reload,
    Alarm,
    Note,
    Accept,
}

impl Verb {
    /// All that logs have. [`Verb::Accept`] is not among them: only captures tell who was let in.
    pub const ALL: [Verb; 15] = [
        Verb::Drop,
        Verb::WouldDrop,
        Verb::DropMore,
        Verb::WouldDropMore,
        Verb::Suspect,
        Verb::WouldSuspect,
        Verb::Ban,
        Verb::WouldBan,
        Verb::Clear,
        Verb::StandingsMore,
        Verb::Start,
        Verb::Stop,
        Verb::Reload,
        Verb::Alarm,
        Verb::Note,
    ];

    /// As a line writes it. JSON writes it in lower case.
    pub fn word(self) -> &'static str {
        match self {
            Verb::Drop => "DROP",
            Verb::WouldDrop => "WOULD-DROP",
            Verb::DropMore => "DROP-MORE",
            Verb::WouldDropMore => "WOULD-DROP-MORE",
            Verb::Suspect => "SUSPECT",
            Verb::WouldSuspect => "WOULD-SUSPECT",
            Verb::Ban => "BAN",
            Verb::WouldBan => "WOULD-BAN",
            Verb::Clear => "CLEAR",
            Verb::StandingsMore => "STANDINGS-MORE",
            Verb::Start => "START",
            Verb::Stop => "STOP",
            Verb::Reload => "RELOAD",
            Verb::Alarm => "ALARM",
            Verb::Note => "NOTE",
            Verb::Accept => "ACCEPT",
        }
    }

    /// The verb of a log's line that a word is, in upper or lower case.
    pub fn of(word: &str) -> Option<Self> {
        // Asked for each line of a log: by first letter and length, only one or two can match.
        let first = word.as_bytes().first()?.to_ascii_uppercase();
        Self::ALL.into_iter().find(|verb| {
            let own = verb.word();
            own.len() == word.len() && own.as_bytes()[0] == first && own.eq_ignore_ascii_case(word)
        })
    }

    /// False for what the gate would have done, had it not only observed.
    pub fn enforced(self) -> bool {
        use Verb::{WouldBan, WouldDrop, WouldDropMore, WouldSuspect};
        !matches!(self, WouldDrop | WouldDropMore | WouldSuspect | WouldBan)
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_back() {
        for (place, verb) in Verb::ALL.into_iter().enumerate() {
            assert_eq!(verb as usize, place, "every verb once, in order");
            assert_eq!(Verb::of(verb.word()), Some(verb));
            assert_eq!(Verb::of(&verb.word().to_ascii_lowercase()), Some(verb));
            assert_eq!(verb.enforced(), !verb.word().starts_with("WOULD-"));
        }
        // A verb behind the last of them would be missing in the list.
        assert_eq!(Verb::ALL.len(), Verb::Accept as usize);
        for word in ["", "DROPS", "DRO", "ACCEPT", "é", "NOTÉ"] {
            assert_eq!(Verb::of(word), None, "{word}");
        }
    }
}
