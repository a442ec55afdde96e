//! `[lifeline]`: admins who have an SSH session open.

use std::time::Duration;

use super::DAY;
use crate::config::section::Section;
use crate::config::settings::Lifeline;

pub(super) fn lifeline(table: &mut Section<'_, '_>) -> Lifeline {
    let default = Lifeline::default();
    Lifeline {
        ports: table.ports("ports", default.ports),
        grace: table.duration("grace", default.grace, Duration::ZERO..=DAY),
    }
}
