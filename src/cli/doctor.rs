//! `portcullis doctor`: is the gate well, and does it stand where it should?

mod collect;
mod overview;
mod proof;
mod records;
mod screen;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::process::ExitCode;

use serde::Serialize;

use super::asked;
use crate::config::Redirect;
use crate::doctor::{BaseChain, Facts, Finding, Proof, base_chains, judge};

/// Something is off.
const OFF: u8 = 1;

/// Is the gate well, and does it stand where it should?
#[derive(Clone, Debug, clap::Args)]
#[command(
    after_help = "Works with and without a running gate. Much of the kernel is shown to root \
                        only: run it with sudo to see all.\n\
                        Exit code: 0 if all is well, 1 if something is off; others (sysexits) if \
                        the look itself failed."
)]
pub struct Args {
    /// Prove in a private network on this machine that bans and verdicts block connections to
    /// this host and to hosts behind it (about 5 s; nothing outside is touched)
    #[arg(long)]
    prove: bool,
    /// The policy [default: the running gate's, the installed one, or the built-in one]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The gate's control socket [default: what the policy says]
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
    /// For the program itself: make the proof here, in namespaces that were made for it.
    #[arg(long, hide = true, value_name = "REDIRECT")]
    prove_here: Option<String>,
}

/// Looks, proves if that is asked for, and says what is off.
pub fn run(args: &Args) -> ExitCode {
    if let Some(redirect) = &args.prove_here {
        return proof::here(redirect);
    }
    let (mut facts, given) = match collect::collect(args.config.as_deref(), args.socket.as_deref())
    {
        Ok(collected) => collected,
        Err(code) => return code.into(),
    };
    if args.prove {
        facts.proof = Some(proof::prove(match given.config.guard.redirect {
            Redirect::Nft => "nft",
            Redirect::Iptables => "iptables",
            Redirect::Auto | Redirect::Manual => "auto",
        }));
    }
    let report = Report {
        policy: given.from,
        looks: overview::overview(&facts, &given.config),
        chains: facts.listing.as_deref().map(base_chains).unwrap_or_default(),
        findings: judge(&facts, &given.config),
        proof: facts.proof.clone().and_then(Result::ok),
        not_seen: not_seen(&facts),
    };
    let code = asked::show(&report, args.json, screen::screen);
    let off = report.findings.iter().any(|finding| finding.off);
    if off && code == ExitCode::SUCCESS { OFF.into() } else { code }
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Report {
    /// Where the policy comes from.
    policy: String,
    /// What was seen, topic by topic.
    looks: Vec<Look>,
    /// What new connections pass, in the kernel's order.
    chains: Vec<BaseChain>,
    findings: Vec<Finding>,
    /// What was tried in a private network; null if that was not asked for.
    proof: Option<Vec<Proof>>,
    /// What this user could not see.
    not_seen: Vec<String>,
}

/// One topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Look {
    topic: String,
    seen: String,
}

/// Everything that could not be looked at; what several looks lack for one reason is told once.
fn not_seen(facts: &Facts) -> Vec<String> {
    let mut unseen: Vec<(String, Vec<&str>)> = Vec::new();
    let mut miss = |what: &'static str, why: Option<&String>| {
        let Some(why) = why else { return };
        match unseen.iter_mut().find(|(reason, _)| reason == why) {
            Some((_, whats)) => whats.push(what),
            None => unseen.push((why.clone(), vec![what])),
        }
    };
    miss("all rules of nftables", facts.listing.as_ref().err());
    miss("the rules of iptables", facts.saved[0].as_ref().err());
    if facts.ipv6 {
        miss("the rules of ip6tables", facts.saved[1].as_ref().err());
    }
    miss("whether the kernel takes nft's queue statement", facts.queue_statement.as_ref().err());
    miss("who listens to which queue", facts.holders.as_ref().err());
    miss("how full the kernel's sets are", facts.sets.as_ref().err());
    miss("the ban list", facts.ledger.as_ref().err());
    if let crate::doctor::Daemon::Closed(why) = &facts.daemon {
        miss("how the gate is", Some(why));
    }
    let other = "the kernel has rules of both variants of iptables, and only one is asked: see \
                 sudo iptables-legacy-save";
    let legacy = facts.legacy_rules.then(|| other.to_owned());
    miss("the rules of iptables' legacy variant", legacy.as_ref());
    unseen.into_iter().map(|(why, what)| format!("{} ({why})", what.join(", "))).collect()
}
