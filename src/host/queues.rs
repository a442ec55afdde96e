//! Who holds which packet queue: two tables of /proc.

use std::{fs, io};

use super::programs::{Program, programs};

/// Only root and the kernel's group may read it (mode 0440).
const QUEUES: &str = "/proc/self/net/netfilter/nfnetlink_queue";

/// One queue that somebody listens to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its number.
    pub number: u16,
    /// The netlink port of the program that listens: usually its process id.
    pub port: u32,
    /// That program, where it could be found.
    pub program: Option<Program>,
    /// Packets that wait in it.
    pub waiting: u64,
    /// Packets that found the queue at its length.
    pub dropped: u64,
    /// Packets that found the listener's buffer full.
    pub lost: u64,
}

impl Holder {
    /// `suricata (pid 812)`, or what is known instead.
    pub fn who(&self) -> String {
        match &self.program {
            Some(program) => format!("{} (pid {})", program.name, program.pid),
            None => format!("a program that cannot be named (netlink port {})", self.port),
        }
    }
}

/// Everybody who listens to a packet queue of this network namespace. Without the kernel's module
/// there are none.
///
/// # Errors
/// Only root may know.
pub fn queue_holders() -> io::Result<Vec<Holder>> {
    let table = match fs::read_to_string(QUEUES) {
        Ok(table) => table,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = holders(&table);
    let sockets = port_sockets(&fs::read_to_string("/proc/self/net/netlink").unwrap_or_default());
    let inode = |port: u32| sockets.iter().find(|(own, _)| *own == port).map(|(_, inode)| *inode);
    let known = programs(&found.iter().filter_map(|holder| inode(holder.port)).collect());
    for holder in &mut found {
        let program = inode(holder.port).and_then(|inode| known.get(&inode).cloned());
        holder.program = program.or_else(|| by_number(holder.port));
    }
    Ok(found)
}

/// A program's first netlink port is its process id.
fn by_number(port: u32) -> Option<Program> {
    let name = fs::read_to_string(format!("/proc/{port}/comm")).ok()?;
    Some(Program { pid: port, name: name.trim().to_owned() })
}

/// A number from 10 on that nobody listens to, and as many behind it as are wanted: `count` in all.
pub fn free_queues(holders: &[Holder], count: u16) -> u16 {
    let taken = |number: u16| holders.iter().any(|holder| holder.number == number);
    let fits = |first: &u16| (0..count.max(1)).all(|i| !taken(first.saturating_add(i)));
    (10..u16::MAX).find(fits).unwrap_or(10)
}

/// Has the kernel packet queues, as far as it says?
pub fn has_queues() -> bool {
    std::path::Path::new(QUEUES).exists()
}

/// Reads `/proc/net/netfilter/nfnetlink_queue` (net/netfilter/nfnetlink_queue.c, `seq_show`):
/// number, port, waiting, copy mode, copy range, dropped, lost, last id, 1. Lines that are none are
/// left out.
fn holders(table: &str) -> Vec<Holder> {
    let row = |line: &str| {
        let mut columns = line.split_ascii_whitespace();
        let mut next = || columns.next()?.parse::<u64>().ok();
        let (number, port, waiting, _, _) = (next()?, next()?, next()?, next()?, next()?);
        Some(Holder {
            number: u16::try_from(number).ok()?,
            port: u32::try_from(port).ok()?,
            program: None,
            waiting,
            dropped: next()?,
            lost: next()?,
        })
    };
    table.lines().filter_map(row).collect()
}

/// The inodes of netfilter's netlink sockets, by their ports: from `/proc/net/netlink`.
fn port_sockets(table: &str) -> Vec<(u32, u32)> {
    /// NETLINK_NETFILTER, in the column `Eth`.
    const NETFILTER: &str = "12";
    let row = |line: &str| {
        let columns: Vec<&str> = line.split_ascii_whitespace().collect();
        let (protocol, port, inode) = (columns.get(1)?, columns.get(2)?, columns.last()?);
        (*protocol == NETFILTER).then_some(())?;
        Some((port.parse().ok()?, inode.parse().ok()?))
    };
    table.lines().filter_map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_of_proc() {
        let table = "    7  31245     3 2   256    11     4        9  1\nnonsense\n    8 4294963196 0 2 65535 0 0 0 1\n";
        let found = holders(table);
        assert_eq!(found.len(), 2);
        let first = &found[0];
        assert_eq!(
            (first.number, first.port, first.waiting, first.dropped, first.lost),
            (7, 31_245, 3, 11, 4)
        );
        assert_eq!(found[1].port, 4_294_963_196);
        assert_eq!(found[1].who(), "a program that cannot be named (netlink port 4294963196)");
        let program = Some(Program { pid: 9, name: "suricata".into() });
        assert_eq!(Holder { program, ..found[0].clone() }.who(), "suricata (pid 9)");

        let sockets = "sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode\n\
            00000000333c17e3 0   0          00000000 0        0        0     2        0        4\n\
            00000000ff4b9e17 12  31245      00000000 0        0        0     2        0        47200\n";
        assert_eq!(port_sockets(sockets), [(31_245, 47_200)]);
    }
}
