//! A new policy in place of the old one, all of it or nothing of it.

use std::sync::Arc;
use std::time::SystemTime;

use sd_notify::NotifyState;

use super::manager::notify;
use super::shared::{Rules, bounds};
use super::{Daemon, lock, names};
use crate::config::{Config, Loaded};
use crate::control::{Done, Refusal, Trouble};
use crate::events::{Count, Level};
use crate::firewall::Order;
use crate::host;

/// How often it was tried.
#[derive(Debug, Default)]
pub(super) struct Reloaded {
    pub(super) done: Count,
    pub(super) failed: Count,
}

impl Daemon {
    /// Reads the policy again and uses it from now on. What is remembered stays, and so do
    /// standings. If anything is wrong with it, nothing changes.
    pub(super) fn reload(&self) -> Result<Done, Refusal> {
        if let Ok(reloading) = NotifyState::monotonic_usec_now() {
            notify(&[NotifyState::Reloading, reloading]);
        }
        let outcome = {
            let _alone = lock(&self.reloading);
            self.replace()
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
                let text = format!("the old policy stays: {}", refusal.lines.join(" | "));
                self.say(Level::Error, "reload", text);
            }
        }
        notify(&[NotifyState::Ready]);
        outcome
    }

    fn replace(&self) -> Result<Done, Refusal> {
        let Loaded { config, warnings, files } =
            crate::config::load(&self.path).map_err(|errors| Refusal {
                kind: Trouble::Config,
                lines: errors.to_string().lines().map(str::to_owned).collect(),
            })?;
        let mut warnings: Vec<String> = warnings.iter().map(ToString::to_string).collect();
        // Not while the ticker swaps served ports.
        let mut state = lock(&self.state);
        let mut config = only_at_start(config, &state.config, &mut warnings);
        config.policy.ports.serve(state.listening.listening(), &state.listening.closing());
        names::fill(&mut config, &lock(&self.names));
        let config = Arc::new(config);

        state.indispensable = host::indispensable(&state.sessions);
        let protected = Some(state.indispensable.clone());
        let order = |reply| Order::Configure { config: Arc::clone(&config), protected, reply };
        let refusal = |text: String| Refusal::new(Trouble::Unavailable, text);
        self.orders
            .ask(order)
            .map_err(|gone| refusal(format!("{gone}; systemctl restart portcullis")))?
            .map_err(|error| refusal(format!("the kernel does not take the new rules: {error}")))?;

        self.shared.rules.store(Arc::new(Rules::new(&config)));
        if config.memory != state.config.memory {
            self.shared.memory.resize(bounds(&config));
        }
        if config.capture != state.config.capture
            && let Err(failure) = self.recapture(&config.capture)
        {
            warnings.push(format!("refused packets are not captured: {failure}"));
        }
        if let Some(events) = lock(&self.events).as_ref() {
            events.reconfigure(&config.events);
        }
        state.config = config;
        state.loaded = SystemTime::now();
        let text = match files.len() {
            1 => "the policy was read again (1 file)".to_owned(),
            n => format!("the policy was read again ({n} files)"),
        };
        Ok(Done { changed: 1, text, warnings })
    }
}

/// Settings that are fixed when the daemon starts keep their old value, and the admin is told.
fn only_at_start(new: Config, old: &Config, warnings: &mut Vec<String>) -> Config {
    let mut kept = new.clone();
    kept.queue = old.queue.clone();
    kept.control = old.control.clone();
    kept.metrics = old.metrics.clone();
    kept.bans.state_dir = old.bans.state_dir.clone();
    kept.guard.redirect = old.guard.redirect;
    kept.guard.mark_bit = old.guard.mark_bit;
    let changed = [
        ("[queue]", kept.queue != new.queue),
        ("[metrics]", kept.metrics != new.metrics),
        ("[control]", kept.control != new.control),
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

#[cfg(test)]
mod tests {
    use super::*;

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
