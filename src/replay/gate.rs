//! One policy at work on one capture: kernel, judge, ledger.

use super::kernel::{Early, Kernel};
use super::segment::Segment;
use super::served::Serving;
use super::track::Tracks;
use crate::config::Config;
use crate::memory::{Bounds, FloodReport, FloodRule, Memory, Moment, SourceKey};
use crate::packet::Syn;
use crate::policy::{Decision, Ruling, Standing, flood, judge};

/// A gate that was just built and knows nobody.
#[derive(Debug)]
pub struct Gate {
    serving: Serving,
    memory: Memory,
    kernel: Kernel,
    tracks: Tracks,
    rule: Option<FloodRule>,
    floods: Vec<FloodReport>,
}

impl Gate {
    /// A gate with this policy. It enforces, even where the policy only observes.
    pub fn new(config: &Config, serving: Serving) -> Self {
        let bounds = Bounds { sources: config.memory.sources, networks: config.memory.networks };
        Self {
            serving,
            memory: Memory::repeatable(bounds),
            kernel: Kernel::new(config),
            tracks: Tracks::default(),
            rule: config.policy.flood.rule,
            floods: Vec::new(),
        }
    }

    /// An opening, or a stealth probe.
    pub(super) fn opening(&mut self, syn: Syn, now: Moment) {
        let (policy, served) = self.serving.of(&syn);
        let source = SourceKey::of(syn.src);
        let track = self.tracks.opening(source, now);
        let (proven, suspect) = match self.kernel.opening(&syn, served, now) {
            Early::Judge { proven, suspect } => (proven, suspect),
            Early::Drop(why) => {
                track.drop_it(why, "stopped by the kernel");
                if why == "ceiling" {
                    track.flag(why, "stopped by the kernel", now);
                }
                return;
            }
        };
        let decision = judge(policy, &self.memory, &Syn { proven, suspect, ..syn }, now);
        if self.memory.flood.kind().is_some() {
            track.flood_at.get_or_insert(track.syns);
        }
        let (check, what) = (decision.check.name(), decision.evidence.what);
        match decision.ruling {
            Ruling::Accept => {
                track.accepted += 1;
                if syn.opens() {
                    self.kernel.connects(&syn, decision.retransmission);
                }
            }
            Ruling::Drop => {
                track.drop_it(check, what);
                if accuses(&decision) {
                    track.flag(check, what, now);
                }
            }
        }
        note_floods(&mut self.floods, self.memory.flood.news());
        if decision.earned == Standing::Clean {
            return;
        }
        if let Some(change) = self.kernel.offence(source, syn.dport, &decision, now) {
            let place = match change.entry.standing {
                Standing::Suspect => &mut track.suspect_at,
                Standing::Banned => &mut track.banned_at,
                Standing::Clean => return,
            };
            place.get_or_insert(track.syns);
            track.flag(check, what, now);
        }
    }

    /// Any other TCP packet.
    pub(super) fn other(&mut self, segment: Segment, now: Moment) {
        if let Some(rule) = self.rule {
            self.memory.flood.step(rule, now);
            note_floods(&mut self.floods, self.memory.flood.news());
        }
        if self.kernel.completes(segment, self.serving.is_thinned_out()) {
            let (address, port) = if segment.answers() { segment.src } else { segment.dst };
            if flood::watches(self.serving.policy(), address, port) {
                let target = self.memory.target(address, port);
                self.memory.flood.completed(1, Some(target));
            }
        }
        self.kernel.passes(segment, now);
    }

    /// What became of everybody, and the floods; one that has no end lasts longer than the capture.
    pub fn finish(mut self) -> (Tracks, Vec<FloodReport>) {
        // Those that last know more of themselves than when they began.
        note_floods(&mut self.floods, self.memory.flood.lasting());
        (self.tracks, self.floods)
    }
}

/// Takes down floods that have begun, or what they have come to.
fn note_floods(floods: &mut Vec<FloodReport>, news: Vec<FloodReport>) {
    for report in news {
        let same = |known: &&mut FloodReport| known.kind == report.kind && known.until.is_none();
        match floods.iter_mut().find(same) {
            Some(known) => *known = report,
            None => floods.push(report),
        }
    }
}

/// Was the source refused for what it is or does? Not for being on a list, for a port that is
/// closed, for the crowd that it came in, nor for a standing that it had already.
fn accuses(decision: &Decision) -> bool {
    match decision.check.name() {
        "allowlist" | "denylist" | "ports" | "standing" | "flood" | "none" => false,
        "rate" => {
            let what = decision.evidence.what;
            !matches!(what, "network" | "total") && !what.ends_with(", network")
        }
        _ => true,
    }
}
