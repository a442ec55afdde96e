//! What happened when.

use std::fmt::Write as _;

use jiff::tz::TimeZone;

use super::{COLOURS, Safe, colour, share};
use crate::cli::asked::local;
use crate::cli::review::axis::{step_words, ticks};
use crate::cli::review::screen::count;
use crate::events::Grouped;
use crate::review::{Bar, Review};

/// Units of a plot from bottom to top; its width is ten for each bar.
const HEIGHT: f64 = 1000.0;

/// Refusals over time, stacked by reason.
pub(super) fn timeline(review: &Review, zone: &TimeZone) -> String {
    let bars = &review.timeline;
    let most = bars.iter().map(|bar| bar.blocked).max().unwrap_or_default();
    if most == 0 {
        return String::new();
    }
    let names: Vec<&str> =
        review.reasons.iter().take(COLOURS).map(|row| row.reason.as_str()).collect();
    let step = step_words(review.step_seconds);
    let width = bars.len() * 10;
    let mut plot = format!(
        "<svg viewBox=\"0 0 {width} {HEIGHT}\" preserveAspectRatio=\"none\" role=\"img\" \
         aria-label=\"Blocked connection attempts over time, at most {} in one {step}\">",
        Grouped(most)
    );
    for (place, bar) in bars.iter().enumerate() {
        plot.push_str(&column(place, bar, most, &names, &local(bar.from, zone)));
    }
    plot.push_str("</svg>");
    let middle = if most > 1 { Grouped(most.div_ceil(2)).to_string() } else { String::new() };
    format!(
        "<section>\n<h2>When</h2>\n<p class=\"soft\">Blocked connection attempts, one column for each \
         {step}</p>\n<div class=\"plot\"><div class=\"scale\"><span>{}</span><span>{middle}</span>\
         <span>0</span></div>{plot}{}<div class=\"ticks\" aria-hidden=\"true\">{}</div></div>\n{}\n</section>",
        Grouped(most),
        bans(bars, zone),
        names_under(review, zone),
        legend(review),
    )
}

/// One bar, with what it stands for as its title.
fn column(place: usize, bar: &Bar, most: u64, names: &[&str], time: &str) -> String {
    let mut title = format!("{time}: {} blocked", Grouped(bar.blocked));
    let mut rest = bar.blocked;
    let mut y = HEIGHT;
    let mut parts = String::new();
    let mut part = |count: u64, place_of_colour: usize| {
        let height = share(count, most) / 100.0 * HEIGHT;
        y -= height;
        let (x, class) = (place * 10 + 1, colour(place_of_colour));
        let _ = write!(
            parts,
            "<rect class=\"{class}\" x=\"{x}\" y=\"{y:.1}\" width=\"8\" height=\"{height:.1}\"/>"
        );
    };
    for (number, name) in names.iter().enumerate() {
        let count = bar.by.get(*name).copied().unwrap_or_default();
        if count > 0 {
            let _ = write!(title, "\n{name} {}", Grouped(count));
            part(count, number);
            rest = rest.saturating_sub(count);
        }
    }
    if rest > 0 {
        let _ = write!(title, "\nothers {}", Grouped(rest));
        part(rest, COLOURS);
    }
    if bar.banned > 0 || bar.suspect > 0 {
        let given = [count(bar.banned, "ban"), count(bar.suspect, "suspicion")];
        let _ = write!(title, "\n{}", given.join(", "));
    }
    let x = place * 10;
    format!(
        "<g><title>{}</title><rect class=\"hit\" x=\"{x}\" y=\"0\" width=\"10\" \
         height=\"{HEIGHT}\"/>{parts}</g>",
        Safe(&title)
    )
}

