//! The stage itself, without a gate: hosts reach each other, forgers forge, ears hear.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;
use portcullis::lab::{Forge, Host, Lab, Manner, Overheard, Probe, Service, Trade, Visit, visit};

use crate::stage::in_lab;

const PATIENCE: Duration = Duration::from_secs(3);

fn nets(addresses: &[&str]) -> Vec<IpNet> {
    addresses.iter().map(|address| address.parse().unwrap()).collect()
}

fn at(host: &Host, port: u16) -> [SocketAddr; 2] {
    [host.v4().unwrap(), host.v6().unwrap()].map(|address| SocketAddr::new(address, port))
}

fn world() -> (Lab, Host, Host) {
    let mut lab = Lab::open().unwrap();
    let server = lab.host("server", &nets(&["198.51.100.10/24", "2001:db8:5::10/64"])).unwrap();
    let people = lab
        .host("people", &nets(&["203.0.113.10/24", "203.0.113.11/24", "2001:db8:7::10/64"]))
        .unwrap();
    lab.ready().unwrap();
    (lab, server, people)
}

in_lab! {
    fn visits_are_served_refused_or_lost() {
        let (_lab, server, people) = world();
        let any: SocketAddr = "[::]:80".parse().unwrap();
        let web = Service::start(&server, any, Trade::Web).unwrap();
        let _login = Service::start(&server, "[::]:22".parse().unwrap(), Trade::Login).unwrap();
        let second: IpAddr = "203.0.113.11".parse().unwrap();
        people
            .run(|| {
                for (from, to) in [
                    (people.v4().unwrap(), at(&server, 80)[0]),
                    (second, at(&server, 80)[0]),
                    (people.v6().unwrap(), at(&server, 80)[1]),
                    (second, at(&server, 22)[0]),
                ] {
                    assert!(visit(from, to, PATIENCE).is_served(), "{from} to {to}");
                }
                assert_eq!(visit(second, at(&server, 81)[0], PATIENCE), Visit::Refused);
            })
            .unwrap();
        assert_eq!(web.accepted(), 3);
        drop(web);
        let from = people.v4().unwrap();
        let gone = people.run(|| visit(from, at(&server, 80)[0], PATIENCE)).unwrap();
        assert_eq!(gone, Visit::Refused);
    }

    fn a_host_behind_a_gateway_is_reached_and_reaches_out() {
        let (mut lab, server, people) = world();
        let inner = lab
            .host_behind(&server, "inner", &nets(&["10.20.0.10/24", "2001:db8:20::10/64"]))
            .unwrap();
        lab.ready().unwrap();
        let _inside = Service::start(&inner, "[::]:80".parse().unwrap(), Trade::Web).unwrap();
        let _outside = Service::start(&people, "[::]:80".parse().unwrap(), Trade::Web).unwrap();
        for (client, service) in [(&people, &inner), (&inner, &people)] {
            for (from, to) in [client.v4(), client.v6()].into_iter().flatten().zip(at(service, 80)) {
                let seen = client.run(|| visit(from, to, PATIENCE)).unwrap();
                assert!(seen.is_served(), "{from} to {to}: {seen:?}");
            }
        }
    }

    fn a_scanner_hears_what_is_open_and_a_forger_does_not() {
        let (_lab, server, people) = world();
        let _web = Service::start(&server, "[::]:80".parse().unwrap(), Trade::Web).unwrap();
        let ears = Overheard::start(&people).unwrap();
        let stranger: IpAddr = "192.0.2.200".parse().unwrap();
        people
            .run(|| {
                let forge = Forge::open().unwrap();
                for (index, to) in at(&server, 80).into_iter().chain(at(&server, 81)).enumerate() {
                    let from = if to.is_ipv4() { people.v4() } else { people.v6() }.unwrap();
                    let from = SocketAddr::new(from, 40_000 + index as u16);
                    forge.send(&Probe::syn(from, to).manner(Manner::Scanner)).unwrap();
                }
                let forged = SocketAddr::new(stranger, 40_009);
                forge.send(&Probe::syn(forged, at(&server, 80)[0])).unwrap();
            })
            .unwrap();
        let heard: Vec<(SocketAddr, u16)> =
            ears.stop(Duration::from_millis(300)).into_iter().collect();
        let [four, six] = at(&server, 80);
        assert_eq!(heard, [(four, 40_000), (six, 40_001)]);
    }

    fn thousands_of_sources_can_really_connect() {
        let (mut lab, server, people) = world();
        let prefix = "10.9.0.0/16".parse().unwrap();
        lab.own(&people, prefix).unwrap();
        let _web = Service::start(&server, "[::]:80".parse().unwrap(), Trade::Web).unwrap();
        people
            .run(|| {
                for host in [1, 77, 255] {
                    let from = IpAddr::from([10, 9, host, host]);
                    assert!(visit(from, at(&server, 80)[0], PATIENCE).is_served());
                }
            })
            .unwrap();
    }

    fn a_process_ends_with_its_guard() {
        let (_lab, server, _people) = world();
        let mut command = server.command("sleep");
        let mut sleeper = portcullis::lab::Process::start(command.arg("60")).unwrap();
        assert_eq!(sleeper.ended().unwrap(), None);
        let pid = sleeper.child().id();
        drop(sleeper);
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    }
}
