//! The answer as people read it, in 80 columns.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::chart::chart;
use super::services::named;
use crate::cli::asked::local;
use crate::cli::layout::{Align, Table, wrap};
use crate::events::{Grouped, Span};
use crate::review::{Review, SourceRow, Standings};

/// Alarms that are shown.
const ALARMS: usize = 5;
/// What a check saw: so much of it is shown.
const SAW: usize = 3;

/// How it is to be shown.
pub(super) struct Look<'a> {
    /// Times are local to it.
    pub(super) zone: &'a TimeZone,
    /// More than ASCII can be shown.
    pub(super) unicode: bool,
    /// The most rows of a table.
    pub(super) top: usize,
}

/// The whole screen.
pub(super) fn screen(review: &Review, look: &Look<'_>) -> String {
    let mut parts = vec![head(review, look)];
    if review.blocked > 0 {
        parts.push(chart(&review.timeline, review.step_seconds, look.zone, look.unicode));
    }
    parts.extend([sources(review, look), reasons(review), ports(review, look)]);
    parts.extend([networks(review, look), alarms(review, look)]);
    parts.retain(|part| !part.is_empty());
    let text = parts.join("\n");
    // Whatever stood in the log: this terminal cannot show it.
    if look.unicode { text } else { text.replace(|c: char| !c.is_ascii(), "?") }
}

fn head(review: &Review, look: &Look<'_>) -> String {
    let Review { blocked, observed, source_count, .. } = review;
    let verb = if blocked == observed && *observed > 0 { "would have blocked" } else { "blocked" };
    let title = match review.from {
        None => return nothing(review),
        Some(_) => format!(
            "Portcullis {verb} {} of {}{}\n",
            count(*blocked, "connection attempt"),
            if review.untold.sources > 0 { "more than " } else { "" },
            count(*source_count, "source")
        ),
    };
    let mut facts = Vec::new();
    if let (Some(from), Some(until)) = (review.from, review.until) {
        let span = Span(until.duration_since(from).unsigned_abs());
        let (from, until) = (local(from, look.zone), local(until, look.zone));
        facts.push(("time", format!("{from} to {until} ({span})")));
    }
    facts.push(("lines", lines(review)));
    if *observed > 0 && observed != blocked {
        let text =
            format!("{} of these only would have been: the gate observed", Grouped(*observed));
        facts.push(("observed", text));
    }
    facts.push(("standings", standings(review.standings)));
    if review.observed_standings != Standings::default() {
        let text = standings(review.observed_standings);
        facts.push(("", format!("only observed, not given: {text}")));
    }
    facts.push(("gate", gate(review)));
    let facts = facts.iter().map(|(name, text)| wrap(&format!("  {name:<10} "), text));
    std::iter::once(title).chain(facts).collect()
}

/// Nothing was counted: that may be good news, or the wrong log.
fn nothing(review: &Review) -> String {
    let mut text = if review.lines.unwanted > 0 {
        "Nothing of what Portcullis wrote here was asked for\n".to_owned()
    } else {
        "There is nothing of Portcullis here\n".to_owned()
    };
    text.push_str(&wrap("  lines      ", &lines(review)));
    if review.lines.unwanted == 0 {
        let hint = "[events] in the policy says where the gate writes. If that is a file, name it: \
                    portcullis review /var/log/auth.log*";
        text.push_str(&wrap("  ", hint));
    }
    text
}

fn lines(review: &Review) -> String {
    let lines = review.lines;
    let parts = [
        (lines.counted, "counted"),
        (lines.unwanted, "not asked for"),
        (lines.repeated, "read twice, counted once"),
        (lines.foreign, "of other programs"),
        (lines.damaged, "damaged"),
    ];
    let told = parts.iter().filter(|(count, _)| *count > 0);
    let told: Vec<_> = told.map(|(count, what)| format!("{} {what}", Grouped(*count))).collect();
    match told.len() {
        0 => "none".to_owned(),
        _ => format!("{} read: {}", Grouped(lines.read), told.join(", ")),
    }
}

fn standings(standings: Standings) -> String {
    let Standings { banned, suspect, cleared } = standings;
    let (banned, suspect) = (count(banned, "ban"), count(suspect, "suspicion"));
    format!("{banned}, {suspect}, {} ended", Grouped(cleared))
}

fn gate(review: &Review) -> String {
    let starts = count(review.starts, "start");
    let stops = count(review.stops, "stop");
    let reloads = count(review.reloads, "reload");
    format!("{}, {starts}, {stops}, {reloads}", count(review.alarm_count, "alarm"))
}

/// `1 ban`, `2 bans`
pub(super) fn count(count: u64, what: &str) -> String {
    format!("{} {what}{}", Grouped(count), if count == 1 { "" } else { "s" })
}

