//! The kernel's features, and the programs that change its rules.

use crate::config::{Config, Redirect};
use crate::doctor::facts::{Facts, Seen, Tools};
use crate::doctor::finding::{Finding, FindingKind};

pub(super) fn look(facts: &Facts, config: &Config, note: &mut impl FnMut(Finding)) {
    let mut missing = |tool: &str, seen: &Seen<String>, package: &str| {
        if let Err(why) = seen {
            note(Finding::off(
                FindingKind::ToolMissing,
                format!("{tool} cannot be used: {why}"),
                format!("sudo apt-get install {package}, then: sudo systemctl restart portcullis"),
            ));
        }
    };
    missing("nft", &facts.tools.nft, "nftables");
    if needs_iptables(facts, config) {
        let Tools { iptables, ip6tables, .. } = &facts.tools;
        match (iptables, ip6tables) {
            (Err(one), Err(other)) if one == other && facts.ipv6 => {
                missing("iptables (and ip6tables)", iptables, "iptables");
            }
            _ => {
                missing("iptables", iptables, "iptables");
                if facts.ipv6 {
                    missing("ip6tables", ip6tables, "iptables");
                }
            }
        }
    }
    if !facts.queues {
        note(Finding::off(
            FindingKind::QueueModule,
            "the kernel has no packet queues (the module nfnetlink_queue is not loaded)",
            "sudo modprobe nfnetlink_queue; to have it at every boot: echo nfnetlink_queue | \
             sudo tee /etc/modules-load.d/portcullis.conf",
        ));
    }
    if config.guard.redirect == Redirect::Nft && facts.queue_statement == Ok(false) {
        note(Finding::off(
            FindingKind::QueueStatement,
            "the policy says redirect = \"nft\", but this kernel does not take nft's queue statement",
            "sudo modprobe nft_queue; if the kernel has no such module: [guard] redirect = \"auto\"",
        ));
    }
}

/// Does, or will, iptables hand packets over?
fn needs_iptables(facts: &Facts, config: &Config) -> bool {
    match (config.guard.redirect, &facts.queue_statement) {
        (Redirect::Iptables, _) => true,
        (Redirect::Auto, Ok(taken)) => !taken,
        (Redirect::Auto, Err(_)) => {
            facts.daemon.status().is_some_and(|status| status.redirect.contains("iptables"))
        }
        (Redirect::Nft | Redirect::Manual, _) => false,
    }
}
