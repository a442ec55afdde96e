//! The gate's numbers for Prometheus and its kin.
//!
//! ```text
//!  the daemon ─▶ Facts ─ families ─▶ text ─┬─▶ Server    OpenMetrics 1.0 over HTTP
//!                                          └─▶ Textfile  the older text format, for node_exporter
//! ```
//!
//! Every family stands in `families` once, with its name, its help and its labels. A label's
//! values come from a short list that is known beforehand (checks, kinds, queues): there is never a
//! series per address or port, so nobody who sends packets can make more of them.
//!
//! Numbers are gathered when somebody asks, but not more often than once a second; nothing of it
//! happens in a thread that holds packets.

mod classic;
mod facts;
mod families;
mod http;
mod recent;
#[cfg(test)]
mod sample;
mod server;
#[cfg(test)]
mod tests;
mod text;
mod textfile;

pub use facts::{Captured, Facts, Reloads};
pub use recent::Recent;
pub use server::Server;
pub use text::open_metrics;
pub use textfile::Textfile;
