//! Sources that are trusted whatever they do.

use super::{Case, Check};
use crate::policy::{Evidence, Finding};

pub(super) const CHECK: Check = Check { name: "allowlist", about: "trusted sources", look };

#[inline]
fn look(case: &mut Case<'_>) -> Finding {
    match case.policy.allowlist.prefixes.find(case.syn.src) {
        Some(_) => Finding::Allow(Evidence { what: "trusted", ..Evidence::default() }),
        None => Finding::Pass,
    }
}
