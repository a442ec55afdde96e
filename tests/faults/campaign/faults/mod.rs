//! The faults, one file per family, and the list of all.

mod clock;
mod disk;
mod kernel;
mod network;
mod policy;
mod process;
mod talk;
mod tools;

use std::time::Duration;

use super::ground::{Ground, Outcome};

/// What a busy machine may add to any time.
pub(crate) const NOISE: Duration = Duration::from_millis(500);

/// One fault: how it is forced, and what is declared for it.
#[derive(Clone, Copy)]
pub(crate) struct Fault {
    /// What it is called in the table.
    pub(crate) name: &'static str,
    /// What is declared, in a few words.
    pub(crate) declared: &'static str,
    /// Verdicts may pause so long. A fault that keeps the gate down declares that time besides.
    pub(crate) held: Duration,
    /// Connections may pass unjudged so long; the same applies.
    pub(crate) open: Duration,
    /// So long after the fault is over, everything is as it should be at the latest.
    pub(crate) mended: Duration,
    /// Short enough for a test that everybody runs.
    #[allow(dead_code, reason = "the campaign itself takes them all")]
    pub(crate) quick: bool,
    /// Why it cannot be had here, if so.
    pub(crate) skip: fn(&Ground<'_>) -> Option<String>,
    /// Forces it and ends it.
    pub(crate) force: fn(&mut Ground<'_>) -> Outcome,
}

impl Fault {
    const fn new(name: &'static str, declared: &'static str) -> Self {
        Self {
            name,
            declared,
            held: NOISE,
            open: Duration::ZERO,
            mended: Duration::from_secs(8),
            quick: false,
            skip: |_| None,
            force: |_| Err("nothing is forced".into()),
        }
    }
}

/// All of them.
pub(crate) fn all() -> impl Iterator<Item = Fault> {
    let families = [
        process::FAULTS,
        tools::FAULTS,
        disk::FAULTS,
        kernel::FAULTS,
        network::FAULTS,
        clock::FAULTS,
        policy::FAULTS,
        talk::FAULTS,
    ];
    families.into_iter().flatten().copied()
}
