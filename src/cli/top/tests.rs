//! Screens, and what keys and answers make of them: without a terminal, without a daemon.
//!
//! Screens are in tests/golden/top; `UPDATE_GOLDEN=1` writes them anew: look at the difference.

use std::path::Path;
use std::time::Duration;

use ipnet::IpNet;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::style::{Color, Modifier};

use super::draw::{self, Look};
use super::model::{Came, Model, Over, Wish};
use super::now::Now;
use super::view::Which;
use crate::cli::status::tests::report;
use crate::control::protocol::{
    BanRow, BusiestFacts, BusyPort, BusySource, Done, ExplainReport, FloodFacts, Refusal,
    StatusReport, Trouble,
};
use crate::control::{Request, Response};
use crate::events::{Alarm, PerSecond};
use crate::memory::Moment;
use crate::policy::Standing;

const MALLORY: &str = "192.0.2.66/32";
const TRUDY: &str = "2001:db8:bad::/64";

fn at(seconds: u64) -> Now {
    let start: Timestamp = "2026-09-21T14:13:20Z".parse().unwrap();
    let span = Duration::from_secs(seconds);
    Now { at: Moment(1) + span, clock: start + span }
}

fn look() -> Look {
    Look { zone: TimeZone::UTC, colours: true }
}

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

/// A gate and somebody who looks on, from second to second.
struct Story {
    model: Model,
    second: u64,
    /// What the model wanted last.
    wishes: Vec<Wish>,
}

impl Story {
    /// Two minutes in which Mallory and Trudy scan and others are served.
    fn new() -> Self {
        let mut story =
            Self { model: Model::new(Duration::from_secs(1)), second: 0, wishes: vec![] };
        for second in 0..=120 {
            story.second = second;
            story.answer(Request::Status, Response::Status(status(second).into()));
            story.answer(Request::Busiest { most: 200 }, Response::Busiest(busiest(second)));
        }
        story
    }

    fn now(&self) -> Now {
        at(self.second)
    }

    fn came(&mut self, came: Came) {
        self.wishes = self.model.update(came, self.now());
    }

    fn answer(&mut self, request: Request, answer: Response) {
        self.came(Came::Answer(request, Ok(answer)));
    }

    fn key(&mut self, code: KeyCode) {
        self.came(Came::Key(KeyEvent::new(code, KeyModifiers::NONE)));
    }

    fn keys(&mut self, letters: &str) {
        for letter in letters.chars() {
            self.key(if letter == '\n' { KeyCode::Enter } else { KeyCode::Char(letter) });
        }
    }

    fn asks(&self) -> Vec<&Request> {
        let ask = |wish: &'_ _| matches!(wish, Wish::Ask(_));
        let asks = self.wishes.iter().filter(|wish| ask(wish));
        asks.filter_map(|wish| if let Wish::Ask(request) = wish { Some(request) } else { None })
            .collect()
    }

    fn terminal(&self, width: u16, height: u16) -> Terminal<TestBackend> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        let look = look();
        terminal.draw(|frame| draw::screen(frame, &self.model, &look, self.now())).unwrap();
        terminal
    }

    fn screen(&self, width: u16, height: u16) -> String {
        draw::text(self.terminal(width, height).backend())
    }

    /// Holds a screen against the one that is kept.
    fn golden(&self, name: &str, width: u16, height: u16) {
        let text = self.screen(width, height);
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/top").join(name);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        let expected = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(text, expected, "{name} differs (UPDATE_GOLDEN=1 accepts it)");
    }
}

/// The counters after so many seconds: a wave of 20 seconds.
fn status(second: u64) -> StatusReport {
    let mut report = report();
    let wave = |n: u64| (0..=n).map(|n| n % 20).sum::<u64>();
    report.uptime += Duration::from_secs(second);
    report.counters.received += 12 * second + wave(second);
    report.counters.accepted += 12 * second;
    *report.counters.dropped.get_mut("rate").unwrap() += wave(second);
    report.firewall.stopped_packets += 100 * (second / 60) * (second % 60);
    report.per_second = PerSecond { received: 21.5, accepted: 12.0, dropped: 9.5, would_drop: 0.0 };
    report
}

