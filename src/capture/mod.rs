//! Packets, with what was made of them, in files that Wireshark and `portcullis replay` open.
//!
//! ```text
//!  queue thread ─ Taps ─┬▶ bounded channel ─▶ worker ─ blocks ─▶ Files, rotated by size
//!                       └▶ bounded channel ─▶ Stream ─ blocks ─▶ whoever asked for it
//! ```
//!
//! What is written is the packet as the queue handed it over (its first 256 bytes, from the IP
//! header on), and as its comment the line that the log has for it: the decision, its evidence and
//! the `id` by which both are found. The thread that holds packets copies and hands over, and never
//! waits; what is over the rate or finds no room is counted.
//!
//! The policy's files are the daemon's own. A capture that somebody asks for goes to them through
//! the control socket, and it is their program that opens a file: the daemon writes nowhere because
//! of a request.

mod blocks;
mod files;
mod stream;
mod taker;
mod tap;
mod worker;

pub use blocks::{Block, Statistics, head, statistics};
pub use files::Files;
pub use stream::{Bounds, Stream};
pub use taker::{Prefix, Taken, Tally};
pub use tap::{Filter, MOST_TAPS, Tap, Taps, Wanted};
pub use worker::Capture;
