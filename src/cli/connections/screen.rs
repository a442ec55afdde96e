//! Connections as text of 80 columns.

use super::{Args, View, list};
use crate::cli::layout::wrap;
use crate::events::Grouped;
use crate::host::TcpState;

/// Rows of the list, if nobody asks for all.
const MOST: usize = 30;

/// Everything.
pub(super) fn whole(view: &View, args: &Args) -> String {
    let mut text = summary(view, !args.state.is_empty());
    if args.suspicious {
        text += &worries(view);
    }
    text += &rows(view, args, MOST);
    if !args.all {
        text += &legend(view);
    }
    text += &remarks(view, args);
    text
}

/// The same for a window of so many lines, without what does not change.
pub(super) fn window(view: &View, args: &Args, lines: usize) -> String {
    let counts = view.counts();
    let shown = counts.iter().filter(|(_, count)| *count > 0);
    let counts: Vec<String> =
        shown.map(|(state, count)| format!("{} {state}", Grouped(*count as u64))).collect();
    let none = if counts.is_empty() { "no sockets".to_owned() } else { counts.join(", ") };
    let mut text = wrap("", &none);
    for suspicion in &view.suspicions {
        text += &wrap("! ", &suspicion.what);
    }
    let used = text.lines().count() + 4;
    text += &rows(view, args, lines.saturating_sub(used).max(3));
    text += &remarks(view, args);
    text
}

fn summary(view: &View, chosen: bool) -> String {
    let mut text = String::new();
    for (state, count) in view.counts() {
        if count > 0 || chosen {
            let first = format!("{:>9}  {:<11}", Grouped(count as u64).to_string(), state);
            text += &wrap(&format!("{first}  "), meaning(state));
        }
    }
    if text.is_empty() { "No TCP sockets.\n".to_owned() } else { text }
}

/// What the list's columns mean, as far as they are used.
fn legend(view: &View) -> String {
    let mut text = String::new();
    if view.sockets.iter().zip(&view.inbound).any(|(_, inbound)| !inbound) {
        text += "PORT: of this host; with \"to\", of whom it called.\n";
    }
    if !view.peers.known.is_empty() {
        let points = "STANDING: what the gate thinks of the peer, with its points of suspicion; 100 \
                      make a suspect.";
        text += &wrap("", points);
    }
    if text.is_empty() { text } else { format!("\n{text}") }
}

fn worries(view: &View) -> String {
    if view.suspicions.is_empty() {
        return "\nNothing looks suspicious.\n".to_owned();
    }
    let mut text = String::new();
    for suspicion in &view.suspicions {
        text.push('\n');
        text += &wrap("! ", &suspicion.what);
        text += &wrap("  why: ", suspicion.why);
        text += &wrap("  do:  ", &suspicion.todo);
    }
    text
}

fn rows(view: &View, args: &Args, most: usize) -> String {
    if args.all {
        return format!("\n{}", list::each(view));
    }
    match list::grouped(view, args.state.contains(&TcpState::Listen), most) {
        (table, _) if table.is_empty() => String::new(),
        (table, 0) => format!("\n{table}"),
        (table, more) => {
            let note = format!("…and {} more rows; --all lists every socket", Grouped(more as u64));
            format!("\n{table}{}", wrap("  ", &note))
        }
    }
}

fn remarks(view: &View, args: &Args) -> String {
    let mut text = String::new();
    let odd = view.suspicions.len();
    if odd > 0 && !args.suspicious {
        let things =
            if odd == 1 { "1 thing looks".to_owned() } else { format!("{odd} things look") };
        text +=
            &wrap("! ", &format!("{things} suspicious; see: portcullis connections --suspicious"));
    }
    if let Some(trouble) = &view.peers.trouble {
        text += &wrap("", &format!("Standings are not known: {trouble}"));
    }
    if text.is_empty() { text } else { format!("\n{text}") }
}

/// What a state means, and when many sockets in it are a worry.
fn meaning(state: TcpState) -> &'static str {
    match state {
        TcpState::Listen => "a program waits for callers (more: portcullis audit)",
        TcpState::SynRecv => {
            "half-open: answered, but the caller has not confirmed. Many that stay are a flood or \
             a scan"
        }
        TcpState::SynSent => {
            "this host calls and waits for the answer. Many: the other side is down, or a program \
             here scans"
        }
        TcpState::Established => "open for both sides",
        TcpState::CloseWait => {
            "the peer has hung up, the program here has not. Many that stay are a fault of that \
             program"
        }
        TcpState::LastAck => {
            "both have hung up, the peer first; its last word is missing. Many: peers vanish"
        }
        TcpState::FinWait1 => {
            "this host has hung up, and the peer has not confirmed it. Many that stay: peers vanish \
             or stall"
        }
        TcpState::FinWait2 => "this host has hung up, the peer not yet; ends by itself in a minute",
        TcpState::Closing => "both have hung up at the same time; ends by itself",
        TcpState::TimeWait => {
            "over, and remembered for a minute. Harmless; only tens of thousands of own calls to \
             one service use up ports"
        }
        TcpState::Close => "not in use",
    }
}
