//! Looks at the kernel without changing it (I/O), for `doctor`: works whether or not a daemon runs.

use std::io;

use ipnet::IpNet;
use serde_json::Value;

use super::child::{OwnTools, Tool, ToolError};
use super::dump;
use super::entry::Whom;
use super::names::TABLE;
use super::nft::Nft;
use super::redirect;
use crate::config::{Config, Redirect};

/// Every table with its chains and rules, without the elements of sets. Takes at most 10 s; only
/// root is answered.
///
/// # Errors
/// nft is missing, or says no.
pub fn list_ruleset() -> Result<Vec<Value>, ToolError> {
    let tool = Tool::find("nft", "nftables", OwnTools::default())?;
    let answer = tool.run(&["-j", "-t", "list", "ruleset"], b"")?;
    let mut answer: Value = serde_json::from_slice(&answer)
        .map_err(|e| ToolError::Run { tool: "nft", source: std::io::Error::other(e) })?;
    match answer["nftables"].take() {
        Value::Array(objects) => Ok(objects),
        _ => Ok(Vec::new()),
    }
}

/// What `iptables-save` (or `ip6tables-save`) prints: every table that is there. Only root is
/// answered.
///
/// # Errors
/// The tool is missing, or says no.
pub fn save_iptables(v6: bool) -> Result<String, ToolError> {
    let name = if v6 { "ip6tables-save" } else { "iptables-save" };
    // Asked for one table by name, it might create it.
    let saved = Tool::find(name, "iptables", OwnTools::default())?.run(&[], b"")?;
    Ok(String::from_utf8_lossy(&saved).into_owned())
}

/// The version of `nft`, `iptables` or `ip6tables`, as it says it itself.
///
/// # Errors
/// The tool is missing or broken.
pub fn tool_version(name: &'static str) -> Result<String, ToolError> {
    let package = if name == "nft" { "nftables" } else { "iptables" };
    let said = Tool::find(name, package, OwnTools::default())?.run(&["--version"], b"")?;
    let said = String::from_utf8_lossy(&said);
    let version = said.trim().strip_prefix("nftables ").or(said.trim().strip_prefix(name));
    Ok(version.unwrap_or(&said).trim().to_owned())
}

/// Does the kernel take nft's `queue` statement? Only asks; nothing is left behind.
///
/// # Errors
/// nft is missing. A refusal is an answer: only ask if [`list_ruleset`] was answered.
pub fn kernel_takes_queue(config: &Config) -> Result<bool, ToolError> {
    let nft = Nft::find(OwnTools::default())?;
    let mut config = config.clone();
    config.guard.redirect = Redirect::Nft;
    Ok(redirect::choose(&config, &nft).is_ok())
}

/// One of our sets that is bounded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LiveSet {
    /// Its name: `banned4`.
    pub name: String,
    /// How many elements it can hold.
    pub size: u64,
    /// How many it holds.
    pub holds: u64,
    /// Those that could be read, with the seconds that each has left.
    pub elements: Vec<(Whom, u64)>,
}

/// Our bounded sets with their elements. Large sets take a second or two.
///
/// # Errors
/// A set of the listing is not there any more, or the kernel does not tell.
pub fn live_sets(listing: &[Value]) -> io::Result<Vec<LiveSet>> {
    let ours = listing.iter().filter_map(|object| object.get("set"));
    let ours = ours.filter(|set| set["family"] == "inet" && set["table"] == TABLE);
    let bounded = ours.filter_map(|set| Some((set["name"].as_str()?, set["size"].as_u64()?)));
    let read = |(name, size): (&str, u64)| {
        let listed = dump::all_elements(name)?;
        let holds = listed.len() as u64;
        let elements = listed.into_iter().map(|listed| (listed.whom, listed.left)).collect();
        Ok(LiveSet { name: name.to_owned(), size, holds, elements })
    };
    bounded.map(read).collect()
}

/// The kernel set in which a standing about `net` (at `port`) has its element; `None` for clean ones.
pub fn set_of(net: IpNet, port: Option<u16>, standing: crate::policy::Standing) -> Option<String> {
    let stem = super::names::stem_of(Whom { net, port }, standing)?;
    Some(super::names::Family::of(net.addr()).set(stem))
}
