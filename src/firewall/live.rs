//! What the kernel really holds of our table, read from nft's listing. Pure.

use std::ops::RangeInclusive;

use serde_json::Value;

use super::names::TABLE;
use super::ruleset::{Path, Spread, Stage, ruleset};
use super::transaction::Present;
use crate::config::{Config, FailMode};

/// Our table as the kernel holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveTable {
    /// New connections are handed to the queue. If not, only bans act.
    pub open: bool,
    /// Every set, chain and rule is there to which the policy leads, and none besides. Rules are
    /// counted, not read.
    pub whole: bool,
    /// The queues of nft's own `queue` statement; `None` where iptables hands over.
    pub queues: Option<RangeInclusive<u16>>,
    /// What becomes of new connections while nobody listens; `None` where iptables decides.
    pub when_down: Option<FailMode>,
    /// What becomes of those beyond `max_rate`; `None` if there is no such limit.
    pub when_over: Option<FailMode>,
}

/// Finds our table in `nft -j -t list ruleset`, and holds it against the policy.
pub fn live_table(listing: &[Value], config: &Config) -> Option<LiveTable> {
    let ours: Vec<Value> = listing.iter().filter(|object| is_ours(object)).cloned().collect();
    ours.iter().find(|object| object.get("table").is_some())?;
    let present = Present::read(&ours);
    let rules = || ours.iter().filter_map(|object| object.get("rule"));
    let statements = |rule: &Value| rule["expr"].as_array().cloned().unwrap_or_default();
    let handing: Vec<Value> =
        rules().flat_map(statements).filter_map(|s| s.get("queue").cloned()).collect();
    let queues = handing.first().and_then(|queue| numbers(&queue["num"]));
    let open = present.has_gate();
    let stage = match (open, handing.len()) {
        (false, _) => Stage::Closed,
        (true, 0) => Stage::Open(Path::Iptables),
        (true, 1) => Stage::Open(Path::Nft(Spread::ByPair)),
        (true, _) => Stage::Open(Path::Nft(Spread::BySource)),
    };
    let bypass = |queue: &Value| queue["flags"].to_string().contains("bypass");
    let over = rules().filter(|rule| rule["chain"] == "hand_over").map(statements).find(|all| {
        all.iter().any(|s| s["counter"] == "over_rate") && all.iter().any(|s| !s["limit"].is_null())
    });
    Some(LiveTable {
        open,
        whole: present.covers(&ruleset(config, stage)),
        when_down: (!handing.is_empty()).then(|| acts(handing.iter().all(bypass))),
        when_over: over.map(|all| acts(all.iter().all(|s| s.get("drop").is_none()))),
        queues,
    })
}

fn acts(accept: bool) -> FailMode {
    if accept { FailMode::Accept } else { FailMode::Drop }
}

fn is_ours(object: &Value) -> bool {
    let ours = |body: &Value, name: &str| body["family"] == "inet" && body[name] == TABLE;
    object
        .as_object()
        .into_iter()
        .flatten()
        .any(|(kind, body)| if kind == "table" { ours(body, "name") } else { ours(body, "table") })
}

/// A queue number, a range of them, or a hash over some.
fn numbers(num: &Value) -> Option<RangeInclusive<u16>> {
    let number = |value: &Value| value.as_u64().and_then(|n| u16::try_from(n).ok());
    if let Some([first, last]) = num["range"].as_array().map(Vec::as_slice) {
        return Some(number(first)?..=number(last)?);
    }
    if let Some(hash) = num.get("jhash") {
        let (first, count) = (number(&hash["offset"]).unwrap_or(0), number(&hash["mod"])?);
        return Some(first..=first.saturating_add(count.saturating_sub(1)));
    }
    let number = number(num)?;
    Some(number..=number)
}

#[cfg(test)]
impl super::ruleset::Ruleset {
    /// As `nft -j -t list ruleset` would show it.
    pub(crate) fn listing(&self) -> Vec<Value> {
        use serde_json::json;
        let place = |name: &str| json!({"family": "inet", "table": TABLE, "name": name});
        let mut objects = vec![json!({"table": {"family": "inet", "name": TABLE}})];
        objects.extend(self.sets.iter().map(|set| json!({"set": place(&set.name)})));
        for chain in &self.chains {
            let mut declared = place(chain.name);
            if let Some((hook, priority, _)) = chain.hook {
                declared["hook"] = hook.into();
                declared["prio"] = priority.into();
            }
            objects.push(json!({"chain": declared}));
            objects.extend(chain.rules.iter().map(
                |rule| json!({"rule": {"family": "inet", "table": TABLE, "chain": chain.name, "expr": rule}}),
            ));
        }
        objects
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::Mode;

    /// The listing that this program would lead to, beside tables of others.
    fn listing(config: &Config, stage: Stage) -> Vec<Value> {
        let mut objects = vec![
            json!({"table": {"family": "ip", "name": TABLE}}),
            json!({"rule": {"family": "ip", "table": "mangle", "chain": "hand_over", "expr": []}}),
        ];
        objects.extend(ruleset(config, stage).listing());
        objects
    }

    #[test]
    fn a_table_is_read_as_it_was_written() {
        fn closed(config: &mut Config) {
            config.guard.when_down = FailMode::Drop;
            config.queue.when_over = FailMode::Drop;
        }
        let several = |config: &mut Config| config.queue.threads = 4;
        let observed = |config: &mut Config| {
            closed(config);
            config.mode = Mode::Observe;
        };
        let by_pair = Path::Nft(Spread::ByPair);
        /// What is declared, by which way, and what is read: queues, when down, when over.
        type Row = (fn(&mut Config), Path, Option<RangeInclusive<u16>>, Option<FailMode>, FailMode);
        let table: [Row; 6] = [
            (|_| {}, by_pair, Some(7..=7), Some(FailMode::Accept), FailMode::Accept),
            (closed, by_pair, Some(7..=7), Some(FailMode::Drop), FailMode::Drop),
            (several, by_pair, Some(7..=10), Some(FailMode::Accept), FailMode::Accept),
            (
                several,
                Path::Nft(Spread::BySource),
                Some(7..=10),
                Some(FailMode::Accept),
                FailMode::Accept,
            ),
            (closed, Path::Iptables, None, None, FailMode::Drop),
            (observed, by_pair, Some(7..=7), Some(FailMode::Accept), FailMode::Accept),
        ];
        for (change, path, queues, when_down, when_over) in table {
            let mut config = Config::default();
            change(&mut config);
            let live = live_table(&listing(&config, Stage::Open(path)), &config);
            let expected = LiveTable {
                open: true,
                whole: true,
                queues,
                when_down,
                when_over: Some(when_over),
            };
            assert_eq!(live, Some(expected), "{path:?}");
        }
    }

    #[test]
    fn a_table_that_somebody_changed() {
        let config = Config::default();
        let closed = listing(&config, Stage::Closed);
        let live = live_table(&closed, &config).unwrap();
        assert_eq!((live.open, live.whole, live.when_over), (false, true, None));
        let mut fewer = closed.clone();
        fewer.pop();
        assert!(!live_table(&fewer, &config).unwrap().whole);
        assert_eq!(live_table(&closed[..2], &config), None);
    }
}
