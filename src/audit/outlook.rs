//! Which open sessions would a policy cut off? Their own packets pass, as those of every
//! connection that is open; but the next connection of the same peer to the same port would not.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use serde::Serialize;

use crate::config::{Config, Mode};
use crate::memory::{Bounds, Memory, Moment};
use crate::packet::Syn;
use crate::policy::{Evidence, Finding, Policy, PortSet, explain};

/// A session that is open, and whose peer would be refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cut {
    /// Who.
    pub peer: IpAddr,
    /// The port of this host.
    pub port: u16,
    /// It is SSH's.
    pub ssh: bool,
    /// The check that would refuse it, or `standing`.
    pub check: String,
    /// Why, in a sentence without an end.
    pub why: String,
    /// What to write or type to mend it.
    #[serde(rename = "do")]
    pub todo: String,
    /// It would be let in all the same while its session lasts, and for a while longer.
    pub spared: bool,
}

impl Cut {
    /// What would happen, in a sentence without an end.
    pub fn words(&self) -> String {
        let what = if self.ssh { "an SSH session" } else { "a connection" };
        let refused = if self.spared {
            "new ones are let in while it lasts, and refused after that"
        } else {
            "a new one would be refused"
        };
        format!("{} has {what} open at port {}; {refused}", self.peer, self.port)
    }
}

/// Looks at each session (this host's end, and the peer's) to a port of `ssh` or `listening`. What
/// is open besides was opened from here. `banned` tells why somebody is banned, if he is. SSH
/// comes first.
pub fn cut_off(
    config: &Config,
    sessions: impl IntoIterator<Item = (SocketAddr, SocketAddr)>,
    ssh: &BTreeSet<u16>,
    listening: &PortSet,
    banned: impl Fn(IpAddr) -> Option<String>,
) -> Vec<Cut> {
    let mut seen = BTreeSet::new();
    let sessions = sessions.into_iter().filter_map(|(own, peer)| {
        let (own, from) = (own.ip().to_canonical(), (peer.ip().to_canonical(), own.port()));
        let (address, port) = from;
        let served = ssh.contains(&port) || listening.contains(port);
        (served && !address.is_loopback() && seen.insert(from)).then_some((own, address, port))
    });
    let sessions: Vec<(IpAddr, IpAddr, u16)> = sessions.collect();
    // Whoever only observes cuts off nobody. And what a judge needs is made only for a case.
    if config.mode == Mode::Observe || sessions.is_empty() {
        return Vec::new();
    }
    let policy = Policy { lifelines: Default::default(), ..config.policy.clone() };
    // Nothing is remembered of anybody: what counts is what the policy says, not who came how often.
    let memory = Memory::new(Bounds { sources: 64, networks: 64 });
    let mut cuts = Vec::new();
    for (own, address, port) in sessions {
        let syn = Syn {
            proven: true,
            ..Syn::linux(SocketAddr::new(address, 0), SocketAddr::new(own, port))
        };
        let (_, rows, _) = explain(&policy, &memory, &syn, Moment(1));
        let refused = rows.iter().find_map(|row| match row.finding {
            Some(Finding::Deny { evidence, .. } | Finding::Condemn { evidence, .. }) => {
                Some((row.check.name(), evidence))
            }
            _ => None,
        });
        let (check, why, todo) = match (refused, banned(address)) {
            (_, Some(reason)) => (
                "standing",
                format!("it is banned ({reason})"),
                format!("To lift that: portcullis bans remove {address}"),
            ),
            (Some((check, evidence)), None) => {
                let (why, todo) = by_policy(check, evidence, address, port);
                (check, why, todo)
            }
            (None, None) => continue,
        };
        cuts.push(Cut {
            peer: address,
            port,
            ssh: ssh.contains(&port),
            check: check.to_owned(),
            why,
            todo,
            spared: check != "standing" && config.policy.lifelines.hold(address, port),
        });
    }
    cuts.sort_by_key(|cut| (!cut.ssh, cut.spared, cut.port, cut.peer));
    cuts
}

