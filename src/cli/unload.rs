//! `portcullis unload`: takes everything out of the kernel again.

use std::path::Path;
use std::process::ExitCode;

use super::asked::{complain, print};
use super::layout::wrap;
use crate::config;
use crate::firewall::{Removal, ToolError, holder, remove_all};

/// EX_UNAVAILABLE, EX_TEMPFAIL and EX_NOPERM of sysexits.
const UNAVAILABLE: u8 = 69;
const NOT_NOW: u8 = 75;
const NO_PERMISSION: u8 = 77;

/// Removes our table and our iptables rules and says what was removed. Works without a daemon, and
/// only so: one that runs would put all of it back. May be called twice. A policy that is missing or
/// has mistakes is no obstacle: what is in the kernel is ours by its name.
pub fn run(policy: &Path) -> ExitCode {
    let folder = config::state_dir(policy);
    if let Some(pid) = holder(&folder) {
        complain(&format!(
            "the gate runs (pid {pid}) and would put everything back: nothing was removed\n\
             stop it first: systemctl stop portcullis\n\
             or take it out of the way while it runs: portcullis panic"
        ));
        return ExitCode::from(NOT_NOW);
    }
    let Removal { removed, left } = remove_all(&folder);
    if !removed.is_empty() {
        print(&wrap("Removed: ", &format!("{}.", removed.join("; "))));
        print(&wrap(
            "",
            &format!("The ban list on disk is kept: {}", folder.join("standings").display()),
        ));
    } else if left.is_empty() {
        print("Nothing of Portcullis is in the kernel.\n");
    }
    let mut code = 0;
    for (what, error) in &left {
        complain(&format!("cannot remove {what}: {error}"));
        code = match error {
            ToolError::Missing { .. } => UNAVAILABLE,
            _ => NO_PERMISSION,
        };
    }
    if code == NO_PERMISSION {
        complain("this needs root (sudo portcullis unload) or CAP_NET_ADMIN");
    }
    ExitCode::from(code)
}
