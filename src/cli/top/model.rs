//! What is shown, and what keys and answers make of it.

use std::time::Duration;

use ipnet::IpNet;
use jiff::Timestamp;
use ratatui::crossterm::event::{KeyEvent, KeyEventKind};

use super::filter::Filter;
use super::form::{Form, Step};
use super::keys::{self, Act, Reading, Typing};
use super::now::Now;
use super::view::{Id, Order, View, Which};
use crate::cli::bans::name;
use crate::cli::explain;
use crate::cli::layout::clean;
use crate::control::protocol::{Done, Refusal};
use crate::control::{Request, Response};
use crate::memory::Moment;

/// Sources and ports that are asked for.
pub(super) const MOST: usize = 200;
/// How long a note stays.
const NOTED: Duration = Duration::from_secs(6);
/// Rates in the tables are means over so long, as those of the daemon are.
const MEAN: Duration = Duration::from_secs(10);
/// The list of standings is asked for so seldom, because nft counts for it…
const LISTED: Duration = Duration::from_secs(2);
/// …and so many times as long as it took.
const LISTING: u32 = 10;

/// Something that happened.
#[derive(Debug)]
pub(super) enum Came {
    /// A key was pressed.
    Key(KeyEvent),
    /// An interval has passed.
    Tick,
    /// The daemon answered, or in a line why it did not.
    Answer(Request, Result<Response, String>),
}

/// What the model wants done.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Wish {
    /// Ask the daemon.
    Ask(Request),
    /// Stop, as Ctrl-Z does.
    Suspend,
    /// End.
    Quit,
}

/// What lies over the tables.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Over {
    /// The help.
    Help { scroll: usize },
    /// What is wrong, in full.
    Alarms { scroll: usize },
    /// A text to read.
    Text { title: String, text: String, scroll: usize },
    /// Something was not done, and why. Any key closes it.
    Refused { title: String, text: String },
    /// A filter is typed, in the last line.
    Filter(String),
    /// A ban is typed.
    Ban(Form),
    /// Sure?
    Unban { net: IpNet, port: Option<u16> },
}

/// Where one is in a table.
#[derive(Clone, Copy, Debug, Default)]
struct Cursor {
    /// The row; none as long as nobody has moved: then it is the first, whoever that is.
    id: Option<Id>,
    /// Where it was last, for when it is gone.
    index: usize,
    /// Of the table's orders.
    order: usize,
}

/// All that is shown.
#[derive(Debug)]
pub(super) struct Model {
    every: Duration,
    live: View,
    /// What is shown while paused.
    frozen: Option<View>,
    pub(super) which: Which,
    cursors: [Cursor; 3],
    pub(super) filter: Option<Filter>,
    /// The filter as it was typed.
    pub(super) filter_text: String,
    pub(super) over: Option<Over>,
    /// Since when the daemon does not answer, and what is wrong.
    pub(super) lost: Option<(Timestamp, String)>,
    note: Option<(String, Moment)>,
    /// Questions about the gate that wait for their answers.
    asked: usize,
    /// When the list of standings was asked for, if there is no answer yet.
    listing: Option<Moment>,
    /// When it is due again.
    list_due: Moment,
}

impl Model {
    /// Nothing is known yet.
    pub(super) fn new(every: Duration) -> Self {
        Self {
            every,
            live: View::default(),
            frozen: None,
            which: Which::Sources,
            cursors: Default::default(),
            filter: None,
            filter_text: String::new(),
            over: None,
            lost: None,
            note: None,
            asked: 0,
            listing: None,
            list_due: Moment(0),
        }
    }

    /// What is known, or was when it was paused.
    pub(super) fn view(&self) -> &View {
        self.frozen.as_ref().unwrap_or(&self.live)
    }

    /// Is it paused?
    pub(super) fn paused(&self) -> bool {
        self.frozen.is_some()
    }

    /// A word about what was done last.
    pub(super) fn note(&self) -> Option<&str> {
        self.note.as_ref().map(|(text, _)| text.as_str())
    }

