//! The kernel's part, opening by opening.

use super::*;
use crate::packet::{Flags, Options};
use crate::policy::{CheckId, Evidence, Ruling, Scope};

const SERVER: &str = "198.51.100.2";
const CLIENT: &str = "192.0.2.9";

fn ends(address: &str, port: u16) -> (IpAddr, u16) {
    (address.parse().unwrap(), port)
}

fn syn(sport: u16, dport: u16) -> Syn {
    let ((src, _), (dst, _)) = (ends(CLIENT, 0), ends(SERVER, 0));
    Syn {
        src,
        dst,
        sport,
        dport,
        seq: 1,
        ack: 0,
        flags: Flags(Flags::SYN),
        window: 1024,
        urgent: 0,
        ttl: 64,
        ip_id: 0,
        dont_fragment: true,
        ip_options: false,
        length: 40,
        payload: 0,
        options: Options::default(),
        proven: false,
        suspect: false,
        banned: false,
    }
}

fn at(millis: u64) -> Moment {
    Moment(1_000_000_000_000 + millis * 1_000_000)
}

fn data(from: (IpAddr, u16), to: (IpAddr, u16), flags: u8) -> Segment {
    Segment { src: from, dst: to, flags: Flags(flags) }
}

fn proven(kernel: &mut Kernel, now: Moment) -> bool {
    match kernel.opening(&syn(9, 22), true, now) {
        Early::Judge { proven, .. } => proven,
        Early::Drop(why) => panic!("{why}"),
    }
}

#[test]
fn who_is_proven() {
    let (client, server) = (ends(CLIENT, 5000), ends(SERVER, 22));
    let push = Flags::PSH | Flags::ACK;
    // What passes, after an opening from port 5000 to 22 or none, and whether that proves.
    for (opened, from, to, flags, expected) in [
        (true, server, client, push, true),
        (true, server, client, push | Flags::FIN, true),
        (true, server, client, Flags::ACK, false),
        (true, server, client, push | Flags::SYN, false),
        (true, server, client, push | Flags::RST, false),
        (true, client, server, push, false),
        (true, server, ends(CLIENT, 5001), push, false),
        (false, server, client, push, false),
    ] {
        let mut kernel = Kernel::new(&Config::default());
        if opened {
            kernel.connects(&syn(5000, 22), false);
        }
        kernel.passes(data(from, to, flags), at(0));
        assert_eq!(proven(&mut kernel, at(1)), expected, "{opened} {from:?} {to:?} {flags:#x}");
        assert!(!proven(&mut kernel, at(86_400_000)), "it ends after a day");
    }
}

fn offend(kernel: &mut Kernel, earned: Standing, now: Moment) {
    offend_at(kernel, earned, Scope::All, false, now);
}

fn offend_at(kernel: &mut Kernel, earned: Standing, scope: Scope, renew: bool, now: Moment) {
    let decision = Decision {
        ruling: Ruling::Drop,
        check: CheckId::QUIRKS,
        evidence: Evidence::default(),
        retransmission: false,
        earned,
        scope,
        renew,
    };
    kernel.offence(SourceKey::of(ends(CLIENT, 0).0), 22, &decision, now).unwrap();
}

#[test]
fn standings_act() {
    let passes = |suspect| Early::Judge { proven: false, suspect };
    let mut kernel = Kernel::new(&Config::default());
    assert_eq!(kernel.opening(&syn(1, 80), false, at(0)), passes(false));
    offend(&mut kernel, Standing::Suspect, at(0));
    assert_eq!(kernel.opening(&syn(2, 80), false, at(1)), Early::Drop("suspect"));
    assert_eq!(kernel.opening(&syn(3, 80), true, at(2)), passes(true));
    // It goes on probing after nine minutes, so it is a suspect until minute 19.
    let minute = 60_000;
    assert_eq!(kernel.opening(&syn(4, 80), false, at(9 * minute)), Early::Drop("suspect"));
    assert_eq!(kernel.opening(&syn(5, 80), true, at(18 * minute)), passes(true));
    assert_eq!(kernel.opening(&syn(6, 80), false, at(20 * minute)), passes(false));
    offend(&mut kernel, Standing::Banned, at(20 * minute));
    assert_eq!(kernel.opening(&syn(7, 80), true, at(20 * minute)), Early::Drop("banned"));
}

