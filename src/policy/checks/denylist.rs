//! Sources that are refused whatever they do.

use super::{Case, Check};
use crate::policy::{Evidence, Finding};

pub(super) const CHECK: Check = Check { name: "denylist", about: "refused sources", look };

#[inline]
fn look(case: &mut Case<'_>) -> Finding {
    let denylist = &case.policy.denylist;
    match denylist.prefixes.find(case.syn.src) {
        Some(_) if case.policy.lifelines.hold(case.syn.src, case.syn.dport) => Finding::Pass,
        Some(list) => {
            let what = denylist.lists.get(usize::from(list)).copied().unwrap_or("policy");
            Finding::Deny { evidence: Evidence { what, ..Evidence::default() }, weight: 1 }
        }
        None => Finding::Pass,
    }
}