    /// Readings that a rate is the mean of.
    pub(super) fn span(&self) -> usize {
        self.readings(MEAN)
    }

    /// Readings in so long a time.
    pub(super) fn readings(&self, time: Duration) -> usize {
        (time.as_secs_f64() / self.every.as_secs_f64()).ceil().max(1.0) as usize
    }

    /// How long so many readings are.
    pub(super) fn lasting(&self, readings: usize) -> Duration {
        self.every * u32::try_from(readings).unwrap_or(u32::MAX)
    }

    /// The order of the table that is shown.
    pub(super) fn order(&self) -> Order {
        let orders = self.which.orders();
        orders[self.cursors[self.which as usize].order % orders.len()]
    }

    /// The rows of the table that is shown.
    pub(super) fn ids(&self) -> Vec<Id> {
        let (view, filter, order) = (self.view(), self.filter.as_ref(), self.order());
        let span = self.span();
        match self.which {
            Which::Sources => {
                let rows = view.shown_sources(filter, order, span).into_iter();
                rows.map(|row| Id::Source(row.facts.source)).collect()
            }
            Which::Ports => {
                let rows = view.shown_ports(filter, order, span).into_iter();
                rows.map(|row| Id::Port(row.facts.port)).collect()
            }
            Which::Standings => {
                let rows = view.shown_standings(filter, order, span).into_iter();
                rows.map(|row| Id::Standing(row.facts.source, row.facts.port)).collect()
            }
        }
    }

    /// The place of the selected row among `ids`.
    pub(super) fn selected(&self, ids: &[Id]) -> Option<usize> {
        let Cursor { id, index, .. } = self.cursors[self.which as usize];
        let known = id.and_then(|id| ids.iter().position(|other| *other == id));
        let last = ids.len().checked_sub(1)?;
        Some(known.unwrap_or(index).min(last))
    }

    /// The questions of each interval.
    pub(super) fn questions(&self) -> Vec<Request> {
        vec![Request::Status, Request::Busiest { most: MOST }]
    }

    /// Takes what came.
    pub(super) fn update(&mut self, came: Came, now: Now) -> Vec<Wish> {
        match came {
            Came::Tick => self.tick(now),
            Came::Answer(request, answer) => {
                self.answer(request, answer, now);
                Vec::new()
            }
            Came::Key(key) if key.kind == KeyEventKind::Release => Vec::new(),
            Came::Key(key) if keys::ends(key) => vec![Wish::Quit],
            Came::Key(key) if keys::suspends(key) => vec![Wish::Suspend],
            Came::Key(key) => {
                let mut wishes: Vec<Wish> = self.key(key, now).into_iter().collect();
                wishes.extend(self.list(now));
                wishes
            }
        }
    }

    fn tick(&mut self, now: Now) -> Vec<Wish> {
        if self.note.as_ref().is_some_and(|(_, since)| now.at.since(*since) >= NOTED) {
            self.note = None;
        }
        let mut wishes = Vec::new();
        // A daemon that is slow is not asked faster than it answers.
        if self.asked == 0 {
            let questions = self.questions();
            self.asked = questions.len();
            wishes.extend(questions.into_iter().map(Wish::Ask));
        }
        wishes.extend(self.list(now));
        wishes
    }

    /// The list of standings, if it is shown and due.
    fn list(&mut self, now: Now) -> Option<Wish> {
        let due = self.which == Which::Standings && self.listing.is_none();
        (due && now.at >= self.list_due).then(|| {
            self.listing = Some(now.at);
            Wish::Ask(Request::Bans)
        })
    }

