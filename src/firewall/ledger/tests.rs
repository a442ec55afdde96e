//! The ledger's promises, as tables and as properties.

use proptest::prelude::*;

use super::*;

fn at(secs: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + secs)
}

fn rules() -> Rules {
    let minutes = |m: u64| Duration::from_secs(60 * m);
    Rules {
        durations: vec![minutes(10), minutes(60), minutes(600)],
        forget_after: minutes(10_000),
        budget: 5,
        budget_network: 3,
        network: (24, 48),
        never: vec!["192.0.2.0/28".parse().unwrap(), "2001:db8:1::1/128".parse().unwrap()],
        allowed: Arc::new(Allowlist::new(vec!["198.51.100.7/32".parse().unwrap()])),
        capacity: 8,
    }
}

fn key(address: &str) -> SourceKey {
    SourceKey::of(address.parse().unwrap())
}

fn offend(ledger: &mut Ledger, who: &str, earned: Standing, now: u64) -> Result<Change, Spared> {
    offend_at(ledger, who, None, earned, now)
}

fn offend_at(
    ledger: &mut Ledger,
    who: &str,
    port: Option<u16>,
    earned: Standing,
    now: u64,
) -> Result<Change, Spared> {
    let evidence = "unserved seen=5 limit=4".into();
    ledger.offence(key(who), port, earned, "scan", evidence, at(now))
}

#[test]
fn bans_at_one_port() {
    const WHO: &str = "203.0.113.1";
    let address: IpAddr = WHO.parse().unwrap();
    let mut ledger = Ledger::new(rules());
    let standing = |ledger: &Ledger, port, now| {
        let entry = ledger.get_at(address, port, at(now)).filter(|entry| entry.is_live(at(now)));
        entry.map_or((Standing::Clean, None), |entry| (entry.standing, entry.port))
    };
    let first = offend_at(&mut ledger, WHO, Some(22), Standing::Banned, 0).unwrap();
    assert_eq!((first.before, first.entry.port), (Standing::Clean, Some(22)));
    assert_eq!(standing(&ledger, 22, 1), (Standing::Banned, Some(22)));
    assert_eq!(standing(&ledger, 80, 1), (Standing::Clean, None));

    // It can be a suspect besides, and banned at another port; a suspect is one everywhere.
    let suspect = offend_at(&mut ledger, WHO, Some(22), Standing::Suspect, 10).unwrap();
    assert_eq!((suspect.before, suspect.entry.port), (Standing::Clean, None));
    offend_at(&mut ledger, WHO, Some(21), Standing::Banned, 20).unwrap();
    assert_eq!(standing(&ledger, 80, 21), (Standing::Suspect, None));
    assert_eq!(standing(&ledger, 21, 21), (Standing::Banned, Some(21)));
    assert_eq!(ledger.live(), 3);

    // A ban at all ports lies over them, and does not end them: they may last longer.
    let all = offend(&mut ledger, WHO, Standing::Banned, 30).unwrap();
    assert_eq!((all.before, all.entry.port), (Standing::Suspect, None));
    assert_eq!(standing(&ledger, 22, 31), (Standing::Banned, None));
    assert_eq!(
        offend_at(&mut ledger, WHO, Some(25), Standing::Banned, 32),
        Err(Spared::Already),
        "it is banned there already"
    );
    ledger.remove(key(WHO).prefix()).unwrap();
    assert_eq!(standing(&ledger, 22, 33), (Standing::Banned, Some(22)));

    // It escalates at each port by itself.
    ledger.expire(at(700));
    assert_eq!(standing(&ledger, 22, 700), (Standing::Clean, None));
    let second = offend_at(&mut ledger, WHO, Some(22), Standing::Banned, 800).unwrap();
    assert_eq!((second.entry.offences, second.entry.until), (2, at(800 + 3600)));

    // What admins may say.
    let at_ssh = |net: &str| Whom { net: net.parse().unwrap(), port: Some(22) };
    for (net, standing, outcome) in [
        ("203.0.113.9/32", Standing::Banned, Ok(())),
        ("203.0.113.9/32", Standing::Suspect, Err(Spared::Port)),
        ("203.0.114.0/24", Standing::Banned, Err(Spared::Port)),
        ("192.0.2.3/32", Standing::Banned, Err(Spared::Never)),
    ] {
        let added = ledger.add(at_ssh(net), standing, None, "x".into(), at(900));
        assert_eq!(added.map(drop), outcome, "{net}");
    }
    assert!(ledger.remove(key("203.0.113.9").prefix()).is_none(), "it is banned at a port only");
    assert!(ledger.remove(at_ssh("203.0.113.9/32")).is_some());
}

