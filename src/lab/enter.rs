//! Into the private namespaces, as root or as an ordinary user.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use super::tools::{self, ToolsMissing, search_path};

/// Carries the outer namespaces' identities into the lab; so a variable that someone sets by
/// hand does not make a program believe that it is inside.
const OUTSIDE: &str = "PORTCULLIS_LAB_OUTSIDE";

/// Why there is no lab.
#[derive(Debug, thiserror::Error)]
pub enum EnterError {
    /// Programs are not installed.
    #[error(transparent)]
    Tools(#[from] ToolsMissing),
    /// The kernel refuses a private network.
    #[error(
        "this machine does not let {} make a private network:\n  {said}\n{advice}",
        if *.root { "root" } else { "an ordinary user" }
    )]
    Forbidden {
        /// Was it root who asked?
        root: bool,
        /// What `unshare` said.
        said: String,
        /// What can be done.
        advice: String,
    },
    /// A program could not be started.
    #[error("cannot start {program}: {source}")]
    Start {
        /// Which.
        program: String,
        /// Why.
        source: io::Error,
    },
}

/// Does this process already run in namespaces that [`enter`] or [`command_inside`] made?
pub fn is_inside() -> bool {
    let (Ok(outside), Ok(here)) = (std::env::var(OUTSIDE), identity()) else { return false };
    let pairs = || outside.split(' ').zip(here.split(' '));
    pairs().count() == 2 && pairs().all(|(outside, here)| outside.contains(":[") && outside != here)
}

/// Replaces this process by the same program with the same arguments inside fresh namespaces.
/// Returns only if that is impossible.
pub fn enter() -> EnterError {
    let start = |source| EnterError::Start { program: "this program again".into(), source };
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(error) => return start(error),
    };
    match command_inside(program.as_os_str(), std::env::args_os().skip(1)) {
        Ok(mut command) => start(command.exec()),
        Err(error) => error,
    }
}

/// A command that runs `program` inside fresh namespaces: its own network and mounts, and for an
/// ordinary user an own user namespace in which it is root. Checks first that all tools are there
/// and that the kernel allows it.
pub fn command_inside(
    program: &OsStr,
    args: impl IntoIterator<Item = OsString>,
) -> Result<Command, EnterError> {
    let path = search_path();
    let root = rustix::process::geteuid().is_root();
    tools::check(&path, root)?;
    let start = |source| EnterError::Start { program: "unshare".into(), source };

    let mut probe = unshare(root, &path);
    let tried = probe.args(["ip", "link", "set", "lo", "up"]).output().map_err(start)?;
    if !tried.status.success() {
        let said = String::from_utf8_lossy(&tried.stderr).trim().to_owned();
        let advice = advice(root, Path::new("/proc/sys"));
        return Err(EnterError::Forbidden { root, said, advice });
    }
    let mut command = unshare(root, &path);
    command.arg("--").arg(program).args(args);
    command.env(OUTSIDE, identity().map_err(start)?);
    Ok(command)
}

fn unshare(root: bool, path: &OsStr) -> Command {
    let program = tools::find("unshare", path).unwrap_or_else(|| "unshare".into());
    let mut command = Command::new(program);
    command.env("PATH", path).args(["--net", "--mount"]);
    if !root {
        command.args(["--user", "--map-root-user"]);
    }
    command
}

/// The network and mount namespaces of this process, as the kernel names them.
fn identity() -> io::Result<String> {
    let name = |kind: &str| fs::read_link(format!("/proc/self/ns/{kind}"));
    Ok(format!("{} {}", name("net")?.display(), name("mnt")?.display()))
}

/// What an admin can do where `unshare` fails; `sysctls` is `/proc/sys`.
fn advice(root: bool, sysctls: &Path) -> String {
    if root {
        return "Root needs the capability CAP_SYS_ADMIN for that.\n\
                Containers often withhold it; docker run --privileged grants it."
            .into();
    }
    let value = |name: &str| {
        let text = fs::read_to_string(sysctls.join(name)).ok()?;
        text.trim().parse::<u64>().ok()
    };
    let knobs = [
        ("kernel/unprivileged_userns_clone", 0, "kernel.unprivileged_userns_clone=1"),
        (
            "kernel/apparmor_restrict_unprivileged_userns",
            1,
            "kernel.apparmor_restrict_unprivileged_userns=0",
        ),
        ("user/max_user_namespaces", 0, "user.max_user_namespaces=10000"),
    ];
    let mut advice = String::from("Run the same command as root, with sudo in front.");
    for (name, forbidding, remedy) in knobs {
        if value(name) == Some(forbidding) {
            advice += &format!(
                "\nOr allow it until the next reboot; what forbids it here is the setting\n\
                 {}:\n    sudo sysctl {remedy}",
                name.replace('/', ".")
            );
        }
    }
    advice
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_themselves_run_outside() {
        assert!(!is_inside());
    }

    #[test]
    fn advice_names_the_sysctl_that_forbids() {
        let dir = tempfile::tempdir().unwrap();
        for (name, value) in [
            ("kernel/unprivileged_userns_clone", "1\n"),
            ("kernel/apparmor_restrict_unprivileged_userns", "1\n"),
            ("user/max_user_namespaces", "96343\n"),
        ] {
            let file = dir.path().join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, value).unwrap();
        }
        let text = advice(false, dir.path());
        assert!(
            text.contains("sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0"),
            "{text}"
        );
        assert!(!text.contains("max_user") && !text.contains("userns_clone"), "{text}");
        assert!(text.starts_with("Run the same command as root"), "{text}");
        assert!(!advice(true, dir.path()).contains("sysctl"));
    }
}
