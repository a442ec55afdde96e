//! The firewall against a real kernel, in namespaces of its own.

mod kernel;

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use kernel::{Host, alone, instead_of, run, wait};
use portcullis::config::{Config, FailMode, Mode, Redirect};
use portcullis::events::{Event, Level};
use portcullis::firewall::{
    Firewall, Offence, Order, Path, Spread, Stage, list_ruleset, live_sets, ruleset, unload,
};
use portcullis::memory::SourceKey;
use portcullis::policy::{Allowlist, Evidence, Standing};
use serde_json::Value;

fn config(folder: &tempfile::TempDir) -> Config {
    let mut config = Config::default();
    config.bans.state_dir = folder.path().to_owned();
    config.guard.redirect = Redirect::Manual;
    config.policy.ports.served = [80].into_iter().collect();
    config.bans.budget = 100_000;
    config.bans.budget_network = 100_000;
    config
}

fn start(config: &Config) -> (Firewall, Receiver<Event>) {
    let (events, told) = sync_channel(100_000);
    (
        Firewall::start(&Arc::new(config.clone()), Vec::new(), move |event| {
            drop(events.try_send(event))
        })
        .unwrap(),
        told,
    )
}

fn add(firewall: &Firewall, net: &str, standing: Standing) {
    let net: ipnet::IpNet = net.parse().unwrap();
    let lasts = Some(Duration::from_secs(600));
    let added = firewall
        .orders()
        .ask(|reply| Order::Add {
            whom: net.into(),
            standing,
            lasts,
            reason: "a test".into(),
            reply,
        })
        .unwrap()
        .unwrap();
    assert!(added.in_kernel);
}

fn elements(set: &str) -> usize {
    let listed = run(&format!("nft -j list set inet portcullis {set}"));
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let sets = listed["nftables"].as_array().unwrap().iter();
    sets.filter_map(|object| object["set"]["elem"].as_array()).map(Vec::len).sum()
}

fn table_text() -> String {
    run("nft -s -t list table inet portcullis 2>/dev/null || true")
}

