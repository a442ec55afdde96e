//! What would have to happen for a connection to be let in, in sentences. Pure.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::firewall::{By, Entry, Whom};
use crate::memory::SourceKey;
use crate::policy::{Finding, Row};

/// What is known of the connection.
pub(super) struct Case<'a> {
    /// The source's standing.
    pub(super) entry: Option<&'a Entry>,
    /// That is a ban, and the gate acts on it.
    pub(super) banned: bool,
    /// The check that refuses it.
    pub(super) denied: Option<&'a Row>,
    /// The gate acts on what it finds.
    pub(super) enforced: bool,
}

/// Why a source has its standing: `rate (login: 6, limit 5)`, `by admin: abuse report`.
pub(super) fn why(entry: &Entry) -> String {
    let Entry { reason, evidence, by, .. } = entry;
    match by {
        By::Admin => format!("by admin: {reason}").trim_end_matches([':', ' ']).to_owned(),
        By::Gate if evidence.is_empty() => reason.to_string(),
        By::Gate => format!("{reason} ({evidence})"),
    }
}

/// Is it more than one source?
pub(super) fn is_wide(net: IpNet) -> bool {
    net.prefix_len() < SourceKey::of(net.addr()).prefix().prefix_len()
}

/// What an admin, or time, could change. Where nothing speaks against the connection, where else to
/// look.
pub(super) fn advice(address: IpAddr, case: &Case<'_>) -> Vec<String> {
    let Case { entry, banned, denied, enforced } = *case;
    let trust = format!(
        "To trust it whatever it does: [allowlist] from = [\"{address}\"], then: portcullis reload"
    );
    let pardon = format!("To lift it now: portcullis bans remove {}", whom(address, entry));
    if let Some(entry) = entry.filter(|_| banned) {
        let mut advice = vec!["It is let in when the ban ends.".to_owned(), pardon];
        advice.extend(shared(entry));
        advice.push(trust);
        return advice;
    }
    let refused = denied.and_then(|row| match row.finding {
        Some(Finding::Deny { evidence, .. } | Finding::Condemn { evidence, .. }) => {
            Some((row.check.name(), evidence.what))
        }
        _ => None,
    });
    let Some((check, what)) = refused else {
        let elsewhere = "If it gets no answer all the same, something else stops it: another \
                         firewall's rules (sudo portcullis doctor lists them in order), or the \
                         service itself (portcullis audit).";
        return if enforced { vec![elsewhere.to_owned()] } else { Vec::new() };
    };
    let first = first(check, what);
    match check {
        "standing" if entry.is_some() => vec![first, pardon, trust],
        "rate" if !what.ends_with("network") => vec![first, many(what), trust],
        _ => vec![first, trust],
    }
}

/// Whom `bans remove` has to name. The ban may be of a wider prefix, or at one port.
fn whom(address: IpAddr, entry: Option<&Entry>) -> String {
    match entry.map(Entry::whom) {
        Some(Whom { port: Some(port), .. }) => format!("{address} --port {port}"),
        Some(Whom { net, .. }) if net.prefix_len() < net.max_prefix_len() => net.to_string(),
        _ => address.to_string(),
    }
}

/// What has to happen first, by the check that refuses.
fn first(check: &str, what: &str) -> String {
    match check {
        "denylist" if what == "policy" => "It is on the deny list of the policy: take it, or the \
                                           prefix around it, out of [denylist] from, then: \
                                           portcullis reload"
            .to_owned(),
        "denylist" => format!(
            "It is on the deny list {what}, a file of [denylist] files: take it, or the prefix \
             around it, out of there, then: portcullis reload"
        ),
        "ports" if what == "not for this source" => {
            "Name its prefix under [ports.only_from] for this port, then: portcullis reload"
                .to_owned()
        }
        "ports" | "scan" => "The port is not served: start the service, or name the port in \
                             [ports] open."
            .to_owned(),
        "rate" if what.ends_with("network") => format!(
            "Its whole network tries too often (limit: {what}). A connection that is tried again \
             after a second has a quarter of that limit to itself."
        ),
        "rate" => format!(
            "It is let in again when it tries less often: {} says how often it may.",
            limit(what)
        ),
        "anomaly" => "It is let in when it retransmits its SYN, unless it is proven; and when it \
                      behaves otherwise in an hour."
            .to_owned(),
        "standing" => "It is let in when it retransmits its SYN, about a second later, as every \
                       honest system does."
            .to_owned(),
        _ => "Such a packet is never let in.".to_owned(),
    }
}

/// Where a rate of that name stands in the policy.
fn limit(name: &str) -> String {
    match name {
        "source" => "[rate] source".to_owned(),
        "total" => "[rate] total".to_owned(),
        class => format!("[rate.class.{class}] rate"),
    }
}

