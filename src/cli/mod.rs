//! One file per verb: what was typed → what it means → run.

mod asked;
pub mod audit;
pub mod bans;
pub mod capture;
pub mod check;
pub mod confirm;
pub mod connections;
pub mod demo;
pub mod doctor;
pub mod explain;
mod found;
mod given;
mod help;
mod layout;
pub mod panic;
pub mod reload;
pub mod replay;
pub mod review;
pub mod rules;
pub mod run;
pub mod status;
pub mod top;
pub mod unload;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Command, CommandFactory, FromArgMatches, Parser, Subcommand};

/// A gate for new TCP connections: every SYN is judged before the connection exists
#[derive(Parser)]
#[command(
    name = "portcullis",
    version,
    max_term_width = 80,
    after_help = "Start with `portcullis demo`: it shows the gate at work in a private network, \
                  and needs no root.\nWhen something is wrong: portcullis doctor, and man \
                  portcullis-troubleshooting."
)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Show the gate at work in a private network on this machine (about 20 s, no root needed)
    Demo(demo::DemoArgs),
    /// Run the gate in the foreground, as the systemd unit does
    Run {
        #[command(flatten)]
        policy: Policy,
        /// Take everything out again and end (exit code 79) after so long (60s, 5m), unless you
        /// type portcullis confirm
        #[arg(long, value_name = "TIME", value_parser = confirm::span)]
        confirm: Option<Duration>,
    },
    /// Check a policy: all mistakes at once, with line and column
    Check {
        #[command(flatten)]
        policy: Policy,
        /// Say nothing of a policy that is good
        #[arg(long)]
        quiet: bool,
        /// Look up the names in the allow list, too
        #[arg(long)]
        resolve: bool,
        #[command(flatten)]
        live: check::Live,
    },
    /// Print the kernel rules that a policy leads to, without touching anything
    Rules {
        #[command(flatten)]
        policy: Policy,
        /// Print nft's JSON instead of text
        #[arg(long)]
        json: bool,
    },
    /// Say how the gate is doing
    Status(Ask<status::Args>),
    /// Watch the gate at work: rates, the busiest sources and ports, who is banned; ban and unban
    Top(Ask<top::Args>),
    /// List, add or remove standings: who is suspect or banned, since when and why
    Bans(Ask<bans::Args>),
    /// Say what the gate thinks of an address, check by check
    Explain(Ask<explain::Args>),
    /// List TCP sockets by state, with what the gate thinks of the peers
    Connections(Ask<connections::Args>),
    /// Show connection attempts as they come, or write them to a file for Wireshark
    Capture(Ask<capture::Args>),
    /// Hold listening programs and published ports against the port policy
    Audit(audit::Args),
    /// Is the gate well, and does it stand where it should? What is off, and how to mend it
    Doctor(doctor::Args),
    /// Judge the connections of captures as the gate would have
    Replay(replay::Args),
    /// Read the log: who was refused, why, when, how often, at which ports
    Review(review::Args),
    /// Read the policy again; if it has a mistake, nothing changes
    ///
    /// With --confirm the old policy comes back by itself, unless you say in time that you can
    /// still get in: open a second connection to this host, and if that works, type there:
    /// portcullis confirm. In a terminal this waits: Enter confirms, Ctrl-C takes the new policy
    /// back at once. Exit code 79 if the old policy is back.
    Reload(Ask<reload::Args>),
    /// Say that all is well after a reload or run with --confirm
    ///
    /// Open a second connection to this host first, and if that works, type this there: the new
    /// policy, or the gate, stays.
    Confirm(Ask<confirm::Args>),
    /// Take the gate out of the way at once, even if its daemon hangs
    ///
    /// Removes the redirect and all sets from the kernel in one step. It needs no daemon and no
    /// policy that can be read: it also works while the daemon hangs, is stopped, or cannot start.
    /// A running daemon puts nothing back, nor does one that is started later, until you type:
    /// portcullis panic --over. Bans stay on record and act again then.
    ///
    /// (`portcullis unload` removes the same after a clean stop, and the next start puts it back.)
    Panic(panic::Args),
    /// Remove everything that Portcullis put into the kernel, after a clean stop
    ///
    /// The next start puts it back. While the daemon runs, nothing is removed (exit code 75): it would
    /// put it back at once. If the gate is in your way now, take `portcullis panic`: that lasts until
    /// you say otherwise.
    Unload(Policy),
}

/// Where the policy is.
#[derive(Args)]
struct Policy {
    /// The policy file; files in conf.d beside it are laid over it
    #[arg(long, value_name = "FILE", default_value = "/etc/portcullis/portcullis.toml")]
    config: PathBuf,
}

