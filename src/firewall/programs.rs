//! The programs that change the kernel's rules, as they are found now.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::child::{OwnTools, Tool};
use super::redirect::{self, LOCK};

/// By which names they may be called. Older rules may be of a variant that is not in use any more.
const NAMES: [&str; 7] = [
    "nft",
    "iptables",
    "ip6tables",
    "iptables-nft",
    "ip6tables-nft",
    "iptables-legacy",
    "ip6tables-legacy",
];

/// How the variant of iptables that speaks nftables calls itself. Any other is the legacy one.
const MODERN: &str = "(nf_tables)";

/// What there is to run, and what it takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Programs {
    /// They, as they are called.
    pub paths: BTreeSet<PathBuf>,
    /// The lock file of iptables' legacy variant, if it can be written.
    pub lock: Option<PathBuf>,
    /// The legacy variant is in use: it needs raw sockets (CAP_NET_RAW).
    pub legacy: bool,
}

/// Looks for them. What they load by themselves, which takes more than the daemon keeps, is loaded.
pub fn programs() -> Programs {
    let find = |name: &'static str| Tool::find(name, "", OwnTools::default()).ok();
    let paths = NAMES.into_iter().filter_map(find).map(Tool::into_path).collect();
    let iptables = find("iptables");
    let legacy =
        iptables.as_ref().is_some_and(|tool| !is_modern(tool)) || redirect::has_legacy_rules();
    if legacy && let Some(tool) = &iptables {
        // It has the kernel's modules loaded by modprobe(8). If it cannot, that is told when rules
        // are to be made.
        let _ = tool.run(&["-w", "5", "-t", "mangle", "-S", "PREROUTING"], b"");
    }
    let lock = (iptables.is_some() && redirect::is_lockable(Path::new(LOCK))).then(|| LOCK.into());
    Programs { paths, lock, legacy }
}

fn is_modern(iptables: &Tool) -> bool {
    let said = iptables.run(&["--version"], b"").unwrap_or_default();
    String::from_utf8_lossy(&said).contains(MODERN)
}
