//! The same screen again and again, until Ctrl-C.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rustix::termios::tcgetwinsize;

use super::{Args, View, screen};
use crate::cli::asked::{complain, local};

/// The lines of a terminal that does not say.
const LINES: usize = 24;
/// Home, and everything behind the cursor cleared (ECMA-48): less flicker than clearing first.
const HOME: &str = "\x1b[H\x1b[J";

/// Takes a view every so many seconds and shows it: on a terminal as one screen, elsewhere one after
/// the other, with `json` as one line each. Ends when nobody reads any more; Ctrl-C ends the
/// program as it ends any other.
pub(super) fn run(
    seconds: u64,
    json: bool,
    take: impl Fn() -> Result<View, ExitCode>,
    args: &Args,
) -> ExitCode {
    let mut out = io::stdout();
    let terminal = out.is_terminal();
    loop {
        let view = match take() {
            Ok(view) => view,
            Err(code) => return code,
        };
        let text = if json {
            match serde_json::to_string(&view.report()) {
                Ok(line) => line + "\n",
                Err(error) => {
                    complain(&format!("cannot write this answer as JSON: {error}"));
                    return ExitCode::from(70);
                }
            }
        } else {
            let lines = tcgetwinsize(&out).map_or(LINES, |size| usize::from(size.ws_row));
            let lines = if terminal && lines > 0 { lines } else { LINES };
            let head = format!(
                "Every {seconds} s; {}. End with Ctrl-C.\n",
                local(Timestamp::now(), &TimeZone::system())
            );
            let text = head + &screen::window(&view, args, lines - 1);
            // The last line stays free, or the terminal scrolls.
            let fits: Vec<&str> = text.lines().take(lines - 1).collect();
            if terminal { format!("{HOME}{}\n", fits.join("\n")) } else { text + "\n" }
        };
        if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
            return ExitCode::SUCCESS;
        }
        std::thread::sleep(Duration::from_secs(seconds));
    }
}
