//! A healthy host, and one thing after the other that is wrong with it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::config::{FailMode, LogTarget, Mode, Redirect};
use crate::control::protocol::{QueueRow, StatusReport};
use crate::doctor::facts::{
    Clock, Daemon, Journal, LedgerFacts, LogFacts, Proof, Standing, Tools, moment,
};
use crate::doctor::{FindingKind as Kind, RateLimit};
use crate::firewall::{LiveSet, Whom};
use crate::host::{Holder, Loadable, Program};

const OURS: &str = "-A PREROUTING -p tcp -m mark --mark 0x40000000/0x40000000 -m comment --comment portcullis -j NFQUEUE --queue-num 7 --queue-bypass";

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn saved(rules: &[&str]) -> String {
    format!("*mangle\n:PREROUTING ACCEPT [0:0]\n{}\nCOMMIT\n", rules.join("\n"))
}

/// The listing of a table that hands over by iptables, as the kernel would have it.
fn listing(config: &Config) -> Vec<Value> {
    use crate::firewall::{Path, Stage, ruleset};
    let program = ruleset(config, Stage::Open(Path::Iptables));
    program.listing()
}

fn status() -> StatusReport {
    serde_json::from_value(json!({
        "version": "0.1.0", "pid": 812, "mode": "enforce", "redirect": "by iptables v1.8.9 (nf_tables)",
        "started": "2027-01-15T07:00:00Z", "uptime": 3600.0,
        "config": "/etc/portcullis/portcullis.toml", "config_loaded": "2027-01-15T07:00:00Z",
        "queues": [], "when_full": "accept", "counters": crate::events::Snapshot::default(),
        "per_second": {"received": 0.0, "accepted": 0.0, "dropped": 0.0, "would_drop": 0.0},
        "lines_lost": 0,
        "memory": {"sources": 0, "sources_bound": 1, "networks": 0, "networks_bound": 1},
        "standings": {"suspect": 0, "banned": 0}, "kernel_sets": null,
        "firewall": {"healthy": true, "text": "", "repaired": 0, "stopped_packets": 0},
        "served": "22", "alarms": []
    }))
    .unwrap()
}

fn standing(who: &str, left: u64) -> Standing {
    let whom = Whom::from(who.parse::<ipnet::IpNet>().unwrap());
    let (since, until) = (now() - Duration::from_secs(60), now() + Duration::from_secs(left));
    Standing { who: who.into(), set: Some("banned4".into()), whom, since, until }
}

fn healthy() -> Facts {
    let mut status = status();
    status.queues = vec![QueueRow {
        number: 7,
        waiting: Some(0),
        length: 8192,
        buffer_holds: 10_922,
        received: 5,
        lost: 0,
    }];
    let banned = standing("192.0.2.7/32", 500);
    Facts {
        kernel: "6.1.0".into(),
        tools: Tools {
            nft: Ok("v1.0.6".into()),
            iptables: Ok("v1.8.9".into()),
            ip6tables: Ok("v1.8.9".into()),
        },
        ipv6: true,
        forwards: false,
        behind: vec![],
        queues: true,
        queue_module: Loadable::Perhaps,
        queue_statement: Ok(false),
        holders: Ok(vec![Holder {
            number: 7,
            port: 812,
            program: Some(Program { pid: 812, name: "portcullis".into() }),
            waiting: 0,
            dropped: 0,
            lost: 0,
        }]),
        daemon: Daemon::Runs(Box::new(status)),
        listing: Ok(listing(&Config::default())),
        saved: [Ok(saved(&[OURS])), Ok(saved(&[OURS]))],
        legacy_rules: false,
        sets: Ok(vec![LiveSet {
            name: "banned4".into(),
            size: 100,
            holds: 1,
            elements: vec![(banned.whom, 498)],
        }]),
        ledger: Ok(LedgerFacts { standings: vec![banned], ..LedgerFacts::default() }),
        policy_changed: None,
        log: LogFacts {
            journal: Journal::Takes(RateLimit::default()),
            syslog: Ok(()),
            json_folder_missing: None,
        },
        clock: Clock { now: now(), synchronised: Some(true) },
        aside: None,
        proof: None,
    }
}

