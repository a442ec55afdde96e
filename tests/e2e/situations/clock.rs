//! The clock jumps. A machine's clock cannot be set without setting everybody's, so for real this
//! happens in the virtual machine of `tests/vm/run` only. What becomes of standings is tested in
//! `src/firewall/ledger/tests.rs`, where time is an argument.

use std::path::Path;
use std::time::{Duration, SystemTime};

use portcullis::firewall::{By, Entry, Line, Store};
use portcullis::lab::Visit;
use portcullis::policy::Standing;

use super::{HOME, obeys, start, types};
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
            let now = jiff::Timestamp::now().as_second() + shift;
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
            doctor.ends_with(0).finding("while the gate ran. Bans of this run were moved with it");
            doctor
                .shown(&["while the gate ran. Bans of this run were moved with it"])
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