/// A strip of bans over the same time.
fn bans(bars: &[Bar], zone: &TimeZone) -> String {
    let most = bars.iter().map(|bar| bar.banned).max().unwrap_or_default();
    if most == 0 {
        return String::new();
    }
    let mut strip = String::new();
    for (place, bar) in bars.iter().enumerate().filter(|(_, bar)| bar.banned > 0) {
        // The lowest is a quarter as high as the highest, so that it can be seen.
        let height = (25.0 + share(bar.banned, most) * 0.75) * HEIGHT / 100.0;
        let _ = write!(
            strip,
            "<g><title>{}: {} bans</title><rect class=\"kb\" x=\"{}\" y=\"{:.0}\" width=\"8\" \
             height=\"{height:.0}\"/></g>",
            local(bar.from, zone),
            Grouped(bar.banned),
            place * 10 + 1,
            HEIGHT - height,
        );
    }
    format!(
        "<span class=\"strip-name\">bans</span><svg class=\"strip\" viewBox=\"0 0 {} {HEIGHT}\" \
         preserveAspectRatio=\"none\" role=\"img\" aria-label=\"Bans over time, at most {} at \
         once\">{strip}</svg>",
        bars.len() * 10,
        Grouped(most)
    )
}

fn names_under(review: &Review, zone: &TimeZone) -> String {
    let bars = &review.timeline;
    let mut names = String::new();
    for (place, name) in ticks(bars, review.step_seconds, 8, zone) {
        let left = share(place as u64, bars.len() as u64);
        // The last ones would stand out of the page: they stand left of their mark.
        let (class, side, share) =
            if left > 82.0 { ("end", "right", 100.0 - left) } else { ("", "left", left) };
        let name = Safe(&name);
        let _ = write!(names, "<span class=\"{class}\" style=\"{side}:{share:.2}%\">{name}</span>");
    }
    names
}

fn legend(review: &Review) -> String {
    let mut items = String::new();
    for (place, row) in review.reasons.iter().enumerate().take(COLOURS) {
        let class = colour(place);
        let _ = write!(items, "<li><i class=\"{class}\"></i>{}</li>", Safe(&row.reason));
    }
    if review.reasons.len() > COLOURS {
        let _ = write!(items, "<li><i class=\"{}\"></i>others</li>", colour(COLOURS));
    }
    format!("<ul class=\"legend\">{items}</ul>")
}

/// Refusals by day of the week and hour of the day; left out for less than two days.
pub(super) fn week(review: &Review) -> String {
    const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    let (Some(week), Some(from), Some(until)) = (&review.week, review.from, review.until) else {
        return String::new();
    };
    let most = week.iter().flatten().copied().max().unwrap_or_default();
    if most == 0 || until.duration_since(from).as_hours() < 48 {
        return String::new();
    }
    let hours: String = (0..24)
        .map(|hour| match hour % 6 {
            0 => format!("<th scope=\"col\">{hour:02}</th>"),
            _ => "<th></th>".to_owned(),
        })
        .collect();
    let mut rows = String::new();
    for (day, counts) in DAYS.iter().zip(week) {
        let _ = write!(rows, "<tr><th scope=\"row\">{day}</th>");
        for (hour, count) in counts.iter().enumerate() {
            let title = format!("{day} {hour:02}:00 to {hour:02}:59: {} blocked", Grouped(*count));
            // What is little is still seen: by its root, and from a tenth on.
            let shade = (share(*count, most) / 100.0).sqrt();
            let shade = if *count > 0 { shade.max(0.1) } else { 0.0 };
            let _ = write!(rows, "<td title=\"{title}\"><i style=\"opacity:{shade:.2}\"></i></td>");
        }
        rows.push_str("</tr>");
    }
    format!(
        "<section>\n<h2>Days and hours</h2>\n<p class=\"soft\">The darker or brighter, the more was \
         blocked; at most {} in one hour of the week</p>\n<table class=\"week\">\
         <thead><tr><th></th>{hours}</tr></thead><tbody>{rows}</tbody></table>\n</section>",
        Grouped(most)
    )
}
