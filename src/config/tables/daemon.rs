//! `[daemon]`: the process itself.

use crate::config::section::Section;
use crate::config::settings::Daemon;

pub(super) fn daemon(table: &mut Section<'_, '_>) -> Daemon {
    Daemon { confine: table.boolean("confine", Daemon::default().confine) }
}
