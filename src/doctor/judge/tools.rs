//! The kernel's features, and the programs that change its rules.

use crate::config::{Config, Redirect};
use crate::doctor::facts::{Facts, Seen, Tools};
use crate::doctor::finding::{Finding, FindingKind};
use crate::host::Loadable;

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
        note(no_queues(facts));
    }
    if config.guard.redirect == Redirect::Nft && facts.queue_statement == Ok(false) {
        note(Finding::off(
            FindingKind::QueueStatement,
            "the policy says redirect = \"nft\", but this kernel does not take nft's queue statement",
            "sudo modprobe nft_queue; if the kernel has no such module: [guard] redirect = \"auto\"",
        ));
    }
}

/// The module that makes packet queues is not loaded, and what to do depends on where it is.
fn no_queues(facts: &Facts) -> Finding {
    let (state, remedy) = match facts.queue_module {
        Loadable::Perhaps => (
            "is not loaded".to_owned(),
            "sudo modprobe nfnetlink_queue; to have it at every boot: echo nfnetlink_queue | \
             sudo tee /etc/modules-load.d/portcullis.conf",
        ),
        Loadable::Replaced => (
            format!(
                "is not loaded, and the modules of the running kernel, {}, are gone from \
                 /lib/modules, as after an update",
                facts.kernel
            ),
            "sudo reboot",
        ),
        Loadable::No => (
            "is not loaded, and the kernel came without it".to_owned(),
            "install a kernel that has it (some distributions keep a part of the modules in another \
             package), or build yours with CONFIG_NETFILTER_NETLINK_QUEUE=m and CONFIG_NFT_QUEUE=m",
        ),
    };
    Finding::off(
        FindingKind::QueueModule,
        format!("the kernel has no packet queues (the module nfnetlink_queue {state})"),
        remedy,
    )
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
