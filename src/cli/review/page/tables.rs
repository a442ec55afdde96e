//! Who it was.

use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::Safe;
use crate::cli::review::screen::source;
use crate::cli::review::services::named;
use crate::events::Grouped;
use crate::review::{Review, SourceRow};

/// Networks that are shown.
const NETWORKS: usize = 20;

/// The busiest sources.
pub(super) fn sources(review: &Review, zone: &TimeZone) -> String {
    if review.sources.is_empty() {
        return String::new();
    }
    let rows: String = review.sources.iter().map(|row| one(row, zone)).collect();
    let about = match review.source_count {
        all if all > review.sources.len() as u64 => {
            let shown = Grouped(review.sources.len() as u64);
            format!("The {shown} busiest of {} sources", Grouped(all))
        }
        _ => "All sources, the busiest first".to_owned(),
    };
    let mut notes = String::new();
    for (count, why) in [
        (review.untold.of_many, "were summed up by the log for many sources at once"),
        (review.untold.sources, "came from more sources than can be told apart here"),
    ] {
        if count > 0 {
            let _ = write!(notes, "{} attempts {why}. ", Grouped(count));
        }
    }
    let heads: String = ["Source", "Blocked", "Why", "Ports", "First", "Last", "Standing"]
        .iter()
        .map(|head| {
            let class = if *head == "Blocked" { " class=\"num\"" } else { "" };
            format!("<th scope=\"col\"{class}>{head}</th>")
        })
        .collect();
    format!(
        "<section>\n<h2>Who</h2>\n<p class=\"soft\">{about}; standing is the worst that was given</p>\n\
         <div class=\"scroll\"><table class=\"cards\"><thead><tr>{heads}</tr></thead>\
         <tbody>{rows}</tbody></table></div>\n<p class=\"note\">{notes}</p>\n</section>"
    )
}

fn one(row: &SourceRow, zone: &TimeZone) -> String {
    let reasons: Vec<_> = row
        .reasons
        .iter()
        .map(|(name, count)| format!("{name}\u{a0}{}", Grouped(*count)))
        .collect();
    let ports: Vec<_> = if row.ports.len() > 3 {
        row.ports.iter().map(u16::to_string).collect()
    } else {
        row.ports.iter().map(|port| named(*port)).collect()
    };
    let others = if row.more_ports { ", …" } else { "" };
    let standing = match (row.standing, row.bans) {
        ("clean", _) => String::new(),
        (word, 0 | 1) => format!("<span class=\"tag {word}\">{word}</span>"),
        (word, bans) => format!("<span class=\"tag {word}\">{word} ×{bans}</span>"),
    };
    format!(
        "<tr><th scope=\"row\" class=\"code\">{}</th><td class=\"num\">{}</td>\
         <td class=\"wide\" data-label=\"Why\">{}</td><td class=\"wide\" data-label=\"Ports\">{}{others}</td>\
         <td class=\"when\" data-label=\"First\">{}</td><td class=\"when\" data-label=\"Last\">{}</td>\
         <td class=\"wide\">{standing}</td></tr>\n",
        source(row.source),
        Grouped(row.blocked),
        Safe(&reasons.join(", ")),
        Safe(&ports.join(", ")),
        short(row.first, zone),
        short(row.last, zone),
    )
}

/// Networks with several sources.
pub(super) fn networks(review: &Review) -> String {
    if review.networks.is_empty() {
        return String::new();
    }
    let mut rows = String::new();
    for row in review.networks.iter().take(NETWORKS) {
        let _ = writeln!(
            rows,
            "<tr><th scope=\"row\" class=\"code\">{}</th><td class=\"num\">{}</td>\
             <td class=\"num\">{}</td></tr>",
            row.network,
            Grouped(row.blocked),
            Grouped(row.sources),
        );
    }
    format!(
        "<section>\n<h2>Networks</h2>\n<p class=\"soft\">Where several sources are neighbours: IPv4 \
         /24, IPv6 /48</p>\n<div class=\"scroll\"><table><thead><tr><th scope=\"col\">Network</th>\
         <th scope=\"col\" class=\"num\">Blocked</th><th scope=\"col\" class=\"num\">Sources</th></tr>\
         </thead><tbody>{rows}</tbody></table></div>\n</section>"
    )
}

/// `Sep 21 14:13`: the year stands above.
fn short(time: Timestamp, zone: &TimeZone) -> String {
    time.to_zoned_datetime(zone.clone()).strftime("%b %-d %H:%M").to_string()
}
