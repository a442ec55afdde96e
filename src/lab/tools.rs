//! The programs that a lab needs, and which package brings them.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::PathBuf;

/// A program that must be installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tool {
    /// Its name, as it is called.
    pub program: &'static str,
    /// The Debian package that contains it (the same name on Ubuntu).
    pub package: &'static str,
}

/// Everything that the lab and the daemon in it call.
pub const TOOLS: [Tool; 7] = [
    Tool { program: "nft", package: "nftables" },
    Tool { program: "ip", package: "iproute2" },
    Tool { program: "iptables", package: "iptables" },
    Tool { program: "ip6tables", package: "iptables" },
    Tool { program: "unshare", package: "util-linux" },
    Tool { program: "nsenter", package: "util-linux" },
    Tool { program: "setpriv", package: "util-linux" },
];

/// Programs that were not found, all of them at once.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ToolsMissing {
    missing: Vec<Tool>,
    root: bool,
}

/// This process's `PATH`, with the directories behind it where Debian keeps network tools and
/// which an ordinary user's `PATH` lacks.
pub fn search_path() -> OsString {
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    if !path.is_empty() {
        path.push(":");
    }
    path.push("/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin");
    path
}

/// Where `program` lies on `path`.
pub(super) fn find(program: &str, path: &OsStr) -> Option<PathBuf> {
    std::env::split_paths(path).map(|dir| dir.join(program)).find(|file| file.is_file())
}

/// Are all tools there? `root` only words the advice.
pub(super) fn check(path: &OsStr, root: bool) -> Result<(), ToolsMissing> {
    let missing: Vec<Tool> =
        TOOLS.into_iter().filter(|tool| find(tool.program, path).is_none()).collect();
    if missing.is_empty() { Ok(()) } else { Err(ToolsMissing { missing, root }) }
}

impl fmt::Display for ToolsMissing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut packages: Vec<&str> = self.missing.iter().map(|tool| tool.package).collect();
        packages.dedup();
        let programs = if self.missing.len() == 1 { "a program is" } else { "some programs are" };
        writeln!(f, "{programs} missing on this machine:")?;
        for tool in &self.missing {
            writeln!(f, "  {:<10} (package {})", tool.program, tool.package)?;
        }
        let sudo = if self.root { "" } else { "sudo " };
        write!(
            f,
            "On Debian and Ubuntu this installs what is missing:\n    {sudo}apt-get install -y {}",
            packages.join(" ")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_tools_are_named_at_once_with_one_command() {
        let dir = tempfile::tempdir().unwrap();
        for program in ["ip", "unshare", "nsenter", "setpriv"] {
            std::fs::write(dir.path().join(program), "").unwrap();
        }
        let message = check(dir.path().as_os_str(), false).unwrap_err().to_string();
        for expected in ["nft ", "iptables ", "ip6tables ", "package nftables"] {
            assert!(message.contains(expected), "{expected} in {message}");
        }
        assert!(!message.contains("unshare"), "{message}");
        assert!(message.ends_with("    sudo apt-get install -y nftables iptables"), "{message}");
    }

    #[test]
    fn nothing_missing() {
        let dir = tempfile::tempdir().unwrap();
        for tool in TOOLS {
            std::fs::write(dir.path().join(tool.program), "").unwrap();
        }
        assert_eq!(check(dir.path().as_os_str(), true), Ok(()));
    }
}
