//! What came of a capture.

use std::fmt;
use std::path::PathBuf;

use serde_json::json;

use crate::capture::Statistics;
use crate::events::Grouped;

/// Why it ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum End {
    /// Its time is over, or it has as many packets as were wanted; or the gate ended in order.
    #[default]
    Bound,
    /// The file is full.
    Full,
    /// Ctrl-C.
    Asked,
    /// The reader of standard output has gone.
    Unread,
    /// Packets could not be written.
    Failed(String),
    /// The daemon broke off.
    Lost,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) end: End,
    pub(super) packets: u64,
    /// What the daemon told last.
    pub(super) told: Statistics,
    /// The daemon's last word was a whole one.
    pub(super) whole: bool,
    pub(super) files: Vec<PathBuf>,
}

impl Outcome {
    /// As one JSON object.
    pub(super) fn json(&self) -> String {
        let files: Vec<String> = self.files.iter().map(|path| path.display().to_string()).collect();
        let object = json!({
            "packets": self.packets,
            "over_rate": self.told.passed_over,
            "lost": self.told.lost,
            "ended": self.end.word(),
            "files": files,
        });
        format!("{object:#}\n")
    }
}

impl End {
    fn word(&self) -> &'static str {
        match self {
            Self::Bound => "done",
            Self::Full => "full",
            Self::Asked => "interrupted",
            Self::Unread => "unread",
            Self::Failed(_) => "failed",
            Self::Lost => "lost",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.end {
            End::Full => f.write_str("The file is full. ")?,
            End::Failed(why) => write!(f, "Packets cannot be written: {why}. ")?,
            End::Lost => f.write_str("The gate broke off; is it still running? ")?,
            End::Bound | End::Asked | End::Unread => {}
        }
        let plural = if self.packets == 1 { "" } else { "s" };
        write!(f, "{} packet{plural}", Grouped(self.packets))?;
        for (n, path) in self.files.iter().enumerate() {
            write!(f, "{} {}", if n == 0 { " in" } else { "," }, path.display())?;
        }
        let missing = [
            (self.told.passed_over, "over the rate (--rate)"),
            (self.told.lost, "lost, because they were read too slowly"),
        ];
        let missing: Vec<String> = missing
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, why)| format!("{} {why}", Grouped(*count)))
            .collect();
        if missing.is_empty() {
            return f.write_str("; none is missing");
        }
        write!(f, "; missing: {}", missing.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_words() {
        let mut outcome = Outcome { packets: 1234, whole: true, ..Outcome::default() };
        assert_eq!(outcome.to_string(), "1,234 packets; none is missing");
        outcome.files = vec!["a.pcapng".into(), "a.1.pcapng".into()];
        outcome.told = Statistics { wanted: 0, passed_over: 7, lost: 2000 };
        outcome.end = End::Full;
        assert_eq!(
            outcome.to_string(),
            "The file is full. 1,234 packets in a.pcapng, a.1.pcapng; missing: 7 over the rate \
             (--rate), 2,000 lost, because they were read too slowly"
        );
        let json: serde_json::Value = serde_json::from_str(&outcome.json()).unwrap();
        assert_eq!((&json["packets"], &json["ended"]), (&1234.into(), &"full".into()));
    }
}
