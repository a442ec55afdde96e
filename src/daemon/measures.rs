//! The numbers for Prometheus and its kin: where they come from, and who gets them.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use super::{Daemon, lock};
use crate::config::{Config, Mode};
use crate::events::Level;
use crate::firewall::{Counters, Order};
use crate::metrics::{Captured, Facts, Recent, Reloads, Server, Textfile};

/// How long the firewall's thread has for its part. Prometheus itself waits for ten seconds.
const PATIENCE: Duration = Duration::from_secs(1);

/// Who gets the numbers.
#[derive(Debug, Default)]
pub(super) struct Measures {
    server: Option<Server>,
    textfile: Option<Textfile>,
}

impl Measures {
    /// Serves and writes what the policy asks for. What does not work is an alarm: the gate is
    /// needed even where nobody can count its packets.
    pub(super) fn start(daemon: &Arc<Daemon>, config: &Config) -> Self {
        let metrics = &config.metrics;
        let mut measures = Self::default();
        if metrics.listen.is_none() && metrics.textfile.is_none() {
            return measures;
        }
        let counters = FirewallCounters::default();
        let gathering = Arc::clone(daemon);
        let recent = Arc::new(Recent::new(move || gathering.facts(&counters)));
        if let Some(address) = metrics.listen {
            match Server::start(address, Arc::clone(&recent)) {
                Ok(server) => measures.server = Some(server),
                Err(error) => daemon.say(Level::Warning, "metrics", unheard(address, &error)),
            }
        }
        if let Some(path) = metrics.textfile.clone() {
            let (telling, own) = (Arc::clone(daemon), path.clone());
            let tell = move |error: Option<&io::Error>| match error {
                Some(error) => telling.say(Level::Warning, "metrics", unwritten(&own, error)),
                None => {
                    let text = format!("{} is written again", own.display());
                    telling.say(Level::Notice, "metrics", text);
                }
            };
            match Textfile::start(path.clone(), metrics.every, recent, tell) {
                Ok(textfile) => measures.textfile = Some(textfile),
                Err(error) => daemon.say(Level::Warning, "metrics", unwritten(&path, &error)),
            }
        }
        measures
    }

    pub(super) fn stop(self) {
        let Self { server, textfile } = self;
        if let Some(server) = server {
            server.stop();
        }
        if let Some(textfile) = textfile {
            textfile.stop();
        }
    }
}

fn unheard(address: SocketAddr, error: &io::Error) -> String {
    let what_to_do = match error.kind() {
        io::ErrorKind::AddrInUse => {
            "another program listens there; see which one: ss -ltnp. Then stop it, or choose another \
             [metrics] listen"
        }
        _ => "choose another [metrics] listen",
    };
    format!(
        "no numbers are served at {address}: {error}. The gate itself works. {}: systemctl restart \
         portcullis",
        what_to_do
    )
}

fn unwritten(path: &Path, error: &io::Error) -> String {
    format!(
        "{} cannot be written: {error}. The gate itself works. See that the folder exists and that \
         the daemon's user may write there (ReadWritePaths= in the systemd unit); it is tried again",
        path.display()
    )
}

/// The firewall's numbers, asked for by one question at a time: while nft hangs, questions do not
/// pile up.
#[derive(Debug, Default)]
struct FirewallCounters(Mutex<Option<Receiver<Counters>>>);

impl FirewallCounters {
    /// The numbers, if they come within `patience`; those that were asked for before, if they come
    /// late. `send` hands a question over and says whether it was taken.
    fn get(&self, patience: Duration, send: impl FnOnce(Order) -> bool) -> Option<Counters> {
        let mut asked = lock(&self.0);
        let answer = match asked.take() {
            Some(answer) => answer,
            None => {
                let (reply, answer) = channel();
                if !send(Order::Counters { reply }) {
                    return None;
                }
                answer
            }
        };
        match answer.recv_timeout(patience) {
            Ok(counters) => Some(counters),
            Err(RecvTimeoutError::Timeout) => {
                *asked = Some(answer);
                None
            }
            Err(RecvTimeoutError::Disconnected) => None,
        }
    }
}

impl Daemon {
    fn facts(&self, firewall: &FirewallCounters) -> Facts {
        let firewall = firewall.get(PATIENCE, |order| self.orders.tell(order));
        let lines_lost = lock(&self.events).as_ref().map_or(0, |events| events.lines_lost());
        let counters = self.shared.counters.sum();
        let uptime = self.shared.birth().elapsed();
        let state = lock(&self.state);
        Facts {
            version: env!("CARGO_PKG_VERSION"),
            enforcing: state.config.mode == Mode::Enforce,
            started: SystemTime::now() - uptime,
            uptime,
            loaded: state.loaded,
            reloads: Reloads { done: self.reloads.done.get(), failed: self.reloads.failed.get() },
            counters,
            busy: self.shared.longest_verdict(),
            queues: self.queue_rows(&state.config),
            memory: self.memory_facts(&state.config),
            floods: self.floods(self.shared.now()),
            lines_lost,
            captured: Captured {
                written: self.captured.written.get(),
                passed_over: self.captured.passed_over.get(),
                lost: self.captured.lost.get(),
            },
            firewall,
            standings_limit: state.config.guard.set_size.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_question_waits_at_a_time() {
        let counters = FirewallCounters::default();
        let patience = Duration::from_millis(1);
        let mut questions = Vec::new();
        assert_eq!(counters.get(patience, |_| false), None, "no room for a question");
        let mut ask = |counters: &FirewallCounters| {
            counters.get(patience, |order| {
                questions.push(order);
                true
            })
        };
        // Nobody answers; only the first was sent.
        assert_eq!([(); 3].map(|()| ask(&counters)), [None, None, None]);
        let Some(Order::Counters { reply }) = questions.pop() else { panic!("{questions:?}") };
        assert!(questions.is_empty());
        let late = Counters { repairs: 7, ..Counters::default() };
        reply.send(late.clone()).unwrap();
        assert_eq!(counters.get(patience, |_| panic!("asked again")), Some(late));
        // The firewall's thread has ended.
        assert_eq!(
            counters.get(patience, |order| {
                drop(order);
                true
            }),
            None
        );
    }
}