/// Why the policy refuses it, and what to write.
fn by_policy(check: &str, evidence: Evidence, peer: IpAddr, port: u16) -> (String, String) {
    let trust = format!("add to [allowlist]: from = [\"{peer}\"]");
    match (check, evidence.what) {
        ("denylist", list) => (
            format!("it is on the deny list ({list})"),
            format!("Take it out of there, or {trust}"),
        ),
        ("ports", "not for this source") => (
            format!("port {port} is only for others ([ports.only_from])"),
            format!("Name \"{peer}\" for {port} in [ports.only_from], or {trust}"),
        ),
        ("ports", _) => (
            format!("port {port} is not served"),
            format!("Add {port} to [ports] open, or {trust}"),
        ),
        (check, what) => (format!("{check} refuses it ({what})"), format!("Or {trust}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Lifelines;

    /// A policy, the sessions that would be cut off, and a word of what is said of each.
    #[test]
    fn which_sessions_a_policy_cuts_off() {
        let sessions = [
            ("198.51.100.2:22", "203.0.113.7:50000"),
            ("198.51.100.2:22", "203.0.113.7:50001"),
            ("[::ffff:198.51.100.2]:22", "[::ffff:203.0.113.8]:5"),
            ("[2001:db8::2]:443", "[2001:db8:7::7]:9"),
            ("198.51.100.2:2222", "192.0.2.9:9"),
            // Opened from here, and from here to here.
            ("198.51.100.2:41000", "203.0.113.7:443"),
            ("127.0.0.1:22", "127.0.0.1:40000"),
        ];
        let ends = sessions.map(|(own, peer)| (own.parse().unwrap(), peer.parse().unwrap()));
        let listening: PortSet = [22, 443].into_iter().collect();
        let ssh = BTreeSet::from([22, 2222]);
        for (text, wanted) in [
            ("", "192.0.2.9 2222 ports [ports] open;"),
            ("[ports]\nopen = \"listening, 2222\"", ""),
            ("mode = \"observe\"\n[ports]\nopen = \"\"", ""),
            (
                "[denylist]\nfrom = [\"203.0.113.0/24\"]\n[allowlist]\nfrom = [\"192.0.2.9\"]",
                "203.0.113.7 22 denylist Take it out;203.0.113.8 22 denylist Take it out;",
            ),
            (
                "[ports]\nopen = \"2222, 443\"\n[ports.only_from]\n443 = [\"private\"]",
                "203.0.113.7 22 ports [ports] open;203.0.113.8 22 ports [ports] open;\
                 2001:db8:7::7 443 ports for 443 in [ports.only_from];",
            ),
        ] {
            let mut config = crate::config::parse(text, "p.toml").unwrap().config;
            config.policy.ports.serve(&listening, &PortSet::default());
            let cuts = cut_off(&config, ends, &ssh, &listening, |_| None);
            let told = |cut: &Cut| {
                let part = wanted.split(';').find(|part| part.starts_with(&cut.peer.to_string()));
                let todo = part.and_then(|part| part.splitn(4, ' ').nth(3)).unwrap_or("?");
                assert!(cut.todo.contains(todo), "{todo}: {cut:?}");
                format!("{} {} {} {todo};", cut.peer, cut.port, cut.check)
            };
            let told: String = cuts.iter().map(told).collect();
            assert_eq!(told, wanted, "{text}");
        }
    }

    #[test]
    fn the_banned_and_the_spared() {
        let ends = [("198.51.100.2:22".parse().unwrap(), "203.0.113.7:5".parse().unwrap())];
        let mut config = Config::default();
        config.policy.lifelines = Lifelines::new(ends).into();
        config.policy.ports.served = [80].into_iter().collect();
        let ssh = BTreeSet::from([22]);
        let look = |reason: Option<&str>| {
            let cuts =
                cut_off(&config, ends, &ssh, &PortSet::default(), |_| reason.map(str::to_owned));
            (cuts[0].check.clone(), cuts[0].spared, cuts[0].words())
        };
        let (check, spared, words) = look(None);
        assert_eq!((check.as_str(), spared), ("ports", true));
        assert!(words.contains("let in while it lasts"), "{words}");
        let (check, spared, words) = look(Some("rate"));
        assert_eq!((check.as_str(), spared), ("standing", false));
        assert!(words.ends_with("a new one would be refused"), "{words}");
    }
}
