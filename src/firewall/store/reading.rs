//! The lines of a file, read in parts on several threads, and never the whole file at once: a million
//! lines are to be known before the gate judges, and need no 200 MB of text beside them.

use std::io;
use std::panic::resume_unwind;
use std::thread;

use memchr::memchr_iter;

use super::super::clock::Clock;
use super::line::{Line, Texts};
use crate::config::parts::{LONG, threads};

/// So many bytes are read at a time: they stay in the processor's cache until they are understood.
const PIECE: usize = 1 << 17;
/// Hardly a line is shorter.
const SHORTEST: u64 = 128;

/// What is good of a file.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// Its lines, but for those about the clock.
    pub(super) lines: Vec<Line>,
    /// The clock that the last such line names.
    pub(super) clock: Option<Clock>,
    /// How many bytes were good.
    pub(super) good: u64,
}

/// Reads `length` bytes up to the first line that is not whole, by `read_at`, which reads some bytes
/// from an offset on.
pub(super) fn read(
    read_at: impl Fn(&mut [u8], u64) -> io::Result<usize> + Sync,
    length: u64,
) -> io::Result<Lines> {
    let parts = if length < LONG as u64 { 1 } else { threads() as u64 };
    let size = length.div_ceil(parts);
    let part = |number: u64| {
        let reader = Reader { read_at: &read_at, end: size * (number + 1), length };
        // The first one has room for all of them.
        reader.run(size * number, if number == 0 { length } else { size })
    };
    let mut read: Vec<io::Result<Part>> = thread::scope(|scope| {
        let part = &part;
        let others: Vec<_> = (1..parts).map(|number| scope.spawn(move || part(number))).collect();
        let first = part(0);
        let others = others
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)));
        std::iter::once(first).chain(others).collect()
    });
    let others = read.split_off(1);
    let Part { mut lines, mut clock, mut good, mut whole, .. } = read.remove(0)?;
    for part in others {
        let part = part?;
        if !whole || part.begin != good {
            break;
        }
        lines.extend(part.lines);
        clock = part.clock.or(clock);
        (good, whole) = (part.good, part.whole);
    }
    Ok(Lines { lines, clock, good })
}

/// What was read of a part.
struct Part {
    lines: Vec<Line>,
    clock: Option<Clock>,
    /// Where its first line begins: the first that begins in this part.
    begin: u64,
    /// Where the last good one ends.
    good: u64,
    /// No line of it was bad.
    whole: bool,
}

struct Reader<'a, R> {
    read_at: &'a R,
    /// Lines that begin there belong to the next part.
    end: u64,
    length: u64,
}

impl<R: Fn(&mut [u8], u64) -> io::Result<usize>> Reader<'_, R> {
    fn run(&self, start: u64, room: u64) -> io::Result<Part> {
        let mut lines = Vec::with_capacity((room / SHORTEST) as usize);
        let (mut texts, mut clock) = (Texts::default(), None);
        // Before a line that begins at `start` there is the end of another.
        let mut at = start.saturating_sub(1);
        let mut begin = (start == 0).then_some(0);
        let (mut buffer, mut held) = (vec![0; PIECE], 0);
        loop {
            let from = at + held as u64;
            let most = usize::try_from(self.length.saturating_sub(from)).unwrap_or(usize::MAX);
            let room = most.min(buffer.len() - held);
            let more = match (self.read_at)(&mut buffer[held..held + room], from) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                more => more?,
            };
            if more == 0 {
                // What is left, has no end.
                let begin = begin.unwrap_or(self.length);
                return Ok(Part { lines, clock, begin, good: at.max(begin), whole: held == 0 });
            }
            held += more;
            let mut done = 0;
            for end in memchr_iter(b'\n', &buffer[..held]) {
                let (line, from) = (&buffer[done..end], at + done as u64);
                let Some(begin) = begin else {
                    begin = Some(at + end as u64 + 1);
                    done = end + 1;
                    continue;
                };
                let past = from >= self.end;
                match Line::decode(line, &mut texts).filter(|_| !past) {
                    Some(Line::Clock(named)) => clock = Some(named),
                    Some(line) => lines.push(line),
                    None => return Ok(Part { lines, clock, begin, good: from, whole: past }),
                }
                done = end + 1;
            }
            buffer.copy_within(done..held, 0);
            (at, held) = (at + done as u64, held - done);
            if held == buffer.len() {
                buffer.resize(2 * held, 0);
            }
        }
    }
}