#[test]
fn a_ban_at_one_port_acts_there() {
    let mut kernel = Kernel::new(&Config::default());
    offend_at(&mut kernel, Standing::Banned, Scope::Port, false, at(0));
    let passes = Early::Judge { proven: false, suspect: false };
    assert_eq!(kernel.opening(&syn(1, 22), true, at(1)), Early::Drop("banned"));
    assert_eq!(kernel.opening(&syn(2, 21), true, at(1)), passes);
    assert_eq!(kernel.opening(&syn(3, 22), true, at(600_000)), passes, "and ends");
}

#[test]
fn a_proof_that_tells_too_little_is_forgotten() {
    let mut kernel = Kernel::new(&Config::default());
    kernel.connects(&syn(1, 22), false);
    kernel.passes(data(ends(SERVER, 22), ends(CLIENT, 1), 0x18), at(0));
    assert!(proven(&mut kernel, at(1)));
    offend_at(&mut kernel, Standing::Suspect, Scope::All, true, at(2));
    assert!(!proven(&mut kernel, at(3)));
    kernel.passes(data(ends(SERVER, 22), ends(CLIENT, 1), 0x18), at(4));
    assert!(proven(&mut kernel, at(5)));
}

#[test]
fn floods_stop_at_the_ceiling() {
    let mut kernel = Kernel::new(&Config::default());
    let dropped = |kernel: &mut Kernel, count: u16| {
        let syns = (0..count).map(|port| kernel.opening(&syn(port, 80), true, at(0)));
        syns.filter(|early| matches!(early, Early::Drop(_))).count()
    };
    let burst = Config::default().guard.ceiling.unwrap().burst as u16;
    assert_eq!(dropped(&mut kernel, burst + 100), 100, "the burst passes the ceiling");
    let mut kernel = Kernel::new(&Config::default());
    offend(&mut kernel, Standing::Suspect, at(0));
    assert_eq!(dropped(&mut kernel, burst + 100), 100, "suspects have the same one");
}

#[test]
fn trusted_sources_pass_by() {
    let mut config = Config::default();
    let nets = vec!["192.0.2.0/24".parse().unwrap()];
    config.policy.allowlist = crate::policy::Allowlist::new(nets).into();
    let mut kernel = Kernel::new(&config);
    for port in 0..500 {
        let early = kernel.opening(&syn(port, 80), false, at(0));
        assert_eq!(early, Early::Judge { proven: false, suspect: false });
    }
}

#[test]
fn a_full_set_of_meters_lets_pass() {
    let mut config = Config::default();
    config.guard.set_size = 0;
    config.guard.ceiling = Some(Rate { count: 1, per: Duration::from_secs(1), burst: 1 });
    let mut kernel = Kernel::new(&config);
    kernel.connects(&syn(1, 80), false);
    kernel.passes(data(ends(SERVER, 80), ends(CLIENT, 1), 0x18), at(0));
    for _ in 0..3 {
        assert_eq!(
            kernel.opening(&syn(1, 80), true, at(0)),
            Early::Judge { proven: false, suspect: false }
        );
    }
}

#[test]
fn a_connection_is_completed_once() {
    let mut kernel = Kernel::new(&Config::default());
    let opening = syn(1, 80);
    let ends = ((opening.src, opening.sport), (opening.dst, opening.dport));
    let goes_on = |flags| Segment { src: ends.0, dst: ends.1, flags: Flags(flags) };
    let ack = goes_on(Flags::ACK);
    assert!(!kernel.completes(ack, false), "nobody opened it");
    kernel.connects(&opening, false);
    assert!(!kernel.completes(goes_on(Flags::RST | Flags::ACK), false));
    assert!(
        !kernel.completes(Segment { src: ends.1, dst: ends.0, flags: Flags(Flags::ACK) }, false)
    );
    assert!(kernel.completes(ack, false));
    assert!(!kernel.completes(ack, false));
    kernel.connects(&opening, true);
    assert!(!kernel.completes(ack, false), "the same SYN again opens nothing");
    kernel.connects(&opening, false);
    assert!(kernel.completes(ack, false), "a new one does");

    let answer = Segment { src: ends.1, dst: ends.0, flags: Flags(Flags::SYN | Flags::ACK) };
    kernel.connects(&opening, false);
    assert!(!kernel.completes(answer, false));
    assert!(kernel.completes(answer, true) && !kernel.completes(ack, true));
}
