//! The last things that went wrong, for `portcullis status`.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Level, Notice};

/// How many are kept.
const KEPT: usize = 20;

/// What lasts, and whose end is told by a notice of the same word.
const LASTING: [&str; 5] = ["flood", "kernel", "reload", "trial", "capture"];

/// A notice that somebody should look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarm {
    /// When.
    pub at: Timestamp,
    /// `error` or `warning`; `notice` if it tells that an alarm is over.
    pub level: String,
    /// What it is in one word.
    pub what: String,
    /// What it is in a sentence.
    pub text: String,
}

/// The last alarms, shared between who writes and who reads them.
#[derive(Clone, Debug, Default)]
pub struct Alarms(Arc<Mutex<VecDeque<Alarm>>>);

impl Alarms {
    /// Keeps a notice if it is an alarm: a warning or worse. A notice that such a matter is over
    /// takes the place of its alarms.
    pub fn note(&self, notice: &Notice) {
        let over = notice.level == Level::Notice && LASTING.contains(&notice.what);
        if notice.level > Level::Warning && !over {
            return;
        }
        let mut alarms = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if over {
            let before = alarms.len();
            let ends = Level::Notice.word();
            alarms.retain(|alarm| alarm.what != notice.what || alarm.level == ends);
            if alarms.len() == before {
                return;
            }
        }
        if alarms.len() == KEPT {
            alarms.pop_front();
        }
        alarms.push_back(Alarm {
            at: Timestamp::try_from(notice.at).unwrap_or(Timestamp::MAX),
            level: notice.level.word().to_owned(),
            what: notice.what.to_owned(),
            text: notice.text.clone(),
        });
    }

    /// The alarms, the newest first.
    pub fn recent(&self) -> Vec<Alarm> {
        let alarms = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        alarms.iter().rev().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn only_the_last_and_only_what_is_bad() {
        let alarms = Alarms::default();
        let notice = |level, text: String| Notice { at: UNIX_EPOCH, level, what: "x", text };
        alarms.note(&notice(Level::Notice, "fine".into()));
        assert_eq!(alarms.recent(), []);
        for i in 0..25 {
            alarms.note(&notice(Level::Warning, i.to_string()));
        }
        let texts: Vec<String> = alarms.recent().into_iter().map(|alarm| alarm.text).collect();
        assert_eq!((texts.len(), &*texts[0], &*texts[19]), (20, "24", "5"));
    }

    #[test]
    fn what_is_over_is_not_told_as_if_it_lasted() {
        let alarms = Alarms::default();
        let note = |level, what, text: &str| {
            alarms.note(&Notice { at: UNIX_EPOCH, level, what, text: text.into() });
        };
        note(Level::Notice, "reload", "read again");
        assert_eq!(alarms.recent(), [], "nothing was wrong");
        note(Level::Warning, "flood", "first");
        note(Level::Error, "log", "gone");
        note(Level::Warning, "flood", "second");
        note(Level::Notice, "flood", "is over");
        note(Level::Notice, "log", "a word that ends nothing");
        note(Level::Warning, "flood", "third");
        let told: Vec<String> =
            alarms.recent().iter().map(|alarm| format!("{} {}", alarm.level, alarm.text)).collect();
        assert_eq!(told, ["warning third", "notice is over", "error gone"]);
    }
}
