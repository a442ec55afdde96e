//! Interface numbers → names.

use std::collections::HashMap;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketType, netdevice, socket};

use crate::memory::Moment;

/// A name is believed for so long: interfaces can be renamed, and numbers used again.
const BELIEVED: Duration = Duration::from_secs(10);

/// Names of interfaces, asked of the kernel at most once in ten seconds each.
#[derive(Default)]
pub(crate) struct Interfaces(HashMap<u32, (Moment, String)>);

impl Interfaces {
    /// The name of an interface; `if7` if number 7 has none, empty for number 0 (unknown).
    pub(crate) fn name(&mut self, now: Moment, index: u32) -> &str {
        if index == 0 {
            return "";
        }
        // A host has a handful; this only keeps strange numbers from piling up.
        if self.0.len() > 1024 {
            self.0.clear();
        }
        let known = self.0.entry(index).or_default();
        if known.1.is_empty() || now.since(known.0) >= BELIEVED {
            *known = (now, ask(index).unwrap_or_else(|| format!("if{index}")));
        }
        &known.1
    }
}

fn ask(index: u32) -> Option<String> {
    // netdevice(7): any socket will do.
    let socket = socket(AddressFamily::UNIX, SocketType::DGRAM, None).ok()?;
    netdevice::index_to_name(socket, index).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let mut names = Interfaces::default();
        for (index, name) in [(0, ""), (1, "lo"), (1, "lo"), (4_000_000, "if4000000")] {
            assert_eq!(names.name(Moment(1), index), name);
        }
    }
}