#[test]
fn standings_escalate_rise_and_are_remembered() {
    let mut ledger = Ledger::new(rules());
    let first = offend(&mut ledger, "203.0.113.1", Standing::Suspect, 0).unwrap();
    assert_eq!((first.before, first.entry.standing), (Standing::Clean, Standing::Suspect));
    assert_eq!(first.entry.left(at(0)), Duration::from_secs(600));

    // The same again while it lasts: prolonged, not escalated; within a second: nothing.
    assert_eq!(offend(&mut ledger, "203.0.113.1", Standing::Suspect, 0), Err(Spared::Already));
    let again = offend(&mut ledger, "203.0.113.1", Standing::Suspect, 100).unwrap();
    assert_eq!((again.entry.offences, again.entry.until), (1, at(700)));

    // The kernel saw it go on probing.
    let net = key("203.0.113.1").prefix();
    assert_eq!(ledger.prolong(net, at(150)).unwrap().entry.until, at(750));
    assert_eq!(ledger.prolong(net, at(750)), None, "over is over");

    // It rises, and a lesser offence does not lower it.
    let risen = offend(&mut ledger, "203.0.113.1", Standing::Banned, 200).unwrap();
    assert_eq!((risen.before, risen.entry.offences), (Standing::Suspect, 2));
    assert_eq!(risen.entry.until, at(200 + 3600));
    assert_eq!(offend(&mut ledger, "203.0.113.1", Standing::Suspect, 201), Err(Spared::Already));

    // It ends; the next one is the third and the longest; the one after that is not longer.
    assert!(ledger.expire(at(200 + 3599)).is_empty());
    let ended = ledger.expire(at(200 + 3600));
    assert_eq!((ended.len(), ended[0].before, ended[0].forgotten), (1, Standing::Banned, false));
    for (start, offences) in [(10_000, 3), (100_000, 4)] {
        let next = offend(&mut ledger, "203.0.113.1", Standing::Suspect, start).unwrap();
        assert_eq!((next.entry.offences, next.entry.until), (offences, at(start + 36_000)));
        ledger.expire(next.entry.until);
    }

    // After forget_after it starts anew.
    let forgotten = ledger.expire(at(100_000 + 600_000));
    assert!(forgotten.iter().any(|change| change.forgotten));
    let anew = offend(&mut ledger, "203.0.113.1", Standing::Suspect, 800_000).unwrap();
    assert_eq!(anew.entry.offences, 1);
}

#[test]
fn who_is_spared() {
    let mut ledger = Ledger::new(rules());
    for spared in ["192.0.2.3", "198.51.100.7", "2001:db8:1:0:5::5"] {
        assert_eq!(
            offend(&mut ledger, spared, Standing::Banned, 0),
            Err(Spared::Never),
            "{spared}"
        );
    }
    for (net, why) in [
        ("192.0.0.0/8", Spared::Never),
        ("198.51.100.7/32", Spared::Never),
        ("0.0.0.0/0", Spared::Never),
        ("2001:db8:1::/48", Spared::Never),
    ] {
        let refused =
            ledger.add(net.parse::<IpNet>().unwrap(), Standing::Banned, None, "x".into(), at(0));
        assert_eq!(refused, Err(why), "{net}");
    }
    let wide: IpNet = "10.0.0.0/8".parse().unwrap();
    assert_eq!(ledger.add(wide, Standing::Suspect, None, "x".into(), at(0)), Err(Spared::Wide));
    ledger.add(wide, Standing::Banned, Some(Duration::from_secs(60)), "x".into(), at(0)).unwrap();
    assert_eq!(offend(&mut ledger, "10.1.2.3", Standing::Banned, 1), Err(Spared::Already));
    assert_eq!(ledger.get("10.1.2.3".parse().unwrap(), at(1)).unwrap().net, wide);
    assert!(offend(&mut ledger, "10.1.2.3", Standing::Banned, 61).is_ok());

    // New rules spare who was banned before.
    let mut kinder = rules();
    kinder.never.push("10.1.0.0/16".parse().unwrap());
    let pardoned = ledger.follow(kinder);
    assert!(pardoned.iter().any(|change| change.entry.net.to_string() == "10.1.2.3/32"));
    assert!(ledger.get("10.1.2.3".parse().unwrap(), at(61)).is_none());
}

