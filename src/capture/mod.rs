//! Refused packets in files that Wireshark and `portcullis replay` open.
//!
//! ```text
//!  queue thread ─ Taker ─▶ bounded channel ─▶ worker ─ blocks ─▶ Files, rotated by size
//! ```
//!
//! What is written is the packet as the queue handed it over (its first 256 bytes, from the IP
//! header on), and as its comment the line that the log has for it: the decision, its evidence and
//! the `id` by which both are found. The thread that holds packets copies and hands over, and never
//! waits; what is over the rate or finds no room is counted.

mod blocks;
mod files;
mod worker;

pub use worker::{Capture, Prefix, Taken, Taker, Tally};