/// The lines of the table, in no order: the kernel lists chains in the order of their creation.
fn table_lines() -> Vec<String> {
    let mut lines: Vec<String> = table_text().lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

fn offend(firewall: &Firewall, source: &str, earned: Standing) -> bool {
    firewall.orders().offence(Offence {
        source: SourceKey::of(source.parse().unwrap()),
        earned,
        port: None,
        renew: false,
        check: "scan",
        evidence: Evidence { what: "unserved", seen: 5.0, limit: 4.0 },
        decided: Instant::now(),
    })
}

/// The table as JSON, without what differs from one loading to the next.
fn normal(listing: &str) -> Vec<Value> {
    fn strip(value: &mut Value) {
        if let Some(object) = value.as_object_mut() {
            object.remove("handle");
            object.values_mut().for_each(strip);
        } else if let Some(list) = value.as_array_mut() {
            list.iter_mut().for_each(strip);
        }
    }
    let mut listing: Value = serde_json::from_str(listing).unwrap();
    strip(&mut listing);
    listing["nftables"].as_array().unwrap().clone()
}

#[test]
fn text_and_json_are_the_same_program() {
    alone("text_and_json_are_the_same_program", || {
        let mut gateway = Config::default();
        gateway.guard.protect =
            ["10.7.0.0/16", "2001:db8:7::/48"].map(|net| net.parse().unwrap()).into();
        gateway.policy.ports.open_behind = Some([25, 80].into_iter().collect());
        let trusted = ["10.0.0.0/8", "10.1.0.0/16", "192.0.2.7/32", "2001:db8:1::/48"];
        gateway.policy.allowlist =
            Allowlist::new(trusted.map(|net| net.parse().unwrap()).into()).into();
        gateway.bans.drop_established = true;
        gateway.queue.threads = 3;
        gateway.guard.ceiling.as_mut().unwrap().per = Duration::from_secs(3600);
        let mut observe = Config { mode: Mode::Observe, ..Config::default() };
        let everybody = ["0.0.0.0/0", "::/0"].map(|net| net.parse().unwrap());
        observe.policy.allowlist = Allowlist::new(everybody.into()).into();
        let folder = tempfile::tempdir().unwrap();
        let (json, text) = (folder.path().join("json"), folder.path().join("text"));
        for config in [Config::default(), gateway, observe] {
            for stage in [Stage::Closed, Stage::Open(Path::Iptables)] {
                let program = ruleset(&config, stage);
                let commands = serde_json::json!({ "nftables": program.to_json() });
                std::fs::write(&json, commands.to_string()).unwrap();
                std::fs::write(&text, program.to_text()).unwrap();
                let list = |load: String| {
                    run("nft flush ruleset");
                    run(&load);
                    let plain = run("nft -s list table inet portcullis");
                    (normal(&run("nft -j list table inet portcullis")), plain)
                };
                let (from_json, plain) = list(format!("nft -j -f {}", json.display()));
                let (from_text, _) = list(format!("nft -f {}", text.display()));
                assert_eq!(from_json, from_text);
                // And the rules read as nft itself writes them.
                let rules = |text: &str| {
                    let lines = text.lines().map(str::trim);
                    let rules = lines.skip_while(|line| !line.starts_with("chain"));
                    let rules = rules.filter(|l| !l.is_empty() && !l.starts_with('#'));
                    rules.map(str::to_owned).collect::<Vec<_>>()
                };
                assert_eq!(rules(&program.to_text()), rules(&plain));
            }
            // Not every kernel has the queue statement, but every nft can read it.
            for spread in [Spread::BySource, Spread::ByPair] {
                let program = ruleset(&config, Stage::Open(Path::Nft(spread)));
                let commands = serde_json::json!({ "nftables": program.to_json() });
                std::fs::write(&json, commands.to_string()).unwrap();
                std::fs::write(&text, program.to_text()).unwrap();
                run("nft flush ruleset");
                let code = |load: &str| {
                    let all = run(&format!("nft --debug=netlink -c {load} 2>/dev/null || true"));
                    let lines = all.lines().filter(|line| line.contains("[ queue")).count();
                    assert!(lines > 0, "{all}");
                    all.lines().filter(|l| l.trim().starts_with('[')).map(str::to_owned).collect()
                };
                let from_json: Vec<String> = code(&format!("-j -f {}", json.display()));
                let from_text: Vec<String> = code(&format!("-f {}", text.display()));
                assert_eq!(from_json, from_text);
            }
        }
    });
}

/// The elements of a set as the kernel tells them, beside those that were put in.
#[test]
fn sets_are_read_from_the_kernel() {
    alone("sets_are_read_from_the_kernel", || {
        let folder = tempfile::tempdir().unwrap();
        let config = config(&folder);
        let text = ruleset(&config, Stage::Open(Path::Manual)).to_text();
        std::fs::write(folder.path().join("table"), text).unwrap();
        run(&format!("nft -f {}", folder.path().join("table").display()));
        let many = |n: u32| std::net::Ipv4Addr::from(0x0a00_0000 + n * 7);
        let numerous: Vec<String> = (0..20_000).map(|n| many(n).to_string()).collect();
        let filled = [
            (
                "banned4",
                vec!["192.0.2.1", "203.0.113.255"],
                vec!["192.0.2.1/32", "203.0.113.255/32"],
            ),
            (
                "banned_at4",
                vec!["192.0.2.1 . 22", "192.0.2.1 . 443"],
                vec!["192.0.2.1/32 22", "192.0.2.1/32 443"],
            ),
            ("banned_at6", vec!["2001:db8:0:7:: . 22"], vec!["2001:db8:0:7::/64 22"]),
            (
                "refused4",
                vec!["10.0.0.0/8", "11.0.0.0/9", "255.255.0.0/16", "0.0.0.0/8"],
                vec!["0.0.0.0/8", "10.0.0.0/8", "11.0.0.0/9", "255.255.0.0/16"],
            ),
            (
                "refused6",
                vec!["2001:db8::/32", "2001:db9::/33"],
                vec!["2001:db8::/32", "2001:db9::/33"],
            ),
            ("proven6", vec!["2001:db8:0:7::", "::"], vec!["2001:db8:0:7::/64", "::/64"]),
            ("suspect4", numerous.iter().map(String::as_str).collect(), Vec::new()),
        ];
        let mut commands = String::new();
        for (set, elements, _) in &filled {
            let elements: Vec<String> =
                elements.iter().map(|element| format!("{element} timeout 1h")).collect();
            commands +=
                &format!("add element inet portcullis {set} {{ {} }}\n", elements.join(", "));
        }
        std::fs::write(folder.path().join("elements"), commands).unwrap();
        run(&format!("nft -f {}", folder.path().join("elements").display()));
        let sets = live_sets(&list_ruleset().unwrap()).unwrap();
        let of = |name: &str| sets.iter().find(|set| set.name == name).unwrap();
        for (name, elements, wanted) in filled {
            let set = of(name);
            assert_eq!(set.holds, elements.len() as u64, "{name}");
            assert!(set.elements.iter().all(|(_, left)| (3500..=3600).contains(left)), "{set:?}");
            let told = |(whom, _): &(portcullis::firewall::Whom, u64)| match whom.port {
                Some(port) => format!("{} {port}", whom.net),
                None => whom.net.to_string(),
            };
            let mut seen: Vec<String> = set.elements.iter().map(told).collect();
            seen.sort();
            seen.dedup();
            if wanted.is_empty() {
                assert_eq!(seen.len(), elements.len(), "each of them once");
            } else {
                assert_eq!(seen, wanted, "{name}");
            }
        }
        assert_eq!(of("banned6").holds, 0);
    });
}

#[test]
fn a_life_of_the_table() {
    alone("a_life_of_the_table", || {
        let folder = tempfile::tempdir().unwrap();
        run(
            "nft add table inet theirs; nft add chain inet theirs c; nft add rule inet theirs c counter",
        );
        let theirs = run("nft list table inet theirs");
        let config = config(&folder);
        let (firewall, told) = start(&config);
        add(&firewall, "203.0.113.5/32", Standing::Banned);
        add(&firewall, "2001:db8:5::9/128", Standing::Suspect);
        add(&firewall, "198.51.100.0/24", Standing::Banned);
        add(&firewall, "198.51.100.128/25", Standing::Banned);
        assert_eq!(elements("banned4"), 1);
        assert_eq!(elements("suspect6"), 1);
        assert_eq!(elements("refused4"), 1, "the inner prefix needs no element of its own");
        assert!(!table_text().contains("chain hand_over"), "closed until it is opened");
        let (events, _told) = sync_channel(1);
        let second = Firewall::start(&Arc::new(config.clone()), Vec::new(), move |event| {
            drop(events.try_send(event))
        });
        assert!(second.unwrap_err().to_string().contains("runs already"));
        assert_eq!(firewall.open().unwrap().path, Path::Manual);
        assert!(table_text().contains("chain hand_over"));
        run("nft add element inet portcullis proven4 { 192.0.2.77 }");
        firewall.close().unwrap();
        assert!(!table_text().contains("chain hand_over"));
        firewall.stop();
        assert_eq!(elements("banned4"), 1, "bans survive a stop");

        // The kernel forgot one, and somebody added one that the ledger does not know.
        run("nft flush set inet portcullis suspect6");
        run("nft add element inet portcullis banned4 { 203.0.113.99 timeout 1h }");
        let (firewall, _told) = start(&config);
        assert_eq!(elements("suspect6"), 1, "adopted and set right");
        let banned = run("nft list set inet portcullis banned4");
        assert!(banned.contains("203.0.113.5 ") && !banned.contains("203.0.113.99"), "{banned}");
        assert_eq!(elements("proven4"), 1, "what the kernel has learnt is kept");

        // A reload with other settings keeps what can be kept.
        let mut other = config.clone();
        other.guard.mark_bit = 4;
        other.guard.set_size = 1000;
        other.guard.proven_for = Duration::from_secs(1800);
        run("nft add element inet portcullis proven4 { 203.0.113.77, 203.0.113.78 timeout 5m }");
        run("nft add element inet portcullis proven6 { 2001:db8:77:: timeout 1h }");
        other.bans.never = vec!["203.0.113.5/32".parse().unwrap()];
        firewall.open().unwrap();
        let config_ = Arc::new(other);
        firewall
            .orders()
            .ask(|reply| Order::Configure { config: config_, protected: None, reply })
            .unwrap()
            .unwrap();
        let text = table_text();
        assert!(text.contains("size 1000") && text.contains("meta mark | 0x00000040"), "{text}");
        assert_eq!((elements("banned4"), elements("suspect6")), (0, 1));
        // Proofs outlast their set, and last no longer than in the new one.
        let proven = run("nft list set inet portcullis proven4");
        for element in ["203.0.113.77 expires 29m", "203.0.113.78 timeout 4m"] {
            assert!(proven.contains(element), "{proven}");
        }
        assert_eq!(elements("proven6"), 1);

        let removed = |net: &str| {
            let net: ipnet::IpNet = net.parse().unwrap();
            firewall.orders().ask(|reply| Order::Remove { whom: net.into(), reply }).unwrap()
        };
        assert_eq!(removed("2001:db8:5::/64").unwrap().entry.standing, Standing::Suspect);
        assert_eq!(removed("2001:db8:5::/64"), None);
        assert!(removed("198.51.100.0/24").is_some());
        assert_eq!((elements("suspect6"), elements("refused4")), (0, 1));
        firewall.stop();

        assert_eq!(unload(&config).unwrap().len(), 1);
        assert_eq!(unload(&config).unwrap(), Vec::<String>::new());
        assert_eq!(table_text(), "");
        assert_eq!(run("nft list table inet theirs"), theirs);
        let told: Vec<Event> = told.try_iter().collect();
        assert!(told.iter().any(|event| matches!(event, Event::Standing(change)
            if change.source.to_string() == "203.0.113.5" && change.standing == Standing::Banned)));
    });
}

#[test]
fn something_incompatible_is_replaced() {
    alone("something_incompatible_is_replaced", || {
        let folder = tempfile::tempdir().unwrap();
        run("nft add table inet portcullis");
        run("nft add set inet portcullis banned4 \"{ type inet_service; flags interval; }\"");
        run("nft add map inet portcullis served \"{ type ipv4_addr : verdict; }\"");
        run("nft add chain inet portcullis early \"{ type filter hook input priority 7; }\"");
        run("nft add chain inet portcullis stranger");
        run("nft add rule inet portcullis early jump stranger");
        let (firewall, _told) = start(&config(&folder));
        add(&firewall, "203.0.113.5/32", Standing::Banned);
        assert_eq!(elements("banned4"), 1);
        let text = table_text();
        assert!(text.contains("hook prerouting priority raw + 1"), "{text}");
        assert!(!text.contains("stranger"), "{text}");
    });
}

#[test]
fn repaired_whoever_breaks_it() {
    alone("repaired_whoever_breaks_it", || {
        let folder = tempfile::tempdir().unwrap();
        let mut config = config(&folder);
        config.guard.redirect = Redirect::Iptables;
        let (firewall, told) = start(&config);
        add(&firewall, "203.0.113.5/32", Standing::Banned);
        add(&firewall, "10.66.0.0/16", Standing::Banned);
        let opened = firewall.open().unwrap();
        assert_eq!(opened.path, Path::Iptables);
        assert!(opened.words.contains("iptables v"), "{}", opened.words);
        let whole = table_lines();
        let rules = || {
            let ours =
                |tool| run(&format!("{tool} -t mangle -S PREROUTING")).matches("NFQUEUE").count();
            ours("iptables") + ours("ip6tables")
        };
        assert_eq!(rules(), 2);
        assert_eq!(firewall.open().unwrap().path, Path::Iptables);
        assert_eq!(rules(), 2, "opening twice adds nothing");
        for (breaks, what) in [
            ("nft flush ruleset", "flushed or deleted by nft (process "),
            ("nft delete table inet portcullis", "flushed or deleted by nft"),
            ("nft flush chain inet portcullis early", "flushed or deleted by nft"),
            ("nft flush set inet portcullis banned4", "flushed or deleted by nft"),
            ("nft delete element inet portcullis banned4 { 203.0.113.5 }", "flushed or deleted"),
            ("nft add rule inet portcullis early drop", "changed by nft"),
            ("iptables -t mangle -F", "removed by iptables"),
        ] {
            told.try_iter().for_each(drop);
            run(breaks);
            let took = wait(breaks, || {
                // The table is gone at first.
                let there = table_lines() == whole;
                there && elements("banned4") == 1 && elements("refused4") == 1 && rules() == 2
            });
            println!("{breaks}: whole again after {took:?}");
            let text = told.recv_timeout(Duration::from_secs(1)).map(|event| match event {
                Event::Notice(notice) if notice.level == Level::Warning => notice.text,
                other => format!("{other:?}"),
            });
            let text = text.unwrap();
            assert!(text.contains(what), "{breaks}: {text}");
        }
        // What we do ourselves, and what is none of ours, is no news.
        told.try_iter().for_each(drop);
        run("nft add table inet theirs");
        run("iptables -t mangle -A PREROUTING -p udp -j ACCEPT");
        add(&firewall, "203.0.113.6/32", Standing::Banned);
        std::thread::sleep(Duration::from_millis(600));
        let news: Vec<Event> = told.try_iter().filter(|e| matches!(e, Event::Notice(_))).collect();
        assert_eq!(news, []);
        firewall.close().unwrap();
        assert_eq!(rules(), 0);
        firewall.open().unwrap();
        // As after a crash.
        assert_eq!(unload(&config).unwrap().len(), 2);
        firewall.stop();
    });
}

/// Does a connection from that host come to be?
fn connects(from: &Host, to: SocketAddr) -> bool {
    from.on(move || TcpStream::connect_timeout(&to, Duration::from_millis(400)).is_ok())
}

fn listen(ports: &[u16]) -> Vec<TcpListener> {
    ports.iter().map(|port| TcpListener::bind(format!("[::]:{port}")).unwrap()).collect()
}

#[test]
fn suspects_and_bans_on_the_wire() {
    alone("suspects_and_bans_on_the_wire", || {
        let folder = tempfile::tempdir().unwrap();
        let client = Host::new();
        client.plug(
            "c0",
            &["10.0.0.1/24", "2001:db8:1::1/64"],
            &["10.0.0.2/24", "2001:db8:1::2/64"],
        );
        let _listening = listen(&[80, 9999]);
        let (firewall, _told) = start(&config(&folder));
        for (source, here) in [("10.0.0.2/32", "10.0.0.1"), ("2001:db8:1::/64", "2001:db8:1::1")] {
            let here: IpAddr = here.parse().unwrap();
            let reach = |port| connects(&client, SocketAddr::new(here, port));
            let pardon = || {
                let net: ipnet::IpNet = source.parse().unwrap();
                firewall
                    .orders()
                    .ask(|reply| Order::Remove { whom: net.into(), reply })
                    .unwrap()
                    .unwrap();
            };
            assert!(reach(80) && reach(9999), "{source}: clean");
            add(&firewall, source, Standing::Suspect);
            assert!(reach(80), "{source}: a suspect reaches served ports");
            assert!(!reach(9999), "{source}: and no others");
            let orders = firewall.orders();
            assert!(orders.served([80, 9999].into_iter().collect()));
            let listed = orders.ask(|reply| Order::List { reply }).unwrap();
            assert!(listed[0].stopped >= 1, "{source}: {listed:?}");
            assert!(reach(9999), "{source}: what is served from now on, it reaches");
            assert!(orders.served([80].into_iter().collect()));
            add(&firewall, source, Standing::Banned);
            assert!(!reach(80) && !reach(9999), "{source}: banned");
            let listed = orders.ask(|reply| Order::List { reply }).unwrap();
            assert!(listed[0].stopped >= 2, "{source}: {listed:?}");
            pardon();
            assert!(reach(80) && reach(9999), "{source}: pardoned");
        }
        // A suspect may knock at served ports as often as everybody.
        add(&firewall, "10.0.0.2/32", Standing::Suspect);
        let to: SocketAddr = "10.0.0.1:80".parse().unwrap();
        let through = client.on(move || {
            let try_ = || TcpStream::connect_timeout(&to, Duration::from_millis(500)).is_ok();
            (0..60).filter(|_| try_()).count()
        });
        assert_eq!(through, 60);
        let counters = firewall.orders().ask(|reply| Order::Counters { reply }).unwrap();
        let named = |name| counters.kernel.iter().find(|(n, _)| *n == name).unwrap().1;
        assert!(named("suspect_stopped") >= 2, "{counters:?}");
        assert!(named("banned") >= 4, "{counters:?}");
        assert_eq!((counters.suspects, counters.banned), (1, 0));
    });
}

/// Counts marked packets right where iptables would take them, and after they were to be cleared.
const WITNESS: &str = "
table inet witness {
  counter judged { }
  counter proven { }
  counter suspect { }
  counter left { }
  chain at { type filter hook prerouting priority mangle;
    meta mark & 0x40000000 != 0 counter name judged
    meta mark & 0x10000000 != 0 counter name proven
    meta mark & 0x20000000 != 0 counter name suspect
  }
  chain after { type filter hook prerouting priority -140;
    meta mark & 0x70000000 != 0 counter name left
  }
}";

fn witness(name: &str) -> u64 {
    let listed = run(&format!("nft -j list counter inet witness {name}"));
    let listed: Value = serde_json::from_str(&listed).unwrap();
    listed["nftables"][1]["counter"]["packets"].as_u64().unwrap()
}

/// A server that greets: then the kernel sees data sent by our side.
fn greeter(port: u16) {
    let listener = TcpListener::bind(format!("[::]:{port}")).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = stream.and_then(|mut stream| stream.write_all(b"hello\n"));
        }
    });
}