/// For many who share one address, and came too often together.
fn many(name: &str) -> String {
    let burst = match name {
        "source" => "source_burst",
        "total" => "total_burst",
        _ => "burst",
    };
    format!(
        "If many people share this address (an office, a school, a mobile network): raise {} and \
         {burst}, then: portcullis reload",
        limit(name)
    )
}

/// A ban for a rate may hit many who share the address with the one who offended.
fn shared(entry: &Entry) -> Option<String> {
    let (class, _) = entry.evidence.split_once(':')?;
    if entry.by != By::Gate || &*entry.reason != "rate" || entry.port.is_some() || class == "source"
    {
        return None;
    }
    Some(format!(
        "If many people share this address (an office, a school, a mobile network), one of them \
         may have done it: [rate.class.{class}] ban = \"port\" closes only the port that was tried \
         too often. Then: portcullis reload, and lift this ban; the next one will be narrow."
    ))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::policy::{CHECKS, CheckId, Evidence, Standing};

    fn entry(net: &str, port: Option<u16>, reason: &str, evidence: &str) -> Entry {
        let at = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        Entry {
            net: net.parse().unwrap(),
            port,
            standing: Standing::Banned,
            since: at,
            until: at + Duration::from_secs(600),
            offences: 1,
            last_offence: at,
            reason: reason.into(),
            by: By::Gate,
            evidence: evidence.into(),
        }
    }

    fn said(entry: Option<&Entry>, denied: Option<(&str, &'static str)>) -> String {
        let row = denied.map(|(name, what)| Row {
            check: CheckId(CHECKS.iter().position(|check| check.name == name).unwrap() as u8),
            finding: Some(Finding::Deny {
                evidence: Evidence { what, ..Evidence::default() },
                weight: 1,
            }),
        });
        let case = Case { entry, banned: entry.is_some(), denied: row.as_ref(), enforced: true };
        advice("203.0.113.10".parse().unwrap(), &case).join("\n")
    }

    #[test]
    fn a_ban_can_be_lifted_by_the_name_it_has() {
        for (net, port, command) in [
            ("203.0.113.10/32", None, "portcullis bans remove 203.0.113.10\n"),
            ("203.0.113.10/32", Some(22), "portcullis bans remove 203.0.113.10 --port 22\n"),
            ("203.0.113.0/24", None, "portcullis bans remove 203.0.113.0/24\n"),
        ] {
            let text = said(Some(&entry(net, port, "scan", "")), None);
            assert!(text.contains(command), "{text}");
            assert!(
                text.contains("[allowlist] from = [\"203.0.113.10\"], then: portcullis reload")
            );
        }
    }

    #[test]
    fn who_shares_an_address_is_told_of_narrow_bans() {
        let text = said(Some(&entry("203.0.113.10/32", None, "rate", "login: 6, limit 5")), None);
        assert!(text.contains("[rate.class.login] ban = \"port\""), "{text}");
        for (port, reason, evidence) in [
            (Some(22), "rate", "login: 6, limit 5"),
            (None, "scan", "different closed targets: 5, limit 4"),
            (None, "rate", "source: 9, limit 5"),
            (None, "rate", ""),
        ] {
            let text = said(Some(&entry("203.0.113.10/32", port, reason, evidence)), None);
            assert!(!text.contains("share"), "{text}");
        }
        let mut by_hand = entry("203.0.113.10/32", None, "rate", "login: 6, limit 5");
        by_hand.by = By::Admin;
        assert!(!said(Some(&by_hand), None).contains("share"));
    }

    #[test]
    fn each_refusal_has_its_remedy() {
        for (check, what, words) in [
            ("denylist", "policy", "out of [denylist] from, then: portcullis reload"),
            ("denylist", "drop.txt", "the deny list drop.txt"),
            ("ports", "not for this source", "[ports.only_from]"),
            ("ports", "unserved port", "[ports] open"),
            ("rate", "login", "raise [rate.class.login] rate and burst, then: portcullis reload"),
            ("rate", "source", "raise [rate] source and source_burst"),
            ("rate", "login network", "whole network"),
            ("quirks", "illegal flags", "never let in"),
        ] {
            let text = said(None, Some((check, what)));
            assert!(text.contains(words), "{check}: {text}");
        }
        assert!(said(None, None).contains("portcullis doctor"), "nothing speaks against it");
    }

    #[test]
    fn reasons_in_words() {
        let mut entry = entry("192.0.2.1/32", None, "rate", "login: 6, limit 5");
        assert_eq!(why(&entry), "rate (login: 6, limit 5)");
        entry.evidence = "".into();
        assert_eq!(why(&entry), "rate");
        entry.by = By::Admin;
        entry.reason = "abuse".into();
        assert_eq!(why(&entry), "by admin: abuse");
        entry.reason = "".into();
        assert_eq!(why(&entry), "by admin");
        assert!(is_wide("192.0.2.0/24".parse().unwrap()) && !is_wide(entry.net));
        assert!(!is_wide("2001:db8::/64".parse().unwrap()));
    }
}
