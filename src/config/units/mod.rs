//! Values that carry their unit, read from text: `"6/m"`, `"1h30m"`, `"22, 8000-8999"`,
//! `"192.0.2.0/24"`.

mod name;
mod nets;
mod ports;
mod size;
mod time;

use std::ops::Range;

pub(super) use name::nets_and_names;
pub(super) use nets::{net, nets};
pub(super) use ports::{OpenPorts, open_ports, ports};
pub(super) use size::size;
pub(super) use time::{duration, rate, spell};

/// What is wrong with a value, and what to write instead.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mistake {
    pub(super) message: String,
    pub(super) help: Option<String>,
    /// The bytes of the text that are meant, if not all of it.
    pub(super) part: Option<Range<usize>>,
}

impl Mistake {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None, part: None }
    }

    pub(super) fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }

    /// Says which bytes of the text are meant.
    fn part(self, part: Range<usize>) -> Self {
        Self { part: Some(part), ..self }
    }
}

/// The items of a list with commas, each with the bytes it stands at. An empty text has none.
fn items(text: &str) -> impl Iterator<Item = (&str, Range<usize>)> {
    let blank = text.trim().is_empty();
    text.split(',').filter(move |_| !blank).map(|item| {
        let start = item.as_ptr() as usize - text.as_ptr() as usize;
        let start = start + item.len() - item.trim_start().len();
        let item = item.trim();
        (item, start..start + item.len())
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn items_know_their_place() {
        let found: Vec<_> = super::items(" a, bc ,,d").collect();
        assert_eq!(found, [("a", 1..2), ("bc", 4..6), ("", 8..8), ("d", 9..10)]);
        assert_eq!(super::items("  ").count(), 0);
    }
}