fn sources(review: &Review, look: &Look<'_>) -> String {
    if review.sources.is_empty() {
        return String::new();
    }
    let shown = review.sources.len().min(look.top) as u64;
    let mut text = match review.source_count {
        all if all > 1 && shown == 1 => format!("Who: the busiest of {} sources\n", Grouped(all)),
        all if all > shown => {
            format!("Who: the {} busiest of {} sources\n", Grouped(shown), Grouped(all))
        }
        _ => "Who\n".to_owned(),
    };
    let columns = [
        ("SOURCE", Align::Left),
        ("BLOCKED", Align::Right),
        ("FIRST", Align::Left),
        ("LAST", Align::Left),
        ("STANDING", Align::Left),
    ];
    let mut table = Table::new(2, &columns);
    for row in review.sources.iter().take(look.top) {
        table.row([
            source(row.source),
            Grouped(row.blocked).to_string(),
            short(row.first, look.zone),
            short(row.last, look.zone),
            standing(row),
        ]);
    }
    // What a source did stands under it: side by side it would not fit.
    let lines = table.text();
    let mut lines = lines.lines();
    text.push_str(lines.next().unwrap_or_default());
    text.push('\n');
    for (line, row) in lines.zip(&review.sources) {
        text.push_str(line);
        text.push('\n');
        text.push_str(&wrap("      ", &doing(row)));
    }
    let Review { untold, .. } = review;
    for (count, why) in [
        (untold.of_many, "the log summed up for many sources at once"),
        (untold.sources, "came from more sources than are told apart here"),
    ] {
        if count > 0 {
            text.push_str(&wrap("  ", &format!("and {}, which {why}", Grouped(count))));
        }
    }
    text
}

/// `scan 900, rate 304; ports 22, 23 and others`.
fn doing(row: &SourceRow) -> String {
    let reasons: Vec<_> =
        row.reasons.iter().map(|(name, count)| format!("{name} {}", Grouped(*count))).collect();
    let ports: Vec<_> = row.ports.iter().map(u16::to_string).collect();
    let mut parts = Vec::new();
    if !reasons.is_empty() {
        parts.push(reasons.join(", "));
    }
    if !ports.is_empty() {
        let word = if ports.len() == 1 { "port" } else { "ports" };
        let others = if row.more_ports { " and others" } else { "" };
        parts.push(format!("{word} {}{others}", ports.join(", ")));
    }
    parts.join("; ")
}

fn standing(row: &SourceRow) -> String {
    match (row.standing, row.bans) {
        ("clean", _) => "-".to_owned(),
        (word, 0 | 1) => word.to_owned(),
        (word, bans) => format!("{word} {} times", Grouped(bans.into())),
    }
}

fn reasons(review: &Review) -> String {
    if review.reasons.is_empty() {
        return String::new();
    }
    let columns = [
        ("CHECK", Align::Left),
        ("BLOCKED", Align::Right),
        ("", Align::Right),
        ("WHAT IT SAW", Align::Left),
    ];
    let mut table = Table::new(2, &columns);
    for row in &review.reasons {
        let saw = row.saw.iter().take(SAW);
        let saw: Vec<_> = saw.map(|(what, count)| format!("{what} {}", Grouped(*count))).collect();
        let more = if row.saw.len() > SAW { ", and others" } else { "" };
        table.row([
            row.reason.clone(),
            Grouped(row.blocked).to_string(),
            percent(row.blocked, review.blocked),
            saw.join(", ") + more,
        ]);
    }
    format!("Why\n{}", table.text())
}

fn percent(part: u64, whole: u64) -> String {
    match part as f64 / whole.max(1) as f64 * 100.0 {
        share if share > 0.0 && share < 1.0 => "< 1 %".to_owned(),
        share => format!("{share:.0} %"),
    }
}

fn ports(review: &Review, look: &Look<'_>) -> String {
    if review.ports.is_empty() {
        return String::new();
    }
    let told: u64 = review.blocked.saturating_sub(review.untold.ports);
    let mut table =
        Table::new(2, &[("PORT", Align::Left), ("BLOCKED", Align::Right), ("", Align::Right)]);
    for row in review.ports.iter().take(look.top) {
        table.row([named(row.port), Grouped(row.blocked).to_string(), percent(row.blocked, told)]);
    }
    let shown = review.ports.len().min(look.top) as u64;
    let mut text = match review.port_count {
        all if all > shown => format!("Where: {shown} of {} ports\n", Grouped(all)),
        _ => "Where\n".to_owned(),
    };
    text.push_str(&table.text());
    if review.untold.ports > 0 {
        let rest = Grouped(review.untold.ports);
        let told = format!("and {rest} that the log summed up, without their ports");
        text.push_str(&wrap("  ", &told));
    }
    text
}