/// A chain of somebody else's with a rule that drops.
fn refusing(hook: &str, priority: i64) -> [Value; 2] {
    let chain =
        json!({"family": "inet", "table": "ours", "name": "pre", "hook": hook, "prio": priority});
    let rule = json!({"family": "inet", "table": "ours", "chain": "pre", "handle": 3, "expr": [{"drop": null}]});
    [json!({"chain": chain}), json!({"rule": rule})]
}

fn alarm(level: &str, what: &str, text: &str) -> crate::events::Alarm {
    let at = "2027-01-15T07:00:00Z".parse().unwrap();
    crate::events::Alarm { at, level: level.into(), what: what.into(), text: text.into() }
}

fn running(facts: &mut Facts) -> &mut StatusReport {
    match &mut facts.daemon {
        Daemon::Runs(status) => status,
        other => panic!("{other:?}"),
    }
}

/// One more set, which has hardly any room left.
fn fill(facts: &mut Facts, name: &str) {
    let set = LiveSet { name: name.into(), size: 65_536, holds: 60_000, ..LiveSet::default() };
    facts.sets.as_mut().unwrap().push(set);
}

fn ledger(facts: &mut Facts) -> &mut LedgerFacts {
    facts.ledger.as_mut().unwrap()
}

#[test]
fn a_healthy_host_has_no_findings() {
    let mut facts = healthy();
    assert_eq!(judge(&facts, &Config::default()), []);
    // What cannot be seen is no finding.
    facts.listing = Err("no".into());
    facts.saved = [Err("no".into()), Err("no".into())];
    facts.holders = Err("no".into());
    facts.queue_statement = Err("no".into());
    facts.sets = Err("no".into());
    facts.daemon = Daemon::Closed("no".into());
    facts.ledger = Err("no".into());
    facts.clock.synchronised = None;
    assert_eq!(judge(&facts, &Config::default()), []);
}

type Break = fn(&mut Facts, &mut Config);

