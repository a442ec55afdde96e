//! Portcullis judges every new TCP connection to a Linux host or gateway at its first SYN.
//!
//! # The life of a SYN
//!
//! ```text
//!  kernel ── early chain: banned? suspect at a closed port? ──────▶ dropped, never reaches us
//!     │
//!     └─ NFQUEUE ─▶ queue ─bytes─▶ packet::parse ─▶ Syn ─▶ policy::judge ─▶ Decision
//!                                                            ▲               │
//!                                                          memory            │
//!                     queue ◀── verdict: the kernel is released here ◀───────┤
//!                                                                            ▼
//!                     events: counters, log lines          firewall: ledger ─▶ nft sets
//! ```
//!
//! [`packet`], [`anomaly`], [`memory`], [`policy`], [`audit`] and [`doctor`] are pure: they never read
//! the clock, do no I/O and do not log; `now` is an argument. Everything behind the verdict is reached
//! through bounded channels: a full channel loses the message, never the verdict, and the loss is
//! counted.

pub mod anomaly;
pub mod audit;
pub mod capture;
pub mod cli;
pub mod config;
pub mod confine;
pub mod control;
pub mod daemon;
pub mod doctor;
pub mod events;
pub mod firewall;
pub mod host;
pub mod lab;
pub mod memory;
pub mod metrics;
pub mod names;
pub mod packet;
pub mod policy;
pub mod queue;
pub mod replay;
pub mod review;