fn busiest(second: u64) -> BusiestFacts {
    let wave = (0..=second).map(|n| n % 20).sum::<u64>();
    let clean = |source: &str, attempts, port| BusySource {
        source: net(source),
        attempts,
        refused: 0,
        port,
        check: String::new(),
        standing: Standing::Clean,
        standing_port: None,
        standing_left: None,
        reason: String::new(),
    };
    let mallory = BusySource {
        refused: wave,
        check: "rate".into(),
        standing: Standing::Banned,
        standing_port: Some(22),
        standing_left: Some(Duration::from_secs(600)),
        reason: "rate".into(),
        ..clean(MALLORY, wave, 22)
    };
    let trudy = BusySource {
        refused: second / 5,
        check: "ports".into(),
        standing: Standing::Suspect,
        reason: "scan".into(),
        ..clean(TRUDY, second / 4, 8080)
    };
    let mut sources = vec![mallory, trudy];
    sources.extend((10..30).map(|n| clean(&format!("203.0.113.{n}/32"), second * 6 / n, 443)));
    let port = |port, attempts, refused, served, check: &str| BusyPort {
        port,
        attempts,
        refused,
        served,
        check: check.into(),
    };
    let ports = vec![
        port(443, 12 * second, 0, true, ""),
        port(22, wave, wave, true, "rate"),
        port(8080, second / 4, second / 5, false, "ports"),
    ];
    BusiestFacts { watched: Duration::from_secs(second), sources, ports }
}

fn standings(second: u64) -> Vec<BanRow> {
    let row = |source: &str, port, standing, reason: &str, who: &str, stopped| BanRow {
        source: net(source),
        port,
        standing,
        since: at(100).clock,
        until: at(700).clock,
        offences: 1,
        reason: reason.into(),
        who: who.into(),
        evidence: String::new(),
        stopped_packets: stopped,
    };
    vec![
        row(MALLORY, Some(22), Standing::Banned, "rate", "gate", 1000 + 30 * second),
        row(TRUDY, None, Standing::Suspect, "scan", "gate", 5),
        row("198.51.100.0/24", None, Standing::Banned, "they know \u{1b}[31mwhy", "admin", 0),
    ]
}

#[test]
fn screens_of_all_sizes() {
    let mut story = Story::new();
    for (width, height) in [(80, 24), (120, 40), (60, 15)] {
        story.golden(&format!("sources-{width}x{height}.txt"), width, height);
    }
    story.key(KeyCode::Tab);
    story.golden("ports-80x24.txt", 80, 24);
    story.key(KeyCode::Tab);
    assert_eq!(story.asks(), [&Request::Bans]);
    for second in [121, 131] {
        story.second = second;
        story.answer(Request::Bans, Response::Bans(standings(second)));
        // A rate is what two readings differ by: before the second there is none, not even 0.
        let screen = story.screen(80, 24);
        let row = screen.lines().find(|line| line.contains("banned: 22")).unwrap_or_default();
        let rate = if second == 121 { " -  rate" } else { " 30  rate" };
        assert!(row.contains(rate), "{screen}");
    }
    story.golden("standings-80x24.txt", 80, 24);
    story.golden("standings-60x15.txt", 60, 15);
    // No size breaks it.
    for (width, height) in [(1, 1), (20, 5), (50, 12), (300, 100)] {
        for over in 0..4 {
            story.model.over = None;
            story.keys(["", "?", "b", "/"][over]);
            story.screen(width, height);
        }
    }
}

#[test]
fn troubles_stand_out() {
    let mut story = Story::new();
    let mut report = status(121);
    report.mode = "observe".into();
    report.counters.would_drop = std::mem::take(&mut report.counters.dropped);
    report.counters.lost = 7;
    report.queues[0].waiting = Some(5000);
    report.floods = vec![FloodFacts {
        kind: "forged".into(),
        lasts: Duration::from_secs(12),
        ports: vec![80],
        per_second: 2345.0,
        peak: 4000.0,
        syns: 28_000,
        new_sources: 0.99,
        frozen: true,
    }];
    report.alarms = vec![Alarm {
        at: at(60).clock,
        level: "error".into(),
        what: "log".into(),
        text: "cannot write to syslog".into(),
    }];
    story.second = 121;
    story.answer(Request::Status, Response::Status(report.into()));
    story.golden("troubles-80x24.txt", 80, 24);
}

#[test]
fn a_daemon_that_is_gone_is_waited_for() {
    let mut story = Story::new();
    story.second = 125;
    story.came(Came::Tick);
    assert_eq!(story.asks(), [&Request::Status, &Request::Busiest { most: 200 }]);
    // While it does not answer, it is not asked again.
    story.came(Came::Tick);
    assert_eq!(story.asks(), [&Request::Status; 0]);
    for request in story.model.questions() {
        story.came(Came::Answer(request, Err("portcullis is not running".into())));
        story.second += 1;
    }
    let screen = story.screen(80, 24);
    assert!(
        screen.contains("NO ANSWER since 14:15:25, trying again: portcullis is not"),
        "{screen}"
    );
    assert!(screen.contains("192.0.2.66"), "what was known stays in sight");
    story.came(Came::Tick);
    assert_eq!(story.asks().len(), 2);
    // Another daemon answers, which has counted nothing yet.
    let mut report = report();
    report.pid = 813;
    report.counters = Default::default();
    story.answer(Request::Status, Response::Status(report.into()));
    story.answer(Request::Busiest { most: 200 }, Response::Busiest(busiest(3)));
    let screen = story.screen(80, 24);
    assert!(screen.contains("the gate answers again") && !screen.contains("NO ANSWER"), "{screen}");
    // An older daemon does not know the question.
    let refusal = Refusal::new(Trouble::Usage, "unknown request `busiest`");
    story.answer(Request::Busiest { most: 200 }, Response::Error(refusal));
    assert!(story.screen(80, 24).contains("unknown request"));
}

