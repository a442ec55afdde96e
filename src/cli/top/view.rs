//! What is known of the gate: all that is shown, and nothing of how.

use std::cmp::Ordering;

use ipnet::IpNet;

use super::filter::Filter;
use super::now::Now;
use super::rows::{Counted, Row, Rows};
use super::traffic::Traffic;
use crate::cli::bans::{standing, why};
use crate::cli::review::services::service;
use crate::control::protocol::{BanRow, BusiestFacts, BusyPort, BusySource, StatusReport};
use crate::memory::Moment;
use crate::policy::Standing;

/// The tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Which {
    #[default]
    Sources,
    Ports,
    Standings,
}

impl Which {
    pub(super) const ALL: [Which; 3] = [Which::Sources, Which::Ports, Which::Standings];

    pub(super) fn title(self) -> &'static str {
        match self {
            Which::Sources => "Sources",
            Which::Ports => "Ports",
            Which::Standings => "Standings",
        }
    }

    /// The orders in which its rows can stand.
    pub(super) fn orders(self) -> &'static [Order] {
        match self {
            Which::Sources | Which::Ports => {
                &[Order::Tries, Order::Refused, Order::All, Order::Name]
            }
            Which::Standings => &[Order::Latest, Order::Stopped, Order::Ending, Order::Name],
        }
    }
}

/// An order of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Tries,
    Refused,
    All,
    Name,
    Latest,
    Stopped,
    Ending,
}

impl Order {
    pub(super) fn words(self) -> &'static str {
        match self {
            Order::Tries => "most tries first",
            Order::Refused => "most refused first",
            Order::All => "most in all first",
            Order::Name => "by number",
            Order::Latest => "latest first",
            Order::Stopped => "most stopped first",
            Order::Ending => "ending soonest first",
        }
    }
}

/// What a row is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Id {
    Source(IpNet),
    Port(u16),
    /// A standing, at one port or at all.
    Standing(IpNet, Option<u16>),
}

/// All that was told.
#[derive(Clone, Debug, Default)]
pub(super) struct View {
    pub(super) status: Option<StatusReport>,
    pub(super) traffic: Traffic,
    pub(super) sources: Rows<BusySource>,
    pub(super) ports: Rows<BusyPort>,
    pub(super) standings: Rows<BanRow>,
    busiest_at: Option<Moment>,
    standings_at: Option<Moment>,
}

impl View {
    pub(super) fn status(&mut self, report: StatusReport, now: Now) {
        // In a container every daemon may have the same number.
        let another =
            |before: &StatusReport| before.pid != report.pid || report.uptime < before.uptime;
        if self.status.as_ref().is_some_and(another) {
            self.traffic.begin_anew();
            (self.busiest_at, self.standings_at) = (None, None);
        }
        self.traffic.note(now.at, &report);
        self.status = Some(report);
    }

    pub(super) fn busiest(&mut self, facts: BusiestFacts, now: Now) {
        let seconds = since(&mut self.busiest_at, now);
        self.sources.take(facts.sources, seconds);
        self.ports.take(facts.ports, seconds);
    }

    pub(super) fn standings(&mut self, rows: Vec<BanRow>, now: Now) {
        let seconds = since(&mut self.standings_at, now);
        self.standings.take(rows, seconds);
    }

    /// The sources that are shown, in order. Rates are means of the last `span` readings.
    pub(super) fn shown_sources(
        &self,
        filter: Option<&Filter>,
        order: Order,
        span: usize,
    ) -> Vec<&Row<BusySource>> {
        let shown = |row: &&Row<BusySource>| {
            let facts = &row.facts;
            let words = [source_standing(facts), source_why(facts).to_owned()];
            let words = words.each_ref().map(String::as_str);
            filter.is_none_or(|filter| filter.source(facts.source, Some(facts.port), &words))
        };
        let mut rows: Vec<_> = self.sources.iter().filter(shown).collect();
        rows.sort_by(|a, b| {
            by_rates(a, b, order, span).then_with(|| a.facts.source.cmp(&b.facts.source))
        });
        rows
    }

    /// The ports that are shown.
    pub(super) fn shown_ports(
        &self,
        filter: Option<&Filter>,
        order: Order,
        span: usize,
    ) -> Vec<&Row<BusyPort>> {
        let shown = |row: &&Row<BusyPort>| {
            let facts = &row.facts;
            let words = [service(facts.port).unwrap_or_default(), &facts.check];
            filter.is_none_or(|filter| filter.port(facts.port, &words))
        };
        let mut rows: Vec<_> = self.ports.iter().filter(shown).collect();
        rows.sort_by(|a, b| {
            by_rates(a, b, order, span).then_with(|| a.facts.port.cmp(&b.facts.port))
        });
        rows
    }

    /// The standings that are shown.
    pub(super) fn shown_standings(
        &self,
        filter: Option<&Filter>,
        order: Order,
        span: usize,
    ) -> Vec<&Row<BanRow>> {
        let shown = |row: &&Row<BanRow>| {
            let facts = &row.facts;
            let words = [standing(facts), why(facts)];
            let words = words.each_ref().map(String::as_str);
            filter.is_none_or(|filter| filter.source(facts.source, facts.port, &words))
        };
        let mut rows: Vec<_> = self.standings.iter().filter(shown).collect();
        rows.sort_by(|a, b| {
            let (x, y) = (&a.facts, &b.facts);
            match order {
                Order::Stopped => (b.tries.mean(span).total_cmp(&a.tries.mean(span)))
                    .then(y.stopped_packets.cmp(&x.stopped_packets)),
                Order::Ending => x.until.cmp(&y.until),
                Order::Name => (x.source, x.port).cmp(&(y.source, y.port)),
                _ => y.since.cmp(&x.since),
            }
            .then_with(|| (x.source, x.port).cmp(&(y.source, y.port)))
        });
        rows
    }
}

/// Seconds since the last time, and now is the last time.
fn since(last: &mut Option<Moment>, now: Now) -> Option<f32> {
    let before = last.replace(now.at);
    before.map(|before| now.at.since(before).as_secs_f32()).filter(|seconds| *seconds > 0.0)
}

/// Those that are silent at present stand by what they did before.
fn by_rates<F: Counted>(a: &Row<F>, b: &Row<F>, order: Order, span: usize) -> Ordering {
    let tries = b.tries.mean(span).total_cmp(&a.tries.mean(span));
    let ([all_a, refused_a], [all_b, refused_b]) = (a.facts.counts(), b.facts.counts());
    let total = all_b.cmp(&all_a);
    match order {
        Order::Refused => {
            let refused = b.refused.mean(span).total_cmp(&a.refused.mean(span));
            refused.then(refused_b.cmp(&refused_a)).then(tries).then(total)
        }
        Order::All => total,
        Order::Name => Ordering::Equal,
        _ => tries.then(total),
    }
}

/// `banned`, `banned: 22` at one port only, or nothing of one who is clean.
pub(super) fn source_standing(facts: &BusySource) -> String {
    match (facts.standing, facts.standing_port) {
        (Standing::Clean, _) => String::new(),
        (standing, None) => standing.word().to_owned(),
        (standing, Some(port)) => format!("{}: {port}", standing.word()),
    }
}

/// Why it has its standing, or else why it was refused last.
pub(super) fn source_why(facts: &BusySource) -> &str {
    if facts.reason.is_empty() { &facts.check } else { &facts.reason }
}