fn greeted(from: &Host, to: &str) {
    let to: SocketAddr = to.parse().unwrap();
    from.on(move || {
        let mut stream = TcpStream::connect_timeout(&to, Duration::from_secs(1)).unwrap();
        let mut word = [0; 6];
        stream.read_exact(&mut word).unwrap();
        assert_eq!(&word, b"hello\n");
    });
}

#[test]
fn what_is_judged_and_who_is_proven() {
    alone("what_is_judged_and_who_is_proven", || {
        let folder = tempfile::tempdir().unwrap();
        let (client, container) = (Host::new(), Host::new());
        client.plug(
            "c0",
            &["10.0.0.1/24", "2001:db8:1::1/64"],
            &["10.0.0.2/24", "2001:db8:1::2/64"],
        );
        container.plug(
            "c1",
            &["172.30.0.1/24", "fd00:30::1/64"],
            &["172.30.0.2/24", "fd00:30::2/64"],
        );
        run("echo 1 > /proc/sys/net/ipv4/ip_forward");
        run("echo 1 > /proc/sys/net/ipv6/conf/all/forwarding");
        client.run("ip route add default via 10.0.0.1");
        container.run("ip route add default via 172.30.0.1");
        client.run("ip -6 route add default via 2001:db8:1::1");
        container.run("ip -6 route add default via fd00:30::1");
        // A published container port, as container engines make it.
        run("iptables -t nat -A PREROUTING -p tcp --dport 8080 -m addrtype --dst-type LOCAL \
             -j DNAT --to-destination 172.30.0.2:80");
        greeter(22);
        container.on(|| greeter(80));
        client.on(|| greeter(7));
        let mut config = config(&folder);
        config.policy.ports.served = [22, 80, 8080].into_iter().collect();
        let (firewall, _told) = start(&config);
        firewall.open().unwrap();
        std::fs::write(folder.path().join("witness"), WITNESS).unwrap();
        run(&format!("nft -f {}", folder.path().join("witness").display()));

        // IPv4, a service of this host; the second SYN is known to be of a proven source.
        greeted(&client, "10.0.0.1:22");
        assert_eq!((witness("judged"), witness("proven")), (1, 0));
        greeted(&client, "10.0.0.1:22");
        assert_eq!((witness("judged"), witness("proven")), (2, 1));
        // IPv6: its whole /64 is proven.
        greeted(&client, "[2001:db8:1::1]:22");
        client.run("ip addr add 2001:db8:1::77/64 dev eth0 nodad");
        client.run("ip addr del 2001:db8:1::2/64 dev eth0");
        client.run("ip -6 route replace default via 2001:db8:1::1");
        greeted(&client, "[2001:db8:1::1]:22");
        assert_eq!((witness("judged"), witness("proven")), (4, 2));
        assert!(run("nft list set inet portcullis proven6").contains("2001:db8:1:: "));

        // A published container port is guarded, and its replies prove the client.
        run("nft flush set inet portcullis proven4");
        wait("the repair", || run("nft list set inet portcullis served").contains("80"));
        std::thread::sleep(Duration::from_millis(500));
        greeted(&client, "10.0.0.1:8080");
        greeted(&client, "10.0.0.1:8080");
        assert_eq!((witness("judged"), witness("proven")), (6, 3));

        // What containers open outwards is not judged, and proves nobody.
        greeted(&container, "10.0.0.2:7");
        greeted(&container, "[2001:db8:1::77]:7");
        assert_eq!(witness("judged"), 6);
        // A suspect container still gets out.
        add(&firewall, "172.30.0.2/32", Standing::Suspect);
        greeted(&container, "10.0.0.2:7");
        assert_eq!((witness("judged"), witness("suspect")), (6, 0));
        // Hosts behind us are not guarded unless the policy says so.
        greeted(&client, "172.30.0.2:80");
        assert_eq!(witness("judged"), 6);
        config.guard.protect = ["172.30.0.0/24", "fd00:30::/64"].map(|n| n.parse().unwrap()).into();
        config.policy.ports.open_behind = Some([80].into_iter().collect());
        let gateway = Arc::new(config);
        firewall
            .orders()
            .ask(|reply| Order::Configure { config: gateway, protected: None, reply })
            .unwrap()
            .unwrap();
        greeted(&client, "172.30.0.2:80");
        greeted(&client, "[fd00:30::2]:80");
        assert_eq!(witness("judged"), 8);
        let proven = witness("proven");
        greeted(&client, "[fd00:30::2]:80");
        assert_eq!((witness("judged"), witness("proven")), (9, proven + 1));
        // Suspects at hosts behind us.
        add(&firewall, "10.0.0.2/32", Standing::Suspect);
        container.on(|| greeter(81));
        greeted(&client, "172.30.0.2:80");
        assert_eq!(witness("suspect"), 1);
        assert!(!connects(&client, "172.30.0.2:81".parse().unwrap()));
        // Marks never outlive prerouting; this host's own connections are not touched.
        assert_eq!(witness("left"), 0);
        let judged = witness("judged");
        TcpStream::connect("127.0.0.1:22").unwrap();
        TcpStream::connect("10.0.0.1:22").unwrap();
        assert_eq!(witness("judged"), judged);
    });
}

