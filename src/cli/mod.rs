//! One file per verb: what was typed → what it means → run.

pub mod bans;
pub mod check;
pub mod demo;
pub mod explain;
pub mod reload;
pub mod rules;
pub mod run;
pub mod status;
pub mod unload;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A gate for new TCP connections: every SYN is judged before the connection exists.
#[derive(Parser)]
#[command(name = "portcullis", version, max_term_width = 100, propagate_version = true)]
#[command(after_help = "Start with `portcullis demo`: it shows the gate at work in a private network, and needs no root.")]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Show the gate at work in a private network on this machine (about 20 s, no root needed)
    Demo(demo::Args),
    /// Run the gate in the foreground, as the systemd unit does
    Run(PolicyFile),
    /// Check a policy file: all mistakes at once, with line and column
    Check(check::Args),
    /// Print the kernel rules that a policy leads to, without installing them
    Rules(rules::Args),
    /// Say how the gate is doing
    Status(status::Args),
    /// List, add or remove standings: who is suspect or banned, since when and why
    Bans(bans::Args),
    /// Say what the gate thinks of an address, check by check
    Explain(explain::Args),
    /// Read the policy file again; if it has a mistake, nothing changes
    Reload(reload::Args),
    /// Remove everything from the kernel that Portcullis put there
    Unload(unload::Args),
}

/// Where the policy is.
#[derive(clap::Args)]
pub struct PolicyFile {
    /// The policy file; files in conf.d beside it are laid over it
    #[arg(long, value_name = "FILE", default_value = "/etc/portcullis/portcullis.toml")]
    pub config: PathBuf,
}

/// The whole program: reads the arguments, runs the verb, says how it went (sysexits).
pub fn main() -> ExitCode {
    match Cli::parse().verb {
        Verb::Demo(args) => demo::run(&args),
        Verb::Run(file) => run::run(&file.config),
        Verb::Check(args) => check::run(&args),
        Verb::Rules(args) => rules::run(&args),
        Verb::Status(args) => status::run(&args),
        Verb::Bans(args) => bans::run(&args),
        Verb::Explain(args) => explain::run(&args),
        Verb::Reload(args) => reload::run(&args),
        Verb::Unload(args) => unload::run(&args),
    }
}
