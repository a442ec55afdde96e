//! Text → checked [`Config`]. Every mistake of every file is reported at once, with its line and
//! column; a `Config` that exists is valid, and `Config::default()` is the empty policy file.
//!
//! ```text
//!  files ─ source ─▶ text ─ tree ─▶ keys and values with places ─ section, tables ─▶ Config
//!                                              units: "6/m" ──────────┘     list files: lists
//! ```
//!
//! A key is declared by the call that reads it, in `tables`; nothing else lists the keys.

mod findings;
mod lists;
mod load;
pub(crate) mod parts;
mod problem;
mod salvage;
mod section;
mod settings;
mod source;
mod tables;
mod tree;
pub(crate) mod typed;
mod units;
mod unknown;

#[cfg(test)]
mod tests;

pub use load::{Loaded, load, parse};
pub use problem::{ConfigErrors, Problem};
pub use salvage::{control_socket, state_dir};
pub use settings::{
    Bans, Capture, Config, Control, Daemon, Events, Facility, FailMode, Guard, Lifeline, LogTarget,
    Metrics, Mode, Names, Queue, Redirect, SyslogFormat, Table,
};
