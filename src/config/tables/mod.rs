//! One reader per table of the policy file. Every known key stands here once, in the call that
//! reads it.

mod bans;
mod capture;
mod daemon;
mod events;
mod guard;
mod lifeline;
mod lists;
mod metrics;
mod ports;
mod rate;
mod science;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use super::problem::Problem;
use super::section::Section;
use super::settings::{Config, FailMode, Mode};
use crate::policy::{Policy, Quirks, Stance};

/// What reading the tables gives besides findings.
pub(super) struct Reading {
    pub(super) config: Config,
    /// The list files that were read.
    pub(super) files: Vec<PathBuf>,
    /// What is wrong with lines of list files.
    pub(super) bad_lines: Vec<Problem>,
}

const FAIL_MODES: [(&str, FailMode); 2] = [("accept", FailMode::Accept), ("drop", FailMode::Drop)];
const STANCES: [(&str, Stance); 3] =
    [("deny", Stance::Deny), ("score", Stance::Score), ("ignore", Stance::Ignore)];
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Reads a whole policy.
pub(super) fn read(top: &mut Section<'_, '_>) -> Reading {
    let modes = [("enforce", Mode::Enforce), ("observe", Mode::Observe)];
    let mode = top.word("mode", Mode::default(), &modes);
    let guard = top.table("guard", guard::guard);
    let queue = top.table("queue", guard::queue);
    let memory = top.table("memory", guard::memory);
    let (allowlist, names, trusted) = top.table("allowlist", lists::allowlist);
    let denied = top.table("denylist", |table| lists::denylist(table, &trusted));
    let quirks = top.table("quirks", quirks);
    let fingerprint = top.table("fingerprint", science::fingerprint);
    let scan = top.table("scan", science::scan);
    let anomaly = top.table("anomaly", science::anomaly);
    let ports = top.table("ports", |table| ports::ports(table, &guard.protect));
    let flood = top.table("flood", science::flood);
    let rate = top.table("rate", rate::rates);
    let lifeline = top.table("lifeline", lifeline::lifeline);
    let (bans, offences) = top.table("bans", bans::bans);
    let events = top.table("events", events::events);
    let metrics = top.table("metrics", metrics::metrics);
    let capture = top.table("capture", capture::capture);
    let control = top.table("control", events::control);
    let daemon = top.table("daemon", daemon::daemon);
    let policy = Policy {
        allowlist: allowlist.into(),
        denylist: denied.list.into(),
        quirks,
        fingerprint,
        ports,
        scan,
        flood,
        anomaly,
        rate,
        offences,
        lifelines: Default::default(),
    };
    let config = Config {
        mode,
        guard,
        queue,
        memory,
        policy,
        names,
        lifeline,
        bans,
        events,
        metrics,
        capture,
        control,
        daemon,
    };
    Reading { config, files: denied.files, bad_lines: denied.bad_lines }
}

fn quirks(table: &mut Section<'_, '_>) -> Quirks {
    let stances = STANCES;
    let default = Quirks::default();
    Quirks {
        illegal_flags: table.word("illegal_flags", default.illegal_flags, &stances),
        stealth: table.word("stealth", default.stealth, &stances),
        payload: table.word("payload", default.payload, &stances),
        odd_size: table.word("odd_size", default.odd_size, &stances),
        odd_header: table.word("odd_header", default.odd_header, &stances),
        // IPv6 and TCP headers without options are 60 bytes.
        max_length: table.number("max_length", default.max_length, 60..=65_535),
    }
}

/// A name that lives as long as the process. Each distinct name is leaked once, so that reloads
/// do not add up.
fn intern(name: &str) -> &'static str {
    static NAMES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    // A set stays whole whatever happened to the thread that held the lock.
    let mut names = NAMES.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    match names.get(name) {
        Some(known) => known,
        None => {
            let leaked: &'static str = Box::leak(name.into());
            names.insert(leaked);
            leaked
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_name_is_leaked_once() {
        let (first, second) = (super::intern("a name"), super::intern(&String::from("a name")));
        assert!(std::ptr::eq(first, second));
        assert_ne!(first, super::intern("another"));
    }
}