#[test]
fn ten_thousand_offences_at_once() {
    alone("ten_thousand_offences_at_once", || {
        let folder = tempfile::tempdir().unwrap();
        let (firewall, told) = start(&config(&folder));
        // One after the other first.
        for n in 0..50 {
            assert!(offend(&firewall, &format!("198.51.100.{n}"), Standing::Suspect));
            std::thread::sleep(Duration::from_millis(15));
        }
        let counters = || firewall.orders().ask(|reply| Order::Counters { reply }).unwrap();
        // The counters may be asked before the last batch has ended.
        let last = Instant::now();
        while counters().told < 50 && last.elapsed() < Duration::from_secs(5) {
            std::thread::sleep(Duration::from_millis(5));
        }
        let alone = counters();
        println!("alone: p50 {:?}, p99 {:?}", alone.latency_p50, alone.latency_p99);
        assert_eq!(alone.told, 50);
        let standings: Vec<Event> = told.try_iter().collect();
        let notices = standings.iter().filter(|event| matches!(event, Event::Notice(_)));
        assert_eq!(notices.collect::<Vec<_>>(), Vec::<&Event>::new());
        let start = Instant::now();
        for n in 0..10_000 {
            let source = format!("10.{}.{}.{}", n % 7, n / 250, n % 250 + 1);
            let earned = if n % 2 == 0 { Standing::Banned } else { Standing::Suspect };
            assert!(offend(&firewall, &source, earned), "never waits, nothing lost");
        }
        let given = start.elapsed();
        while counters().told < 10_050 {
            assert!(start.elapsed() < Duration::from_secs(30), "{:?}", counters());
            // Asking without a pause would take the time that the work needs.
            std::thread::sleep(Duration::from_millis(5));
        }
        let took = start.elapsed();
        println!("10,000: given in {given:?}, in the kernel after {took:?}: {:?}", counters());
        assert_eq!(elements("banned4") + elements("suspect4"), 10_050);
        assert_eq!(told.try_iter().filter(|e| matches!(e, Event::Standing(_))).count(), 10_000);
        // All of it is on disk at the next start, and nothing has to be put into the kernel again.
        firewall.stop();
        let (firewall, _told) = self::start(&config(&folder));
        let counters = firewall.orders().ask(|reply| Order::Counters { reply }).unwrap();
        assert_eq!(counters.suspects + counters.banned, 10_050);
    });
}

