//! Trials: begun, confirmed, undone.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::channel;
use std::time::{Duration, SystemTime};

use super::reload::Wish;
use super::trial::{self, Subject, Trial};
use super::{Daemon, lock};
use crate::config::Config;
use crate::control::{Done, Refusal, TrialFacts, Trouble};
use crate::events::{Level, Span};
use crate::firewall::{By, Order};

/// Between two attempts to take back a policy, while the kernel does not take it.
const AGAIN: Duration = Duration::from_secs(1);
/// Why something is taken back.
const SAID: &str = "somebody said so";
const LATE: &str = "nobody confirmed it in time";

impl Daemon {
    /// How the trial stands.
    pub(super) fn trial_facts(&self) -> TrialFacts {
        lock(&self.trials).facts(self.shared.now())
    }

    /// While something is on trial, only another trial may take its place: nobody would know
    /// afterwards what it is that comes back. To be called with `reloading` locked.
    pub(super) fn may_reload(&self, on_trial: bool) -> Result<(), Refusal> {
        let trials = lock(&self.trials);
        let what = match trials.current().map(|trial| &trial.subject) {
            None => return Ok(()),
            Some(Subject::Policy { .. }) if on_trial => return Ok(()),
            Some(Subject::Policy { .. }) => "the policy in force is",
            Some(Subject::Start) => "the gate itself is",
        };
        Err(Refusal {
            kind: Trouble::Unavailable,
            lines: vec![
                format!("{what} on trial and waits to be confirmed"),
                "if all is well: portcullis confirm; if not: portcullis confirm --undo".to_owned(),
            ],
        })
    }

    /// The gate itself is on trial.
    pub(super) fn begin_start_trial(&self, lasts: Duration) {
        lock(&self.trials).begin(Subject::Start, lasts, self.shared.now());
        let text = format!(
            "on trial: open a second connection to this host; if that works, type portcullis \
             confirm. Otherwise everything is taken out of the kernel again in {}",
            Span(lasts)
        );
        self.say(Level::Warning, "trial", text);
    }

    /// Does the daemon end before anybody confirmed that it started well?
    pub(super) fn is_start_unconfirmed(&self) -> bool {
        matches!(lock(&self.trials).current(), Some(Trial { subject: Subject::Start, .. }))
    }

    /// The policy on disk was on trial when an earlier daemon ended, or failed its trial.
    pub(super) fn say_doubtful(&self) {
        let text = format!(
            "the policy on disk ({}) was on trial and nobody confirmed it. So it shuts out nobody: \
             the gate only observes, whatever [mode] says. If it is good: portcullis confirm. If \
             not, correct it, then: portcullis reload",
            self.path.display()
        );
        self.say(Level::Error, "trial", text);
    }

    /// What is on trial stays.
    pub(super) fn confirm(&self) -> Result<Done, Refusal> {
        {
            let _alone = lock(&self.reloading);
            let retreats = |trial: &Trial| trial.retreat.is_some();
            if lock(&self.trials).current().is_some_and(retreats) {
                return Err(Refusal {
                    kind: Trouble::Unavailable,
                    lines: vec![
                        "too late: the old policy is being put back, and the kernel has not taken \
                         its rules yet"
                            .to_owned(),
                        "it is tried again every second; if that lasts: portcullis panic"
                            .to_owned(),
                    ],
                });
            }
            let ended = lock(&self.trials).end(true);
            if let Some(trial) = ended {
                let what = match trial.subject {
                    Subject::Start => "the gate stays",
                    Subject::Policy { .. } => "the new policy stays",
                };
                lock(&self.state).folders.iter().for_each(|folder| trial::unmark(folder));
                self.say(Level::Notice, "trial", format!("confirmed: {what}"));
                let text = format!("confirmed: {what}");
                return Ok(Done { changed: 1, text, warnings: Vec::new() });
            }
        }
        if self.doubtful.load(Relaxed) {
            // Its mode is what the file says from now on.
            return self.reload(Wish { vouched: true, ..Wish::default() });
        }
        Err(nothing())
    }

    /// What is on trial goes at once.
    pub(super) fn undo(&self) -> Result<Done, Refusal> {
        self.take_back(SAID).unwrap_or_else(|| Err(nothing()))
    }

