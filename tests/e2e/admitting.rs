//! Who must get in, gets in, and loses nothing on the way.

use crate::stage::address;
use crate::stage::{ANNA, BEN, CARLA, Gate, MALLORY, PATIENCE, World, in_lab, nft, nft_load};
use portcullis::lab::visit;
use std::net::SocketAddr;

in_lab! {
    fn served_ports_are_open_to_everyone_in_both_families() {
        let world = World::new();
        let gate = Gate::start(&world.server, "");
        for from in [ANNA, CARLA, MALLORY] {
            for port in [80, 22] {
                let seen = world.visit(from, port);
                assert!(seen.is_served(), "{from} to {port}: {seen:?}\n{}", gate.said());
                let waited = seen.connected().unwrap();
                assert!(waited.as_millis() < 900, "{from} to {port} took a retransmission");
            }
        }
        assert!(gate.judged() >= 6, "nothing was judged: {}", gate.status());
    }

    fn a_thousand_fetches_without_a_failure() {
        let world = World::new();
        let gate = Gate::start(
            &world.server,
            "[rate.class.web]\nports = \"80\"\nrate = \"unlimited\"\n\
             [rate]\nsource = \"unlimited\"\nnetwork = \"unlimited\"\n[guard]\nceiling = \"unlimited\"\n",
        );
        let before = gate.judged();
        for from in [BEN, CARLA].map(address) {
            let to = SocketAddr::new(world.server_for(from), 80);
            let failed = world.people.run(|| {
                let visits = (0..1000).map(|_| visit(from, to, PATIENCE));
                visits.filter(|seen| !seen.is_served()).count()
            });
            assert_eq!(failed.unwrap(), 0, "{}", gate.said());
        }
        assert!(gate.judged() - before >= 2000, "not every connection was judged");
    }

    fn an_admins_own_marks_survive_and_the_gates_bits_do_not() {
        let world = World::new();
        let admins = "table inet admin { \
               chain before { type filter hook prerouting priority raw; meta mark set 0x5; } \
               chain after { type filter hook input priority 0; \
                 tcp flags syn / syn,ack tcp dport 80 meta mark 0x5 counter comment \"kept\"; \
                 tcp flags syn / syn,ack tcp dport 80 meta mark != 0x5 counter comment \"changed\"; } }";
        // Whoever was there first, what the admin writes does not take away what the gate has written.
        nft_load(&world.server, admins);
        let gate = Gate::start(&world.server, "");
        assert!(world.visit(BEN, 80).is_served());
        assert_eq!(gate.judged(), 1, "{}", gate.said());
        nft_load(&world.server, &format!("delete table inet admin\n{admins}"));
        // The second visit of each is one of a proven source: its SYN carries that bit on the way.
        for from in [ANNA, ANNA, CARLA, CARLA] {
            assert!(world.visit(from, 80).is_served());
        }
        let rules = nft(&world.server, &["list", "chain", "inet", "admin", "after"]);
        let rules = crate::stage::text(&rules);
        let packets = |comment: &str| {
            let line = rules.lines().find(|line| line.contains(comment)).unwrap();
            let words: Vec<&str> = line.split_whitespace().collect();
            let at = words.iter().position(|word| *word == "packets").unwrap();
            words[at + 1].parse::<u64>().unwrap()
        };
        assert_eq!((packets("kept"), packets("changed")), (4, 0), "{rules}\n{}", gate.said());
        assert_eq!(gate.judged(), 5, "{}", gate.said());
    }
}