#[test]
fn while_nft_fails_standings_are_kept() {
    alone("while_nft_fails_standings_are_kept", || {
        let folder = tempfile::tempdir().unwrap();
        let broken = folder.path().join("broken");
        let real = run("command -v nft");
        instead_of(
            "nft",
            &format!(
                "[ -e {} ] && {{ echo out of order >&2; exit 1; }}; exec {} \"$@\"",
                broken.display(),
                real.trim()
            ),
        );
        let (firewall, told) = start(&config(&folder));
        std::fs::write(&broken, "").unwrap();
        let alarms = |told: &Receiver<Event>| {
            let notices = told.try_iter().filter_map(|event| match event {
                Event::Notice(notice) => Some((notice.level, notice.text)),
                _ => None,
            });
            notices.collect::<Vec<_>>()
        };
        for n in 0..20 {
            assert!(offend(&firewall, &format!("203.0.113.{n}"), Standing::Banned));
            std::thread::sleep(Duration::from_millis(20));
        }
        let counters = || firewall.orders().ask(|reply| Order::Counters { reply }).unwrap();
        assert_eq!((counters().banned, counters().in_step), (20, false));
        let said = alarms(&told);
        assert_eq!(said.len(), 1, "one alarm, not one per offence: {said:?}");
        assert_eq!(said[0].0, Level::Error);
        assert!(said[0].1.contains("out of order"), "{said:?}");
        // Whoever ends it now, by whatever means, finds every standing on disk.
        let copy = tempfile::tempdir().unwrap();
        std::fs::copy(folder.path().join("standings"), copy.path().join("standings")).unwrap();
        std::fs::remove_file(&broken).unwrap();
        wait("the all-clear", || counters().in_step);
        assert_eq!(elements("banned4"), 20);
        assert_eq!(alarms(&told).len(), 1, "one all-clear");
        firewall.stop();
        unload(&config(&folder)).unwrap();
        let (firewall, _told) = start(&config(&copy));
        assert_eq!(elements("banned4"), 20);
        firewall.stop();
    });
}