fn networks(review: &Review, look: &Look<'_>) -> String {
    if review.networks.is_empty() {
        return String::new();
    }
    let columns = [("NETWORK", Align::Left), ("BLOCKED", Align::Right), ("SOURCES", Align::Right)];
    let mut table = Table::new(2, &columns);
    for row in review.networks.iter().take(look.top) {
        table.row([
            row.network.to_string(),
            Grouped(row.blocked).to_string(),
            Grouped(row.sources).to_string(),
        ]);
    }
    format!("Networks with several sources\n{}", table.text())
}

fn alarms(review: &Review, look: &Look<'_>) -> String {
    if review.alarms.is_empty() {
        return String::new();
    }
    let mut text = "Alarms, the latest first\n".to_owned();
    for alarm in review.alarms.iter().take(ALARMS) {
        let times = match alarm.count {
            1 => String::new(),
            count => format!(" ({} times)", Grouped(count)),
        };
        let line = format!("{}{times}: {}", alarm.what, alarm.text);
        text += &wrap(&format!("  {}  ", local(alarm.last, look.zone)), &line);
    }
    if review.alarms.len() > ALARMS {
        let more = Grouped((review.alarms.len() - ALARMS) as u64);
        text += &format!("  and {more} others\n");
    }
    text
}

/// `09-21 14:13`: the year stands above.
fn short(time: Timestamp, zone: &TimeZone) -> String {
    time.to_zoned_datetime(zone.clone()).strftime("%m-%d %H:%M").to_string()
}

/// A single address without its `/32`.
pub(super) fn source(net: ipnet::IpNet) -> String {
    if net.prefix_len() == net.max_prefix_len() { net.addr().to_string() } else { net.to_string() }
}

#[cfg(test)]
pub(super) mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::events::Verb;
    use crate::memory::SourceKey;
    use crate::review::{
        Changes, Entry, Given, More, Rank, Refused, Said, Step, Tally, Told, Wanted, What,
    };

    /// A scanner, a guesser, their neighbour, and a flood, within a morning.
    fn tally() -> Tally {
        let mut tally = Tally::new(Wanted::default());
        let mut id = 0;
        let mut take = |minute: i64, what| {
            id += 1;
            let at = Timestamp::from_second(1_790_000_000 + minute * 60).unwrap();
            tally.take(Told::Event(Entry { at, id, what }));
        };
        let address = |text: &str| -> IpAddr { text.parse().unwrap() };
        let refused = |src: &str, port, reason: &'static str, what: &'static str| {
            let (src, reason, what) = (address(src), reason.into(), what.into());
            What::Refused(Refused { src, port, reason, what, enforced: true })
        };
        for port in 1..=40 {
            take(i64::from(port), refused("203.0.113.7", port, "scan", "closed"));
        }
        for minute in 100..120 {
            take(minute, refused("2001:db8:a:b::7", 22, "rate", "login"));
            take(minute, refused("203.0.113.8", 23, "fingerprint", "mirai"));
        }
        let by = vec![("scan".into(), 1000), ("rate".into(), 204)];
        let source = Some(SourceKey::of(address("203.0.113.7")));
        take(41, What::More(More { source, count: 1204, by, enforced: true }));
        let by = vec![("ports".into(), 3)];
        take(180, What::More(More { source: None, count: 3, by, enforced: true }));
        for (minute, rank) in [(50, Rank::Banned), (60, Rank::Clean), (70, Rank::Banned)] {
            let source = SourceKey::of(address("203.0.113.7"));
            take(
                minute,
                What::Standing(Given { source, rank, reason: "scan".into(), enforced: true }),
            );
        }
        take(75, What::Standings(Changes { clean: 0, suspect: 5, banned: 0, told: false }));
        for minute in [80, 81] {
            let text = "somebody removed our table; it is in place again".into();
            take(minute, What::Notice(Said { verb: Verb::Alarm, what: "flushed".into(), text }));
        }
        tally.take(Told::Foreign);
        tally
    }

    pub(in crate::cli::review) fn review() -> Review {
        tally().review(10, Step::Auto, 60, &TimeZone::UTC)
    }

    fn seen(review: &Review) -> String {
        let look = Look { zone: &TimeZone::UTC, unicode: true, top: 10 };
        let text = screen(review, &look);
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        text
    }

    #[test]
    fn as_it_is_seen() {
        let text = seen(&review());
        assert_eq!(text, include_str!("expected.txt"), "{text}");
    }

    #[test]
    fn one_is_one() {
        let of = |n| standings(Standings { banned: n, suspect: n, cleared: n });
        assert_eq!(of(1), "1 ban, 1 suspicion, 1 ended");
        assert_eq!(of(1000), "1,000 bans, 1,000 suspicions, 1,000 ended");
    }

    #[test]
    fn nothing_there() {
        let review = Tally::new(Wanted::default()).review(10, Step::Auto, 60, &TimeZone::UTC);
        let text = seen(&review);
        let expected = "There is nothing of Portcullis here\n  lines      none\n  \
                        [events] in the policy says where the gate writes.";
        assert!(text.starts_with(expected), "{text}");
    }
}
