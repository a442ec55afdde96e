//! `portcullis rules`: what would be installed, without touching anything.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path as FilePath;
use std::process::ExitCode;

use serde_json::json;

use crate::config::{self, Config, Redirect};
use crate::firewall::{Marks, Path, Spread, Stage, iptables_commands, ruleset};

/// Prints the table as nft text, and the iptables commands for where the kernel lacks nft's queue
/// statement; with `json`, both as one object.
pub fn run(policy: &FilePath, json: bool) -> ExitCode {
    let config = match config::load(policy) {
        Ok(loaded) => loaded.config,
        Err(errors) => {
            eprintln!("{errors}");
            return ExitCode::from(if errors.missing { 66 } else { 78 });
        }
    };
    let out = if json { as_json(&config) } else { as_text(&config) };
    match std::io::stdout().lock().write_all(out.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        // The reader has seen enough: `portcullis rules | head`.
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("portcullis: cannot write the rules: {e}");
            ExitCode::from(74)
        }
    }
}

/// The way that is shown: what the policy says, and nft where it leaves that open.
fn shown(config: &Config) -> Path {
    let spread = if config.queue.threads > 1 { Spread::BySource } else { Spread::ByPair };
    match config.guard.redirect {
        Redirect::Auto | Redirect::Nft => Path::Nft(spread),
        Redirect::Iptables => Path::Iptables,
        Redirect::Manual => Path::Manual,
    }
}

/// The text that the command prints.
pub fn as_text(config: &Config) -> String {
    let path = shown(config);
    let mut out = String::from(
        "# What `portcullis run` installs with this policy: one table of its own, nothing else.\n\
         # Standings fill the sets while it runs. `portcullis unload` removes it all.\n\n",
    );
    if !config.policy.allowlist.names.is_empty() {
        out.push_str(
            "# Names in the allow list fill trusted4 and trusted6 when they are looked up.\n\n",
        );
    }
    out.push_str(&ruleset(config, Stage::Open(path)).to_text());
    let commands: String = iptables_commands(config).iter().fold(String::new(), |mut all, line| {
        let _ = writeln!(all, "#   {line}");
        all
    });
    let judge = Marks::from_bit(config.guard.mark_bit).judge;
    let note = match path {
        Path::Nft(_) => format!(
            "# Where the kernel lacks nft's queue statement (and guard.redirect is \"auto\"), the queue\n\
             # rules are replaced by\n\
             #   meta mark set meta mark | {judge:#010x}\n\
             # and iptables hands the marked packets over. The rule stands last in its chain, because\n\
             # an accept verdict skips what follows there:\n"
        ),
        Path::Iptables => "# iptables hands the marked packets over. The rule stands last in its chain, because\n\
             # an accept verdict skips what follows there:\n"
            .into(),
        Path::Manual => "# guard.redirect is \"manual\": nothing is judged until you place these two rules. Let them\n\
             # stand last in their chain, because an accept verdict skips what follows there:\n"
            .into(),
    };
    let _ = write!(out, "\n{note}{commands}");
    out
}

fn as_json(config: &Config) -> String {
    let rules = ruleset(config, Stage::Open(shown(config)));
    let whole = json!({
        "nftables": rules.to_json(),
        "iptables": iptables_commands(config),
    });
    format!("{whole:#}\n")
}