#[test]
fn a_reload_that_the_kernel_refuses_changes_nothing() {
    alone("a_reload_that_the_kernel_refuses_changes_nothing", || {
        let folder = tempfile::tempdir().unwrap();
        let broken = folder.path().join("broken");
        let real = run("command -v nft");
        let (broken_, real) = (broken.display(), real.trim());
        instead_of("nft", &format!("[ -e {broken_} ] && exit 1; exec {real} \"$@\""));
        let config = config(&folder);
        let (firewall, _told) = start(&config);
        firewall.open().unwrap();
        let whole = table_lines();
        add(&firewall, "203.0.113.5/32", Standing::Banned);
        std::fs::write(&broken, "").unwrap();
        let mut other = config.clone();
        other.guard.mark_bit = 4;
        other.bans.never = vec!["203.0.113.5/32".parse().unwrap()];
        let configure = |config: Config| {
            let config = Arc::new(config);
            let order = |reply| Order::Configure { config, protected: None, reply };
            firewall.orders().ask(order).unwrap()
        };
        assert!(configure(other.clone()).is_err());
        std::fs::remove_file(&broken).unwrap();
        let in_step = || {
            let counters = firewall.orders().ask(|reply| Order::Counters { reply }).unwrap();
            counters.in_step
        };
        wait("the all-clear", in_step);
        assert_eq!(elements("banned4"), 1, "nobody was pardoned by it");
        let kept: Vec<String> =
            table_lines().into_iter().filter(|line| !line.contains("203.0.113.5")).collect();
        assert_eq!(kept, whole, "the old rules stand");
        configure(other).unwrap();
        assert!(table_text().contains("meta mark | 0x00000040"));
        assert_eq!(elements("banned4"), 0);
    });
}

