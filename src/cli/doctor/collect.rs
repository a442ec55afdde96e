//! Looks at this machine. What cannot be seen becomes a reason, never a failure.

use std::fs;
use std::path::Path;
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, SystemTime};

use super::records;
use crate::cli::given::{self, Given};
use crate::control::{AskError, Request, Response, ask_within};
use crate::doctor::{Clock, Daemon, Facts, Tools, moment};
use crate::firewall::{
    ToolError, aside_since, kernel_takes_queue, list_ruleset, live_sets, save_iptables,
    tool_version,
};
use crate::host;

/// How long the daemon may take: an answer that comes later is a finding.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// The kernel's sets are listed only if there are no more standings: it needs time with the square
/// of their number, about half a second for so many.
const LISTED: u64 = 50_000;

/// Everything that there is to see, and the policy it is to be held against.
pub(super) fn collect(config: Option<&Path>, socket: Option<&Path>) -> Result<(Facts, Given), u8> {
    let mut given = given::policy(config)?;
    let socket = socket.unwrap_or(&given.config.control.socket).to_owned();
    let daemon = daemon(&socket);
    if config.is_none()
        && let Some(status) = daemon.status()
        && let path = Path::new(&status.config)
        && fs::File::open(path).is_ok()
    {
        // The running gate knows best by which policy it runs.
        given = given::policy(Some(path))?;
    }
    given.config.control.socket.clone_from(&socket);
    let config = &given.config;

    let root = rustix::process::geteuid().is_root();
    let saved = |v6| match save_iptables(v6) {
        // Whoever has no iptables has no rules of it.
        Err(ToolError::Missing { .. }) => Ok(String::new()),
        saved => saved.map_err(|error| reason(&error, root)),
    };
    // Each is a program that runs for a while, and none waits for another.
    let (listing, saved, versions) = thread::scope(|scope| {
        let saved = [false, true].map(|v6| scope.spawn(move || saved(v6)));
        let versions = ["nft", "iptables", "ip6tables"];
        let versions = versions.map(|tool| scope.spawn(move || version(tool)));
        let listing = list_ruleset().map_err(|error| reason(&error, root));
        (listing, saved.map(joined), versions.map(joined))
    });
    let [nft, iptables, ip6tables] = versions;
    // A kernel that shows nothing refuses everything: that would not be its word.
    let queue_statement = listing
        .as_ref()
        .map_err(Clone::clone)
        .and_then(|_| kernel_takes_queue(config).map_err(|error| reason(&error, root)));
    let standings = daemon.status().map_or(0, |status| {
        let counts = &status.standings;
        counts.banned + counts.suspect
    });
    let sets = match &listing {
        Err(why) => Err(why.clone()),
        Ok(_) if standings > LISTED => Err(format!(
            "the kernel takes minutes to list {} elements",
            crate::events::Grouped(standings)
        )),
        Ok(listing) => {
            live_sets(listing).map_err(|error| format!("the kernel does not list them: {error}"))
        }
    };
    let changed = |path: &std::path::PathBuf| fs::metadata(path).ok()?.modified().ok();
    let modern = iptables.as_ref().is_ok_and(|version| version.contains("nf_tables"));
    let legacy = ["ip_tables_names", "ip6_tables_names"];
    let legacy = legacy.iter().any(|name| !read(&format!("/proc/self/net/{name}")).is_empty());
    let told = daemon.status().and_then(|status| status.firewall.aside);
    let aside = aside_since(&config.bans.state_dir).or(told.map(moment));
    let facts = Facts {
        kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        tools: Tools { nft, iptables, ip6tables },
        ipv6: Path::new("/proc/self/net/if_inet6").exists(),
        forwards: ["net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"]
            .iter()
            .any(|name| read(&format!("/proc/sys/{name}")).trim() == "1"),
        behind: host::inner_networks(),
        queues: host::has_queues(),
        queue_module: host::loadable("nfnetlink_queue"),
        queue_statement,
        holders: host::queue_holders()
            .map_err(|_| "the kernel shows its queues to root only".to_owned()),
        listing,
        saved,
        legacy_rules: modern && legacy,
        sets,
        aside,
        // After the sets: what was made meanwhile is too young to be missed.
        ledger: records::ledger(&daemon, &socket, &config.bans.state_dir),
        policy_changed: given.files.iter().filter_map(changed).max(),
        log: records::log(config),
        clock: Clock { now: SystemTime::now(), synchronised: records::synchronised() },
        daemon,
        proof: None,
    };
    Ok((facts, given))
}

pub(super) fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// What a tool says of itself. What to install is told with the finding.
fn version(tool: &'static str) -> Result<String, String> {
    tool_version(tool).map_err(|error| match error {
        ToolError::Missing { .. } => "it is not installed".to_owned(),
        error => error.to_string(),
    })
}

fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Why a tool did not answer, short.
fn reason(error: &ToolError, root: bool) -> String {
    match error {
        ToolError::Missing { tool, .. } => format!("{tool} is not installed"),
        ToolError::Refused { .. } if !root => "nft and iptables answer root only".to_owned(),
        error => error.to_string(),
    }
}

fn daemon(socket: &Path) -> Daemon {
    match ask_within(socket, &Request::Status, PATIENCE) {
        Ok(Response::Status(status)) => Daemon::Runs(status),
        Ok(Response::Error(refusal)) => Daemon::Silent(refusal.lines.join(" ")),
        Ok(_) => Daemon::Silent("it answered another question".to_owned()),
        Err(AskError::NotRunning(_)) => Daemon::Absent,
        Err(AskError::NotAllowed(_)) => {
            Daemon::Closed("the gate answers root and the members of [control] group only".into())
        }
        Err(error) => Daemon::Silent(error.to_string().lines().next().unwrap_or("").to_owned()),
    }
}