#[test]
fn the_budget_and_the_capacity_hold() {
    let mut ledger = Ledger::new(rules());
    for (who, outcome) in [
        ("203.0.113.1", Ok(())),
        ("203.0.113.2", Ok(())),
        ("203.0.113.3", Ok(())),
        ("203.0.113.4", Err(Spared::Budget)), // its network's three are used up
        ("203.0.114.1", Ok(())),
        ("203.0.114.2", Ok(())),
        ("203.0.115.1", Err(Spared::Budget)), // all five are used up
    ] {
        assert_eq!(offend(&mut ledger, who, Standing::Banned, 1).map(drop), outcome, "{who}");
    }
    // Suspects cost no budget, but beyond half of the room there is none for more of them.
    assert_eq!(offend(&mut ledger, "203.0.115.1", Standing::Suspect, 1), Err(Spared::Full));
    // A minute later there is budget again; the ninth standing does not fit.
    for who in ["203.0.115.1", "203.0.115.2", "203.0.115.3"] {
        offend(&mut ledger, who, Standing::Banned, 61).unwrap();
    }
    assert_eq!(offend(&mut ledger, "203.0.116.1", Standing::Banned, 61), Err(Spared::Full));
    assert_eq!(ledger.live(), 8);
}

#[test]
fn forged_suspects_leave_room_for_bans() {
    let mut ledger = Ledger::new(rules());
    for n in 0..4 {
        offend(&mut ledger, &format!("203.0.113.{n}"), Standing::Suspect, 1).unwrap();
    }
    assert_eq!(offend(&mut ledger, "203.0.113.9", Standing::Suspect, 1), Err(Spared::Full));
    offend(&mut ledger, "203.0.114.9", Standing::Banned, 1).unwrap();
    // Rising takes no new place.
    offend(&mut ledger, "203.0.113.0", Standing::Banned, 1).unwrap();
    assert_eq!(ledger.live(), 5);
}

#[test]
fn ipv6_hosts_are_their_64() {
    let mut ledger = Ledger::new(rules());
    let host: IpNet = "2001:db8:2:3::4/128".parse().unwrap();
    let added = ledger.add(host, Standing::Banned, None, "x".into(), at(0)).unwrap();
    assert_eq!(added.entry.net.to_string(), "2001:db8:2:3::/64");
    assert!(ledger.get("2001:db8:2:3:9::9".parse().unwrap(), at(1)).is_some());
    assert!(ledger.remove("2001:db8:2:3:7::/128".parse::<IpNet>().unwrap()).is_some());
    assert!(ledger.remove(host).is_none());
}

#[derive(Clone, Debug)]
enum Step {
    Offence(u8, bool),
    Add(u8, u8),
    Remove(u8),
    Wait(u16),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (any::<u8>(), any::<bool>()).prop_map(|(who, ban)| Step::Offence(who, ban)),
        1 => (any::<u8>(), 24u8..=32).prop_map(|(who, bits)| Step::Add(who, bits)),
        1 => any::<u8>().prop_map(Step::Remove),
        3 => (1u16..2000).prop_map(Step::Wait),
    ];
    proptest::collection::vec(step, 1..200)
}

