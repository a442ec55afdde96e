//! Bytes → [`Syn`]: facts about one packet, never judgements.
//!
//! This room is pure: no clock, no I/O, no logging. It does not promise that a packet is
//! harmless or even legal; it promises that whatever bytes arrive, they are either described
//! by a [`Syn`] or named as a [`Malformed`], and that nothing panics.

mod parse;
mod syn;

pub use parse::{Malformed, parse};
pub use syn::{Flags, Options, Syn};