/// What is done to the healthy host, what is found, is it off, and words that must be said.
const TABLE: &[(Break, Kind, bool, &[&str])] = &[
    (
        |f, _| {
            f.aside = Some(now());
            (f.listing, f.sets) = (Ok(Vec::new()), Ok(Vec::new()));
            running(f).firewall.aside = Some(Timestamp::MAX);
            running(f).firewall.healthy = false;
            running(f).firewall.text = "it stands aside".into();
        },
        Kind::Aside,
        true,
        &["somebody typed portcullis panic", "sudo portcullis panic --over"],
    ),
    (
        |f, _| f.tools.nft = Err("not installed".into()),
        Kind::ToolMissing,
        true,
        &["apt-get install nftables"],
    ),
    (
        |f, _| f.tools.ip6tables = Err("gone".into()),
        Kind::ToolMissing,
        true,
        &["ip6tables", "install iptables"],
    ),
    (|f, _| f.queues = false, Kind::QueueModule, true, &["modprobe nfnetlink_queue"]),
    (
        |f, _| (f.queues, f.queue_module) = (false, Loadable::Replaced),
        Kind::QueueModule,
        true,
        &["modules of the running kernel, 6.1.0, are gone", "sudo reboot"],
    ),
    (
        |f, _| (f.queues, f.queue_module) = (false, Loadable::No),
        Kind::QueueModule,
        true,
        &["came without", "CONFIG_NETFILTER_NETLINK_QUEUE"],
    ),
    (|_, c| c.guard.redirect = Redirect::Nft, Kind::QueueStatement, true, &["modprobe nft_queue"]),
    (|f, _| f.daemon = Daemon::Silent("no answer".into()), Kind::Silent, true, &["restart"]),
    (
        |f, _| f.policy_changed = Some(moment(running(f).config_loaded) + Duration::from_secs(9)),
        Kind::PolicyChanged,
        true,
        &["portcullis reload"],
    ),
    (
        |f, c| {
            c.mode = Mode::Observe;
            f.listing = Ok(listing(c))
        },
        Kind::Observing,
        false,
        &["enforce"],
    ),
    (
        |f, c| {
            // The kernel is as a gate has it that only observes: that is no second finding.
            running(f).mode = "observe".into();
            f.listing = Ok(listing(&Config { mode: Mode::Observe, ..c.clone() }))
        },
        Kind::Unconfirmed,
        true,
        &["only observes", "on trial", "portcullis confirm", "portcullis reload"],
    ),
    (|f, _| running(f).clock_moved = -7200.0, Kind::ClockMoved, false, &["back by 2h", "longer"]),
    (
        |f, _| running(f).clock_moved = 90.0,
        Kind::ClockMoved,
        false,
        &["forward by 1m 30s", "too early"],
    ),
    (
        |f, _| {
            running(f).firewall.healthy = false;
            running(f).firewall.text = "nft hangs".into()
        },
        Kind::TableTrouble,
        true,
        &["nft hangs"],
    ),
    (
        |f, _| running(f).confined.open = vec!["the policy says [daemon] confine = false".into()],
        Kind::Unconfined,
        false,
        &["not confined", "the policy says [daemon] confine = false", "confine = true"],
    ),
    (|f, _| running(f).firewall.repaired = 3, Kind::Rebuilt, false, &["3 times", "flush ruleset"]),
    (|f, _| running(f).firewall.repaired = 1, Kind::Rebuilt, false, &["table once"]),
    (
        |f, _| {
            running(f).lines_lost = 1200;
            running(f).counters.orders_lost = 2
        },
        Kind::Untold,
        true,
        &["2 changes of standing, 1,200 log lines"],
    ),
    (
        |f, _| {
            let p = Program { pid: 99, name: "suricata".into() };
            f.holders.as_mut().unwrap()[0].program = Some(p)
        },
        Kind::QueueTaken,
        true,
        &["suricata (pid 99)", "number = 10"],
    ),
    (|f, _| f.holders = Ok(vec![]), Kind::QueueLost, true, &["queue 7"]),
    (|f, _| running(f).queues[0].lost = 1, Kind::Losses, true, &["1 packet of queue 7"]),
    (
        |f, _| running(f).queues[0].buffer_holds = 158,
        Kind::SmallBuffer,
        true,
        &["158 packets", "8,192", "rmem_max=8388608"],
    ),
    (|f, _| running(f).queues[0].waiting = Some(5000), Kind::Backlog, true, &["5,000 packets"]),
    (
        |f, _| running(f).when_full = "drop".into(),
        Kind::FailMode,
        true,
        &["will drop", "when_full = \"accept\"", "restart"],
    ),
    (
        |f, _| running(f).queues[0].length = 100,
        Kind::QueueOld,
        true,
        &["room for 100 packets", "room for 8,192"],
    ),
    (|f, _| f.listing = Ok(vec![]), Kind::TableGone, true, &["two seconds"]),
    (
        |f, _| drop(f.listing.as_mut().unwrap().pop()),
        Kind::TableChanged,
        true,
        &["portcullis reload"],
    ),
    (|f, _| f.saved[1] = Ok(saved(&[])), Kind::RuleMissing, true, &["IPv6", "ip6tables"]),
    (
        |f, _| f.saved[0] = Ok(saved(&[&OURS.replace("num 7", "num 9")])),
        Kind::RuleDiffers,
        true,
        &["queue 9", "queue 7"],
    ),
    (
        |f, _| {
            f.saved[0] =
                Ok(saved(&["-A PREROUTING -p tcp -j ACCEPT", "-A PREROUTING -j RETURN", OURS]))
        },
        Kind::RuleBypassed,
        true,
        &["and 1 more", "iptables -t mangle -D PREROUTING -p tcp -j ACCEPT"],
    ),
    (
        |f, _| f.saved[1] = Ok(saved(&["-A PREROUTING -j MARK --set-mark 1", OURS])),
        Kind::MarkOverwritten,
        true,
        &["IPv6", "sudo ip6tables -t mangle -D"],
    ),
    (
        |f, _| {
            let place = json!({"family": "inet", "table": "vpn", "name": "c", "hook": "prerouting", "prio": -150});
            let set = json!({"mangle": {"key": {"meta": {"key": "mark"}}, "value": 1}});
            let rule = json!({"family": "inet", "table": "vpn", "chain": "c", "expr": [set]});
            f.listing.as_mut().unwrap().extend([json!({"chain": place}), json!({"rule": rule})]);
        },
        Kind::MarkOverwritten,
        true,
        &["inet vpn c"],
    ),
    (
        |f, _| f.saved[0] = Ok(saved(&[OURS, "-A PREROUTING -j MARK --set-mark 1"])),
        Kind::RuleNotLast,
        true,
        &["another chain", "-D PREROUTING -j MARK --set-mark 1"],
    ),
    (
        |f, _| f.saved[0] = Ok(saved(&[OURS, "-A PREROUTING -j TTL --ttl-inc 1"])),
        Kind::RuleNotLast,
        true,
        &["--ttl-inc", "-D PREROUTING 1"],
    ),
    (
        |f, c| {
            f.saved[0] = Ok(saved(&[OURS]) + "*raw\n-A PREROUTING -p tcp -j CT --notrack\n");
            c.policy.ports.any = true;
        },
        Kind::NotTracked,
        false,
        &["-t raw -D PREROUTING -p tcp -j CT --notrack"],
    ),
    (
        |_, c| c.guard.when_down = FailMode::Drop,
        Kind::FailMode,
        true,
        &["will accept", "when_down = \"drop\""],
    ),
    (
        |f, _| {
            f.saved = [(); 2].map(|()| Ok(saved(&[OURS.strip_suffix(" --queue-bypass").unwrap()])))
        },
        Kind::FailMode,
        true,
        &["will drop", "when_down = \"accept\""],
    ),
    (
        |_, c| c.queue.when_over = FailMode::Drop,
        Kind::FailMode,
        true,
        &["max_rate", "when_over = \"drop\""],
    ),
    (
        |f, _| f.sets.as_mut().unwrap()[0].holds = 90,
        Kind::SetFull,
        true,
        &["90 of 100", "set_size = 400"],
    ),
    (
        |f, _| fill(f, "stopped4"),
        Kind::CountingFull,
        false,
        &["stopped4 holds 60,000 of 65,536", "nothing, while it lasts"],
    ),
    (
        |f, _| fill(f, "proven6"),
        Kind::ProvenFull,
        true,
        &["proven6 holds 60,000", "set_size = 262144"],
    ),
    (
        |f, _| fill(f, "ceiling4"),
        Kind::SetFull,
        true,
        &["ceiling4 holds 60,000", "set_size = 262144"],
    ),
    (
        |f, _| fill(f, "refused4"),
        Kind::SetFull,
        true,
        &["refused4 holds 60,000", "[denylist] files"],
    ),
    (
        |f, _| f.sets.as_mut().unwrap()[0].elements.clear(),
        Kind::Drift,
        true,
        &["1 standing on record missing", "192.0.2.7"],
    ),
    (|f, _| f.sets.as_mut().unwrap()[0].elements[0].1 = 100, Kind::Drift, true, &["another time"]),
    (|f, _| ledger(f).standings.clear(), Kind::Drift, true, &["not on record"]),
    (
        |f, _| {
            f.log.journal = Journal::Takes(RateLimit { burst: 500, every: Duration::from_secs(30) })
        },
        Kind::JournalLimit,
        false,
        &["500 lines in 30s", "LogRateLimitIntervalSec=0"],
    ),
    (
        |f, c| {
            c.events.to = LogTarget::Syslog;
            f.log.syslog = Err("gone".into())
        },
        Kind::LogGone,
        true,
        &["/dev/log: gone"],
    ),
    (
        |f, _| f.log.json_folder_missing = Some("/var/log/x".into()),
        Kind::LogGone,
        true,
        &["install -d -o portcullis /var/log/x"],
    ),
    (
        |f, c| {
            c.events.to = LogTarget::Journal;
            f.log.journal = Journal::None;
        },
        Kind::LogGone,
        true,
        &["no journal runs", "\"syslog\""],
    ),
    (|_, c| c.events.to = LogTarget::Nowhere, Kind::LogGone, false, &["no log at all"]),
    (|f, _| f.clock.synchronised = Some(false), Kind::ClockLoose, false, &["set-ntp"]),
    (
        |f, _| ledger(f).standings[0].since = now() + Duration::from_secs(3600),
        Kind::FromTheFuture,
        true,
        &["1 standing", "192.0.2.7"],
    ),
    (|f, _| f.ledger = Err("cut off".into()), Kind::LedgerUnreadable, true, &["cut off"]),
    (
        |f, _| ledger(f).damaged = true,
        Kind::LedgerDamaged,
        true,
        &["/var/lib/portcullis/standings"],
    ),
    (
        |f, _| ledger(f).aside = vec!["standings.bad-1".into()],
        Kind::LedgerDamaged,
        false,
        &["standings.bad-1"],
    ),
    (
        |f, _| ledger(f).unwritable = Some("the disk is full".into()),
        Kind::LedgerUnwritable,
        true,
        &["disk is full"],
    ),
    (|f, _| f.forwards = true, Kind::Unprotected, false, &["protect"]),
    (
        |f, c| {
            f.forwards = true;
            c.guard.protect = vec!["10.20.0.0/24".parse().unwrap()];
            f.listing = Ok(listing(c));
            let at = |net: &str, name: &str| (net.parse().unwrap(), name.to_owned());
            f.behind = vec![at("10.20.0.0/25", "lan"), at("172.17.0.0/16", "docker0")];
        },
        Kind::Unprotected,
        false,
        &["172.17.0.0/16 at docker0", "protect = [\"10.20.0.0/24\", \"172.17.0.0/16\"]"],
    ),
    (
        |f, _| f.listing.as_mut().unwrap().extend(refusing("prerouting", -400)),
        Kind::DroppedBefore,
        false,
        &[
            "inet ours pre (of table ours, at prerouting -400)",
            "nft delete rule inet ours pre handle 3",
        ],
    ),
    (
        // By nft, the gate stands before it.
        |f, c| {
            use crate::firewall::{Path, Spread, Stage, ruleset};
            let program = ruleset(c, Stage::Open(Path::Nft(Spread::ByPair)));
            f.listing = Ok([program.listing(), refusing("prerouting", -200).to_vec()].concat());
        },
        Kind::RefusedBehind,
        false,
        &["inet ours pre (of table ours, at prerouting -200)"],
    ),
    (
        |f, _| f.listing.as_mut().unwrap().extend(refusing("prerouting", -200)),
        Kind::DroppedBefore,
        false,
        &["inet ours pre (of table ours, at prerouting -200)"],
    ),
    (
        |f, _| f.listing.as_mut().unwrap().extend(refusing("input", 0)),
        Kind::RefusedBehind,
        false,
        &["inet ours pre", "nft -a list chain inet ours pre"],
    ),
    (
        |f, c| {
            c.guard.set_size = 1024;
            f.listing = Ok(listing(c));
            ledger(f).standings = vec![standing("192.0.2.7/32", 500); 512];
        },
        Kind::SetFull,
        true,
        &["512 standings, of 1,024", "new suspects", "set_size = 4096"],
    ),
    (
        |f, c| {
            c.events.json = Some("/srv/log/gate.json".into());
            running(f).lines_lost = 3;
            running(f).alarms = vec![alarm(
                "error",
                "log",
                "cannot write to the JSON file /srv/log/gate.json: full. Lines are lost until",
            )];
        },
        Kind::LogGone,
        true,
        &[
            "the gate cannot write to the JSON file /srv/log/gate.json: full",
            "ReadWritePaths=/srv/log",
        ],
    ),
    (
        |f, _| {
            running(f).lines_lost = 3;
            running(f).alarms = vec![
                alarm("warning", "log", "it works again; lines lost meanwhile: 3"),
                alarm("error", "log", "cannot write"),
            ];
        },
        Kind::Untold,
        true,
        &["3 log lines"],
    ),
    (
        |f, _| {
            running(f).firewall.repaired = 2;
            running(f).alarms = vec![alarm(
                "warning",
                "flushed",
                "the table was flushed or deleted by nft (process 77). It is whole again",
            )];
        },
        Kind::Rebuilt,
        false,
        &["2 times", "the last time, the table was flushed or deleted by nft (process 77)"],
    ),
    (
        |f, _| {
            f.tools.iptables = Err("it is not installed".into());
            f.tools.ip6tables = f.tools.iptables.clone();
        },
        Kind::ToolMissing,
        true,
        &["iptables (and ip6tables) cannot be used: it is not installed"],
    ),
    (|f, _| f.proof = Some(Err("no namespaces".into())), Kind::Unproven, true, &["no namespaces"]),
    (
        |f, _| {
            f.proof = Some(Ok(vec![Proof {
                claim: "a ban blocks".into(),
                holds: false,
                seen: "let in".into(),
            }]))
        },
        Kind::Disproved,
        true,
        &["a ban blocks: let in"],
    ),
];