#[test]
fn a_ban_by_keys() {
    let mut story = Story::new();
    // The busiest is the first; the one below it is Trudy or a reader.
    story.keys("b");
    story.golden("ban-80x24.txt", 80, 24);
    story.keys("soon\n");
    assert!(story.screen(80, 24).contains("not a span of time"));
    (0..4).for_each(|_| story.key(KeyCode::Backspace));
    story.keys("1h\n\nguesses");
    assert!(story.wishes.is_empty());
    story.keys("\n");
    assert!(story.screen(80, 24).contains("Ban 192.0.2.66 for 1h?  y yes  n no"));
    // Enter alone bans nobody.
    story.keys("\n");
    assert_eq!(story.asks(), [&Request::Status; 0]);
    story.keys("y");
    let ban = Request::BansAdd {
        net: net(MALLORY),
        port: None,
        standing: Standing::Banned,
        lasts: Some(Duration::from_secs(3600)),
        reason: "guesses".into(),
    };
    assert_eq!(story.asks(), [&ban]);
    let lines =
        ["192.0.2.66 is never banned: it is on the allow list", "take it off the list first"];
    let refusal = Refusal { kind: Trouble::Usage, lines: lines.map(str::to_owned).into() };
    story.answer(ban.clone(), Response::Error(refusal));
    let screen = story.screen(80, 24);
    let shown = lines.iter().all(|line| screen.contains(line));
    assert!(shown && screen.contains("192.0.2.66 is not banned"), "{screen}");
    story.key(KeyCode::Esc);
    story.answer(ban, Response::Done(Done { changed: 1, text: "done".into(), warnings: vec![] }));
    assert!(story.screen(80, 24).ends_with("\n done\n"));
    story.second += 10;
    story.came(Came::Tick);
    assert!(story.screen(80, 24).contains("q quit"), "notes go after a while");
    story.keys("bq");
    assert!(matches!(&story.model.over, Some(Over::Ban(form)) if form.fields[0] == "q"));
    story.key(KeyCode::Esc);
    assert_eq!(story.model.over, None);
}

#[test]
fn clean_again_by_keys() {
    let mut story = Story::new();
    story.keys("u");
    assert!(story.screen(80, 24).contains("Make 192.0.2.66 clean?"));
    story.keys("n");
    assert_eq!(story.asks(), [&Request::Status; 0]);
    story.keys("uy");
    assert_eq!(story.asks(), [&Request::BansRemove { net: Some(net(MALLORY)), port: None }]);
    // In the list of standings it is about that one.
    story.key(KeyCode::BackTab);
    story.answer(Request::Bans, Response::Bans(standings(121)));
    story.keys("suy");
    assert_eq!(story.model.which, Which::Standings);
    assert_eq!(story.asks(), [&Request::BansRemove { net: Some(net(MALLORY)), port: Some(22) }]);
    // What was done shows at once.
    let done = Done { changed: 1, text: "192.0.2.66 is clean".into(), warnings: vec![] };
    story.answer(
        Request::BansRemove { net: Some(net(MALLORY)), port: Some(22) },
        Response::Done(done),
    );
    story.came(Came::Tick);
    assert!(story.asks().contains(&&Request::Bans));
}

#[test]
fn explanations() {
    let mut story = Story::new();
    story.keys("\n");
    let address = "192.0.2.66".parse().unwrap();
    assert_eq!(story.asks(), [&Request::Explain { address, port: 22 }]);
    let report = ExplainReport {
        address,
        port: 22,
        standing: Standing::Banned,
        standing_port: Some(22),
        standing_left: Some(Duration::from_secs(600)),
        standing_why: "rate".into(),
        standing_of: None,
        spared: None,
        accepted: false,
        enforced: true,
        aside: false,
        settled_by: "standing".into(),
        checks: vec![],
        memory: None,
        habits: None,
        advice: vec!["It is let in when the ban ends.".into()],
    };
    let explain = Request::Explain { address, port: 22 };
    story.answer(explain, Response::Explain(report.into()));
    let screen = story.screen(80, 24);
    assert!(screen.starts_with("── 192.0.2.66 at port 22 ──"), "{screen}");
    assert!(screen.contains("it would be REFUSED now (settled by: standing)"), "{screen}");
    story.keys("jjjq");
    assert_eq!(
        (story.model.over.as_ref(), story.wishes.len()),
        (None, 0),
        "q closed the text only"
    );
    // Of a port it lists who asks for it.
    story.key(KeyCode::Tab);
    story.keys("/8080\n\n");
    let screen = story.screen(80, 24);
    assert_eq!(story.model.which, Which::Sources);
    assert!(screen.contains("1 of 22 for \"port 8080\""), "{screen}");
    assert!(screen.contains("2001:db8:bad::/64") && !screen.contains("192.0.2.66"), "{screen}");
}

