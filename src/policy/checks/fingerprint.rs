//! Was this SYN written by a scanning tool? Told by its header alone, so the first SYN decides.
//!
//! The rules are data: [`tools::RULES`]. Tools that connect like any program (nmap -sT, hydra)
//! send the header of their own system, and no rule here can know them.

mod facts;
mod tools;

use super::{Case, Check};
use crate::policy::{Evidence, Finding, Stance};
use tools::{RULES, Says};

pub(super) const CHECK: Check =
    Check { name: "fingerprint", about: "headers that only scanning tools write", look };

/// A refused SYN of a tool weighs as much as three others: the second makes a suspect. One is not
/// enough, since in a forged flood every address is seen once.
const WEIGHT: u8 = 3;

/// Points for a header that tools write, but honest devices too; 100 make a suspect.
const POINTS: u16 = 10;

#[inline]
fn look(case: &mut Case<'_>) -> Finding {
    let policy = &case.policy.fingerprint;
    let syn = case.syn;
    if policy.stance == Stance::Ignore || !syn.opens() {
        return Finding::Pass;
    }
    let Some(rule) = RULES.iter().find(|rule| rule.facts.hold(syn)) else {
        return Finding::Pass;
    };
    if policy.ignore.contains(&rule.tool) {
        return Finding::Pass;
    }
    let evidence = Evidence { what: rule.what, ..Evidence::default() };
    match (rule.says, policy.stance) {
        (Says::Deny, Stance::Deny) => Finding::Deny { evidence, weight: WEIGHT },
        // It completed a connection: an odd but honest device.
        _ if syn.proven => Finding::Pass,
        _ => Finding::Suspect { score: POINTS, evidence },
    }
}

/// The names of the tools that rules are about, each once, in the order of the table.
pub fn tools() -> Vec<&'static str> {
    let mut names: Vec<_> = RULES.iter().map(|rule| rule.tool).collect();
    names.dedup();
    names
}
