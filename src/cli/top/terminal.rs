//! The terminal, the daemon and the signals: everything that is not pure.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use ratatui::DefaultTerminal;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::event::{self, Event};
use ratatui::crossterm::execute;
use rustix::process::{Signal, getpid, kill_process};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::draw::{self, Look};
use super::model::{Came, Model, Wish};
use super::now::Clock;
use crate::control::{Request, Response, ask, ask_within};

/// How long the daemon has to say how the gate is, before the screen says that it does not.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the threads tell the one that draws.
enum Told {
    Came(Came),
    /// The terminal has another size.
    Resized,
    /// A signal wants the program to end.
    Signal(i32),
    /// The terminal is gone.
    Gone(io::Error),
}

/// Draws until it is told to end. The terminal is as it was afterwards, whatever ends it: `q`, a
/// signal, a mistake in the program.
///
/// # Errors
/// The terminal cannot be used.
pub(super) fn run(
    model: Model,
    socket: &Path,
    every: Duration,
    clock: &Clock,
) -> io::Result<ExitCode> {
    let (tell, told) = channel();
    // Signals first, so that none ends the program with the terminal in disorder.
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    let telling = tell.clone();
    spawn("signals", move || {
        for signal in &mut signals {
            if telling.send(Told::Signal(signal)).is_err() {
                return;
            }
        }
    })?;
    let look = Look { zone: TimeZone::system(), colours: colours() };
    let askers = Askers {
        // A list of everybody may take long, and nobody should wait for it.
        regular: asker("asks", socket, Some(PATIENCE), &tell)?,
        orders: asker("orders", socket, None, &tell)?,
    };
    show_cursor_in_panic();
    // Restores the rest of the terminal in a panic.
    let terminal = ratatui::try_init()?;
    let keys = spawn("keys", move || listen(&tell));
    let ended =
        keys.and_then(|()| Screen { terminal, model, look, askers, every, clock }.until_end(&told));
    ratatui::try_restore()?;
    match ended? {
        None => Ok(ExitCode::SUCCESS),
        // Whoever started it should see what ended it.
        Some(signal) => {
            signal_hook::low_level::emulate_default_handler(signal)?;
            Ok(ExitCode::from(128_u8.saturating_add(u8::try_from(signal).unwrap_or(0))))
        }
    }
}

/// Where a panic aborts, nothing is dropped, and the cursor would stay hidden.
fn show_cursor_in_panic() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        // There is nobody to tell if it fails.
        let _ = execute!(io::stdout(), Show);
        before(info);
    }));
}

/// Colours are for those who did not say otherwise (<https://no-color.org>).
fn colours() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Where questions go.
struct Askers {
    regular: Sender<Request>,
    orders: Sender<Request>,
}

struct Screen<'a> {
    terminal: DefaultTerminal,
    model: Model,
    look: Look,
    askers: Askers,
    every: Duration,
    clock: &'a Clock,
}

impl Screen<'_> {
    /// Returns the signal that ended it, if one did.
    fn until_end(mut self, told: &Receiver<Told>) -> io::Result<Option<i32>> {
        let mut next = Instant::now();
        loop {
            let came = match told.recv_timeout(next.saturating_duration_since(Instant::now())) {
                Ok(Told::Came(came)) => Some(came),
                Ok(Told::Resized) => None,
                Ok(Told::Signal(signal)) => return Ok(Some(signal)),
                Ok(Told::Gone(error)) => return Err(error),
                Err(RecvTimeoutError::Timeout) => {
                    // After a sleep it goes on from now, and does not make up for what it missed.
                    next = (next + self.every).max(Instant::now());
                    Some(Came::Tick)
                }
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
            };
            let now = self.clock.now();
            let wishes = came.map(|came| self.model.update(came, now)).unwrap_or_default();
            for wish in wishes {
                match wish {
                    Wish::Ask(request) => self.ask(request),
                    Wish::Suspend => self.suspend()?,
                    Wish::Quit => return Ok(None),
                }
            }
            self.terminal.draw(|frame| draw::screen(frame, &self.model, &self.look, now))?;
        }
    }

    fn ask(&self, request: Request) {
        let asker = match request {
            Request::Status | Request::Busiest { .. } => &self.askers.regular,
            _ => &self.askers.orders,
        };
        // Its thread ends only with the program.
        let _ = asker.send(request);
    }

    /// Gives the terminal back to the shell until `fg`.
    fn suspend(&mut self) -> io::Result<()> {
        ratatui::try_restore()?;
        kill_process(getpid(), Signal::TSTP)?;
        // A new one knows of an empty screen, and draws everything.
        self.terminal = ratatui::try_init()?;
        Ok(())
    }
}

/// Tells what is typed.
fn listen(tell: &Sender<Told>) {
    loop {
        let told = match event::read() {
            Ok(Event::Key(key)) => Told::Came(Came::Key(key)),
            Ok(Event::Resize(..)) => Told::Resized,
            Ok(_) => continue,
            Err(error) => Told::Gone(error),
        };
        let gone = matches!(told, Told::Gone(_));
        if tell.send(told).is_err() || gone {
            return;
        }
    }
}

/// A thread that asks the daemon one question after the other.
fn asker(
    name: &str,
    socket: &Path,
    patience: Option<Duration>,
    tell: &Sender<Told>,
) -> io::Result<Sender<Request>> {
    let (questions, asked) = channel::<Request>();
    let (socket, tell) = (PathBuf::from(socket), tell.clone());
    spawn(name, move || {
        for request in asked {
            let answer: Result<Response, _> = match patience {
                Some(patience) => ask_within(&socket, &request, patience),
                None => ask(&socket, &request),
            };
            let answer = answer.map_err(|error| {
                let text = error.to_string();
                text.lines().next().unwrap_or_default().to_owned()
            });
            if tell.send(Told::Came(Came::Answer(request, answer))).is_err() {
                return;
            }
        }
    })?;
    Ok(questions)
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name(name.to_owned()).spawn(work).map(drop)
}