/// A verb that asks the running gate.
#[derive(Args)]
struct Ask<A: Args> {
    #[command(flatten)]
    args: A,
    /// The gate's control socket
    #[arg(
        long,
        value_name = "PATH",
        default_value = "/run/portcullis/control.sock",
        global = true
    )]
    socket: PathBuf,
    /// Answer in JSON
    #[arg(long, global = true)]
    json: bool,
}

/// EX_USAGE of sysexits: what was typed makes no sense.
const USAGE: u8 = 64;

/// The verbs and their arguments, for whoever writes manual pages and completions of them.
pub fn command() -> Command {
    Cli::command()
}

/// The whole program: reads the arguments, runs the verb, says how it went (sysexits).
pub fn main() -> ExitCode {
    let words = spelt_out(std::env::args_os().collect());
    let typed = help::grouped(Cli::command()).try_get_matches_from(words);
    let typed = match typed.and_then(|typed| Cli::from_arg_matches(&typed)) {
        Ok(typed) => typed,
        Err(error) => return misused(&error),
    };
    match typed.verb {
        Verb::Demo(args) => demo::run(args),
        Verb::Run { policy, confirm } => run::run(&policy.config, confirm),
        Verb::Check { policy, quiet, resolve, live } => {
            check::run(&policy.config, quiet, resolve, &live)
        }
        Verb::Rules { policy, json } => rules::run(&policy.config, json),
        Verb::Status(Ask { args, socket, json }) => status::run(&args, &socket, json),
        Verb::Top(Ask { args, socket, json }) => top::run(&args, &socket, json),
        Verb::Bans(Ask { args, socket, json }) => bans::run(&args, &socket, json),
        Verb::Explain(Ask { args, socket, json }) => explain::run(&args, &socket, json),
        Verb::Connections(Ask { args, socket, json }) => connections::run(&args, &socket, json),
        Verb::Capture(Ask { args, socket, json }) => capture::run(&args, &socket, json),
        Verb::Audit(args) => audit::run(&args),
        Verb::Doctor(args) => doctor::run(&args),
        Verb::Replay(args) => replay::run(&args),
        Verb::Review(args) => review::run(&args),
        Verb::Reload(Ask { args, socket, json }) => reload::run(&args, &socket, json),
        Verb::Confirm(Ask { args, socket, json }) => confirm::run(&args, &socket, json),
        Verb::Panic(args) => panic::run(&args),
        Verb::Unload(policy) => unload::run(&policy.config),
    }
}

/// Hands that know fail2ban type `ban` and `unban`: they mean `bans add` and `bans remove`. No help
/// and no completion names them; without them the nearest verb would be `unload`.
fn spelt_out(mut words: Vec<OsString>) -> Vec<OsString> {
    let action = match words.get(1).and_then(|word| word.to_str()) {
        Some("ban") => "add",
        Some("unban") => "remove",
        _ => return words,
    };
    words.splice(1..2, ["bans".into(), action.into()]);
    words
}

/// Prints what clap has to say: help on standard output, mistakes on standard error.
fn misused(error: &clap::Error) -> ExitCode {
    // If nobody reads it, there is nobody to tell.
    let _ = error.print();
    ExitCode::from(if error.use_stderr() { USAGE } else { 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systemd_unit_types_what_the_program_reads() {
        let unit = include_str!("../../systemd/portcullis.service");
        let commands = unit.lines().filter_map(|line| {
            let (key, command) = line.split_once('=')?;
            key.starts_with("Exec").then_some(command)
        });
        let mut count = 0;
        for command in commands {
            let typed = Cli::try_parse_from(command.split_whitespace());
            assert!(typed.is_ok(), "{command}: {}", typed.err().unwrap());
            count += 1;
        }
        assert_eq!(count, 3);
    }

    #[test]
    fn what_fail2bans_hands_type_is_understood_and_not_advertised() {
        let spelt = |typed: &str| {
            let words = spelt_out(typed.split_whitespace().map(OsString::from).collect());
            let words: Vec<_> = words.iter().filter_map(|word| word.to_str()).collect();
            (words.join(" "), Cli::try_parse_from(words).is_ok())
        };
        for (typed, meant) in [
            ("portcullis ban 192.0.2.1", "portcullis bans add 192.0.2.1"),
            ("portcullis unban 192.0.2.1 --port 22", "portcullis bans remove 192.0.2.1 --port 22"),
            ("portcullis unban all", "portcullis bans remove all"),
            ("portcullis explain ban", "portcullis explain ban"),
            ("portcullis", "portcullis"),
        ] {
            let (words, read) = spelt(typed);
            assert_eq!(words, meant);
            assert_eq!(read, meant.contains("bans"), "{meant}");
        }
        let known = command();
        let names = known.get_subcommands().flat_map(Command::get_name_and_visible_aliases);
        assert!(names.into_iter().all(|name| name != "ban" && name != "unban"));
    }
}
