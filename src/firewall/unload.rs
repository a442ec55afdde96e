//! Removes everything that Portcullis put into the kernel.

use std::path::Path;

use super::child::{OwnTools, ToolError};
use super::names::TABLE;
use super::nft::Nft;
use super::redirect::Iptables;
use super::transaction;
use crate::config::Config;

/// What was removed from the kernel, and what could not be.
#[derive(Debug, Default)]
pub struct Removal {
    /// In words; nothing if nothing of ours was there.
    pub removed: Vec<String>,
    /// What may be there still, and why.
    pub left: Vec<(String, ToolError)>,
}

/// Removes our table and our iptables rules, whether or not a daemon runs, and says what there
/// was to remove: nothing, at the second call. A missing iptables has no rules of ours.
///
/// # Errors
/// The first thing that could not be removed; the rest is removed all the same.
pub fn unload(config: &Config) -> Result<Vec<String>, ToolError> {
    let Removal { removed, left } = remove_all(&config.bans.state_dir);
    match left.into_iter().next() {
        Some((_, error)) => Err(error),
        None => Ok(removed),
    }
}

/// The same, as far as it goes: what cannot be removed does not keep the rest. `folder` is the
/// state folder, for a lock of iptables.
///
/// The table goes first, in one transaction. With it go all bans, and either redirect: nft's
/// statement stands in it, and the rules of iptables match only packets that it has marked. No rule
/// is left then that waits for a verdict, whatever takes longer.
pub fn remove_all(folder: &Path) -> Removal {
    let own = OwnTools::default();
    let mut removal = Removal::default();
    let table = format!("the nftables table inet {TABLE}");
    match remove_table(&own) {
        Ok(true) => removal.removed.push(table),
        Ok(false) => {}
        Err(error) => removal.left.push((table, error)),
    }
    for tools in Iptables::variants(&own, folder) {
        let rules = format!("of {} (mangle PREROUTING)", tools.name());
        match tools.remove() {
            Ok(0) => {}
            Ok(1) => removal.removed.push(format!("1 rule {rules}")),
            Ok(count) => removal.removed.push(format!("{count} rules {rules}")),
            Err(error) => removal.left.push((format!("rules {rules}"), error)),
        }
    }
    removal
}

/// Was it there? It is not asked for first: to list anything, nft reads every element of every set.
fn remove_table(own: &OwnTools) -> Result<bool, ToolError> {
    match Nft::find(own.clone())?.apply(&transaction::delete()) {
        Ok(()) => Ok(true),
        // ENOENT, in the words of nft.
        Err(ToolError::Refused { complaint, .. }) if complaint.contains("No such file") => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}