#[test]
fn each_fault_is_found_alone_and_its_remedy_named() {
    let mut met = vec![Kind::NotRunning, Kind::NotForwarding];
    for (number, (broken, kind, off, words)) in TABLE.iter().enumerate() {
        let (mut facts, mut config) = (healthy(), Config::default());
        broken(&mut facts, &mut config);
        let found = judge(&facts, &config);
        assert!(found.iter().all(|f| f.kind == *kind), "{number}: {found:#?}");
        let first = found.first().unwrap_or_else(|| panic!("{number}: {kind:?} was not found"));
        assert_eq!(first.off, *off, "{first:?}");
        for word in *words {
            let said = format!("{} {}", first.what, first.todo);
            assert!(said.contains(word), "{word} in {said}");
        }
        met.push(*kind);
    }
    let unmet: Vec<&Kind> = Kind::ALL.iter().filter(|kind| !met.contains(kind)).collect();
    assert!(unmet.is_empty(), "no row for {unmet:?}");
}

#[test]
fn a_gate_that_does_not_run() {
    let config = Config::default();
    let mut facts = healthy();
    facts.daemon = Daemon::Absent;
    facts.holders = Ok(vec![]);
    facts.listing = Ok(vec![]);
    facts.saved = [Ok(String::new()), Ok(String::new())];
    let found = judge(&facts, &config);
    assert_eq!(found.iter().map(|f| f.kind).collect::<Vec<_>>(), [Kind::NotRunning]);
    assert!(found[0].what.contains("pass unjudged"), "{found:?}");
    // Why it does not start is told, too.
    facts.holders = healthy().holders;
    facts.holders.as_mut().unwrap()[0].lost = 3;
    let found: Vec<Kind> = judge(&facts, &config).iter().map(|f| f.kind).collect();
    assert_eq!(found, [Kind::QueueTaken, Kind::Losses, Kind::NotRunning]);
    let mut dropping = config;
    dropping.guard.when_down = FailMode::Drop;
    assert!(judge(&facts, &dropping)[2].what.contains("are dropped"));
}

