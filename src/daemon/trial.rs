//! A policy on trial: in force, but only until a time, unless somebody confirms it. Pure: the time
//! is an argument, and what is to be done is returned.
//!
//! So that a daemon that ends meanwhile does not come back with it as if nothing were, a file
//! `unconfirmed` in the state folder names the policy's files as they were. It stays when the old
//! policy comes back, because the file on disk is still the new one.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::config::Config;
use crate::control::{TrialFacts, TrialState};
use crate::memory::Moment;

/// What is on trial.
#[derive(Clone, Debug)]
pub(super) enum Subject {
    /// The gate itself: `portcullis run --confirm`.
    Start,
    /// A policy: `portcullis reload --confirm`, and what comes back if it fails.
    Policy {
        /// The last policy that was confirmed, or that nobody put on trial.
        before: Arc<Config>,
        /// When that was read.
        loaded: SystemTime,
        /// When the first trial began.
        began: SystemTime,
    },
}

/// One trial.
#[derive(Clone, Debug)]
pub(super) struct Trial {
    pub(super) subject: Subject,
    until: Moment,
    pub(super) retreat: Option<Retreat>,
}

/// A policy is being taken back: the judge goes by the old one again, and the kernel does not take
/// the old rules yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Retreat {
    /// Why it is taken back.
    pub(super) why: &'static str,
    /// When the kernel is told again.
    again: Moment,
}

/// The trial that lasts, and how the last one ended.
#[derive(Debug, Default)]
pub(super) struct Trials {
    current: Option<Trial>,
    last: TrialState,
}

impl Trials {
    /// Begins a trial, or another one in place of that which lasts: what would have come back
    /// then, comes back now.
    pub(super) fn begin(&mut self, subject: Subject, lasts: Duration, now: Moment) {
        let subject = match self.current.take() {
            Some(Trial { subject, .. }) => subject,
            None => subject,
        };
        self.current = Some(Trial { subject, until: now + lasts, retreat: None });
        self.last = TrialState::Waiting;
    }

    /// The trial that lasts.
    pub(super) fn current(&self) -> Option<&Trial> {
        self.current.as_ref()
    }

    /// Has its time come, or that of the next attempt to take it back?
    pub(super) fn is_due(&self, now: Moment) -> bool {
        let due = |trial: &Trial| now >= trial.retreat.map_or(trial.until, |retreat| retreat.again);
        self.current.as_ref().is_some_and(due)
    }

    /// Its policy goes, but the kernel has to be told again, at that time.
    pub(super) fn retreat(&mut self, why: &'static str, again: Moment) {
        if let Some(trial) = &mut self.current {
            trial.until = Moment::default();
            trial.retreat = Some(Retreat { why, again });
        }
    }

    /// Its time has come and what follows is on its way: it is not due again.
    pub(super) fn is_over(&mut self) {
        if let Some(trial) = &mut self.current {
            trial.until = Moment(u64::MAX);
        }
    }

    /// Ends it: confirmed or not.
    pub(super) fn end(&mut self, confirmed: bool) -> Option<Trial> {
        let trial = self.current.take()?;
        self.last = if confirmed { TrialState::Confirmed } else { TrialState::Undone };
        Some(trial)
    }

    /// How it stands, for people.
    pub(super) fn facts(&self, now: Moment) -> TrialFacts {
        let left = self
            .current
            .as_ref()
            .map(|trial| Duration::from_nanos(trial.until.0.saturating_sub(now.0)));
        let start = self.current.as_ref().is_some_and(|t| matches!(t.subject, Subject::Start));
        TrialFacts { state: self.last, left, start }
    }
}

const NAME: &str = "unconfirmed";

/// Where it is written that the policy on disk was never confirmed.
fn path(folder: &Path) -> PathBuf {
    folder.join(NAME)
}

/// The files as they are now: path, time of the last change, size. Two policies that differ differ
/// in one of them.
fn description(files: &[PathBuf]) -> String {
    let line = |file: &PathBuf| {
        let seen = fs::metadata(file).ok();
        let size = seen.as_ref().map_or(0, fs::Metadata::len);
        let changed = seen.and_then(|seen| seen.modified().ok());
        let changed = changed.and_then(|at| at.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
        format!("{} {size} {}\n", changed.as_nanos(), file.display())
    };
    files.iter().map(line).collect()
}

/// Writes down that these files are on trial. The folder is made if it is missing: it may be that
/// of the next start.
pub(super) fn mark(folder: &Path, files: &[PathBuf]) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    crate::firewall::put_in_place(folder, NAME, description(files).as_bytes())
}

/// What was written down in some folders, to be put back if a trial does not begin after all.
pub(super) struct Marks(Vec<(PathBuf, Option<Vec<u8>>)>);

