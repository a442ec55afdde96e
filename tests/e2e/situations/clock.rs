//! The clock jumps. A machine's clock cannot be set without setting everybody's, so for real this
//! happens in the virtual machine of `tests/vm/run` only; elsewhere another clock is shown to the gate
//! alone. What becomes of standings is tested in `src/firewall/clock.rs` and
//! `src/firewall/ledger/tests.rs`, where time is an argument.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use portcullis::firewall::{By, Entry, Line, Store};
use portcullis::lab::Visit;
use portcullis::policy::Standing;

use super::{HOME, obeys, start, types};
use crate::campaign::preload::Preload;
use crate::stage::{Gate, HASTE, MALLORY, TRUDY, World, eventually, in_lab};

/// Is this machine nobody's but the test's? `tests/vm/init` says so, in its virtual machine.
pub(super) fn own_machine() -> bool {
    let own = std::env::var_os("PORTCULLIS_TEST_OWN_MACHINE").is_some()
        && Path::new("/etc/vm.env").exists();
    if !own {
        println!(
            "not here: this changes the whole machine. tests/vm/run does it in one of its own"
        );
    }
    own
}

in_lab! {
    /// The clock was ahead in an earlier run, and is right now.
    fn bans_from_the_future_are_told() {
        let world = World::new();
        std::fs::create_dir_all("/run/portcullis/state").expect("a folder");
        let hour = Duration::from_secs(3600);
        let ahead = SystemTime::now() + 48 * hour;
        let entry = Entry {
            net: "192.0.2.66/32".parse().unwrap(),
            port: None,
            standing: Standing::Banned,
            since: ahead,
            until: ahead + hour,
            offences: 1,
            last_offence: ahead,
            reason: "rate".into(),
            by: By::Gate,
            evidence: "".into(),
        };
        let (mut store, _) = Store::open(Path::new("/run/portcullis/state"), SystemTime::now()).expect("a store");
        store.append(&[Line::Is(entry)]).expect("it is written");
        drop(store);
        let gate = start(&world.server, "");
        assert_eq!(world.visit_within(MALLORY, 80, HASTE), Visit::TimedOut, "for two days");
        let doctor = types(&world.server, "doctor");
        let told = doctor.ends_with(1).finding("1 standing began in the future, as that of 192.0.2.66/32");
        assert!(told.contains("portcullis bans remove ADDRESS"), "{told}");
        doctor
            .shown(&["1 standing began in the future, as that of 192.0.2.66/32"])
            .row("10 clock was ahead", "1 standing began");
        types(&world.server, &format!("bans remove {MALLORY}")).ends_with(0);
        types(&world.server, "doctor").ends_with(0).is_silent_of("in the future");
        assert!(world.visit(MALLORY, 80).is_served());
        drop(gate);
    }

    /// A restart in between changes nothing, however the gate ended: who set the clock, and when, is
    /// all the same to a ban.
    fn bans_of_an_earlier_run_last_as_long_as_they_should() {
        let world = World::new();
        let preload = Preload::build(Path::new("/run/gate/state"));
        Gate::furnish("gate", "");
        let start = || Gate::restart_with(&world.server, "gate", |run| preload.load_into(run)).expect("it starts");
        let lasts = |gate: &Gate<'_>, who: &str| {
            let row = gate.ask_json(&["bans", "list"]).as_array().expect("a list").iter()
                .find(|row| row["source"].as_str().is_some_and(|net| net.starts_with(who))).cloned();
            let end: Option<jiff::Timestamp> = row?["until"].as_str()?.parse().ok();
            Some(end?.as_second() - jiff::Timestamp::now().as_second())
        };
        let mut gate = start();
        let begun = Instant::now();
        for (who, span) in [(MALLORY, "1h"), (TRUDY, "40s")] {
            assert!(gate.ask(&["bans", "add", who, "--for", span]).status.success());
        }
        let (day, mut now) = (86_400, 0);
        for (what, crash, down, running) in [
            ("restarted, then set ahead", false, 0, 2 * day),
            ("set ahead while it is down", true, 40 * day, 40 * day),
            ("set back while it is down, and again", false, -day, -2 * day),
            ("set right and restarted", true, 0, 0),
        ] {
            if crash { gate.crash() } else { assert_eq!(gate.stop(), Some(0)) }
            preload.set_clock(down);
            gate = start();
            if down != now {
                gate.await_alarm("while the gate did not run. 2 standings were moved with it");
            }
            preload.set_clock(running);
            if running != down {
                gate.await_alarm("2 standings were moved with it and last as long as before");
            }
            now = running;
            let left = lasts(&gate, MALLORY).unwrap_or_else(|| panic!("{what}: lost\n{}", gate.said())) - now;
            let passed = begun.elapsed().as_secs() as i64;
            assert!((left - (3600 - passed)).abs() <= 3, "{what}: {left} s left after {passed} s");
            gate.await_set("banned4", MALLORY);
            assert_eq!(world.visit_within(MALLORY, 80, HASTE), Visit::TimedOut, "{what}");
        }
        assert!(begun.elapsed() < Duration::from_secs(39), "too slow for the rest: {:?}", begun.elapsed());
        assert_eq!(world.visit_within(TRUDY, 80, HASTE), Visit::TimedOut);
        eventually(Duration::from_secs(45), "end of the short ban", || {
            let seen = world.visit_within(TRUDY, 80, HASTE);
            if seen.is_served() { Ok(()) } else { Err(format!("{seen:?}")) }
        });
        let lasted = begun.elapsed().as_secs_f64();
        assert!((39.0..50.0).contains(&lasted), "{lasted}");
    }

    /// In the virtual machine only.
    fn bans_last_as_long_as_they_should_whatever_the_clock_does() {
        if !own_machine() {
            return;
        }
        let world = World::new();
        let gate = start(&world.server, "");
        types(&world.server, &format!("bans add {MALLORY} --for 1h")).ends_with(0);
        types(&world.server, &format!("bans add {TRUDY} --for 50s")).ends_with(0);
        let began = std::time::Instant::now();
        for (shift, direction) in [(7200_i64, "forward by 2h"), (-14_400, "back by 4h")] {
            // `date` sets whole seconds, and takes its time to start: half a minute more is asked
            // for, which words in hours and minutes leave out.
            let more = 30 * shift.signum();
            let now = jiff::Timestamp::now().as_second() + shift + more;
            obeys(&world.server, &format!("date -s @{now}"));
            let status = eventually(Duration::from_secs(10), "word of it", || {
                let status = types(&world.server, "status");
                let told = format!("clock: the clock was set {direction}");
                if super::flat(&status.text).contains(&told) { Ok(status) } else { Err(status.text) }
            });
            status.row("10 clock jumped", "clock: the clock");
            types(&world.server, "bans").says(&["192.0.2.66 banned 59m", "192.0.2.77 banned"]);
            assert_eq!(world.visit_within(MALLORY, 80, HASTE), Visit::TimedOut);
            let doctor = types(&world.server, "doctor");
            doctor.ends_with(0).finding("while the gate ran. Bans given since this machine started were moved with it");
            doctor
                .shown(&["while the gate ran. Bans given since this machine started were moved with it"])
                .row("10 clock jumped", "the clock was set");
        }
        // The short one ends when it should, on record and in the kernel.
        eventually(Duration::from_secs(60), "end of the short ban", || {
            let seen = world.visit_within(TRUDY, 80, HASTE);
            if seen.is_served() { Ok(()) } else { Err(format!("{seen:?}")) }
        });
        assert!(began.elapsed() > Duration::from_secs(49), "{:?}", began.elapsed());
        // What was moved is on disk as well.
        assert_eq!(gate.stop(), Some(0));
        let gate = Gate::try_start(&world.server, HOME, super::QUEUE).expect("it starts");
        types(&world.server, "bans").says(&["192.0.2.66 banned 5"]);
        types(&world.server, "doctor").ends_with(0).is_silent_of("in the future");
        drop(gate);
    }
}
