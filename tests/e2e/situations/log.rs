//! Blocks happen, and nobody reads of them.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use super::{edit, obeys, start, types};
use crate::stage::{ANNA, Gate, HASTE, World, eventually, in_lab};

/// The log is left alone for longer and longer after it failed, at most half a minute.
const AGAIN: Duration = Duration::from_secs(40);

/// Somebody is refused.
fn knock(world: &World) {
    world.visit_within(ANNA, 81, HASTE);
}

/// Waits until the log has worked again.
fn works_again(world: &World, gate: &Gate<'_>) {
    eventually(AGAIN, "log that works again", || {
        knock(world);
        let alarms = gate.status()["alarms"].to_string();
        if alarms.contains("lines lost meanwhile") { Ok(()) } else { Err(alarms) }
    });
}

in_lab! {
    fn a_syslog_socket_that_is_gone() {
        let world = World::new();
        let gate = start(&world.server, "[events]\nto = \"syslog\"\nsyslog = \"/run/log\"\n");
        knock(&world);
        eventually(AGAIN, "word on standard error", || {
            let said = gate.said();
            if said.contains("cannot write to syslog at /run/log: No such file") { Ok(()) } else { Err(said) }
        });
        types(&world.server, "status").says(&["error log: cannot write to syslog at /run/log: No such file"]);
        let doctor = types(&world.server, "doctor");
        let told = doctor.ends_with(1).finding("nobody takes log lines at /run/log");
        assert!(told.contains("sudo apt-get install rsyslog"), "{told}");
        assert!(told.contains("[events] to = \"auto\", then: portcullis reload"), "{told}");
        doctor
            .is_silent_of("look for what is slow")
            .shown(&["nobody takes log lines at", "No such file or directory"])
            .row("8 log silent: syslog gone", "nobody takes log lines");
        // Somebody takes them again.
        let daemon = UnixDatagram::bind("/run/log").expect("a socket");
        works_again(&world, &gate);
        assert!(daemon.recv(&mut [0; 2000]).is_ok_and(|length| length > 0));
        types(&world.server, "doctor").is_silent_of("nobody takes log lines");
        drop(gate);
    }

    fn a_json_file_that_cannot_be_written() {
        let world = World::new();
        // A gate that is confined stays with the folders that it had: another takes a restart.
        let gate = start(&world.server, "[daemon]\nconfine = false\n");
        fs::write("/run/full", "").expect("a file");
        // No folder at all, and something that is none.
        for (json, words) in [("/run/none/gate.json", "which is not there"), ("/run/full/gate.json", "cannot write to the JSON file /run/full/gate.json: Not a directory")] {
            edit(&format!("[events]\njson = \"{json}\"\n"));
            types(&world.server, "reload").ends_with(0);
            knock(&world);
            let doctor = eventually(AGAIN, "finding", || {
                let doctor = types(&world.server, "doctor");
                if super::flat(&doctor.text).contains(words) { Ok(doctor) } else { Err(doctor.text) }
            });
            let told = doctor.ends_with(1).finding(words);
            assert!(told.contains("sudo install -d -o portcullis /run/"), "{told}");
            assert!(told.contains("ReadWritePaths=/run/"), "{told}");
            doctor.shown(&["[Service] and ReadWritePaths="]).row("8 log silent: JSON file", words);
        }
        fs::remove_file("/run/full").expect("it goes");
        // The remedy, but for its owner: this test has no such user.
        obeys(&world.server, "install -d /run/full");
        works_again(&world, &gate);
        eventually(AGAIN, "event", || {
            let text = fs::read_to_string("/run/full/gate.json").unwrap_or_default();
            if text.contains("\"event\"") { Ok(()) } else { Err(text) }
        });
        types(&world.server, "doctor").is_silent_of("cannot write to the JSON file");
    }

    fn a_journal_that_throws_lines_away() {
        let world = World::new();
        let _gate = start(&world.server, "");
        types(&world.server, "doctor").is_silent_of("the journal takes");
        for folder in ["/run/systemd/journal", "/run/systemd/journald.conf.d", "/run/systemd/system/portcullis.service.d"] {
            fs::create_dir_all(folder).expect("a folder");
        }
        let _journal = UnixDatagram::bind("/run/systemd/journal/socket").expect("a socket");
        fs::write("/run/systemd/journald.conf.d/zz.conf", "[Journal]\nRateLimitBurst=500\nRateLimitIntervalSec=30s\n").expect("a file");
        let doctor = types(&world.server, "doctor");
        let told = doctor.finding("the journal takes 500 lines in 30s");
        assert!(told.contains("sudo systemctl edit portcullis"), "{told}");
        doctor
            .shown(&["the journal takes 500 lines in 30s; under attack the gate may write 3,000"])
            .row("8 log silent: journal's limit", "the journal takes");
        // What `systemctl edit` writes.
        fs::write("/run/systemd/system/portcullis.service.d/override.conf", "[Service]\nLogRateLimitIntervalSec=0\n").expect("a file");
        types(&world.server, "doctor").is_silent_of("the journal takes 500").says(&["has no limit"]);
    }
}
