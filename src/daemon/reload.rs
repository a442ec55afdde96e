//! A new policy in place of the old one, all of it or nothing of it.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, SystemTime};

use sd_notify::NotifyState;

use super::manager::notify;
use super::sessions::Session;
use super::shared::{Rules, bounds};
use super::trial::{self, Marks, Subject};
use super::{Daemon, State, confined, lock, names};
use crate::audit;
use crate::config::{Config, ConfigErrors, Loaded, Problem};
use crate::confine::Confinement;
use crate::control::{Done, Refusal, Trouble};
use crate::events::{Count, Level, Span};
use crate::firewall::Order;
use crate::host;

/// How often it was tried.
#[derive(Debug, Default)]
pub(super) struct Reloaded {
    pub(super) done: Count,
    pub(super) failed: Count,
}

/// How a policy is to be read again.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wish {
    /// The old policy comes back after so long, unless somebody confirms the new one.
    pub(super) confirm: Option<Duration>,
    /// The SSH session of whoever wants it.
    pub(super) typed_in: Option<Session>,
    /// Somebody says that the files are good, though they were on trial and not confirmed.
    pub(super) vouched: bool,
}

impl Daemon {
    /// Reads the policy again and uses it from now on. What is remembered stays, and so do
    /// standings. If anything is wrong with it, nothing changes. So it is if the files failed a
    /// trial and are still the same: a reload may come from a hook or a timer, which knows nothing
    /// of that.
    pub(super) fn reload(&self, wish: Wish) -> Result<Done, Refusal> {
        if let Ok(reloading) = NotifyState::monotonic_usec_now() {
            notify(&[NotifyState::Reloading, reloading]);
        }
        let outcome = {
            let _alone = lock(&self.reloading);
            self.may_reload(wish.confirm.is_some()).and_then(|()| self.replace(wish))
        };
        match &outcome {
            Ok(done) => {
                self.reloads.done.add(1);
                for warning in &done.warnings {
                    self.say(Level::Warning, "policy", warning.clone());
                }
                self.say(Level::Notice, "reload", done.text.clone());
            }
            Err(refusal) => {
                self.reloads.failed.add(1);
                let text = format!("the old policy stays: {}", in_short(&refusal.lines));
                self.say(Level::Error, "reload", text);
            }
        }
        notify(&[NotifyState::Ready]);
        outcome
    }

    fn replace(&self, wish: Wish) -> Result<Done, Refusal> {
        let Wish { confirm, typed_in, vouched } = wish;
        let Loaded { config, warnings, files } =
            crate::config::load(&self.path).map_err(|errors| mistaken(&errors))?;
        let mut warnings: Vec<String> = warnings.iter().map(Problem::in_a_line).collect();
        // Not while the ticker swaps served ports.
        let mut state = lock(&self.state);
        let known = confirm.is_some() || vouched;
        if !known && trial::is_marked(&state.config.bans.state_dir, &files) {
            return Err(failed(self.doubtful.load(Relaxed)));
        }
        if confirm.is_some() && !self.confinement.may_write_in(&config.bans.state_dir) {
            return Err(untold(&config.bans.state_dir));
        }
        // Before it is in force: it may be what ends this daemon, or this machine.
        let before_it = confirm.map(|_| {
            state.folders.insert(config.bans.state_dir.clone());
            self.write_down(&state, &files, &mut warnings)
        });
        let config = only_at_start(config, &state.config, &mut warnings);
        let config = within_reach(config, &state.config, &self.confinement, &mut warnings);
        // Once: each question makes the kernel walk all its connections.
        // Where it does not tell all, it may still tell of those to SSH's ports.
        let open =
            host::connections().unwrap_or_else(|_| host::ssh_sessions(state.lifeline.ports()));
        self.spare(&mut state, &config, &open, typed_in);
        let (before, loaded) = (Arc::clone(&state.config), state.loaded);
        let began = SystemTime::now();
        match (self.put_in_force(&mut state, config), before_it) {
            (Ok(note), _) => warnings.extend(note),
            (Err(refusal), marks) => {
                if let Some(marks) = marks {
                    marks.put_back();
                }
                return Err(refusal);
            }
        }
        (state.loaded, state.files) = (SystemTime::now(), files);
        warnings.extend(cut_off(&state, open));
        let mut text = match state.files.len() {
            1 => "the policy was read again (1 file)".to_owned(),
            n => format!("the policy was read again ({n} files)"),
        };
        self.doubtful.store(false, Relaxed);
        match confirm {
            None => state.folders.iter().for_each(|folder| trial::unmark(folder)),
            Some(lasts) => {
                text += &format!(
                    ", on trial: the old one comes back in {} unless you type portcullis confirm",
                    Span(lasts)
                );
                let subject = Subject::Policy { before, loaded, began };
                lock(&self.trials).begin(subject, lasts, self.shared.now());
            }
        }
        Ok(Done { changed: 1, text, warnings })
    }

