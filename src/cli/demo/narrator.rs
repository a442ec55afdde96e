//! Tells the story: words, pauses, colours, and the gate's own log lines in between.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::Stop;
use super::log::Log;

/// How often the log is looked at while something goes on.
const LOOK: Duration = Duration::from_millis(20);
/// Characters of a log line; with its margin, 80.
const WIDTH: usize = 73;
/// Log lines shown of one kind about one source in one scene.
const SHOWN: usize = 2;

/// How a piece of text is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    /// A heading.
    Bold,
    /// Let in.
    Good,
    /// Refused.
    Bad,
    /// Slowed down, or told in passing.
    Mild,
    /// In the background: the log.
    Faint,
}

/// The voice of the demo.
pub(super) struct Narrator {
    coloured: bool,
    fast: bool,
    interrupted: Arc<AtomicBool>,
    log: Option<Log>,
    shown: BTreeMap<String, usize>,
    scene: usize,
    failures: usize,
}

impl Narrator {
    /// A narrator who hears Ctrl-C from now on.
    pub(super) fn new(fast: bool) -> Result<Self, Stop> {
        let interrupted = Arc::<AtomicBool>::default();
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register(signal, Arc::clone(&interrupted))
                .map_err(|e| Stop::Broken(format!("cannot listen for Ctrl-C: {e}")))?;
        }
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let coloured = wanted && !dumb && io::stdout().is_terminal();
        Ok(Self {
            coloured,
            fast,
            interrupted,
            log: None,
            shown: BTreeMap::new(),
            scene: 0,
            failures: 0,
        })
    }

    /// From now on the gate's log is told as well.
    pub(super) fn follow(&mut self, log: Log) {
        self.log = Some(log);
    }

    /// `text`, coloured as far as the reader wants colours.
    pub(super) fn paint(&self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Bold => "1",
            Tone::Good => "32",
            Tone::Bad => "31",
            Tone::Mild => "33",
            Tone::Faint => "2",
        };
        if self.coloured { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// One line.
    pub(super) fn say(&self, line: &str) -> Result<(), Stop> {
        let mut out = io::stdout().lock();
        let written = writeln!(out, "{}", line.trim_end()).and_then(|()| out.flush());
        written.map_err(|_| Stop::Hidden)
    }

    /// A numbered heading.
    pub(super) fn scene(&mut self, title: &str) -> Result<(), Stop> {
        self.shown.clear();
        self.scene += 1;
        self.say("")?;
        self.say(&self.paint(Tone::Bold, &format!("{}. {title}", self.scene)))
    }

    /// A line, then time to read it, during which the log goes on.
    pub(super) fn tell(&mut self, line: &str) -> Result<(), Stop> {
        self.say(&format!("   {line}"))?;
        self.rest(Duration::from_millis(350))
    }

    /// Time for the reader; the log goes on.
    pub(super) fn rest(&mut self, time: Duration) -> Result<(), Stop> {
        let end = Instant::now() + if self.fast { LOOK } else { time };
        loop {
            self.hear()?;
            match end.checked_duration_since(Instant::now()) {
                Some(left) if !left.is_zero() => std::thread::sleep(left.min(LOOK)),
                _ => return Ok(()),
            }
        }
    }

    /// Tells the log while something goes on elsewhere, and returns what comes out of it.
    pub(super) fn during<T>(&mut self, work: JoinHandle<io::Result<T>>) -> Result<T, Stop> {
        while !work.is_finished() {
            self.hear()?;
            std::thread::sleep(LOOK);
        }
        // What the work brought about is on its way to the log.
        let settle = Instant::now() + Duration::from_millis(120);
        while Instant::now() < settle {
            self.hear()?;
            std::thread::sleep(LOOK);
        }
        match work.join() {
            Ok(done) => done.map_err(|e| Stop::Broken(format!("a host of the lab: {e}"))),
            Err(_) => Err(Stop::Broken("a host of the lab panicked".into())),
        }
    }

    /// Tells what happened and whether it is what should have happened.
    pub(super) fn result(&mut self, expected: bool, tone: Tone, line: &str) -> Result<(), Stop> {
        self.rest(Duration::from_millis(150))?;
        if expected {
            return self.tell(&self.paint(tone, line));
        }
        self.failures += 1;
        self.tell(&self.paint(Tone::Bad, &format!("✗ {line}")))
    }

    /// How many things did not turn out as expected.
    pub(super) fn failures(&self) -> usize {
        self.failures
    }

    /// Why `source` was refused so far, according to the log.
    pub(super) fn refusals(&self, source: &str) -> Vec<(String, usize)> {
        self.log.as_ref().map(|log| log.refusals(source)).unwrap_or_default()
    }

    /// Tells what is new in the log.
    fn hear(&mut self) -> Result<(), Stop> {
        if self.interrupted.load(Ordering::Relaxed) {
            return Err(Stop::Interrupted);
        }
        let Some(log) = &mut self.log else { return Ok(()) };
        for entry in log.news() {
            let count = self.shown.entry(entry.kind).or_insert(0);
            *count += 1;
            let line = match *count {
                n if n <= SHOWN => entry.line,
                n if n == SHOWN + 1 => "…".to_owned(),
                _ => continue,
            };
            self.say(&self.paint(Tone::Faint, &format!("     │ {}", shortened(&line))))?;
        }
        Ok(())
    }
}

/// As much of a log line as fits beside the story.
fn shortened(line: &str) -> String {
    if line.chars().count() <= WIDTH {
        return line.to_owned();
    }
    line.chars().take(WIDTH - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_end_in_an_ellipsis() {
        assert_eq!(shortened("DROP SRC=192.0.2.1"), "DROP SRC=192.0.2.1");
        let short = shortened(&"ä".repeat(200));
        assert_eq!((short.chars().count(), short.ends_with('…')), (WIDTH, true));
    }
}
