//! `portcullis panic`: the gate stands aside, at once and whatever state it is in.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use super::asked::{complain, print};
use super::layout::wrap;
use crate::config;
use crate::control::{AskError, Request, Response, ask_within};
use crate::firewall::{Removal, ToolError, marker, remove_all, step_aside, step_back};

/// After so long it is looked whether something was put back: a change that the daemon had begun
/// before it could know.
const SECOND_LOOK: Duration = Duration::from_millis(150);
/// How long a daemon may take to come back to its place.
const RETURN: Duration = Duration::from_secs(5);
/// EX_UNAVAILABLE, EX_CANTCREAT and EX_NOPERM of sysexits.
const UNAVAILABLE: u8 = 69;
const CANNOT_CREATE: u8 = 73;
const NO_PERMISSION: u8 = 77;

/// What can be said with it.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Put the gate back in its place
    #[arg(long)]
    over: bool,
    /// The policy file; only [bans] state_dir is taken from it, if it can be
    #[arg(long, value_name = "FILE", default_value = "/etc/portcullis/portcullis.toml")]
    config: PathBuf,
}

/// Sets or lifts the marker, and removes what is in the kernel.
pub fn run(args: &Args) -> ExitCode {
    let folder = config::state_dir(&args.config);
    if args.over { over(&folder, &args.config) } else { panic(&folder) }
}

fn panic(folder: &Path) -> ExitCode {
    // First, so that whoever looks after the table knows that it is meant to be gone.
    let marked = step_aside(folder);
    let mut removal = remove_all(folder);
    thread::sleep(SECOND_LOOK);
    let Removal { removed, left } = remove_all(folder);
    removal.removed.extend(removed);
    removal.left = left;
    print(&told(&removal, marked.is_ok()));
    let mut code = 0;
    if let Err(error) = marked {
        complain(&format!("cannot write {}: {error}", marker(folder).display()));
        complain("a daemon would put all of it back: systemctl stop portcullis");
        code = CANNOT_CREATE;
    }
    for (what, error) in &removal.left {
        complain(&format!("cannot remove {what}: {error}"));
        code = match error {
            ToolError::Refused { .. } => NO_PERMISSION,
            _ => UNAVAILABLE,
        };
    }
    if code == NO_PERMISSION {
        complain("this needs root (sudo portcullis panic) or CAP_NET_ADMIN");
    }
    ExitCode::from(code)
}

/// What was done, for people.
fn told(removal: &Removal, marked: bool) -> String {
    let mut text = match (removal.left.is_empty(), marked) {
        (true, true) => "The gate stands aside: nothing is judged, and no ban acts.\n",
        (true, false) => "The gate is out of the kernel.\n",
        (false, _) => "The gate stands aside, but not everything could be removed.\n",
    }
    .to_owned();
    text += &match removal.removed.is_empty() {
        true if removal.left.is_empty() => "Nothing of it was in the kernel.\n".to_owned(),
        true => String::new(),
        false => wrap("Removed: ", &format!("{}.", removal.removed.join("; "))),
    };
    if marked {
        text += &wrap(
            "",
            "Bans stay on record. Neither a running daemon nor one that is started puts anything \
             back, until you type:",
        );
        text += "  portcullis panic --over\n";
    }
    text
}

fn over(folder: &Path, policy: &Path) -> ExitCode {
    match step_back(folder) {
        Ok(true) => {}
        Ok(false) => {
            print("The gate does not stand aside.\n");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            complain(&format!("cannot remove {}: {error}", marker(folder).display()));
            let denied = error.kind() == io::ErrorKind::PermissionDenied;
            return ExitCode::from(if denied { NO_PERMISSION } else { CANNOT_CREATE });
        }
    }
    let loaded = config::load(policy).map(|loaded| loaded.config).unwrap_or_default();
    let deadline = Instant::now() + RETURN;
    loop {
        match ask_within(&loaded.control.socket, &Request::Status, Duration::from_secs(1)) {
            Ok(Response::Status(status)) if status.firewall.healthy => {
                let back = "The gate is back in its place: new connections are judged, bans act.";
                print(&wrap("", back));
                return ExitCode::SUCCESS;
            }
            Ok(_) | Err(AskError::Silent(_)) if Instant::now() < deadline => {
                thread::sleep(Duration::from_millis(100));
            }
            Err(AskError::NotRunning(_)) => {
                print(
                    "The gate stands aside no longer, but no daemon runs. Start it:\n  \
                     systemctl start portcullis\n",
                );
                return ExitCode::SUCCESS;
            }
            Ok(_) | Err(_) => {
                print(&wrap(
                    "",
                    "The gate stands aside no longer; the daemon has not said yet that it is back \
                     in its place. See: portcullis status, journalctl -u portcullis -e",
                ));
                return ExitCode::SUCCESS;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_is_told() {
        let mut removal = Removal::default();
        removal.removed = vec!["the nftables table inet portcullis".into()];
        assert_eq!(
            told(&removal, true),
            "\
The gate stands aside: nothing is judged, and no ban acts.
Removed: the nftables table inet portcullis.
Bans stay on record. Neither a running daemon nor one that is started puts
anything back, until you type:
  portcullis panic --over
"
        );
        removal.removed.clear();
        let nothing = told(&removal, false);
        assert_eq!(nothing, "The gate is out of the kernel.\nNothing of it was in the kernel.\n");
        let missing = ToolError::Missing { tool: "nft", package: "nftables" };
        removal.left.push(("the table".into(), missing));
        assert!(told(&removal, true).starts_with("The gate stands aside, but not everything"));
    }
}
