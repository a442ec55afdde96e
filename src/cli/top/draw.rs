//! The screen.
//!
//! Colours are the terminal's own, on its own background, and few: red for what is banned or wrong,
//! magenta for suspects. Everything is told in words or signs as well.

use jiff::tz::TimeZone;
use ratatui::Frame;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::layout::{Position, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};

use super::model::{Model, Over};
use super::now::Now;

mod head;
mod over;
mod tables;

/// Smaller than this, nothing can be read.
const LEAST: (u16, u16) = (50, 12);
/// From this height on there is room for headings and space between.
const ROOMY: u16 = 20;

/// How it is to look.
#[derive(Clone, Debug)]
pub(super) struct Look {
    /// Of the clock.
    pub(super) zone: TimeZone,
    /// Are colours wanted?
    pub(super) colours: bool,
}

impl Look {
    fn colour(&self, colour: Color) -> Style {
        if self.colours { Style::new().fg(colour) } else { Style::new() }
    }

    /// Something is wrong.
    fn trouble(&self) -> Style {
        self.colour(Color::Red).add_modifier(Modifier::BOLD)
    }

    fn banned(&self) -> Style {
        self.colour(Color::Red)
    }

    fn suspect(&self) -> Style {
        self.colour(Color::Magenta)
    }
}

const PLAIN: Style = Style::new();
const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);
const DIM: Style = Style::new().add_modifier(Modifier::DIM);

/// Draws everything.
pub(super) fn screen(frame: &mut Frame<'_>, model: &Model, look: &Look, now: Now) {
    let area = frame.area();
    if area.width < LEAST.0 || area.height < LEAST.1 {
        let text =
            format!("Too small: {}x{}; {}x{} is enough", area.width, area.height, LEAST.0, LEAST.1);
        return put(frame, 0, Line::from(text));
    }
    let roomy = area.height >= ROOMY;
    let head = head::lines(model, look, now, area);
    let mut at = 0;
    for line in head {
        put(frame, at, line);
        at += 1;
    }
    at += u16::from(roomy);
    let below = Rect { y: at, height: area.height - 1 - at, ..area };
    match &model.over {
        Some(Over::Help { scroll }) => over::help(frame, *scroll),
        Some(Over::Alarms { scroll }) => {
            over::text(frame, "what is wrong", &head::troubles_text(model, look), *scroll);
        }
        Some(Over::Text { title, text, scroll }) => over::text(frame, title, text, *scroll),
        _ => {
            tables::draw(frame, model, look, now, below);
            match &model.over {
                Some(Over::Ban(form)) => over::ban(frame, form, look),
                Some(Over::Refused { title, text }) => over::refused(frame, title, text, look),
                _ => {}
            }
        }
    }
    foot(frame, model, area);
}

/// The screen as text, as high as it needs to be.
pub(super) fn plain(model: &Model, look: &Look, now: Now) -> String {
    let Ok(mut terminal) = Terminal::new(TestBackend::new(80, 40));
    let Ok(_) = terminal.draw(|frame| screen(frame, model, look, now));
    let text = text(terminal.backend());
    // Keys mean nothing on paper.
    let (body, _) = text.trim_end().rsplit_once('\n').unwrap_or_default();
    body.trim_end().to_owned() + "\n"
}

/// What a backend shows, line by line.
pub(super) fn text(backend: &TestBackend) -> String {
    let buffer = backend.buffer();
    let line = |y| {
        let cells = (0..buffer.area.width).map(|x| buffer[(x, y)].symbol());
        cells.collect::<String>().trim_end().to_owned() + "\n"
    };
    (0..buffer.area.height).map(line).collect()
}

/// Puts a line at a height, over the whole width.
fn put(frame: &mut Frame<'_>, y: u16, line: Line<'_>) {
    let area = frame.area();
    if y < area.height {
        frame.buffer_mut().set_line(0, y, &line, area.width);
    }
}

/// The last line: what was done, what is typed, or the keys.
fn foot(frame: &mut Frame<'_>, model: &Model, area: Rect) {
    let y = area.height - 1;
    let width = usize::from(area.width);
    match &model.over {
        Some(Over::Filter(text)) => {
            let asks = "filter (text, port or prefix): ";
            let line = Line::from(vec![Span::styled(asks, BOLD), Span::raw(text.as_str())]);
            put(frame, y, line);
            let x = asks.len() + text.chars().count();
            frame.set_cursor_position(Position::new(x.min(width - 1) as u16, y));
        }
        Some(Over::Help { .. } | Over::Alarms { .. } | Over::Text { .. }) => {
            put(frame, y, keys(&[("↑↓", "scroll"), ("Esc", "close")], width));
        }
        Some(Over::Refused { .. }) => put(frame, y, keys(&[("Esc", "close")], width)),
        Some(Over::Ban(form)) if form.asks => put(frame, y, sure(&form.question())),
        Some(Over::Ban(_)) => {
            put(
                frame,
                y,
                keys(&[("Enter", "next"), ("Tab", "other field"), ("Esc", "leave")], width),
            );
        }
        Some(Over::Unban { net, port }) => put(frame, y, sure(&Model::unban_question(*net, *port))),
        None => match model.note() {
            Some(note) => put(frame, y, Line::styled(format!(" {note}"), BOLD)),
            None => put(frame, y, keys(&KEYS, width)),
        },
    }
}

/// The keys of the tables, the most needed first: what does not fit is left out.
const KEYS: [(&str, &str); 10] = [
    ("q", "quit"),
    ("?", "help"),
    ("Tab", "table"),
    ("e", "explain"),
    ("b", "ban"),
    ("u", "unban"),
    ("/", "filter"),
    ("s", "sort"),
    ("p", "pause"),
    ("a", "alarms"),
];

fn keys(keys: &[(&'static str, &'static str)], width: usize) -> Line<'static> {
    let mut spans = Vec::new();
    let mut used = 0;
    for (key, what) in keys {
        used += key.chars().count() + what.len() + 3;
        // The last space may fall off.
        if used > width + 1 {
            break;
        }
        spans.extend([Span::styled(format!(" {key}"), BOLD), Span::raw(format!(" {what} "))]);
    }
    Line::from(spans)
}

fn sure(question: &str) -> Line<'static> {
    let choice = |key, what| [Span::styled(key, BOLD), Span::raw(what)];
    let mut spans = vec![Span::styled(format!(" {question}  "), BOLD)];
    spans.extend(choice("y", " yes  "));
    spans.extend(choice("n", " no"));
    Line::from(spans)
}

/// Cut to so many columns. The words here are narrow ones: a character is a column.
fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut kept: String = text.chars().take(width.saturating_sub(1)).collect();
    kept.truncate(kept.trim_end().len());
    if width > 0 { kept + "…" } else { kept }
}

/// A rate as people read it: `0.4`, `12`, `1,204`.
fn rate(per_second: f32) -> String {
    match per_second {
        none if none < 0.05 => "0".to_owned(),
        small if small < 9.95 => format!("{small:.1}"),
        large => crate::events::Grouped(large.round() as u64).to_string(),
    }
}
