//! A private network on this machine: hosts, links and real traffic, in namespaces that vanish
//! with the process. `portcullis demo` and the end-to-end tests run in it, as root or not.
//!
//! [`enter()`] starts the current program again inside fresh namespaces (`unshare`); there,
//! [`Lab::open`] turns the empty network into a router with [`Host`]s around it:
//!
//! ```text
//!        server ──┐        ┌── visitors        each host is a network namespace of its own,
//!                 router ──┤                   joined to the router by a veth pair; hosts may
//!   inner ── gateway ┘     └── attackers       stand behind a host that forwards (a gateway)
//! ```
//!
//! The traffic is made by the real kernel wherever an honest client would use it ([`visit`]), and
//! packet by packet where an attacker would ([`Forge`]). Nothing leaves the machine, and nothing
//! outside the namespaces is changed.

mod client;
mod enter;
mod forge;
mod host;
mod net;
mod overheard;
mod probe;
mod process;
mod service;
mod tools;

pub use client::{Visit, visit};
pub use enter::{EnterError, command_inside, enter, is_inside};
pub use forge::Forge;
pub use host::{Host, HostError};
pub use net::{Lab, LabError};
pub use overheard::Overheard;
pub use probe::{Manner, Probe};
pub use process::Process;
pub use service::{Service, Trade};
pub use tools::{TOOLS, Tool, ToolsMissing, search_path};
