//! The last things that went wrong, for `portcullis status`.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Level, Notice};

/// How many are kept.
const KEPT: usize = 20;

/// A notice that somebody should look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarm {
    /// When.
    pub at: Timestamp,
    /// `error` or `warning`.
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
    /// Keeps a notice if it is an alarm: a warning or worse.
    pub fn note(&self, notice: &Notice) {
        if notice.level > Level::Warning {
            return;
        }
        let mut alarms = self.0.lock().unwrap_or_else(PoisonError::into_inner);
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
}
