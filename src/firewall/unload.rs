//! Removes everything that Portcullis put into the kernel.

use crate::config::Config;

use super::child::{OwnTools, ToolError};
use super::names::TABLE;
use super::nft::Nft;
use super::redirect::Iptables;
use super::transaction;

/// Removes our table and our iptables rules, whether or not a daemon runs, and says what there
/// was to remove: nothing, at the second call. A missing iptables has no rules of ours.
pub fn unload(config: &Config) -> Result<Vec<String>, ToolError> {
    let own = OwnTools::default();
    let mut removed = Vec::new();
    // The redirect first, so that nothing waits for a verdict that does not come.
    match Iptables::find(&own, &config.bans.state_dir).and_then(|tools| tools.remove()) {
        Ok(0) | Err(ToolError::Missing { .. }) => {}
        Ok(count) => removed.push(format!("{count} iptables rules (mangle PREROUTING)")),
        Err(error) => return Err(error),
    }
    let nft = Nft::find(own)?;
    if nft.has_table()? {
        nft.apply(&transaction::remove())?;
        removed.push(format!("the nftables table inet {TABLE}"));
    }
    Ok(removed)
}
