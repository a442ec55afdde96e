//! The server as a gateway: hosts behind it, and ports it publishes for them.

use std::net::SocketAddr;

use ipnet::IpNet;
use portcullis::lab::{Host, Service, Trade, Visit, visit};

use crate::stage::{ANNA, CARLA, Gate, HASTE, PATIENCE, World, address, in_lab, nft_load};

in_lab! {
    fn hosts_behind_a_gateway_are_guarded_as_the_policy_says() {
        let mut world = World::new();
        let (inner, _services) = inner(&mut world);
        let policy = "[guard]\nprotect = [\"10.20.0.0/24\", \"2001:db8:20::/64\"]\n\
                      [ports]\nopen_behind = \"80\"\n";
        let gate = Gate::start(&world.server, policy);
        for from in [ANNA, CARLA] {
            let seen = reach(&world, from, &inner, 80);
            assert!(seen.is_served(), "{from}: {seen:?}\n{}", gate.said());
            let seen = reach(&world, from, &inner, 8080);
            assert_eq!(seen, Visit::TimedOut, "served there, but not by the policy");
            let event = gate.await_event("drop", from);
            assert_eq!((&event["reason"], &event["dpt"]), (&"ports".into(), &8080.into()));
            assert!(world.visit(from, 80).is_served(), "the gateway's own service");
        }
    }

    fn what_is_not_protected_is_not_judged() {
        let mut world = World::new();
        let (inner, _services) = inner(&mut world);
        let gate = Gate::start(&world.server, "");
        let before = gate.judged();
        for from in [ANNA, CARLA] {
            for port in [80, 8080] {
                assert!(reach(&world, from, &inner, port).is_served());
            }
        }
        assert_eq!(gate.judged(), before);
    }

    fn what_inner_hosts_open_outwards_is_never_judged() {
        let mut world = World::new();
        let (inner, _services) = inner(&mut world);
        let any = "[::]:9999".parse().unwrap();
        let _outside = Service::start(&world.people, any, Trade::Login).unwrap();
        let policy = "[guard]\nprotect = [\"10.20.0.0/24\", \"2001:db8:20::/64\"]\n\
                      [ports]\nopen = \"22\"\nopen_behind = \"80\"\n";
        let gate = Gate::start(&world.server, policy);
        let before = gate.judged();
        for (from, to) in [("10.20.0.10", ANNA), ("2001:db8:20::10", CARLA)] {
            let (from, to) = (address(from), SocketAddr::new(address(to), 9999));
            for _ in 0..20 {
                assert!(inner.run(|| visit(from, to, PATIENCE)).unwrap().is_served());
                // The gateway's own connections outwards are not judged either.
                let own = world.server_for(from);
                assert!(world.server.run(|| visit(own, to, PATIENCE)).unwrap().is_served());
            }
        }
        assert_eq!(gate.judged(), before, "{:?}", gate.events());
    }

    fn published_ports_are_judged_as_published() {
        let mut world = World::new();
        let (_inner, _services) = inner(&mut world);
        nft_load(
            &world.server,
            "table ip containers { chain publish { type nat hook prerouting priority dstnat; \
               ip daddr 198.51.100.10 tcp dport 8001 dnat to 10.20.0.10:80; \
               ip daddr 198.51.100.10 tcp dport 8002 dnat to 10.20.0.10:80; } }",
        );
        assert!(world.visit(ANNA, 8001).is_served() && world.visit(ANNA, 8002).is_served());
        let gate = Gate::start(&world.server, "[ports]\nopen = \"80, 8001\"\n");
        assert!(world.visit(ANNA, 8001).is_served(), "{}", gate.said());
        assert_eq!(world.visit_within(ANNA, 8002, HASTE), Visit::TimedOut);
        assert_eq!(gate.await_event("drop", ANNA)["dpt"], 8002);
    }
}

/// A host behind the server, with services on 80 and 8080.
fn inner(world: &mut World) -> (Host, [Service; 2]) {
    let nets: [IpNet; 2] =
        ["10.20.0.10/24", "2001:db8:20::10/64"].map(|net| net.parse().expect("a network"));
    let inner = world.lab.host_behind(&world.server, "inner", &nets).expect("a host");
    world.lab.ready().expect("links");
    let services = [80, 8080].map(|port| {
        let at = SocketAddr::new("::".parse().expect("an address"), port);
        Service::start(&inner, at, Trade::Web).expect("a service")
    });
    (inner, services)
}

/// Visits a port of the inner host; a closed one within [`HASTE`].
fn reach(world: &World, from: &str, inner: &Host, port: u16) -> Visit {
    let from = address(from);
    let to = if from.is_ipv4() { inner.v4() } else { inner.v6() }.expect("both families");
    let patience = if port == 80 { PATIENCE } else { HASTE };
    world.home(from).run(|| visit(from, SocketAddr::new(to, port), patience)).expect("a host")
}