    /// Looks whether a trial's time has come. The work is done by a thread of its own: nft may keep
    /// it waiting, and the watchdog must not wait as well.
    pub(super) fn look_at_trial(self: &Arc<Self>) {
        if !lock(&self.trials).is_due(self.shared.now()) {
            return;
        }
        // A reload is at work, perhaps this very one: the next look will do.
        let Ok(free) = self.reloading.try_lock() else { return };
        drop(free);
        let daemon = Arc::clone(self);
        let work = move || drop(daemon.take_back(LATE));
        // Without a thread, the next look tries again.
        let _ = std::thread::Builder::new().name("trial".into()).spawn(work);
    }

    /// Ends the trial that lasts, if there is one, and puts back what was before. If the kernel does
    /// not take that, the judge goes by the old policy all the same, and the ticker tries again:
    /// nobody is kept waiting meanwhile.
    fn take_back(&self, why: &'static str) -> Option<Result<Done, Refusal>> {
        let alone = lock(&self.reloading);
        let trial = {
            let trials = lock(&self.trials);
            // Somebody may have been quicker, and it is another trial that lasts now.
            if why == LATE && !trials.is_due(self.shared.now()) {
                return None;
            }
            trials.current().cloned()?
        };
        let why = trial.retreat.map_or(why, |retreat| retreat.why);
        let text = match &trial.subject {
            Subject::Start => {
                // It stays unconfirmed, so that the end of the daemon takes everything out.
                lock(&self.trials).is_over();
                self.end.close();
                format!("the gate ends, and is taken out of the kernel: {why}")
            }
            Subject::Policy { before, loaded, began } => {
                if let Err(refusal) = self.put_back(&trial, before, *loaded) {
                    lock(&self.trials).retreat(why, self.shared.now() + AGAIN);
                    let text = format!(
                        "new connections are judged by the old policy again, but the kernel does \
                         not take its rules yet: {}. It is tried again every second. If that \
                         lasts: portcullis panic",
                        refusal.lines.join(" | ")
                    );
                    if trial.retreat.is_none() {
                        self.say(Level::Error, "trial", text.clone());
                    }
                    return Some(Err(Refusal::new(Trouble::Unavailable, text)));
                }
                lock(&self.trials).end(false);
                let ended = SystemTime::now();
                drop(alone);
                let pardoned = match self.pardon(*began, ended) {
                    0 => String::new(),
                    1 => " The standing that a source earned by the new one is lifted.".to_owned(),
                    n => {
                        format!(" The standings that {n} sources earned by the new one are lifted.")
                    }
                };
                format!(
                    "the old policy is back: {why}.{pardoned} The files on disk are still those of \
                     the new one ({}): correct them before the gate is started again, or it will \
                     only observe",
                    self.path.display()
                )
            }
        };
        self.say(Level::Error, "trial", text.clone());
        Some(Ok(Done { changed: 1, text, warnings: Vec::new() }))
    }

    /// The judge goes by the old policy at once, and so does the kernel if it takes that.
    fn put_back(
        &self,
        trial: &Trial,
        before: &Arc<Config>,
        loaded: SystemTime,
    ) -> Result<(), Refusal> {
        let mut state = lock(&self.state);
        if trial.retreat.is_none() {
            let config = self.filled(&state, Config::clone(before));
            state.loaded = loaded;
            if let Some(note) = self.go_by(&mut state, config) {
                self.say(Level::Warning, "policy", note);
            }
        }
        self.tell_kernel(&state, &state.config)
    }

    /// Lifts the standings that the gate gave in that time to those who had none before. Whoever is
    /// known for longer has earned his by other policies, too. Returns how many those were.
    fn pardon(&self, began: SystemTime, ended: SystemTime) -> usize {
        let listed = self.list().ok();
        let given =
            listed.iter().flat_map(|all| all.iter()).map(|told| &told.entry).filter(|entry| {
                entry.by == By::Gate
                    && entry.offences <= 1
                    && (began..=ended).contains(&entry.since)
            });
        // All are sent before the first answer is waited for: the kernel is told of them together.
        let sent: Vec<_> = given
            .filter_map(|entry| {
                let (reply, answer) = channel();
                self.orders.send(Order::Remove { whom: entry.whom(), reply }).ok()?;
                Some(answer)
            })
            .collect();
        sent.into_iter().filter(|answer| matches!(answer.recv(), Ok(Some(_)))).count()
    }
}

fn nothing() -> Refusal {
    Refusal::new(Trouble::Usage, "nothing is on trial, so there is nothing to confirm or to undo")
}
