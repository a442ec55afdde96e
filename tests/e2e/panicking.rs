//! `panic`: the gate goes out of the way at once, whatever state its daemon is in, and stays there.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant, SystemTime};

use ipnet::IpNet;
use portcullis::firewall::{By, Entry, Line, Store};
use portcullis::policy::Standing;
use rustix::process::Signal;

use crate::stage::{
    ANNA, BEN, Gate, HASTE, MALLORY, PORTCULLIS, World, break_nft, eventually, in_lab, mend_nft,
    nft, nft_load, text,
};

/// How long `panic` may take.
const AT_ONCE: Duration = Duration::from_secs(1);
/// How soon the daemon notices: it looks every second.
const SOON: Duration = Duration::from_secs(10);
/// A policy that shuts everybody out: what an admin panics about.
const SHUT: &str = "[denylist]\nfrom = [\"0.0.0.0/0\"]\n[guard]\nwhen_down = \"drop\"\n";

/// Runs `panic` as an admin would, on the server.
fn panic(world: &World, args: &[&str]) -> Output {
    let mut command = world.server.command(PORTCULLIS);
    command.arg("panic").args(args).args(["--config", "/run/gate/policy.toml"]);
    command.output().expect("it runs")
}

/// It worked, and in time.
fn panics(world: &World) -> String {
    let start = Instant::now();
    let output = panic(world, &[]);
    let took = start.elapsed();
    assert!(output.status.success(), "{}", text(&output));
    assert!(took < AT_ONCE * 3, "{took:?}");
    println!("panic took {took:?}");
    text(&output)
}

/// Everything of ours in the kernel.
fn ours(world: &World) -> String {
    let mut all = text(&nft(&world.server, &["-t", "list", "ruleset"]));
    for tool in ["iptables-save", "ip6tables-save"] {
        all += &text(&world.server.command(tool).output().expect("it runs"));
    }
    let ours = |line: &&str| line.contains("portcullis") || line.contains("QUEUE");
    all.lines().filter(ours).collect::<Vec<_>>().join("\n")
}

/// As many as an ordinary user's namespace takes within the time for a start, beside other tests.
const BANS: usize = 10_000;

/// So many bans on record, before the gate starts.
fn ban_many(count: usize) {
    let now = SystemTime::now();
    let entry = |n: u32| {
        Line::Is(Entry {
            net: IpNet::from(IpAddr::from(Ipv4Addr::from_bits((10 << 24) + n))),
            port: None,
            standing: Standing::Banned,
            since: now,
            until: now + Duration::from_secs(3600),
            offences: 1,
            last_offence: now,
            reason: "scan".into(),
            by: By::Gate,
            evidence: "".into(),
        })
    };
    fs::create_dir_all("/run/gate/state").unwrap();
    let (mut store, _) = Store::open(Path::new("/run/gate/state"), now).unwrap();
    store.append(&(0..count as u32).map(entry).collect::<Vec<_>>()).unwrap();
}

/// Waits until the kernel holds them all.
fn await_many(gate: &Gate<'_>, count: usize) {
    eventually(SOON * 3, "all bans in the kernel", || match gate.set("banned4").len() {
        held if held == count => Ok(()),
        held => Err(held.to_string()),
    });
}

