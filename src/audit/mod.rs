//! What this host's sockets say, held against the policy. Pure: sockets, rules, standings and
//! banners are told, and what comes out are findings in words.
//!
//! [`judge`] looks at the doors: listening sockets and published ports. [`suspicions`] looks at the
//! connections. [`recognise`] tells a service by what it says, and [`service`] by its port.

mod banner;
mod doors;
mod findings;
mod outlook;
mod services;
mod suspicion;

pub use banner::{Banner, Poke, recognise};
pub use doors::{Answer, Door, Listener, Reach, doors};
pub use findings::{Finding, FindingKind, judge};
pub use outlook::{Cut, cut_off};
pub use services::{Protocol, Service, service};
pub use suspicion::{Peer, Scene, Suspicion, SuspicionKind, suspicions};
