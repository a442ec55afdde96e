//! What lies over the tables: texts to read, and the ban that is typed.

use ratatui::Frame;
use ratatui::layout::{Position, Rect};
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::{Block, Clear, Paragraph, Wrap};

use super::{BOLD, DIM, Look, cut};
use crate::cli::bans::name;
use crate::cli::top::form::{FIELDS, Form};

/// What `?` shows.
const HELP: &str = "\
Tab          the next table: sources, ports, standings
arrows, j k  move; also PgUp PgDn, g and G for the first and the last
e, Enter     what the gate thinks of the source; of a port: who asks for it
b            ban the source: for how long, at which port, why
u            make it clean again
/            show only some: a word, a port (22), a prefix (192.0.2.0/24)
Esc          close; show all again
s  another order    p  hold the picture    a  alarms in full    q  quit

Rates are means of ten seconds. Bars are drawn to the height of the highest in
their row. Packets are counted, retransmissions among them.

kernel stops  dropped by the kernel alone: who is banned, suspects at ports that
              are not served, sources over the ceiling. It never comes to the
              gate, so of the tables only Standings knows of it (STOPPED).
WHY           why it has its standing, or the check that refused it last
PORT          the port that it asked for last
suspect       let in at its second try, and only to ports that are served
banned        not let in; with a port: not there
Sources and ports are counted only while top runs, the busiest about 1,000 of
them; a flood of forged addresses does not push those out.";

/// The help.
pub(super) fn help(frame: &mut Frame<'_>, scroll: usize) {
    text(frame, "help", HELP, scroll);
}

/// A text over everything but the last line. Text of 80 columns fits a screen of 80 columns: there
/// is nothing at its sides.
pub(super) fn text(frame: &mut Frame<'_>, title: &str, text: &str, scroll: usize) {
    let screen = frame.area();
    let area = Rect { height: screen.height - 1, ..screen };
    frame.render_widget(Clear, area);
    let width = usize::from(area.width);
    let title = format!("── {} ", cut(title, width.saturating_sub(6)));
    let rule = format!("{title}{}", "─".repeat(width.saturating_sub(title.chars().count())));
    super::put(frame, 0, Line::styled(rule, BOLD));
    let below = Rect { y: 1, height: area.height - 1, ..area };
    let paragraph = Paragraph::new(Text::raw(text)).wrap(Wrap { trim: false });
    // The last lines stay in sight.
    let lines: usize = text.lines().map(|line| line.chars().count().div_ceil(width).max(1)).sum();
    let most = lines.saturating_sub(usize::from(below.height));
    let scroll = u16::try_from(scroll.min(most)).unwrap_or(u16::MAX);
    frame.render_widget(paragraph.scroll((scroll, 0)), below);
}

/// The form of a ban.
pub(super) fn ban(frame: &mut Frame<'_>, form: &Form, look: &Look) {
    let title = Span::styled(format!(" Ban {} ", name(form.net)), BOLD);
    let inner = boxed(frame, title, FIELDS.len() as u16 + 2);
    let room = usize::from(inner.width).saturating_sub(10);
    let mut lines = Vec::new();
    for (n, ((field, hint), typed)) in FIELDS.iter().zip(&form.fields).enumerate() {
        let here = form.at == n && !form.asks;
        let mark = if here { ">" } else { " " };
        let label =
            Span::styled(format!("{mark} {field:<6}  "), if here { BOLD } else { super::PLAIN });
        let count = typed.chars().count();
        // The end of what is typed stays in sight.
        let tail: String = typed.chars().skip(count.saturating_sub(room - 1)).collect();
        if here {
            let x = inner.x + 10 + tail.chars().count() as u16;
            frame.set_cursor_position(Position::new(x, inner.y + n as u16));
        }
        let value = match typed.is_empty() {
            true => Span::styled(cut(hint, room), DIM),
            false => Span::raw(tail),
        };
        lines.push(Line::from(vec![label, value]));
    }
    if let Some(wrong) = &form.wrong {
        lines.push(Line::default());
        lines.push(Line::styled(
            cut(&format!("  {wrong}"), usize::from(inner.width)),
            look.trouble(),
        ));
    }
    frame.render_widget(Paragraph::new(lines), inner);
}

/// Why something was not done.
pub(super) fn refused(frame: &mut Frame<'_>, title: &str, text: &str, look: &Look) {
    let inner = boxed(frame, Span::styled(format!(" {title} "), look.trouble()), 5);
    frame.render_widget(Paragraph::new(Text::raw(text)).wrap(Wrap { trim: true }), inner);
}

/// An empty box with room for so many lines, low on the screen, so that the selected row, which is
/// often the first, stays in sight.
fn boxed(frame: &mut Frame<'_>, title: Span<'_>, lines: u16) -> Rect {
    let screen = frame.area();
    let width = screen.width.min(66);
    let height = (lines + 2).min(screen.height - 1);
    let area = Rect {
        x: (screen.width - width) / 2,
        y: screen.height.saturating_sub(height + 2),
        width,
        height,
    };
    frame.render_widget(Clear, area);
    let block = Block::bordered().title(title);
    let inner = block.inner(area);
    frame.render_widget(block, area);
    inner
}