in_lab! {
    fn the_gate_stands_aside_until_it_is_told_otherwise() {
        let world = World::new();
        let gate = Gate::start(&world.server, SHUT);
        assert!(gate.ask(&["bans", "add", "2001:db8:bad::66", "--for", "1h"]).status.success());
        assert!(!world.visit_within(ANNA, 80, HASTE).is_served());
        // The policy on disk is as bad as can be: it is not needed.
        fs::write("/run/gate/policy.toml", "mode = [[[ \u{0} nonsense").unwrap();
        let said = panics(&world);
        assert!(said.contains("the nftables table inet portcullis"), "{said}");
        for from in [ANNA, "2001:db8:bad::66"] {
            assert!(world.visit(from, 80).is_served(), "{from}: {}", gate.said());
        }
        assert_eq!(ours(&world), "");
        let status = eventually(SOON, "word of it in status", || {
            let status = gate.status();
            if status["firewall"]["aside"].is_string() { Ok(status) } else { Err(status.to_string()) }
        });
        assert_eq!(status["firewall"]["healthy"], false);
        let screen = text(&gate.ask(&["status"]));
        let mode = screen.lines().nth(1).unwrap_or_default();
        assert!(mode.contains("STANDS ASIDE since"), "{screen}");
        let explained = text(&gate.ask(&["explain", ANNA, "80"]));
        let outcome = explained.split_once("Outcome: ").map_or("", |(_, rest)| rest);
        assert!(outcome.starts_with("it would be LET IN now, because the gate stands aside"), "{explained}");
        let said = gate.said();
        assert!(said.contains("the gate stands aside since") && !said.contains("flushed"), "{said}");
        gate.write_policy(SHUT);
        let doctor = world.server.command(PORTCULLIS).args(["doctor", "--config", "/run/gate/policy.toml"]).output().unwrap();
        assert!(text(&doctor).contains("OFF   the gate stands aside"), "{}", text(&doctor));

        // Nothing that would put the table back does: a reload, a ban, somebody's flush, a restart.
        assert!(gate.ask(&["reload"]).status.success());
        let added = gate.ask(&["bans", "add", MALLORY, "--for", "1h"]);
        assert!(text(&added).contains("the kernel has not been told"), "{}", text(&added));
        nft_load(&world.server, "table inet portcullis { } ");
        eventually(SOON, "an empty kernel, after somebody's change", || {
            nft(&world.server, &["delete", "table", "inet", "portcullis"]);
            if ours(&world).is_empty() { Ok(()) } else { Err(ours(&world)) }
        });
        assert_eq!(gate.stop(), Some(0));
        let gate = Gate::start(&world.server, SHUT);
        assert!(world.visit(ANNA, 80).is_served(), "{}", gate.said());
        assert_eq!(ours(&world), "");
        assert_eq!(gate.standing(MALLORY).as_deref(), Some("banned"), "the ledger is kept");

        let over = panic(&world, &["--over"]);
        assert!(text(&over).contains("back in its place"), "{}", text(&over));
        gate.await_set("banned4", MALLORY);
        assert!(!world.visit_within(ANNA, 80, HASTE).is_served());
        assert_eq!(gate.status()["firewall"]["healthy"], true);
        let again = panic(&world, &["--over"]);
        assert!(again.status.success() && text(&again).contains("does not stand aside"));
    }

    fn a_daemon_that_hangs_or_is_dead_changes_nothing_about_it() {
        let world = World::new();
        ban_many(BANS);
        let mut gate = Gate::start(&world.server, SHUT);
        await_many(&gate, BANS);
        gate.signal(Signal::STOP);
        assert!(!world.visit_within(BEN, 80, HASTE).is_served());
        // Nobody waits long for a daemon that hangs, and everybody is told what helps.
        for words in [&["status"][..], &["bans"], &["top", "--once"], &["explain", BEN]] {
            let start = Instant::now();
            let output = gate.ask(words);
            assert!(start.elapsed() < SOON, "{words:?}: {:?}", start.elapsed());
            let said = text(&output);
            assert_eq!(output.status.code(), Some(69), "{words:?}: {said}");
            for helps in ["systemctl restart portcullis", "portcullis panic"] {
                assert!(said.contains(helps), "{words:?}: {said}");
            }
        }
        panics(&world);
        assert!(world.visit(BEN, 80).is_served());
        gate.signal(Signal::CONT);
        eventually(SOON, "word of it", || {
            let said = gate.said();
            if said.contains("stands aside since") { Ok(()) } else { Err(said) }
        });
        assert_eq!(ours(&world), "");
        assert!(world.visit(BEN, 80).is_served());
        assert!(panic(&world, &["--over"]).status.success());
        assert!(!world.visit_within(BEN, 80, HASTE).is_served());

        await_many(&gate, BANS);
        panics(&world);
        assert_eq!(ours(&world), "");
        assert!(panic(&world, &["--over"]).status.success());
        await_many(&gate, BANS);
        gate.crash();
        assert!(!world.visit_within(BEN, 80, HASTE).is_served(), "the policy wants it so");
        panics(&world);
        assert!(world.visit(BEN, 80).is_served());
        let over = panic(&world, &["--over"]);
        assert!(text(&over).contains("no daemon runs"), "{}", text(&over));
    }

    fn a_daemon_that_keeps_its_state_elsewhere_is_found_or_told_of() {
        let world = World::new();
        let gate = Gate::start(&world.server, SHUT);
        // The policy on disk names another folder by now; the daemon was started with the old one.
        fs::write("/run/gate/conf.d/z.toml", "[bans]\nstate_dir = \"/run/gate/other\"\n").unwrap();
        panics(&world);
        eventually(SOON, "word of it in status", || {
            let status = gate.status();
            if status["firewall"]["aside"].is_string() { Ok(()) } else { Err(status.to_string()) }
        });
        assert_eq!(ours(&world), "");
        assert!(world.visit(ANNA, 80).is_served());
        let over = panic(&world, &["--over"]);
        assert!(text(&over).contains("back in its place"), "{}", text(&over));
        assert!(!Path::new("/run/gate/other/aside").exists());

        // Another policy altogether: nobody knows of this daemon, and it puts everything back.
        fs::create_dir_all("/run/elsewhere").unwrap();
        let policy = "[bans]\nstate_dir = \"/run/elsewhere/state\"\n[control]\nsocket = \"/run/elsewhere/socket\"\n";
        fs::write("/run/elsewhere/policy.toml", policy).unwrap();
        let mut command = world.server.command(PORTCULLIS);
        let wrong = command.args(["panic", "--config", "/run/elsewhere/policy.toml"]).output().unwrap();
        assert_eq!(wrong.status.code(), Some(75), "{}", text(&wrong));
        assert!(text(&wrong).contains("a daemon put it back: systemctl stop portcullis"), "{}", text(&wrong));
        assert!(!text(&wrong).contains("stands aside"), "{}", text(&wrong));
    }

    fn what_cannot_be_done_yet_is_said_and_tried_again() {
        let world = World::new();
        let mut gate = Gate::start(&world.server, SHUT);
        assert!(gate.ask(&["bans", "add", MALLORY, "--for", "1h"]).status.success());
        // The marker alone, as if the daemon were to do the work; and it cannot.
        break_nft(&world.server);
        fs::write("/run/gate/state/aside", "").unwrap();
        eventually(SOON, "word of it", || {
            let said = gate.said();
            if said.contains("may still be in the kernel") { Ok(()) } else { Err(said) }
        });
        mend_nft(&world.server);
        eventually(SOON, "an empty kernel", || {
            let ours = ours(&world);
            if ours.is_empty() { Ok(()) } else { Err(ours) }
        });
        // A daemon that does not answer is not back.
        gate.signal(Signal::STOP);
        let over = panic(&world, &["--over"]);
        gate.signal(Signal::CONT);
        assert_eq!(over.status.code(), Some(75), "{}", text(&over));
        eventually(SOON, "a gate that is back", || {
            let status = gate.status();
            if status["firewall"]["healthy"] == true { Ok(()) } else { Err(status.to_string()) }
        });
        gate.await_set("banned4", MALLORY);
    }

    fn without_nft_the_rest_is_removed_and_what_is_left_is_said() {
        let world = World::new();
        let gate = Gate::start(&world.server, SHUT);
        if !gate.status()["redirect"].as_str().is_some_and(|way| way.contains("iptables")) {
            return;
        }
        gate.crash();
        // A PATH of its own, with everything but nft. The usual folders are shadowed too.
        fs::create_dir_all("/run/tools").unwrap();
        for tool in ["iptables", "ip6tables", "iptables-nft", "ip6tables-nft"] {
            std::os::unix::fs::symlink("/usr/sbin/xtables-nft-multi", format!("/run/tools/{tool}")).unwrap();
        }
        let script = format!(
            "mount -t tmpfs none /usr/sbin && PATH=/run/tools:/usr/bin:/bin exec {PORTCULLIS} panic --config /run/gate/policy.toml"
        );
        let copied = "mkdir -p /run/real && cp /usr/sbin/xtables-nft-multi /run/real/ && for t in /run/tools/*; do ln -sf /run/real/xtables-nft-multi $t; done";
        assert!(world.server.command("sh").args(["-c", copied]).status().unwrap().success());
        let output = world.server.command("unshare").args(["-m", "sh", "-c", &script]).output().unwrap();
        // It is wrapped to the width of a terminal.
        let said = text(&output).split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(output.status.code(), Some(69), "{said}");
        assert!(said.contains("cannot remove the nftables table inet portcullis: nft is not installed"), "{said}");
        assert!(said.contains("Removed: 2 rules of iptables"), "{said}");
        assert!(!ours(&world).contains("NFQUEUE"), "{}", ours(&world));
        assert!(world.visit(ANNA, 80).is_served());
    }
}
