//! Clean, suspect, banned: what the kernel does with each, and who can be made what by whom.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use portcullis::lab::{Manner, Overheard, Visit};

use crate::stage::{
    ANNA, BEN, CARLA, CARLAS_PHONE, DORA, Gate, HASTE, MALLORY, MALLORY6, TRUDY, World, address,
    eventually, in_lab, text,
};

/// Ports that nobody serves.
const CLOSED: std::ops::Range<u16> = 8101..8107;

in_lab! {
    fn a_raw_scanner_becomes_a_suspect_and_learns_nothing() {
        let world = World::new();
        let gate = Gate::start(&world.server, "");
        for (from, set, element) in
            [(TRUDY, "suspect4", TRUDY), (MALLORY6, "suspect6", "2001:db8:bad::")]
        {
            let ears = Overheard::start(&world.rogues).unwrap();
            let scan = world.forged(from, CLOSED.chain([80, 22]));
            let scan = scan.into_iter().map(|syn| syn.manner(Manner::Scanner)).collect();
            world.send(&world.rogues, scan, 50);
            gate.await_set(set, element);
            assert_eq!(gate.await_event("suspect", &named(from))["reason"], "scan");
            assert!(ears.stop(Duration::from_millis(300)).is_empty(), "it heard an answer");

            let before = gate.judged();
            let more = world.forged(from, 9000..9050).into_iter().map(|syn| syn.manner(Manner::Scanner));
            world.send(&world.rogues, more.collect(), 500);
            assert_eq!(gate.judged(), before, "unserved ports: the kernel drops, the gate sleeps");
            assert!(gate.set("banned4").is_empty() && gate.set("banned6").is_empty());
        }
    }

    fn a_person_whose_address_was_forged_loses_a_second_and_no_more() {
        let world = World::new();
        let gate = Gate::start(&world.server, "");
        for (victim, set, element) in
            [(BEN, "suspect4", BEN), (DORA, "suspect6", "2001:db8:7:2::")]
        {
            world.send(&world.rogues, world.forged(victim, CLOSED), 50);
            gate.await_set(set, element);
            let seen = world.visit(victim, 80);
            assert!(seen.is_served(), "{victim}: {seen:?}\n{}", gate.said());
            let waited = seen.connected().unwrap();
            assert!(waited > Duration::from_millis(700), "no proof was asked for: {waited:?}");
            assert!(waited < Duration::from_millis(2000), "{waited:?}");
            // From now on the kernel knows that the address is real.
            let again = world.visit(victim, 80).connected().unwrap();
            assert!(again < Duration::from_millis(700), "{again:?}");
            assert_eq!(world.visit_within(victim, 8200, HASTE), Visit::TimedOut);
        }
    }

    fn a_proven_source_that_goes_on_offending_is_banned() {
        let world = World::new();
        let gate = Gate::start(&world.server, "[bans]\ndurations = [\"10m\"]\n");
        for (from, set, element) in
            [(MALLORY, "banned4", MALLORY), (MALLORY6, "banned6", "2001:db8:bad::")]
        {
            assert!(world.visit(from, 80).is_served());
            let mut open = established(&world, from, 80);
            for port in CLOSED {
                assert_eq!(world.visit_within(from, port, HASTE), Visit::TimedOut);
            }
            gate.await_set(set, element);
            let event = gate.await_event("ban", &named(from));
            assert_eq!((&event["reason"], &event["for"]), (&"scan".into(), &600.into()), "{event}");
            assert_eq!(gate.standing(&named(from)).as_deref(), Some("banned"));

            let before = gate.judged();
            assert_eq!(world.visit(from, 80), Visit::TimedOut);
            assert_eq!(gate.judged(), before, "the kernel stops it without asking");
            open.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
            let mut answer = String::new();
            open.read_to_string(&mut answer).unwrap();
            assert!(answer.contains("200 OK"), "established connections are left alone");
        }
        assert!(world.visit(ANNA, 80).is_served() && world.visit(CARLA, 80).is_served());
    }

    fn nobody_can_have_a_real_visitor_banned() {
        let world = World::new();
        let gate = Gate::start(&world.server, "[bans]\nafter = 4\n");
        assert!(world.visit(ANNA, 80).is_served() && world.visit(ANNA, 80).is_served());
        // Anna is proven. Someone else sends in her name, from another distance, with another stack.
        let forged = world.forged(ANNA, 8101..8140).into_iter();
        world.send(&world.rogues, forged.map(|syn| syn.ttl(201).manner(Manner::Scanner)).collect(), 100);
        gate.await_event("suspect", ANNA);
        assert_eq!(gate.set("banned4"), [""; 0]);
        for port in [80, 22] {
            let seen = world.visit(ANNA, port);
            assert!(seen.is_served(), "{seen:?}");
            assert!(seen.connected().unwrap() < Duration::from_millis(700), "a proven one never waits");
        }
    }

    fn any_evidence_bans_on_plain_syns_if_the_admin_says_so() {
        let world = World::new();
        let gate = Gate::start(&world.server, "[bans]\nafter = 4\nevidence = \"any\"\n");
        world.send(&world.rogues, world.forged(TRUDY, CLOSED), 50);
        gate.await_set("banned4", TRUDY);
        assert_eq!(world.visit_within(TRUDY, 80, HASTE), Visit::TimedOut);
        assert!(world.visit(MALLORY, 80).is_served());
    }

    fn an_ipv6_ban_is_for_the_whole_64_and_no_more() {
        let world = World::new();
        let gate = Gate::start(&world.server, "");
        let added = gate.ask(&["bans", "add", CARLA, "--for", "10m", "--reason", "test"]);
        assert!(added.status.success(), "{}", text(&added));
        gate.await_set("banned6", "2001:db8:7:1::");
        for banned in [CARLA, CARLAS_PHONE] {
            assert_eq!(world.visit_within(banned, 80, HASTE), Visit::TimedOut, "{banned}");
        }
        assert!(world.visit(DORA, 80).is_served());
        let removed = gate.ask(&["bans", "remove", CARLAS_PHONE]);
        assert!(removed.status.success(), "{}", text(&removed));
        eventually(Duration::from_secs(5), "empty set", || {
            if gate.set("banned6").is_empty() { Ok(()) } else { Err(format!("{:?}", gate.set("banned6"))) }
        });
        assert!(world.visit(CARLA, 80).is_served());
    }

    fn ssh_sessions_spare_those_who_had_them_at_the_start_and_nobody_else() {
        let world = World::new();
        let _admin = established(&world, BEN, 22);
        let gate = Gate::start(&world.server, "");
        let ban = |who: &str| gate.ask(&["bans", "add", who, "--for", "10m"]);
        let refused = ban(BEN);
        assert_eq!(refused.status.code(), Some(64), "{}", crate::stage::text(&refused));
        // Whoever guesses passwords has a session too, as long as sshd lets him try.
        let _guesser = established(&world, MALLORY, 22);
        assert!(ban(MALLORY).status.success());
        assert!(gate.ask(&["reload"]).status.success());
        assert_eq!(gate.standing(MALLORY).as_deref(), Some("banned"));
        assert_eq!(gate.set("banned4"), [MALLORY]);
        assert_eq!(ban(BEN).status.code(), Some(64));
    }

    fn a_ban_of_a_whole_prefix_says_how_to_lift_it() {
        let world = World::new();
        let gate = Gate::start(&world.server, "");
        assert!(gate.ask(&["bans", "add", "192.0.2.0/24"]).status.success());
        let explained = gate.explain(MALLORY, 80);
        assert_eq!((&explained["accepted"], &explained["settled_by"]), (&false.into(), &"standing".into()));
        let command = "portcullis bans remove 192.0.2.0/24";
        assert!(explained["advice"].to_string().contains(command), "{explained}");
        let inner = gate.ask(&["bans", "remove", MALLORY]);
        assert_eq!(inner.status.code(), Some(64));
        assert!(crate::stage::text(&inner).contains(command), "{}", crate::stage::text(&inner));
        for n in 1..40 {
            assert!(gate.ask(&["bans", "add", &format!("203.0.113.{n}"), "--suspect"]).status.success());
        }
        let all = gate.ask(&["bans", "remove", "all"]);
        assert!(crate::stage::text(&all).contains("40 sources are clean"), "{}", crate::stage::text(&all));
        assert_eq!((gate.set("suspect4"), gate.set("refused4")), (vec![], vec![]));
        assert_eq!(gate.ask(&["bans", "ad"]).status.code(), Some(64), "a mistyped verb");
    }

    fn a_ban_ends_by_itself() {
        let world = World::new();
        let gate = Gate::start(&world.server, "");
        let added = gate.ask(&["bans", "add", MALLORY, "--for", "2s", "--reason", "test"]);
        assert!(added.status.success(), "{}", text(&added));
        gate.await_set("banned4", MALLORY);
        assert_eq!(world.visit_within(MALLORY, 80, HASTE), Visit::TimedOut);
        eventually(Duration::from_secs(5), "end of the ban", || {
            match world.visit_within(MALLORY, 80, HASTE) {
                seen if seen.is_served() => Ok(()),
                seen => Err(format!("{seen:?} {:?}", gate.set("banned4"))),
            }
        });
        assert_eq!(gate.await_event("clear", MALLORY)["reason"], "expired");
        assert_eq!(gate.standing(MALLORY), None);
    }

    fn a_whole_network_can_be_banned_by_hand() {
        let world = World::new();
        let gate = Gate::start(&world.server, "");
        let added = gate.ask(&["bans", "add", "192.0.2.0/24", "--for", "10m", "--reason", "test"]);
        assert!(added.status.success(), "{}", text(&added));
        for from in [MALLORY, TRUDY] {
            assert_eq!(world.visit_within(from, 80, HASTE), Visit::TimedOut, "{from}");
        }
        assert!(world.visit(ANNA, 80).is_served());
        let removed = gate.ask(&["bans", "remove", "192.0.2.0/24"]);
        assert!(removed.status.success(), "{}", text(&removed));
        assert!(world.visit(MALLORY, 80).is_served() && world.visit(TRUDY, 80).is_served());
    }

    fn established_connections_are_cut_where_the_policy_says_so() {
        let world = World::new();
        let gate = Gate::start(&world.server, "[bans]\nestablished = \"drop\"\n");
        for (from, set, element) in
            [(MALLORY, "banned4", MALLORY), (MALLORY6, "banned6", "2001:db8:bad::")]
        {
            let mut open = established(&world, from, 80);
            let added = gate.ask(&["bans", "add", from, "--for", "10m", "--reason", "test"]);
            assert!(added.status.success(), "{}", text(&added));
            gate.await_set(set, element);
            open.set_read_timeout(Some(HASTE)).unwrap();
            open.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
            assert!(open.read(&mut [0; 64]).is_err(), "{from} is still served");
        }
    }

    fn trusted_networks_and_own_addresses_are_never_banned() {
        let world = World::new();
        let gate = Gate::start(
            &world.server,
            "[allowlist]\nfrom = [\"2001:db8:7:1::11\"]\n[bans]\nafter = 2\nevidence = \"any\"\nnever = [\"203.0.113.11\"]\n",
        );
        // Carla is not on the allow list, but her phone is, and a ban would hit both.
        for from in [BEN, CARLA, "198.51.100.1"] {
            world.send(&world.rogues, world.forged(from, CLOSED), 50);
        }
        world.send(&world.rogues, world.forged(TRUDY, CLOSED), 50);
        gate.await_set("banned4", TRUDY);
        assert_eq!(gate.set("banned4"), [TRUDY]);
        assert_eq!(gate.set("banned6"), [""; 0]);
        assert!(world.visit(BEN, 80).is_served() && world.visit(CARLAS_PHONE, 80).is_served());
    }
}

/// How standings name a source.
fn named(from: &str) -> String {
    portcullis::memory::SourceKey::of(address(from)).to_string()
}

/// An open connection to a service, with nothing said yet.
pub(crate) fn established(world: &World, from: &str, port: u16) -> TcpStream {
    let from = address(from);
    let to = SocketAddr::new(world.server_for(from), port);
    let connect = || {
        let socket =
            socket2::Socket::new(socket2::Domain::for_address(to), socket2::Type::STREAM, None)?;
        socket.bind(&SocketAddr::new(from, 0).into())?;
        socket.connect_timeout(&to.into(), Duration::from_secs(3))?;
        Ok::<TcpStream, std::io::Error>(socket.into())
    };
    world.home(from).run(connect).unwrap().unwrap()
}
