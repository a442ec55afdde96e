//! End to end: the real program on a real kernel, in namespaces of its own, as root or not.
//!
//! Every test starts this test program again inside fresh namespaces and runs there, so tests
//! neither see each other nor the machine. A tool or kernel feature that is missing fails the
//! test and is named.

#[allow(dead_code, reason = "the bench `faults` uses all of it")]
#[path = "../faults/campaign/mod.rs"]
mod campaign;
#[allow(dead_code, unused_imports, reason = "the bench `tools` uses all of it")]
mod range;
mod stage;

mod admitting;
mod capturing;
mod confined;
mod crowds;
mod demo;
mod doctor;
mod dying;
mod faults;
mod filling;
mod flooding;
mod forged;
mod forwarding;
mod guessing;
mod lab;
mod life;
mod lifeline;
mod looking;
mod mending;
mod naming;
mod neighbours;
mod numbers;
mod packets;
mod panicking;
mod pausing;
mod queues;
mod readme;
mod refusing;
mod reloading;
mod situations;
mod standing;
mod tapping;
mod tools;
mod top;
mod trial;