#[test]
fn a_standing_ends_and_comes_back() {
    alone("a_standing_ends_and_comes_back", || {
        let folder = tempfile::tempdir().unwrap();
        let mut config = config(&folder);
        config.bans.durations = vec![Duration::from_secs(1), Duration::from_secs(100)];
        let (firewall, told) = start(&config);
        assert!(offend(&firewall, "203.0.113.5", Standing::Suspect));
        let change = |told: &Receiver<Event>| match told.recv_timeout(Duration::from_secs(3)) {
            Ok(Event::Standing(change)) => change,
            other => panic!("{other:?}"),
        };
        assert_eq!(change(&told).offence, 1);
        let ended = change(&told);
        assert_eq!((ended.standing, ended.reason.as_str()), (Standing::Clean, "expired"));
        // At once again: whatever the kernel still holds, the new end counts.
        assert!(offend(&firewall, "203.0.113.5", Standing::Suspect));
        assert_eq!(change(&told).offence, 2);
        let listed = || run("nft list set inet portcullis suspect4");
        wait("the element", || listed().contains("timeout 1m40s"));
        firewall.stop();
    });
}

#[test]
fn auto_finds_a_way_by_trying() {
    alone("auto_finds_a_way_by_trying", || {
        let folder = tempfile::tempdir().unwrap();
        let mut config = config(&folder);
        config.guard.redirect = Redirect::Auto;
        config.queue.threads = 2;
        let (firewall, _told) = start(&config);
        let opened = firewall.open().unwrap();
        println!("{} {:?}", opened.words, opened.path);
        let (nft, iptables) = (table_text(), run("iptables -t mangle -S PREROUTING"));
        match opened.path {
            Path::Nft(_) => assert!(nft.contains("queue flags bypass to")),
            Path::Iptables => assert!(iptables.contains("--queue-balance 7:8 --queue-bypass")),
            Path::Manual => panic!("not asked for"),
        }
        assert_eq!(iptables.contains("NFQUEUE"), opened.path == Path::Iptables);
        assert!(!run("nft list tables").contains("trial"), "trying leaves nothing behind");
        // Who asks for nft alone is told, where the kernel lacks it, and the gate stays shut.
        firewall.close().unwrap();
        firewall.stop();
        config.guard.redirect = Redirect::Nft;
        let (firewall, _told) = start(&config);
        match (opened.path, firewall.open()) {
            (Path::Nft(_), outcome) => assert_eq!(outcome.unwrap().path, opened.path),
            (_, outcome) => {
                let error = outcome.unwrap_err().to_string();
                assert!(error.contains("modprobe nft_queue"), "{error}");
                assert!(!table_text().contains("chain hand_over"));
            }
        }
    });
}

