//! `CHANGELOG.md` → Debian's changelog, which dpkg and apt read.

use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::Made;

/// Who is named as the one who made the package; `packaging/deb` gives the same to dpkg.
const MAINTAINER: &str = "The Portcullis developers <portcullis@portcullis.invalid>";

/// The columns of a line, as Debian likes them.
const COLUMNS: usize = 79;

/// The changelog of a package that was made at this time. A version with a date in the title,
/// `## 0.2.0 (2026-11-26)`, has that; one that is not released has the time it was made.
pub(crate) fn debian(markdown: &str, made: Timestamp) -> Made {
    let mut text = String::new();
    for version in markdown.split("\n## ").skip(1) {
        let (title, points) = version.split_once('\n').unwrap_or((version, ""));
        let (number, when) = title.split_once(' ').unwrap_or((title, ""));
        let date = when.trim_matches(['(', ')']).parse::<jiff::civil::Date>();
        let at = match date.and_then(|date| date.to_zoned_datetime(TimeZone::UTC)) {
            Ok(zoned) => zoned,
            Err(_) => made.to_zoned_datetime(TimeZone::UTC),
        };
        _ = write!(text, "portcullis ({number}-1) stable; urgency=medium\n\n");
        for point in format!("\n{points}").split("\n- ").skip(1) {
            let mut row = "  *".to_owned();
            for word in point.split_whitespace() {
                if row.chars().count() + 1 + word.chars().count() > COLUMNS {
                    _ = writeln!(text, "{row}");
                    row = "   ".to_owned();
                }
                row.push(' ');
                row.push_str(word);
            }
            _ = writeln!(text, "{row}");
        }
        _ = write!(text, "\n -- {MAINTAINER}  {}\n\n", at.strftime("%a, %d %b %Y %T %z"));
    }
    Made { path: "changelog".into(), text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_become_entries() {
        let markdown = "# Changelog\n\n## 0.2.0 (unreleased)\n\n- One, in\n  two lines.\n\n\
                        ## 0.1.0 (2026-11-20)\n\n- First.\n";
        let made = debian(markdown, "2026-11-26T06:00:00Z".parse().unwrap());
        assert_eq!(
            made.text,
            "portcullis (0.2.0-1) stable; urgency=medium\n\n  * One, in two lines.\n\n \
             -- The Portcullis developers <portcullis@portcullis.invalid>  Thu, 26 Nov 2026 06:00:00 +0000\n\n\
             portcullis (0.1.0-1) stable; urgency=medium\n\n  * First.\n\n \
             -- The Portcullis developers <portcullis@portcullis.invalid>  Fri, 20 Nov 2026 00:00:00 +0000\n\n"
        );
    }

    #[test]
    fn the_version_that_is_built_is_the_latest_in_the_changelog() {
        let text = debian(include_str!("../../CHANGELOG.md"), Timestamp::UNIX_EPOCH).text;
        let expected = format!("portcullis ({}-1) ", env!("CARGO_PKG_VERSION"));
        assert!(text.starts_with(&expected), "{text}");
    }
}