    /// Writes down that these files are on trial, for whatever starts next. Returns what stood there
    /// before.
    fn write_down(&self, state: &State, files: &[PathBuf], warnings: &mut Vec<String>) -> Marks {
        let marks = Marks::read(&state.folders);
        for folder in &state.folders {
            if let Err(error) = trial::mark(folder, files) {
                warnings.push(format!(
                    "it cannot be written down in {} that this policy is on trial ({error}): a \
                     gate that is started again meanwhile would use it",
                    folder.display()
                ));
            }
        }
        marks
    }

    /// From now on the kernel, the judge and everybody else go by this policy; or all by the old
    /// one, if the kernel does not take it. Returns what the admin should know besides.
    pub(super) fn put_in_force(
        &self,
        state: &mut State,
        config: Config,
    ) -> Result<Option<String>, Refusal> {
        let config = self.filled(state, config);
        self.tell_kernel(state, &config)?;
        Ok(self.go_by(state, config))
    }

    /// With what is known at this moment: served ports, sessions, the addresses of names.
    pub(super) fn filled(&self, state: &State, mut config: Config) -> Arc<Config> {
        config.policy.ports.serve(state.listening.listening(), &state.listening.closing());
        config.policy.lifelines = state.lifeline.lifelines();
        names::fill(&mut config, &lock(&self.names));
        Arc::new(config)
    }

    /// The kernel and the ledger go by this policy; or by the old one, if the kernel refuses.
    pub(super) fn tell_kernel(&self, state: &State, config: &Arc<Config>) -> Result<(), Refusal> {
        let protected = Some(state.indispensable.clone());
        let order = |reply| Order::Configure { config: Arc::clone(config), protected, reply };
        let refusal = |text: String| Refusal::new(Trouble::Unavailable, text);
        self.orders
            .ask(order)
            .map_err(|gone| refusal(format!("{gone}; systemctl restart portcullis")))?
            .map_err(|error| refusal(format!("the kernel does not take the new rules: {error}")))
    }

    /// Everybody but the kernel goes by this policy. Returns what the admin should know besides.
    pub(super) fn go_by(&self, state: &mut State, config: Arc<Config>) -> Option<String> {
        self.shared.rules.store(Arc::new(Rules::new(&config)));
        if config.memory != state.config.memory {
            self.shared.memory.resize(bounds(&config), self.shared.now());
        }
        let capture = (config.capture != state.config.capture)
            .then(|| self.recapture(&config.capture).err())
            .flatten();
        if let Some(events) = lock(&self.events).as_ref() {
            events.reconfigure(&config.events);
        }
        state.config = config;
        capture.map(|failure| format!("refused packets are not captured: {failure}"))
    }
}

/// Reads the policy again when SIGHUP comes, on a thread of its own: while that waits for nft, the
/// daemon can still be told to stop. Nobody waits for its end.
pub(super) struct Reloader(SyncSender<()>);

impl Reloader {
    pub(super) fn start(daemon: &Arc<Daemon>) -> io::Result<Self> {
        let daemon = Arc::clone(daemon);
        let (wanted, wishes) = sync_channel(1);
        let work = move || {
            for () in wishes {
                // What is wrong with the policy is told as an event.
                drop(daemon.reload(Wish::default()));
            }
        };
        thread::Builder::new().name("reload".into()).spawn(work)?;
        Ok(Self(wanted))
    }

    /// If one waits already, it will read the same files.
    pub(super) fn reload(&self) {
        let _ = self.0.try_send(());
    }
}

/// The policy on disk is still the one that was on trial. Confirming it comes into question only if
/// the daemon `started` with it: to whoever confirms a moment too late, that the old policy is back
/// is no proof that the new one lets him in.
fn failed(started: bool) -> Refusal {
    let otherwise = match started {
        true => "if it is good: portcullis confirm",
        false => "if it is good, try it again: portcullis reload --confirm 60s",
    };
    Refusal {
        kind: Trouble::Unavailable,
        lines: vec![
            "the policy on disk was on trial, nobody confirmed it, and it has not changed since"
                .to_owned(),
            format!("correct it and reload again; {otherwise}"),
        ],
    }
}

/// The next start would use a state folder in which the daemon cannot write down that this policy is
/// on trial.
fn untold(folder: &Path) -> Refusal {
    Refusal {
        kind: Trouble::Unavailable,
        lines: vec![
            format!(
                "[bans] state_dir = \"{}\" cannot be tried: the gate has locked itself into the \
                 folders that it wrote to when it started, so it could not be written down there \
                 that the policy is on trial, and a gate that is started again would use it",
                folder.display()
            ),
            "try the policy with the old folder, and change the folder when it is confirmed"
                .to_owned(),
        ],
    }
}

/// The last line of a refusal because of mistakes.
const STAYS: &str = "The old policy stays in force.";

/// The mistakes, as `portcullis check` shows them, and what that means.
fn mistaken(errors: &ConfigErrors) -> Refusal {
    let mut lines: Vec<String> = errors.to_string().lines().map(str::to_owned).collect();
    lines.extend([String::new(), STAYS.to_owned()]);
    Refusal { kind: Trouble::Config, lines }
}

