//! What a process holds of the machine.

use std::fs;

/// At one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Vitals {
    /// Memory in use, kB.
    pub(crate) rss: u64,
    /// Open descriptors.
    pub(crate) descriptors: usize,
}

impl Vitals {
    /// Of a process; `None` if there is none.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let rss = rss.trim().trim_end_matches(" kB").parse().ok()?;
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count();
        Some(Self { rss, descriptors })
    }
}