proptest! {
    #[test]
    fn promises(steps in steps()) {
        let mut ledger = Ledger::new(rules());
        let mut now = 0;
        let mut bans: Vec<u64> = Vec::new();
        let address = |who: u8| format!("192.0.2.{}", who % 64);
        for step in steps {
            match step {
                Step::Offence(who, ban) => {
                    let earned = if ban { Standing::Banned } else { Standing::Suspect };
                    let source = key(&address(who));
                    let known = ledger.entries().find(|e| e.net == source.prefix()).cloned();
                    if let Ok(change) = offend(&mut ledger, &address(who), earned, now) {
                        prop_assert!(change.entry.standing >= change.before);
                        if let Some(known) = known {
                            prop_assert!(change.entry.offences >= known.offences
                                || at(now) >= known.last_offence + rules().forget_after);
                        }
                        if change.entry.standing == Standing::Banned && change.before != Standing::Banned {
                            bans.push(now);
                        }
                    }
                }
                Step::Add(who, bits) => {
                    let net: IpNet = format!("{}/{bits}", address(who)).parse().unwrap();
                    let _ = ledger.add(net, Standing::Banned, None, "admin".into(), at(now));
                }
                Step::Remove(who) => {
                    let _ = ledger.remove(key(&address(who)).prefix());
                }
                Step::Wait(secs) => now += u64::from(secs),
            }
            ledger.expire(at(now));
            prop_assert!(ledger.entries().all(|entry| !rules().spares(entry.net)));
            prop_assert!(ledger.live() <= 8);
            prop_assert!(ledger.entries().count() <= 16);
            let live = ledger.entries().filter(|entry| entry.standing != Standing::Clean);
            prop_assert_eq!(live.count(), ledger.live());
            let recent = bans.iter().filter(|then| now - **then < 60).count();
            prop_assert!(recent <= 5, "{recent} bans in a minute");
        }
    }
}

proptest! {
    /// By other rules, all those go who are spared by them, however they are looked for.
    #[test]
    fn who_is_spared_by_other_rules_goes(
        whose in proptest::collection::vec((0u8..40, 0u16..4, proptest::bool::weighted(0.05)), 0..60),
        never in proptest::collection::vec((0u8..40, proptest::bool::weighted(0.1)), 0..3),
    ) {
        let net = |n: u8, wide: bool| -> IpNet {
            let text = match (n % 4, wide) {
                (_, true) => "203.0.113.0/24".to_owned(),
                (0, false) => format!("2001:db8:0:{n}::/64"),
                (_, false) => format!("203.0.113.{n}/32"),
            };
            text.parse().unwrap()
        };
        let lines = whose.iter().map(|(n, port, wide)| {
            let net = net(*n, *wide);
            let port = (*port > 0 && !is_wide(net)).then_some(*port);
            Line::Is(Entry {
                net,
                port,
                // The memory of a prefix that was banned spares nobody and hurts nobody.
                standing: if n % 5 == 0 && !wide { Standing::Clean } else { Standing::Banned },
                since: at(0),
                until: at(600),
                offences: 1,
                last_offence: at(0),
                reason: "scan".into(),
                by: By::Gate,
                evidence: "".into(),
            })
        });
        let never = never.iter().map(|(n, wide)| if *wide { net(1, true) } else { net(*n, false) });
        let spares = |never| Rules { never, allowed: Arc::default(), ..rules() };
        let (none, some) = (spares(Vec::new()), spares(never.collect()));
        let mut ledger = Ledger::new(none.clone());
        ledger.restore(lines);
        prop_assert!(ledger.follow(none.clone()).is_empty());
        let whose = |ledger: &Ledger| ledger.entries().map(Entry::whom).collect::<BTreeSet<Whom>>();
        let (mut kept, mut gone) = (whose(&ledger), BTreeSet::new());
        kept.retain(|whom| !(some.spares(whom.net) && gone.insert(*whom)));
        let ended: BTreeSet<Whom> =
            ledger.follow(some.clone()).iter().map(|change| change.entry.whom()).collect();
        prop_assert_eq!((ended, whose(&ledger)), (gone, kept));
        prop_assert!(ledger.follow(some).is_empty());
        prop_assert!(ledger.follow(none).is_empty());
        let at_ports = ledger.entries().filter(|entry| entry.port.is_some()).count();
        prop_assert_eq!(ledger.at_ports.values().sum::<usize>(), at_ports);
    }
}

/// The clock, known since `began`, should say `expected`.
fn jump(began: u64, expected: u64, says: u64) -> Jump {
    let (by, ahead) = (Duration::from_secs(says.abs_diff(expected)), says > expected);
    Jump { by, ahead, began: at(began), expected: at(expected), says: at(says) }
}

fn by_hand(ledger: &mut Ledger, who: &str, now: u64) {
    let net: IpNet = who.parse().unwrap();
    let lasts = Some(Duration::from_secs(600));
    ledger.add(net, Standing::Banned, lasts, "".into(), at(now)).unwrap();
}

fn entry_of(ledger: &Ledger, who: &str) -> Option<Entry> {
    ledger.entry(who.parse::<IpNet>().unwrap()).cloned()
}