/// A refusal for the log: what is wrong and what to do, without excerpts of the policy, whose lines
/// are indented.
fn in_short(lines: &[String]) -> String {
    let mut text = String::new();
    for line in lines.iter().filter(|line| !line.is_empty() && *line != STAYS) {
        match line.split_once(" = help: ") {
            Some((gutter, help)) if gutter.trim().is_empty() => text += &format!("; {help}"),
            _ if line.starts_with(' ') => {}
            _ if text.is_empty() => text += line,
            _ => text += &format!(" | {line}"),
        }
    }
    text
}

/// The most open sessions of which a reload says that it would cut them off.
const TOLD: usize = 5;

/// Open sessions whose peers the policy refuses from now on.
fn cut_off(state: &State, open: Vec<(SocketAddr, SocketAddr)>) -> Vec<String> {
    let ssh = state.lifeline.ports();
    let served = state.listening.listening();
    let cuts = audit::cut_off(&state.config, open, ssh, served, |_| None);
    let mut told: Vec<String> = cuts
        .iter()
        .take(TOLD)
        .map(|cut| format!("{}: {}. {}", cut.words(), cut.why, cut.todo))
        .collect();
    if cuts.len() > TOLD {
        let more = cuts.len() - TOLD;
        told.push(format!("and {more} more open sessions: portcullis check --live"));
    }
    told
}

/// Settings that are fixed when the daemon starts keep their old value, and the admin is told.
fn only_at_start(new: Config, old: &Config, warnings: &mut Vec<String>) -> Config {
    let mut kept = new.clone();
    kept.queue = old.queue.clone();
    kept.control = old.control.clone();
    kept.metrics = old.metrics.clone();
    kept.daemon = old.daemon.clone();
    kept.bans.state_dir = old.bans.state_dir.clone();
    kept.guard.redirect = old.guard.redirect;
    kept.guard.mark_bit = old.guard.mark_bit;
    let changed = [
        ("[queue]", kept.queue != new.queue),
        ("[metrics]", kept.metrics != new.metrics),
        ("[control]", kept.control != new.control),
        ("[daemon]", kept.daemon != new.daemon),
        ("[bans] state_dir", kept.bans.state_dir != new.bans.state_dir),
        ("[guard] redirect", kept.guard.redirect != new.guard.redirect),
        ("[guard] mark_bit", kept.guard.mark_bit != new.guard.mark_bit),
    ];
    for (what, _) in changed.iter().filter(|(_, changed)| *changed) {
        warnings
            .push(format!("{what} takes effect at the next start: systemctl restart portcullis"));
    }
    kept
}

/// Where the daemon has locked itself out, files go on being written where they were, and the admin
/// is told.
fn within_reach(
    new: Config,
    old: &Config,
    confinement: &Confinement,
    warnings: &mut Vec<String>,
) -> Config {
    let mut kept = new.clone();
    for (key, path) in confined::out_of_reach(confinement, &new) {
        match key {
            "[events] json" if new.events.json != old.events.json => {
                kept.events.json = old.events.json.clone();
            }
            "[capture] dir" if new.capture.dir != old.capture.dir => {
                kept.capture.dir = old.capture.dir.clone();
            }
            _ => continue,
        }
        warnings.push(format!(
            "{key} = \"{}\" takes effect at the next start, because the gate has locked itself into \
             the folders that it wrote to when it started: systemctl restart portcullis",
            path.display()
        ));
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_shown_in_full_and_logged_in_short() {
        let errors =
            crate::config::parse("mode = \"enforce\"\nhonest = 50\n[bans]\nbudgett = 1\n", "f");
        let refusal = mistaken(&errors.unwrap_err());
        assert!(refusal.lines.iter().any(|line| line.contains(" | honest = 50")), "{refusal:?}");
        assert_eq!(
            refusal.lines.last().map(String::as_str),
            Some("The old policy stays in force.")
        );
        let short = in_short(&refusal.lines);
        assert_eq!(short.matches(" | ").count(), 1, "{short}");
        assert!(short.contains("honest") && short.contains("; did you mean"), "{short}");
        assert!(
            !short.contains('^') && !short.contains("help") && !short.contains("stays"),
            "{short}"
        );
    }

    #[test]
    fn what_is_fixed_at_start_is_kept_and_told() {
        let old = Config::default();
        let mut new = Config::default();
        new.queue.number = 9;
        new.guard.mark_bit = 3;
        new.metrics.remote = true;
        new.bans.budget = 7;
        let mut warnings = Vec::new();
        let kept = only_at_start(new, &old, &mut warnings);
        assert_eq!((kept.queue.number, kept.guard.mark_bit, kept.bans.budget), (7, 28, 7));
        assert_eq!((warnings.len(), kept.metrics.remote), (3, false), "{warnings:?}");
        assert!(warnings[0].starts_with("[queue] takes effect"), "{warnings:?}");
    }
}
