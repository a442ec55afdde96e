//! Sources that are trusted whatever they do.

use super::{Case, Check};
use crate::policy::{Evidence, Finding};

pub(super) const CHECK: Check = Check { name: "allowlist", about: "trusted sources", look };

#[inline]
fn look(case: &mut Case<'_>) -> Finding {
    let allowed = &case.policy.allowlist;
    match allowed.prefixes.find(case.syn.src) {
        Some(list) => {
            Finding::Allow(Evidence { what: allowed.called(list), ..Evidence::default() })
        }
        None => Finding::Pass,
    }
}
