//! The answer as one page for a browser: it needs no other file, no script and no network.

mod lists;
mod plots;
mod tables;

use std::fmt::{self, Display};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::cli::asked::local;
use crate::events::{Grouped, Span};
use crate::review::Review;

const STYLE: &str = include_str!("page/style.css");

/// Reasons that have a colour of their own; the others share the last.
const COLOURS: usize = 6;

/// The whole page.
pub(super) fn page(review: &Review, now: Timestamp, zone: &TimeZone) -> String {
    let parts = [
        head(review, zone),
        plots::timeline(review, zone),
        plots::week(review),
        format!("<div class=\"pair\">{}{}</div>", lists::reasons(review), lists::ports(review)),
        lists::alarms(review, zone),
        tables::sources(review, zone),
        tables::networks(review),
        foot(review, now, zone),
    ];
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
         style-src 'unsafe-inline'\">\n<title>Portcullis review</title>\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n{}\n</main>\n</body>\n</html>\n",
        parts.join("\n")
    )
}

/// Text that is text, wherever it stands in a page.
struct Safe<'a>(&'a str);

impl Display for Safe<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                c if c.is_control() => {}
                c => write!(f, "{c}")?,
            }
        }
        Ok(())
    }
}

/// The class that colours a reason, by its place among the most frequent.
fn colour(place: usize) -> String {
    format!("k{}", place.min(COLOURS))
}

/// A part of a whole, in hundredths.
fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64 * 100.0
}

fn head(review: &Review, zone: &TimeZone) -> String {
    let observed = review.blocked > 0 && review.blocked == review.observed;
    let title = if observed { "What the gate would have refused" } else { "What the gate refused" };
    let time = match (review.from, review.until) {
        (Some(from), Some(until)) => {
            let span = Span(until.duration_since(from).unsigned_abs());
            format!("{} to {}, {span}", local(from, zone), local(until, zone))
        }
        _ => "nothing of Portcullis in this log, or nothing that was asked for".to_owned(),
    };
    let fact = |class: &str, name: &str, count: u64| {
        format!("<div{class}><dt>{name}</dt><dd>{}</dd></div>", Grouped(count))
    };
    let alarming = if review.alarm_count > 0 { " class=\"bad\"" } else { "" };
    let part = match review.observed {
        count if count > 0 && !observed => format!(
            "<p class=\"soft\">{} of these only would have been refused: the gate observed</p>",
            Grouped(count)
        ),
        _ => String::new(),
    };
    let given = review.standings;
    let watched = review.observed_standings;
    format!(
        "<header>\n<h1>{title}</h1>\n<p class=\"soft\">{}</p>{part}\n<dl class=\"facts\">{}{}{}{}{}</dl>\n\
         </header>",
        Safe(&time),
        fact("", "connection attempts blocked", review.blocked),
        fact("", "sources", review.source_count),
        fact("", "bans", given.banned.saturating_add(watched.banned)),
        fact("", "suspicions", given.suspect.saturating_add(watched.suspect)),
        fact(alarming, "alarms", review.alarm_count),
    )
}

fn foot(review: &Review, now: Timestamp, zone: &TimeZone) -> String {
    let lines = review.lines;
    format!(
        "<footer>Written by portcullis {} at {}. Of {} log lines {} were counted, {} belong to other \
         programs, {} were damaged, {} were read twice and counted once, {} were not asked for. \
         An attempt that the sender repeats counts again. Times are local to the machine that wrote \
         this page.</footer>",
        env!("CARGO_PKG_VERSION"),
        local(now, zone),
        Grouped(lines.read),
        Grouped(lines.counted),
        Grouped(lines.foreign),
        Grouped(lines.damaged),
        Grouped(lines.repeated),
        Grouped(lines.unwanted),
    )
}

#[cfg(test)]
mod tests {
    use super::super::screen::{self, tests::review};
    use super::*;
    use crate::review::{Clock, Step, Tally, Wanted, line};

    #[test]
    fn text_stays_text() {
        assert_eq!(Safe("<b a='\"'>&\x1b").to_string(), "&lt;b a=&#39;&quot;&#39;&gt;&amp;");
        let mut review = review();
        review.reasons[0].reason = "<script>alert(1)</script>".into();
        review.reasons[0].saw[0].0 = "\"><img src=x>".into();
        review.alarms[0].text = "</li><script>".into();
        review.alarms[0].what = "<i>".into();
        review.sources[0].reasons[0].0 = "<script>".into();
        for bar in &mut review.timeline {
            bar.by = [("<script>".to_owned(), bar.blocked)].into();
        }
        let page = page(&review, Timestamp::UNIX_EPOCH, &TimeZone::UTC);
        assert!(page.contains("&lt;script&gt;alert(1)"));
        for wrong in ["<script", "<img", "http://", "https://", "url("] {
            assert!(!page.contains(wrong), "{wrong}");
        }
    }

    #[test]
    fn numbers_that_nobody_can_add_up() {
        let lines = [
            "DROP-MORE SRC=192.0.2.1 count=18446744073709551615 by=a:18446744073709551615 \
             id=0000000001",
            "DROP-MORE sources=9 count=18446744073709551615 by=b:1,c:2 id=0000000002",
            "STANDINGS-MORE banned=18446744073709551615 suspect=18446744073709551615 clean=1 \
             id=0000000003",
            "BAN SRC=192.0.2.1 reason=x id=0000000004",
            "DROP SRC=192.0.2.2 DPT=0 reason=x id=0000000005",
        ];
        let mut tally = Tally::new(Wanted::default());
        let mut clock = Clock::new(TimeZone::UTC, Timestamp::UNIX_EPOCH);
        for text in lines {
            let text = format!("2026-09-21T14:13:20Z gate portcullis: {text}");
            tally.take(line(&text, &mut clock));
        }
        assert_eq!(tally.lines().counted, 5);
        let review = tally.review(10, Step::Auto, 60, &TimeZone::UTC);
        assert_eq!((review.blocked, review.standings.banned), (u64::MAX, u64::MAX));
        assert!(page(&review, Timestamp::UNIX_EPOCH, &TimeZone::UTC).contains("18,446,744"));
        let look = screen::Look { zone: &TimeZone::UTC, unicode: true, top: 10 };
        assert!(screen::screen(&review, &look).lines().all(|line| line.chars().count() <= 80));
    }

    /// Every element that is opened is closed, in its order.
    #[test]
    fn well_formed() {
        let page = page(&review(), Timestamp::UNIX_EPOCH, &TimeZone::UTC);
        let mut open = Vec::new();
        for tag in page.split('<').skip(1) {
            let name: String =
                tag.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '/').collect();
            match name.strip_prefix('/') {
                Some(name) => assert_eq!(open.pop().as_deref(), Some(name), "{tag}"),
                None if ["meta", ""].contains(&&*name) => {}
                None if tag.split('>').next().is_some_and(|tag| tag.ends_with('/')) => {}
                None => open.push(name),
            }
        }
        assert!(open.is_empty(), "{open:?}");
    }
}
