//! `portcullis unload`: takes everything out of the kernel again.

use std::path::Path;
use std::process::ExitCode;

use crate::config;
use crate::firewall::{ToolError, unload};

/// Removes our table and our iptables rules and says what was removed. Works without a daemon,
/// and may be called twice. A policy that is missing or has mistakes is no obstacle: what is in the
/// kernel is ours by its name.
pub fn run(policy: &Path) -> ExitCode {
    let config = config::load(policy).map(|loaded| loaded.config).unwrap_or_default();
    match unload(&config) {
        Ok(removed) if removed.is_empty() => {
            println!("Nothing of Portcullis is in the kernel.");
            ExitCode::SUCCESS
        }
        Ok(removed) => {
            println!("Removed: {}.", removed.join("; "));
            println!(
                "The ban list on disk is kept: {}. A daemon that still runs would install the table again.",
                config.bans.state_dir.join("standings").display()
            );
            ExitCode::SUCCESS
        }
        Err(error @ ToolError::Missing { .. }) => {
            eprintln!("portcullis: {error}");
            ExitCode::from(69)
        }
        Err(error) => {
            eprintln!("portcullis: cannot unload: {error}");
            eprintln!("This needs root (sudo portcullis unload) or CAP_NET_ADMIN.");
            ExitCode::from(77)
        }
    }
}
