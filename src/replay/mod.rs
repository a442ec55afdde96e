//! Captures → the same judge: what the gate would have done, at the times of the capture.
//!
//! ```text
//!  file ─ capture ─▶ frame ─ link ─▶ IP packet ─┬─ opening ─▶ kernel ─▶ policy::judge ─▶ Track
//!                                               │                ▲            │
//!                                               │             ledger ◀── standings
//!                                               └─ anything else ─▶ kernel: data proves the peer
//! ```
//!
//! Every file is a world of its own: it starts with an empty memory and nobody banned. What it
//! does not promise: a capture cannot show what a dropped client would have done next. Its later
//! packets are taken as they stand, but a connection whose opening was dropped proves nobody.
//! The time that orders take to reach the kernel, and the queue's capacity, are left out.

pub mod against;
mod capture;
mod clock;
mod gate;
mod kernel;
mod labels;
mod link;
mod run;
mod score;
mod segment;
mod served;
mod track;

pub use capture::{Capture, Damage, OpenError, Packet};
pub use gate::Gate;
pub use labels::{Attackers, Label, Labels, LabelsError};
pub use link::{ip_of, is_known};
pub use run::{Report, Rivals, ServedFrom, replay};
pub use score::{Score, Scores};
pub use served::{Serving, Targets};
pub use track::{Line, Track, Tracks};
