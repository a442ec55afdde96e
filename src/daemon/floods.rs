//! What the watch for floods is told, and what it tells.
//!
//! The judge counts SYNs; how many of them are completed the kernel knows, for all of this host's
//! own listeners together. That number is read ten times a second. Per port it is not known: what
//! proven sources have asked for is taken off, and the rest is shared out by what each port was
//! asked for, so the ports that an alarm names are an estimate.

use std::time::Duration;

use super::Daemon;
use crate::events::{Grouped, Level, Span, ports};
use crate::host;
use crate::memory::{FloodKind, FloodReport};

/// Goes along with the ticker.
#[derive(Debug, Default)]
pub(super) struct Floods {
    /// Connections that were completed when last asked.
    completed: Option<u64>,
    /// The kernel did not tell, and that was said.
    blind: bool,
}

impl Floods {
    /// Tells what was completed since last time, and says which floods began or ended.
    pub(super) fn tick(&mut self, daemon: &Daemon) {
        let flood = &daemon.shared.memory.flood;
        let completed = host::completed_connections();
        let now = daemon.shared.now();
        match (daemon.shared.rules.load().policy.flood.rule, completed) {
            (Some(rule), Ok(completed)) => {
                match self.completed.replace(completed) {
                    Some(before) => {
                        flood.completed(completed.saturating_sub(before), None);
                        flood.tick(rule, now);
                    }
                    // How many of the SYNs so far were completed, nobody can say.
                    None => flood.rest(now),
                }
                self.blind = false;
            }
            (None, _) => {
                self.completed = None;
                flood.rest(now);
            }
            (Some(_), Err(error)) => {
                self.completed = None;
                flood.rest(now);
                if !self.blind {
                    let text = format!(
                        "/proc/self/net/snmp cannot be read: {error}; floods are not looked for"
                    );
                    daemon.say(Level::Error, "flood", text);
                }
                self.blind = true;
            }
        }
        for report in flood.news() {
            match report.until {
                None => daemon.say(Level::Warning, "flood", begun(&report)),
                Some(_) => daemon.say(Level::Notice, "flood", ended(&report)),
            }
        }
    }
}

fn begun(report: &FloodReport) -> String {
    let FloodReport { kind, rate, share, .. } = report;
    let (rate, at) = (Grouped(*rate as u64), ports(&report.ports));
    let share = (share * 100.0).round();
    match kind {
        FloodKind::Forged => format!(
            "a flood of forged SYNs at {at}: {rate} a second, {share} % of them from new addresses, \
             and far fewer connections are completed. Until it ends nobody is suspected, banned or \
             learnt from; what is odd in itself is still refused. See that SYN cookies are on \
             (sysctl net.ipv4.tcp_syncookies), and ask your provider to filter. If it is no \
             attack, the service hangs, or its connections end in a container: then name the port \
             in [flood] except"
        ),
        FloodKind::Busy => format!(
            "a flood from few sources at {at}: {rate} SYNs a second, {share} % of them from new \
             addresses, and far fewer connections are completed. Rates, standings and [guard] \
             ceiling deal with them; who they are: portcullis bans list"
        ),
    }
}

fn ended(report: &FloodReport) -> String {
    let lasted = report.until.map(|until| until.since(report.since)).unwrap_or_default();
    let what = match report.kind {
        FloodKind::Forged => "the flood of forged SYNs",
        FloodKind::Busy => "the flood from few sources",
    };
    let again = match report.kind {
        FloodKind::Forged => "; standings are given again",
        FloodKind::Busy => "",
    };
    format!(
        "{what} at {} is over after {}: {} SYNs, up to {} a second{again}",
        ports(&report.ports),
        Span(lasted.max(Duration::from_millis(1))),
        Grouped(report.syns),
        Grouped(report.peak as u64),
    )
}
