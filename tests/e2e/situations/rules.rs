//! What others do to the rules: a flush, rules before ours, and networks that no rule covers.

use std::net::SocketAddr;
use std::time::Duration;

use ipnet::IpNet;
use portcullis::lab::{Service, Trade, Visit, visit};

use super::{edit, obeys, start, types};
use crate::stage::{ANNA, HASTE, MALLORY, PATIENCE, World, address, eventually, in_lab, nft_load};

/// How long until the gate has put itself back.
const REPAIR: Duration = Duration::from_secs(5);

in_lab! {
    fn a_flush_is_mended_and_its_author_named() {
        let world = World::new();
        let gate = start(&world.server, "");
        types(&world.server, &format!("bans add {MALLORY} --for 1h")).ends_with(0);
        obeys(&world.server, "nft flush ruleset");
        eventually(REPAIR, "word of the repair", || {
            let said = gate.said();
            if said.contains("flushed or deleted by nft (process") { Ok(()) } else { Err(said) }
        });
        assert!(gate.said().contains("1 standing was put back"), "{}", gate.said());
        assert_eq!(world.visit_within(MALLORY, 80, HASTE), Visit::TimedOut, "still banned");
        let status = types(&world.server, "status");
        status.says(&["in place; rebuilt once, because somebody removed or changed it"]);
        status.says(&["flushed: the table inet portcullis was flushed or deleted by nft (process"]);
        status.row("4 rules flushed", "kernel table");
        let doctor = types(&world.server, "doctor");
        let told = doctor.ends_with(0).finding("the gate had to rebuild its table once");
        for part in ["the last time, the table inet portcullis was flushed or deleted by nft (process", "journalctl -u portcullis -g flushed", "/etc/nftables.conf"] {
            assert!(told.contains(part), "{told}");
        }
        doctor
            .shown(&["the gate had to rebuild its table once, because somebody removed or changed it"])
            .row("4 rules flushed", "the gate had to");
        // What mends the cause: a script that flushes its own table leaves ours alone.
        nft_load(&world.server, "table inet filter { chain input { type filter hook input priority 0; } }");
        obeys(&world.server, "nft flush table inet filter");
        std::thread::sleep(Duration::from_millis(500));
        types(&world.server, "status").says(&["rebuilt once"]);
        if gate.status()["redirect"].as_str().is_some_and(|way| way.contains("iptables")) {
            obeys(&world.server, "iptables -t mangle -F");
            eventually(REPAIR, "word of the rule", || {
                let said = gate.said();
                if said.contains("was removed by iptables (process") { Ok(()) } else { Err(said) }
            });
        }
    }

    fn rules_of_others_before_and_behind_the_gate_are_named() {
        let world = World::new();
        let gate = start(&world.server, "");
        assert!(world.visit(ANNA, 80).is_served());
        types(&world.server, "doctor").ends_with(0).is_silent_of("rules of others");

        // Dropped before the gate: explain knows nothing of it, and says where to look.
        let front = "table inet firewalld { chain front { type filter hook prerouting priority -400; tcp dport 80 drop\n} }";
        nft_load(&world.server, front);
        assert_eq!(world.visit_within(ANNA, 80, HASTE), Visit::TimedOut);
        types(&world.server, &format!("explain {ANNA} 80"))
            .says(&["it would be LET IN now", "another firewall's rules (sudo portcullis doctor"]);
        let doctor = types(&world.server, "doctor");
        let told = doctor.ends_with(0).finding("rules of others drop packets before the gate");
        assert!(told.contains("inet firewalld front (of firewalld, at prerouting -400)"), "{told}");
        let (_, rule) = told.split_once("sudo nft delete rule ").expect("a command");
        doctor
            .shown(&["rules of others drop packets before the gate: inet firewalld front (of firewalld, at prerouting -400)"])
            .row("5 rules before ours", "rules of others drop");
        obeys(&world.server, &format!("nft delete rule {}", rule.trim()));
        assert!(world.visit(ANNA, 80).is_served());

        // Refused behind it.
        let back = "table inet strict { chain input { type filter hook input priority 10; tcp dport 80 reject with tcp reset\n} }";
        nft_load(&world.server, back);
        assert_eq!(world.visit_within(ANNA, 80, HASTE), Visit::Refused);
        let told = types(&world.server, "doctor").finding("behind the gate, rules of others");
        assert!(told.contains("inet strict input (of table strict, at input 10)"), "{told}");
        assert!(told.contains("sudo nft -a list chain inet strict input"), "{told}");
        obeys(&world.server, "nft delete table inet strict");

        // Accepted before it, where it is a rule of iptables: never judged.
        if gate.status()["redirect"].as_str().is_some_and(|way| way.contains("iptables")) {
            obeys(&world.server, "iptables -t mangle -I PREROUTING -p tcp --dport 81 -j ACCEPT");
            assert_eq!(world.visit_within(ANNA, 81, HASTE), Visit::Refused, "past the gate");
            let doctor = types(&world.server, "doctor");
            let told = doctor.ends_with(1).finding("takes packets past it");
            doctor
                .shown(&["a rule of IPv4 before the gate's takes packets past it"])
                .row("5 rules before ours", "a rule of IPv4");
            let (_, command) = told.split_once("take it out: sudo ").expect("a command");
            obeys(&world.server, command.split(". ").next().expect("a command"));
            assert_eq!(world.visit_within(ANNA, 81, HASTE), Visit::TimedOut, "judged again");
        }
    }

    fn a_container_that_no_rule_covers_is_named() {
        let mut world = World::new();
        let addresses = ["10.20.0.10/24", "2001:db8:20::10/64"].map(|net| net.parse().unwrap());
        let inner = world.lab.host_behind(&world.server, "docker0", &addresses).expect("a host");
        world.lab.ready().expect("links");
        let any: SocketAddr = "[::]:8080".parse().unwrap();
        let _service = Service::start(&inner, any, Trade::Web).expect("a service");
        let reach = |port: u16| {
            let to = SocketAddr::new(address("10.20.0.10"), port);
            world.people.run(|| visit(address(ANNA), to, PATIENCE)).expect("a host")
        };
        let gate = start(&world.server, "");
        let before = gate.judged();
        assert!(reach(8080).is_served());
        assert_eq!(gate.judged(), before, "nobody judged it");

        let doctor = types(&world.server, "doctor");
        let told = doctor.ends_with(0).finding("networks that the policy does not guard");
        let protect = "[guard] protect = [\"10.20.0.0/24\", \"2001:db8:20::/64\"]";
        for part in ["10.20.0.0/24 at docker0, 2001:db8:20::/64 at docker0", protect] {
            assert!(told.contains(part), "{told}");
        }
        doctor
            .shown(&["this host forwards to networks that the policy does not guard"])
            .row("7 container not covered", "this host forwards");
        // As it says, word for word.
        let nets: Vec<IpNet> = addresses.iter().map(|net: &IpNet| net.trunc()).collect();
        edit(&format!("[guard]\nprotect = [\"{}\", \"{}\"]\n", nets[0], nets[1]));
        types(&world.server, "reload").ends_with(0);
        assert!(reach(8080).is_served());
        assert_eq!(gate.judged(), before + 1);
        types(&world.server, "doctor").ends_with(0).is_silent_of("does not guard");

        // A port that is published and not served: audit says so.
        edit("[ports]\nopen = \"22\"\n");
        types(&world.server, "reload").ends_with(0);
        nft_load(&world.server, "table ip nat { chain pre { type nat hook prerouting priority -100; tcp dport 8081 dnat to 10.20.0.10:8080\n} }");
        let audit = types(&world.server, "audit --config /run/portcullis/policy.toml");
        let told = audit.ends_with(1).finding("port 8081 is handed on to 10.20.0.10");
        assert!(told.contains("[ports] open = \"22, 80, 8081\" (with 80, which this audit names too)"), "{told}");
        audit.row("7 published port not served", "port 8081 is handed on");
        assert_eq!(world.visit_within(ANNA, 8081, HASTE), Visit::TimedOut);
        edit("[ports]\nopen = \"22, 8081\"\n");
        types(&world.server, "reload").ends_with(0);
        assert!(world.visit(ANNA, 8081).is_served());
    }
}
