//! `[capture]`: refused packets in files.

use crate::config::section::Section;
use crate::config::settings::Capture;
use crate::config::units;

pub(super) fn capture(table: &mut Section<'_, '_>) -> Capture {
    let default = Capture::default();
    let wanted = ("a size with its unit", "\"16MB\"");
    Capture {
        dir: table.optional_path("dir", "\"/var/lib/portcullis/capture\""),
        max_size: table.text("max_size", default.max_size, wanted, units::size),
        files: table.number("files", default.files, 1..=100),
        rate: table.rate("rate", default.rate, None),
    }
}
