//! The blast radius: how many bans there may be in a minute. Pure.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, SystemTime};

use crate::memory::NetworkKey;

const MINUTE: Duration = Duration::from_secs(60);

/// Counts bans in any minute, all together and per network. Exact: it keeps each ban's time, of
/// which there are never more than the budget allows.
#[derive(Clone, Debug, Default)]
pub(super) struct Budget {
    recent: VecDeque<(SystemTime, NetworkKey)>,
    networks: HashMap<NetworkKey, u32>,
}

impl Budget {
    /// Takes one ban out of the budget, unless it is used up.
    pub(super) fn take(
        &mut self,
        network: NetworkKey,
        total: u32,
        per_network: u32,
        now: SystemTime,
    ) -> bool {
        self.forget(now);
        let here = self.networks.get(&network).copied().unwrap_or(0);
        if self.recent.len() >= total as usize || here >= per_network {
            return false;
        }
        self.recent.push_back((now, network));
        self.networks.insert(network, here + 1);
        true
    }

    fn forget(&mut self, now: SystemTime) {
        // A time that lies ahead was written before the clock was set back: forgotten too.
        let over = |at: SystemTime| now.duration_since(at).map_or(true, |age| age >= MINUTE);
        while let Some((at, network)) = self.recent.front().copied() {
            if !over(at) {
                break;
            }
            self.recent.pop_front();
            if let Some(count) = self.networks.get_mut(&network) {
                *count -= 1;
                if *count == 0 {
                    self.networks.remove(&network);
                }
            }
        }
    }
}
