//! What would become of a connection.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::{SparedRow, seconds, word};
use crate::policy::Standing;

/// What would become of a connection, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExplainReport {
    /// From this address…
    pub address: IpAddr,
    /// …to this port.
    pub port: u16,
    /// Of its source.
    #[serde(with = "word")]
    pub standing: Standing,
    /// The standing is about this port only; `None` for all.
    #[serde(default)]
    pub standing_port: Option<u16>,
    /// How much longer the standing lasts.
    #[serde(default, with = "seconds::optional")]
    pub standing_left: Option<Duration>,
    /// Why it has that standing, in words; empty if it has none.
    #[serde(default)]
    pub standing_why: String,
    /// The wider prefix whose ban covers it; `None` if the standing is its own.
    #[serde(default)]
    pub standing_of: Option<IpNet>,
    /// Does the gate find nothing against letting it in at this moment?
    pub accepted: bool,
    /// Does the gate act on that? False in observe mode: everything is let in.
    pub enforced: bool,
    /// Does the gate stand aside (`portcullis panic`)? Then nothing is judged: everything is let in.
    #[serde(default)]
    pub aside: bool,
    /// What settles it: a check's name, `standing`, or empty where nothing speaks against it.
    pub settled_by: String,
    /// Every check in order.
    pub checks: Vec<CheckRow>,
    /// What is remembered of the source; `None` if it is not known.
    pub memory: Option<SourceFacts>,
    /// How it behaves, as the anomaly detector sees it; `None` if it was not looked at lately.
    #[serde(default)]
    pub habits: Option<HabitFacts>,
    /// It is spared because of an SSH session at this port.
    #[serde(default)]
    pub spared: Option<SparedRow>,
    /// What would have to happen for it to be let in, in sentences.
    pub advice: Vec<String>,
}

/// One check's view.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckRow {
    /// Its name.
    pub check: String,
    /// What it found.
    pub finding: FindingWord,
    /// What exactly; may be empty.
    pub what: String,
    /// The measured value.
    pub seen: f32,
    /// The value that would still pass; with `seen`, both 0 where nothing is measured.
    pub limit: f32,
}

/// A finding in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingWord {
    /// Nothing against it.
    Pass,
    /// Trusted: no later check matters.
    Allow,
    /// Odd; adds to the score.
    Suspect,
    /// Refused.
    Deny,
    /// Not asked, because an earlier check had settled it.
    NotAsked,
}

/// How unlike others a source behaves.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HabitFacts {
    /// The score of its oddest attempt in this hour, by what is known now.
    pub score: f32,
    /// Scores above this are unusual; `None` while too little is known.
    pub limit: Option<f32>,
    /// The share of honest sources that score as high.
    pub p_value: f32,
    /// It was called unusual in this hour.
    pub unusual: bool,
    /// The three features that made the score, in sentences without a subject.
    pub because: Vec<String>,
}

/// What is remembered of a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFacts {
    /// Refused attempts in the present window, weighted.
    pub refused: u64,
    /// Those of them that nobody else can have sent.
    pub refused_own: u64,
    /// Has it completed a real connection?
    pub proven: bool,
    /// Points of suspicion; 100 make a suspect.
    pub score: u64,
}