#[test]
fn standings_move_with_a_clock_that_is_set() {
    let hour = 3600;
    // The clock should say 20,000. What it says instead: an hour more, an hour less.
    for says in [20_000 + hour, 20_000 - hour] {
        let mut ledger = Ledger::new(rules());
        // By a clock that nobody knows, until 10,000; by this one, of a source and of a prefix.
        by_hand(&mut ledger, "203.0.113.1/32", 9_990);
        by_hand(&mut ledger, "203.0.113.2/32", 19_900);
        by_hand(&mut ledger, "203.0.112.0/24", 19_900);
        let moved = ledger.clock_was_set(&jump(10_000, 20_000, says));
        assert_eq!(moved, Moved { standings: 2, stay: 1, entries: 2 });
        for who in ["203.0.113.2/32", "203.0.112.0/24"] {
            let entry = entry_of(&ledger, who).unwrap();
            assert_eq!(entry.left(at(says)), Duration::from_secs(500), "{who}");
            assert_eq!((entry.since, entry.last_offence), (at(says - 100), at(says - 100)));
        }
        let old = entry_of(&ledger, "203.0.113.1/32").unwrap();
        assert_eq!(old.until, at(10_590), "it stays");
        // It still ends when it should, and is found by the prefix around it.
        let banned = ledger.get("203.0.112.9".parse().unwrap(), at(says)).unwrap();
        assert_eq!(banned.standing, Standing::Banned);
        ledger.expire(at(says + 499));
        assert!(entry_of(&ledger, "203.0.113.2/32").is_some());
        ledger.expire(at(says + 501));
        assert!(entry_of(&ledger, "203.0.113.2/32").is_none());
        assert_eq!(ledger.wide().count(), 0);
    }
}

#[test]
fn what_was_prolonged_by_a_clock_moves_with_it() {
    // A suspect of before goes on probing at 15,000, by a clock that is 5,000 ahead.
    let mut ledger = Ledger::new(rules());
    offend(&mut ledger, "203.0.113.1", Standing::Suspect, 9_000).unwrap();
    let lasts = entry_of(&ledger, "203.0.113.1/32").unwrap().left(at(9_000));
    ledger.prolong("203.0.113.1/32".parse().unwrap(), at(9_100)).unwrap();
    let moved = ledger.clock_was_set(&jump(9_050, 9_200, 4_200));
    assert_eq!((moved.standings, moved.stay), (1, 0));
    let entry = entry_of(&ledger, "203.0.113.1/32").unwrap();
    assert_eq!(entry.left(at(4_200)), lasts - Duration::from_secs(100), "it is not 5,000 s more");
    assert_eq!((entry.since, entry.last_offence), (at(9_000), at(4_100)));
}

#[test]
fn a_memory_moves_too_and_is_no_standing() {
    let mut ledger = Ledger::new(rules());
    offend(&mut ledger, "203.0.113.1", Standing::Suspect, 10_000).unwrap();
    let ended = entry_of(&ledger, "203.0.113.1/32").unwrap().until;
    ledger.expire(ended);
    assert_eq!((ledger.live(), ledger.remembered()), (0, 1));
    let moved = ledger.clock_was_set(&jump(9_000, 90_000, 900_000));
    assert_eq!(moved, Moved { standings: 0, stay: 0, entries: 1 });
    assert_eq!(entry_of(&ledger, "203.0.113.1/32").unwrap().last_offence, at(820_000));
}

#[test]
fn a_clock_that_was_wrong_at_the_start_leaves_what_is_on_disk() {
    // Bans of yesterday; the machine boots in 1970, and the network tells the time later.
    let mut ledger = Ledger::new(rules());
    let net: IpNet = "203.0.113.1/32".parse().unwrap();
    let lasts = Some(Duration::from_secs(90_000));
    ledger.add(net, Standing::Banned, lasts, "".into(), at(0)).unwrap();
    let boot = SystemTime::UNIX_EPOCH + Duration::from_secs(30);
    let expected = boot + Duration::from_secs(9);
    let moved = ledger.clock_was_set(&Jump { began: boot, expected, ..jump(0, 0, 80_000) });
    assert_eq!((moved.standings, moved.stay), (0, 1));
    assert_eq!(ledger.entry(net).unwrap().left(at(80_000)), Duration::from_secs(10_000));
}