#[test]
fn closed_by_choice_it_stays_closed_after_a_crash() {
    alone("closed_by_choice_it_stays_closed_after_a_crash", || {
        let folder = tempfile::tempdir().unwrap();
        let mut config = config(&folder);
        config.guard.redirect = Redirect::Iptables;
        config.guard.when_down = FailMode::Drop;
        let client = Host::new();
        client.plug("c0", &["10.0.0.1/24"], &["10.0.0.2/24"]);
        let _listening = listen(&[80]);
        let reach = || connects(&client, "10.0.0.1:80".parse().unwrap());
        let (firewall, _told) = start(&config);
        assert!(reach());
        firewall.open().unwrap();
        assert!(!reach(), "nobody listens at the queue, and there is no bypass");
        // A crash: the thread ends, nothing is closed.
        firewall.stop();
        assert!(!reach());
        let (firewall, _told) = start(&config);
        assert!(!reach(), "nobody slips through while it starts");
        firewall.close().unwrap();
        assert!(reach());
        // With the bypass, nobody notices.
        config.guard.when_down = FailMode::Accept;
        let config = Arc::new(config);
        firewall
            .orders()
            .ask(|reply| Order::Configure { config, protected: None, reply })
            .unwrap()
            .unwrap();
        firewall.open().unwrap();
        assert!(reach());
    });
}