#[test]
fn filters_orders_and_moves() {
    let mut story = Story::new();
    let shown = |story: &Story| story.model.ids().len();
    assert_eq!(shown(&story), 22);
    story.keys("/203.0.113.0/24");
    assert_eq!(shown(&story), 20, "it works with every letter");
    story.keys("\n");
    assert_eq!(shown(&story), 20);
    story.key(KeyCode::Esc);
    assert_eq!(shown(&story), 22);
    // Another order shows who is first in it.
    story.keys("j");
    let marked = |story: &Story| {
        let screen = story.screen(80, 24);
        let line = screen.lines().find(|line| line.starts_with('>'));
        line.and_then(|line| line.split_whitespace().nth(1)).map(str::to_owned)
    };
    let chosen = marked(&story);
    assert!(chosen.is_some() && chosen.as_deref() != Some("192.0.2.66"));
    for _ in 0..4 {
        story.keys("js");
        assert_eq!(story.model.selected(&story.model.ids()), Some(0));
    }
    assert_eq!(marked(&story).as_deref(), Some("192.0.2.66"));
    story.keys("G");
    assert_eq!(marked(&story).as_deref(), Some("203.0.113.29"));
    story.keys("gk");
    assert_eq!(marked(&story).as_deref(), Some("192.0.2.66"));
}

#[test]
fn a_pause_holds_the_picture_and_forgets_nothing() {
    let mut story = Story::new();
    story.keys("p");
    let before = story.screen(80, 24);
    assert!(before.contains("PAUSED"));
    for second in 121..=130 {
        story.second = second;
        story.answer(Request::Status, Response::Status(status(second).into()));
        story.answer(Request::Busiest { most: 200 }, Response::Busiest(busiest(second)));
    }
    story.second = 120;
    assert_eq!(story.screen(80, 24), before);
    story.second = 130;
    story.keys("p");
    let mut watched = Story::new();
    for second in 121..=130 {
        watched.second = second;
        watched.answer(Request::Status, Response::Status(status(second).into()));
        watched.answer(Request::Busiest { most: 200 }, Response::Busiest(busiest(second)));
    }
    assert_eq!(story.screen(80, 24), watched.screen(80, 24));
}

#[test]
fn help_fits_and_ctrl_c_ends_it() {
    let mut story = Story::new();
    story.keys("?");
    story.golden("help-80x24.txt", 80, 24);
    let control = |letter| Came::Key(KeyEvent::new(KeyCode::Char(letter), KeyModifiers::CONTROL));
    story.came(control('z'));
    assert_eq!(story.wishes, [Wish::Suspend]);
    story.came(control('c'));
    assert_eq!(story.wishes, [Wish::Quit]);
    story.keys("q");
    assert_eq!(story.wishes, []);
    story.keys("q");
    assert_eq!(story.wishes, [Wish::Quit]);
}

#[test]
fn nothing_is_told_by_colour_alone() {
    let story = Story::new();
    let terminal = story.terminal(80, 24);
    let colours: Vec<Color> =
        terminal.backend().buffer().content().iter().map(|cell| cell.fg).collect();
    // Few colours, of the sixteen that every terminal has and its user has chosen.
    let few = |colour: &Color| matches!(colour, Color::Reset | Color::Red | Color::Magenta);
    assert!(colours.iter().all(few) && colours.contains(&Color::Red));
    let background =
        terminal.backend().buffer().content().iter().all(|cell| cell.bg == Color::Reset);
    assert!(background);
    let mut plain = Terminal::new(TestBackend::new(80, 24)).unwrap();
    let look = Look { colours: false, ..look() };
    plain.draw(|frame| draw::screen(frame, &story.model, &look, story.now())).unwrap();
    let buffer = plain.backend().buffer();
    assert!(buffer.content().iter().all(|cell| cell.fg == Color::Reset));
    assert!(buffer.content().iter().any(|cell| cell.modifier.contains(Modifier::REVERSED)));
    assert_eq!(draw::text(plain.backend()), story.screen(80, 24));
    // On paper: the same, without keys.
    let text = draw::plain(&story.model, &look, story.now());
    assert!(text.contains("192.0.2.66") && !text.contains("q quit"), "{text}");
}
