//! Lists of bars, and the alarms.

use std::fmt::Write as _;

use jiff::tz::TimeZone;

use super::{Safe, colour, share};
use crate::cli::asked::local;
use crate::cli::review::services::named;
use crate::events::Grouped;
use crate::review::Review;

/// Ports and alarms that are shown.
const ROWS: usize = 12;
/// What a check saw: so much of it is shown.
const SAW: usize = 4;

/// One bar: a name, a number, how long it is in hundredths, and what is to be said beside.
fn bar(name: &str, count: u64, length: f64, class: &str, beside: &str) -> String {
    let beside = match beside {
        "" => String::new(),
        text => format!("<div class=\"saw\">{}</div>", Safe(text)),
    };
    format!(
        "<li><div class=\"row\"><b>{}</b><span>{}</span></div>{beside}<div class=\"track\">\
         <i class=\"{class}\" style=\"width:{length:.1}%\"></i></div></li>",
        Safe(name),
        Grouped(count),
    )
}

/// Which checks refused.
pub(super) fn reasons(review: &Review) -> String {
    let most = review.reasons.iter().map(|row| row.blocked).max().unwrap_or_default();
    if most == 0 {
        return String::new();
    }
    let mut bars = String::new();
    for (place, row) in review.reasons.iter().enumerate() {
        let saw = row.saw.iter().take(SAW);
        let saw: Vec<_> = saw.map(|(what, count)| format!("{what} {}", Grouped(*count))).collect();
        let more = if row.saw.len() > SAW { ", …" } else { "" };
        let length = share(row.blocked, most);
        let beside = saw.join(", ") + more;
        bars.push_str(&bar(&row.reason, row.blocked, length, &colour(place), &beside));
    }
    format!(
        "<section>\n<h2>Why</h2>\n<p class=\"soft\">The check that refused, and what it saw</p>\n\
         <ul class=\"bars\">{bars}</ul>\n</section>"
    )
}

/// Which ports were asked for.
pub(super) fn ports(review: &Review) -> String {
    let most = review.ports.iter().map(|row| row.blocked).max().unwrap_or_default();
    if most == 0 {
        return String::new();
    }
    let mut bars = String::new();
    for row in review.ports.iter().take(ROWS) {
        bars.push_str(&bar(&named(row.port), row.blocked, share(row.blocked, most), "k0", ""));
    }
    let mut notes = Vec::new();
    if review.port_count > ROWS as u64 {
        notes.push(format!("{} ports in all.", Grouped(review.port_count)));
    }
    if review.untold.ports > 0 {
        let count = Grouped(review.untold.ports);
        notes.push(format!("{count} attempts are not in here: the log summed them up."));
    }
    format!(
        "<section>\n<h2>Where</h2>\n<p class=\"soft\">The ports that were asked for</p>\n\
         <ul class=\"bars\">{bars}</ul>\n<p class=\"note\">{}</p>\n</section>",
        notes.join(" ")
    )
}

/// What the gate raised.
pub(super) fn alarms(review: &Review, zone: &TimeZone) -> String {
    if review.alarms.is_empty() {
        return String::new();
    }
    let mut items = String::new();
    for alarm in review.alarms.iter().take(ROWS) {
        let times = match alarm.count {
            1 => String::new(),
            count => format!(", {} times", Grouped(count)),
        };
        let _ = write!(
            items,
            "<li><span class=\"tag banned\">{}</span> <span class=\"soft\">{}{times}</span><br/>{}</li>",
            Safe(&alarm.what),
            local(alarm.last, zone),
            Safe(&alarm.text),
        );
    }
    format!(
        "<section>\n<h2>Alarms</h2>\n<p class=\"soft\">The latest first</p>\n\
         <ul class=\"alarms\">{items}</ul>\n</section>"
    )
}