#[test]
fn hosts_behind_a_host_that_does_not_forward() {
    let mut config = Config::default();
    config.guard.protect = vec!["10.20.0.0/24".parse().unwrap()];
    let mut facts = healthy();
    facts.listing = Ok(listing(&config));
    let found = judge(&facts, &config);
    assert_eq!(found.iter().map(|f| f.kind).collect::<Vec<_>>(), [Kind::NotForwarding]);
    facts.forwards = true;
    assert_eq!(judge(&facts, &config), []);
}

#[test]
fn an_ordinary_user_is_told_what_is_seen() {
    let mut facts = healthy();
    facts.daemon = Daemon::Closed("root only".into());
    facts.holders.as_mut().unwrap()[0].program = None;
    assert_eq!(judge(&facts, &Config::default()), []);
    let other = Program { pid: 99, name: "snort".into() };
    facts.holders.as_mut().unwrap()[0].program = Some(other);
    assert_eq!(judge(&facts, &Config::default())[0].kind, Kind::QueueTaken);
}

#[test]
fn a_newer_policy_explains_why_the_table_is_another() {
    let mut facts = healthy();
    facts.listing.as_mut().unwrap().pop();
    facts.policy_changed = Some(now());
    let found: Vec<Kind> = judge(&facts, &Config::default()).iter().map(|f| f.kind).collect();
    assert_eq!(found, [Kind::PolicyChanged]);
}
