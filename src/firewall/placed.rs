//! What the kernel is known to hold of ours, so that it need not be asked, nor told again. Pure.

use super::redirect::Rule;
use super::ruleset::Ruleset;
use super::sets::KernelSet;

/// What of ours the rules of iptables and ip6tables are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum ByIptables {
    /// They have to be looked at.
    #[default]
    Unknown,
    /// None.
    Nothing,
    /// This one, in each of both.
    Rule(Rule),
}

/// What was in place when the kernel's rules had a certain number.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    program: Ruleset,
    by_iptables: ByIptables,
    generation: u32,
}

/// Nothing is known of what others changed; and of what we did, all of it.
#[derive(Debug, Default)]
pub(super) struct Knowledge(Option<Placed>);

impl Knowledge {
    /// Somebody else has changed it, or may have.
    pub(super) fn forget(&mut self) {
        self.0 = None;
    }

    /// Was it in place by this number, and so is still?
    pub(super) fn of(&self, generation: Option<u32>) -> Option<&Ruleset> {
        self.at(generation).map(|placed| &placed.program)
    }

    /// What of ours iptables holds.
    pub(super) fn by_iptables(&self, generation: Option<u32>) -> ByIptables {
        self.at(generation).map(|placed| placed.by_iptables).unwrap_or_default()
    }

    fn at(&self, generation: Option<u32>) -> Option<&Placed> {
        self.0.as_ref().filter(|placed| Some(placed.generation) == generation)
    }

    /// The whole program was put in, in one transaction, between these two numbers. If there was
    /// another one between them, nobody knows which came first.
    pub(super) fn installed(&mut self, program: Ruleset, before: Option<u32>, after: Option<u32>) {
        let by_iptables = self.by_iptables(before);
        self.0 = match (before, after) {
            (Some(before), Some(after)) if after == before.wrapping_add(1) => {
                Some(Placed { program, by_iptables, generation: after })
            }
            _ => None,
        };
    }

    /// So many transactions of ours were made between these two numbers, which did not touch the
    /// program. One that changed nothing does not count.
    pub(super) fn follow(&mut self, most: u32, before: Option<u32>, after: Option<u32>) {
        let ours = match (before, after) {
            (Some(before), Some(after)) => after.wrapping_sub(before) <= most,
            _ => false,
        };
        let placed = self.0.take().filter(|placed| ours && Some(placed.generation) == before);
        self.0 = placed.zip(after).map(|(placed, generation)| Placed { generation, ..placed });
    }

    /// These sets have other elements now.
    pub(super) fn filled(&mut self, sets: &[KernelSet]) {
        if let Some(Placed { program, .. }) = &mut self.0 {
            program.fill(sets);
        }
    }

    /// Both have been looked at.
    pub(super) fn found(&mut self, by_iptables: ByIptables) {
        if let Some(placed) = &mut self.0 {
            placed.by_iptables = by_iptables;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::firewall::{Path, Stage, ruleset};
    use crate::policy::PortSet;

    fn program(served: u16) -> Ruleset {
        let mut config = Config::default();
        let mut ports = PortSet::default();
        ports.insert_range(served..=served);
        config.policy.ports.served = ports;
        ruleset(&config, Stage::Open(Path::Iptables))
    }

    #[test]
    fn only_what_nobody_else_touched_is_known() {
        let ours = program(22);
        let known = |steps: &dyn Fn(&mut Knowledge), at: Option<u32>| {
            let mut knowledge = Knowledge::default();
            knowledge.installed(ours.clone(), Some(7), Some(8));
            steps(&mut knowledge);
            knowledge.of(at) == Some(&ours)
        };
        assert!(known(&|_| {}, Some(8)));
        assert!(!known(&|_| {}, Some(9)));
        assert!(!known(&|_| {}, None));
        assert!(!known(&|k| k.forget(), Some(8)));
        assert!(known(&|k| k.follow(1, Some(8), Some(9)), Some(9)));
        assert!(known(&|k| k.follow(3, Some(8), Some(8)), Some(8)));
        // Somebody else's was among them.
        assert!(!known(&|k| k.follow(1, Some(8), Some(10)), Some(10)));
        assert!(!known(&|k| k.follow(1, Some(9), Some(10)), Some(10)));
        assert!(!known(&|k| k.follow(1, Some(8), Some(7)), Some(7)));
        assert!(!known(&|k| k.follow(1, None, Some(9)), Some(9)));
        assert!(!known(&|k| k.follow(1, Some(8), None), None));
        for (before, after) in
            [(Some(8), Some(8)), (Some(8), Some(10)), (None, Some(9)), (Some(8), None)]
        {
            assert!(!known(&|k| k.installed(program(22), before, after), after), "{before:?}");
        }
    }

    #[test]
    fn sets_that_were_filled_and_rules_of_iptables_are_known() {
        let mut knowledge = Knowledge::default();
        knowledge.found(ByIptables::Nothing);
        assert_eq!(knowledge.by_iptables(None), ByIptables::Unknown);
        knowledge.installed(program(22), Some(u32::MAX), Some(0));
        assert_eq!(knowledge.by_iptables(Some(0)), ByIptables::Unknown);
        knowledge.found(ByIptables::Nothing);
        let other = program(80);
        let served = other.sets.iter().filter(|set| set.name == "served").cloned();
        knowledge.filled(&served.collect::<Vec<_>>());
        assert_eq!(knowledge.of(Some(0)), Some(&other));
        // Another program of ours leaves iptables' rules alone; others do not.
        knowledge.installed(program(22), Some(0), Some(1));
        assert_eq!(knowledge.by_iptables(Some(1)), ByIptables::Nothing);
        assert_eq!(knowledge.by_iptables(Some(2)), ByIptables::Unknown);
        knowledge.installed(program(22), Some(2), Some(3));
        assert_eq!(knowledge.by_iptables(Some(3)), ByIptables::Unknown);
    }
}