    fn answer(&mut self, request: Request, answer: Result<Response, String>, now: Now) {
        let regular = matches!(request, Request::Status | Request::Busiest { .. });
        if regular {
            self.asked = self.asked.saturating_sub(1);
        }
        if request == Request::Bans {
            let took = self.listing.take().map_or(Duration::ZERO, |asked| now.at.since(asked));
            self.list_due = now.at + LISTED.max(took * LISTING);
        }
        match answer {
            Ok(Response::Status(report)) => {
                if self.lost.take().is_some() {
                    self.say("the gate answers again", now);
                }
                self.live.status(*report, now);
            }
            Ok(Response::Busiest(facts)) => self.live.busiest(facts, now),
            Ok(Response::Bans(rows)) => self.live.standings(rows, now),
            // Whoever types something else meanwhile is not disturbed.
            Ok(Response::Explain(_)) if self.over.is_some() => {}
            Ok(Response::Explain(report)) => {
                let title = format!("{} at port {}", report.address, report.port);
                self.over = Some(Over::Text { title, text: explain::screen(&report), scroll: 0 });
            }
            Ok(Response::Done(Done { text, warnings, .. })) => {
                self.list_due = now.at;
                let text = std::iter::once(text).chain(warnings).collect::<Vec<_>>().join("; ");
                self.say(&text, now);
            }
            Ok(Response::Error(Refusal { lines, .. })) if regular => {
                self.missing(&lines.join(" "), now);
            }
            Ok(Response::Error(Refusal { lines, .. })) => self.refused(&request, &lines),
            Ok(Response::Standings(_) | Response::Trial(_)) => {}
            Err(text) if regular || request == Request::Bans => self.missing(&text, now),
            Err(text) => self.refused(&request, &[text]),
        }
    }

    /// The daemon does not say how the gate is.
    fn missing(&mut self, text: &str, now: Now) {
        let since = self.lost.as_ref().map_or(now.clock, |(since, _)| *since);
        self.lost = Some((since, clean(text)));
    }

    /// An order was not carried out.
    fn refused(&mut self, request: &Request, lines: &[String]) {
        let title = match request {
            Request::BansAdd { net, .. } => format!("{} is not banned", name(*net)),
            Request::BansRemove { net: Some(net), .. } => format!("{} stays as it is", name(*net)),
            _ => "no answer".to_owned(),
        };
        let text = lines.iter().map(|line| clean(line) + "\n").collect();
        self.over = Some(Over::Refused { title, text });
    }

    fn say(&mut self, text: &str, now: Now) {
        self.note = Some((clean(text), now.at));
    }

    fn key(&mut self, key: KeyEvent, now: Now) -> Option<Wish> {
        match self.over.take() {
            None => return self.act(keys::looking(key)?, now),
            Some(Over::Help { scroll }) => {
                self.over = scrolled(key, scroll).map(|scroll| Over::Help { scroll });
            }
            Some(Over::Alarms { scroll }) => {
                self.over = scrolled(key, scroll).map(|scroll| Over::Alarms { scroll });
            }
            Some(Over::Text { title, text, scroll }) => {
                let last = text.lines().count().saturating_sub(1);
                self.over = scrolled(key, scroll).map(|scroll| Over::Text {
                    title,
                    text,
                    scroll: scroll.min(last),
                });
            }
            Some(Over::Refused { .. }) => {}
            Some(Over::Filter(text)) => self.over = self.filtered(text, keys::typing(key)),
            Some(Over::Ban(form)) if form.asks => match keys::sure(key) {
                Some(true) => return form.request().ok().map(Wish::Ask),
                Some(false) => self.say("not banned", now),
                None => self.over = Some(Over::Ban(form)),
            },
            Some(Over::Ban(mut form)) => {
                let step = keys::typing(key).map_or(Step::Stay, |typing| form.typed(typing));
                if step == Step::Stay {
                    self.over = Some(Over::Ban(form));
                }
            }
            Some(Over::Unban { net, port }) => match keys::sure(key) {
                Some(true) => {
                    return Some(Wish::Ask(Request::BansRemove { net: Some(net), port }));
                }
                Some(false) => self.say("nothing changed", now),
                None => self.over = Some(Over::Unban { net, port }),
            },
        }
        None
    }

    /// A key while a filter is typed: it works with every letter.
    fn filtered(&mut self, mut text: String, typing: Option<Typing>) -> Option<Over> {
        match typing {
            Some(Typing::Letter(letter)) if text.len() < 60 => text.push(letter),
            Some(Typing::Rub) => drop(text.pop()),
            Some(Typing::Wipe) => text.clear(),
            Some(Typing::Done) => return None,
            Some(Typing::Leave) => {
                self.set_filter("");
                return None;
            }
            _ => {}
        }
        self.set_filter(&text);
        Some(Over::Filter(text))
    }

