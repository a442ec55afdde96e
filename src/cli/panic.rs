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
use crate::firewall::{Removal, ToolError, marker, remove_all, settle, step_aside, step_back};

/// After so long it is looked whether something was put back: a change that the daemon had begun
/// before it could know.
const SECOND_LOOK: Duration = Duration::from_millis(150);
/// After so long it is looked for the last time: a daemon that knows nothing of the marker has put
/// everything back by then.
const LAST_LOOK: Duration = Duration::from_millis(1500);
/// How long the daemon has to say where it keeps its state.
const ANSWER: Duration = Duration::from_millis(500);
/// How long a daemon may take to come back to its place.
const RETURN: Duration = Duration::from_secs(5);
/// EX_UNAVAILABLE, EX_CANTCREAT, EX_TEMPFAIL and EX_NOPERM of sysexits.
const UNAVAILABLE: u8 = 69;
const CANNOT_CREATE: u8 = 73;
const NOT_YET: u8 = 75;
const NO_PERMISSION: u8 = 77;

/// What can be said with it.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Put the gate back in its place
    #[arg(long)]
    over: bool,
    /// The policy file; only `[bans] state_dir` is taken from it, if it can be
    #[arg(long, value_name = "FILE", default_value = "/etc/portcullis/portcullis.toml")]
    config: PathBuf,
}

/// Sets or lifts the marker, and removes what is in the kernel.
pub fn run(args: &Args) -> ExitCode {
    let folder = config::state_dir(&args.config);
    if args.over { over(&folder, &args.config) } else { panic(&folder, &args.config) }
}

fn panic(folder: &Path, policy: &Path) -> ExitCode {
    let begun = Instant::now();
    let look = |after: Duration| {
        thread::sleep(after.saturating_sub(begun.elapsed()));
        remove_all(folder)
    };
    // First, so that whoever looks after the table knows that it is meant to be gone.
    let mut marked = mark(folder);
    let mut removal = remove_all(folder);
    // The daemon goes by the policy that it was started with, and not by what is written now.
    let own = own_folder(policy);
    if let Some(own) = own.as_deref().filter(|own| *own != folder) {
        marked = marked.and(mark(own));
    }
    for folder in [Some(folder), own.as_deref()].into_iter().flatten() {
        settle(folder);
    }
    let known = own.is_some() && marked.is_ok();
    let mut again = look(SECOND_LOOK);
    let mut back = false;
    // Nobody has said that he has seen the marker; or something came back in spite of it.
    if !again.removed.is_empty() || !(known || removal.removed.is_empty()) {
        for what in again.removed {
            if !removal.removed.contains(&what) {
                removal.removed.push(what);
            }
        }
        again = look(LAST_LOOK);
        back = !again.removed.is_empty();
    }
    removal.left = again.left;
    print(&told(&removal, marked.is_ok(), back));
    let mut code = 0;
    if back {
        complain("a daemon put it back: systemctl stop portcullis");
        code = NOT_YET;
    }
    if let Err((marker, error)) = marked {
        complain(&format!("cannot write {}: {error}", marker.display()));
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

/// Sets the marker; or says where it cannot be set, and why.
fn mark(folder: &Path) -> Result<(), (PathBuf, io::Error)> {
    step_aside(folder).map_err(|error| (marker(folder), error))
}

/// The state folder of the daemon that runs, if it says so at once.
fn own_folder(policy: &Path) -> Option<PathBuf> {
    match ask_within(&config::control_socket(policy), &Request::Status, ANSWER) {
        Ok(Response::Status(status)) if status.state_dir.is_absolute() => Some(status.state_dir),
        _ => None,
    }
}

/// What was done, for people.
fn told(removal: &Removal, marked: bool, back: bool) -> String {
    let mut text = match (removal.left.is_empty(), marked) {
        _ if back => "The gate was taken out of the kernel, and it came back.\n",
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
    if marked && !back {
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
    let own = own_folder(policy).filter(|own| own != folder);
    let mut stood_aside = false;
    for folder in [folder].into_iter().chain(own.as_deref()) {
        match step_back(folder) {
            Ok(was) => stood_aside |= was,
            Err(error) => {
                complain(&format!("cannot remove {}: {error}", marker(folder).display()));
                let denied = error.kind() == io::ErrorKind::PermissionDenied;
                return ExitCode::from(if denied { NO_PERMISSION } else { CANNOT_CREATE });
            }
        }
    }
    if !stood_aside {
        print("The gate does not stand aside.\n");
        return ExitCode::SUCCESS;
    }
    let socket = config::control_socket(policy);
    let deadline = Instant::now() + RETURN;
    loop {
        match ask_within(&socket, &Request::Status, Duration::from_secs(1)) {
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
                return ExitCode::from(NOT_YET);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_is_told() {
        let removed = vec!["the nftables table inet portcullis".into()];
        let mut removal = Removal { removed, ..Removal::default() };
        assert_eq!(
            told(&removal, true, false),
            "\
The gate stands aside: nothing is judged, and no ban acts.
Removed: the nftables table inet portcullis.
Bans stay on record. Neither a running daemon nor one that is started puts
anything back, until you type:
  portcullis panic --over
"
        );
        assert_eq!(
            told(&removal, true, true),
            "\
The gate was taken out of the kernel, and it came back.
Removed: the nftables table inet portcullis.
"
        );
        removal.removed.clear();
        let nothing = told(&removal, false, false);
        assert_eq!(nothing, "The gate is out of the kernel.\nNothing of it was in the kernel.\n");
        let missing = ToolError::Missing { tool: "nft", package: "nftables" };
        removal.left.push(("the table".into(), missing));
        assert!(
            told(&removal, true, false).starts_with("The gate stands aside, but not everything")
        );
    }
}
