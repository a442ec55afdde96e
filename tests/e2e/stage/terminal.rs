//! A program on a terminal: what it shows, and what is typed.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::process::{Command, ExitStatus};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use portcullis::lab::Process;
use rustix::process::Signal;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use super::kernel::eventually;

/// How long something may take to be seen.
const LIMIT: Duration = Duration::from_secs(20);

/// A pseudo-terminal with a program on it.
pub(crate) struct Terminal {
    process: Process,
    master: File,
    slave: File,
    output: Receiver<Vec<u8>>,
    grid: Grid,
    /// Everything that was written.
    raw: Vec<u8>,
}

impl Terminal {
    /// Starts a program on a terminal of so many columns and lines.
    pub(crate) fn start(mut command: Command, columns: u16, lines: u16) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pseudo-terminal");
        grantpt(&master).expect("it is ours");
        unlockpt(&master).expect("it is ours");
        let name = ptsname(&master, Vec::new()).expect("it has a name");
        let name = name.to_str().expect("an ordinary name").to_owned();
        let open = || OpenOptions::new().read(true).write(true).open(&name).expect("its other end");
        let slave = open();
        let master = File::from(master);
        let size = Winsize { ws_col: columns, ws_row: lines, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&master, size).expect("a terminal has a size");
        command.stdin(open()).stdout(open()).stderr(open());
        command.env("TERM", "xterm-256color").env_remove("NO_COLOR");
        let process = Process::start(&mut command).expect("it starts");
        let (send, output) = channel();
        let mut reading = master.try_clone().expect("a file");
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = reading.read(&mut bytes) {
                if send.send(bytes[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        let grid = Grid::new(columns.into(), lines.into());
        Self { process, master, slave, output, grid, raw: Vec::new() }
    }

    /// What it shows now.
    pub(crate) fn screen(&mut self) -> String {
        while let Ok(bytes) = self.output.try_recv() {
            self.grid.write(&bytes);
            self.raw.extend(bytes);
        }
        self.grid.text()
    }

    /// Waits until it shows this.
    pub(crate) fn await_text(&mut self, text: &str) -> String {
        eventually(LIMIT, &format!("{text:?} on the screen"), || {
            let screen = self.screen();
            if screen.contains(text) { Ok(screen) } else { Err(format!("\n{screen}")) }
        })
    }

    /// Types this.
    pub(crate) fn keys(&mut self, text: &str) {
        self.master.write_all(text.as_bytes()).expect("it can be typed");
    }

    /// Another size, as a window manager would tell it.
    pub(crate) fn resize(&mut self, columns: u16, lines: u16) {
        let size = Winsize { ws_col: columns, ws_row: lines, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.master, size).expect("a terminal has a size");
        self.grid = Grid::new(columns.into(), lines.into());
        // It is not the terminal of a session, whose programs the kernel would tell.
        self.signal(Signal::WINCH);
    }

    /// Sends a signal.
    pub(crate) fn signal(&mut self, signal: Signal) {
        self.process.signal(signal).expect("it can be signalled");
    }

    /// Waits for its end.
    pub(crate) fn await_exit(&mut self) -> ExitStatus {
        let ended = self.process.wait(LIMIT).expect("a child can be waited for");
        ended.unwrap_or_else(|| panic!("does not end:\n{}", self.screen()))
    }

    /// Waits for the end of a program that fills the screen; the terminal must then be as it was.
    pub(crate) fn await_end(mut self) -> ExitStatus {
        let ended = self.await_exit();
        let modes = tcgetattr(&self.slave).expect("it is a terminal").local_modes;
        assert!(modes.contains(LocalModes::ICANON | LocalModes::ECHO), "raw: {modes:?}");
        eventually(LIMIT, "the screen as it was", || {
            let screen = self.screen();
            let end = String::from_utf8_lossy(&self.raw);
            let left = end.rfind("\x1b[?1049l").zip(end.rfind("\x1b[?1049h"));
            let shown = end.rfind("\x1b[?25h").zip(end.rfind("\x1b[?25l"));
            match (left, shown) {
                (Some((left, entered)), Some((shown, hidden)))
                    if left > entered && shown > hidden =>
                {
                    Ok(())
                }
                _ => Err(screen),
            }
        });
        ended
    }
}

/// What a terminal makes of what is written to it, as far as ratatui writes: text, places, clearing.
struct Grid {
    rows: Vec<Vec<char>>,
    at: (usize, usize),
    /// What was not yet a whole character or sequence.
    begun: Vec<u8>,
}

impl Grid {
    fn new(columns: usize, lines: usize) -> Self {
        Self { rows: vec![vec![' '; columns]; lines], at: (0, 0), begun: Vec::new() }
    }

    fn text(&self) -> String {
        let line = |row: &Vec<char>| row.iter().collect::<String>().trim_end().to_owned() + "\n";
        self.rows.iter().map(line).collect()
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.begun.push(*byte);
            match self.begun.as_slice() {
                [0x1b] | [0x1b, b'['] => {}
                [0x1b, b'[', arguments @ .., end @ 0x40..=0x7e] => {
                    let arguments = String::from_utf8_lossy(arguments).into_owned();
                    self.control(&arguments, *end);
                    self.begun.clear();
                }
                [0x1b, b'[', ..] => {}
                [0x1b, ..] => self.begun.clear(),
                begun => {
                    if let Ok(text) = std::str::from_utf8(begun) {
                        let letter = text.chars().next();
                        self.begun.clear();
                        letter.into_iter().for_each(|letter| self.put(letter));
                    } else if self.begun.len() > 4 {
                        self.begun.clear();
                    }
                }
            }
        }
    }

    fn put(&mut self, letter: char) {
        let (line, column) = self.at;
        match letter {
            '\r' => self.at.1 = 0,
            '\n' => self.at.0 += 1,
            _ => {
                if let Some(cell) = self.rows.get_mut(line).and_then(|row| row.get_mut(column)) {
                    *cell = letter;
                }
                self.at.1 += 1;
            }
        }
    }

    fn control(&mut self, arguments: &str, end: u8) {
        let numbers: Vec<usize> = arguments.split(';').filter_map(|n| n.parse().ok()).collect();
        let number = |n: usize| numbers.get(n).copied().unwrap_or(1).max(1) - 1;
        match end {
            b'H' => self.at = (number(0), number(1)),
            b'J' => self.rows.iter_mut().for_each(|row| row.fill(' ')),
            _ => {}
        }
    }
}