    fn set_filter(&mut self, text: &str) {
        text.trim().clone_into(&mut self.filter_text);
        self.filter = Filter::read(text);
    }

    fn act(&mut self, act: Act, now: Now) -> Option<Wish> {
        let tables = Which::ALL.len();
        let cursor = self.which as usize;
        match act {
            Act::Quit => return Some(Wish::Quit),
            Act::Help => self.over = Some(Over::Help { scroll: 0 }),
            Act::Alarms => self.over = Some(Over::Alarms { scroll: 0 }),
            Act::NextTable => self.which = Which::ALL[(cursor + 1) % tables],
            Act::TableBefore => self.which = Which::ALL[(cursor + tables - 1) % tables],
            Act::Move(rows) => {
                let ids = self.ids();
                if let Some(at) = self.selected(&ids) {
                    let at = at.saturating_add_signed(rows).min(ids.len() - 1);
                    self.cursors[cursor].index = at;
                    self.cursors[cursor].id = Some(ids[at]);
                }
            }
            Act::Sort => {
                self.cursors[cursor].order =
                    (self.cursors[cursor].order + 1) % self.which.orders().len();
                // Another order is chosen to see who is first in it.
                (self.cursors[cursor].id, self.cursors[cursor].index) = (None, 0);
            }
            Act::Filter => self.over = Some(Over::Filter(self.filter_text.clone())),
            Act::Clear => self.set_filter(""),
            Act::Pause => {
                self.frozen = match self.frozen {
                    Some(_) => None,
                    None => Some(self.live.clone()),
                }
            }
            Act::Explain => return self.explain(),
            Act::Ban => match self.chosen()? {
                Id::Source(net) | Id::Standing(net, _) => {
                    self.over = Some(Over::Ban(Form::new(net)));
                }
                Id::Port(_) => self.say("Enter lists who asks for this port; ban them there", now),
            },
            Act::Unban => match self.chosen()? {
                Id::Source(net) => self.over = Some(Over::Unban { net, port: None }),
                Id::Standing(net, port) => self.over = Some(Over::Unban { net, port }),
                Id::Port(_) => self.say("Enter lists who asks for this port", now),
            },
        }
        None
    }

    /// The row that keys are about.
    fn chosen(&self) -> Option<Id> {
        let ids = self.ids();
        self.selected(&ids).map(|at| ids[at])
    }

    /// Of a source what the gate thinks; of a port who asks for it.
    fn explain(&mut self) -> Option<Wish> {
        let last_port = |net: IpNet| {
            let mut sources = self.view().sources.iter();
            sources.find(|row| row.facts.source == net).map(|row| row.facts.port)
        };
        let (net, port) = match self.chosen()? {
            Id::Source(net) => (net, last_port(net)),
            Id::Standing(net, port) => (net, port.or_else(|| last_port(net))),
            Id::Port(port) => {
                self.set_filter(&format!("port {port}"));
                self.which = Which::Sources;
                return None;
            }
        };
        // Port 0 is asked for by nobody who is honest, and cannot be explained.
        let port = port.filter(|port| *port > 0).unwrap_or(22);
        Some(Wish::Ask(Request::Explain { address: net.addr(), port }))
    }

    /// What is to be answered with yes or no before a standing goes.
    pub(super) fn unban_question(net: IpNet, port: Option<u16>) -> String {
        let at = port.map_or_else(String::new, |port| format!(" at port {port}"));
        format!("Make {} clean{at}?", name(net))
    }
}

/// Where a text is after a key; `None` if it is closed.
fn scrolled(key: KeyEvent, scroll: usize) -> Option<usize> {
    match keys::reading(key) {
        Some(Reading::Close) => None,
        Some(Reading::Move(lines)) => Some(scroll.saturating_add_signed(lines)),
        None => Some(scroll),
    }
}