impl Marks {
    /// As they are now.
    pub(super) fn read<'a>(folders: impl IntoIterator<Item = &'a PathBuf>) -> Self {
        let now = |folder: &'a PathBuf| (folder.clone(), fs::read(path(folder)).ok());
        Self(folders.into_iter().map(now).collect())
    }

    /// As they were. What cannot be put back is at worst a doubt too many.
    pub(super) fn put_back(self) {
        for (folder, text) in self.0 {
            match text {
                Some(text) => drop(crate::firewall::put_in_place(&folder, NAME, &text)),
                None => unmark(&folder),
            }
        }
    }
}

/// They are no longer.
pub(super) fn unmark(folder: &Path) {
    // What cannot be removed is told at the next start.
    let _ = fs::remove_file(path(folder));
}

/// Are just these files on trial, or have failed it?
pub(super) fn is_marked(folder: &Path, files: &[PathBuf]) -> bool {
    fs::read_to_string(path(folder)).is_ok_and(|text| text == description(files))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> Moment {
        Moment(1 + second * 1_000_000_000)
    }

    fn policy(budget: u32) -> Subject {
        let mut config = Config::default();
        config.bans.budget = budget;
        Subject::Policy { before: Arc::new(config), loaded: UNIX_EPOCH, began: UNIX_EPOCH }
    }

    fn budget(trial: &Trial) -> u32 {
        match &trial.subject {
            Subject::Policy { before, .. } => before.bans.budget,
            Subject::Start => 0,
        }
    }

    #[test]
    fn a_trial_is_confirmed_or_due() {
        let mut trials = Trials::default();
        assert_eq!(trials.facts(at(0)), TrialFacts::default());
        assert!(!trials.is_due(at(0)) && trials.end(true).is_none());
        trials.begin(policy(1), Duration::from_secs(60), at(0));
        let facts = trials.facts(at(15));
        assert_eq!((facts.state, facts.left), (TrialState::Waiting, Some(Duration::from_secs(45))));
        assert!(!trials.is_due(at(59)) && trials.is_due(at(60)));
        let mut over = Trials::default();
        over.begin(Subject::Start, Duration::from_secs(60), at(0));
        over.is_over();
        assert!(!over.is_due(at(60)) && over.current().is_some(), "it stays unconfirmed");
        assert!(trials.end(true).is_some() && !trials.is_due(at(61)));
        assert_eq!(trials.facts(at(61)).state, TrialState::Confirmed);
    }

    #[test]
    fn what_the_kernel_does_not_take_is_tried_again() {
        let mut trials = Trials::default();
        trials.begin(policy(1), Duration::from_secs(60), at(0));
        // Somebody undoes it before its time; the kernel does not take that.
        trials.retreat("somebody said so", at(11));
        assert!(!trials.is_due(at(10)) && trials.is_due(at(11)));
        let facts = trials.facts(at(10));
        assert_eq!((facts.state, facts.left), (TrialState::Waiting, Some(Duration::ZERO)));
        assert_eq!(
            trials.current().and_then(|trial| trial.retreat).unwrap().why,
            "somebody said so"
        );
        // Another policy in its place is a trial like any other.
        trials.begin(policy(2), Duration::from_secs(60), at(20));
        assert!(!trials.is_due(at(21)) && trials.current().unwrap().retreat.is_none());
        assert_eq!(trials.end(false).as_ref().map(budget), Some(1));
    }

    #[test]
    fn another_trial_goes_back_to_what_was_confirmed_last() {
        let mut trials = Trials::default();
        trials.begin(policy(1), Duration::from_secs(60), at(0));
        trials.begin(policy(2), Duration::from_secs(60), at(50));
        assert!(!trials.is_due(at(70)) && trials.is_due(at(110)));
        assert_eq!(trials.end(false).as_ref().map(budget), Some(1));
        assert_eq!(trials.facts(at(110)).state, TrialState::Undone);
    }

    #[test]
    fn the_files_on_trial_are_known_until_they_change() {
        let place = tempfile::tempdir().unwrap();
        let files = ["a", "b"].map(|name| place.path().join(name));
        files.iter().for_each(|file| fs::write(file, "mode = \"enforce\"").unwrap());
        assert!(!is_marked(place.path(), &files));
        mark(place.path(), &files).unwrap();
        assert!(is_marked(place.path(), &files) && !is_marked(place.path(), &files[..1]));
        fs::write(&files[1], "mode = \"observe\" ").unwrap();
        assert!(!is_marked(place.path(), &files));
        mark(place.path(), &files).unwrap();
        // A trial that does not begin after all leaves what was written before it.
        let (known, fresh) = (place.path().to_owned(), place.path().join("not/yet"));
        let marks = Marks::read([&known, &fresh]);
        mark(&fresh, &files).unwrap();
        mark(&known, &files[..1]).unwrap();
        assert!(is_marked(&fresh, &files) && !is_marked(&known, &files));
        marks.put_back();
        assert!(!is_marked(&fresh, &files) && is_marked(&known, &files));
        unmark(place.path());
        assert!(!is_marked(place.path(), &files));
    }
}
