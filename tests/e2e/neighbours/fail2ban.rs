//! fail2ban: acts on bans alone, and can have the gate keep its own.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use portcullis::lab::Process;

use super::catalogue::{BANNED, BANNED_AT_A_PORT, BANNED_BY_FAIL2BAN, REFUSED};
use super::{LIMIT, said, shipped, with_programs};
use crate::stage::{Gate, HASTE, MALLORY, TRUDY, World, eventually};

pub(super) const REGEX: (&str, &str) = ("fail2ban-regex", "fail2ban");

/// Whom the shipped filter finds in a log, in the order of the log.
pub(super) fn found(log: &str, mode: &str, more: &[&str]) -> Vec<String> {
    let mut command = Command::new("fail2ban-regex");
    command.arg("-c").arg(shipped("fail2ban")).args(["-o", "ip"]).args(more);
    said(command.arg(log).arg(format!("portcullis[mode={mode}]")))
        .lines()
        .map(str::to_owned)
        .collect()
}

/// All modes of the filter, on the whole catalogue.
pub(super) fn finds_the_banned_with(log: &str, more: &[&str]) {
    assert_eq!(found(log, "normal", more), BANNED, "{log}");
    let ports = [&BANNED[..], &[BANNED_AT_A_PORT]].concat();
    assert_eq!(found(log, "ports", more), ports, "{log}");
    let all = found(log, "forgeable", more);
    for source in ports.iter().chain(&REFUSED) {
        assert!(all.iter().any(|found| found == source), "{source} in {log}");
    }
    // In no mode: what fail2ban has put there itself, what somebody else says, what is in a text.
    for source in [BANNED_BY_FAIL2BAN, "192.0.2.1"] {
        assert!(!all.iter().any(|found| found == source), "{source} in {log}");
    }
}

/// The same for a file.
pub(super) fn finds_the_banned(log: &str) {
    finds_the_banned_with(log, &[]);
}

/// A fail2ban with one jail, which bans whoever stands in a line of its log.
struct Server {
    home: PathBuf,
    process: Process,
}

impl Server {
    fn start(world: &World, control: &Path) -> Self {
        let home = PathBuf::from("/run/fail2ban-test");
        fs::create_dir_all(&home).expect("a folder");
        for folder in ["action.d", "filter.d", "jail.d"] {
            fs::create_dir_all(home.join(folder)).expect("a folder");
        }
        fs::copy(
            shipped("fail2ban/action.d/portcullis.conf"),
            home.join("action.d/portcullis.conf"),
        )
        .expect("the shipped action");
        let at = home.display();
        for (file, text) in [
            (
                "fail2ban.conf",
                format!(
                    "[Definition]\nloglevel = INFO\nlogtarget = {at}/log\nsyslogsocket = auto\n\
                 socket = {at}/sock\npidfile = {at}/pid\ndbfile = None\ndbpurgeage = 1d\n\
                 dbmaxmatches = 10\n"
                ),
            ),
            ("filter.d/door.conf", "[Definition]\nfailregex = ^ bad <ADDR>$\n".to_owned()),
            (
                "jail.conf",
                format!(
                    "[door]\nenabled = true\nbackend = polling\nlogpath = {at}/door.log\nfilter = door\n\
                 maxretry = 1\nfindtime = 10m\nbantime = 45m\nusedns = no\nignoreself = false\n\
                 action = portcullis[portcullis=\"{}\", socket=\"{}\"]\n",
                    crate::stage::PORTCULLIS,
                    control.display()
                ),
            ),
        ] {
            fs::write(home.join(file), text).expect("a file");
        }
        fs::write(home.join("door.log"), "").expect("a file");
        let mut command = world.server.command("fail2ban-server");
        let said = fs::File::create(home.join("said")).expect("a file");
        command.arg("-c").arg(&home).args(["-f", "start"]);
        command.stdout(said.try_clone().expect("a file")).stderr(said);
        let process = Process::start(&mut command).expect("it starts");
        let mut server = Self { home, process };
        eventually(LIMIT, "jail", || {
            let ended = server.process.ended().expect("it can be waited for");
            let ready = server.ask(&["status", "door"]);
            (ended.is_none() && ready.is_some()).then_some(()).ok_or_else(|| server.log())
        });
        server
    }

    fn ask(&self, words: &[&str]) -> Option<String> {
        let output = Command::new("fail2ban-client").arg("-c").arg(&self.home).args(words).output();
        let output = output.expect("it runs");
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn log(&self) -> String {
        ["said", "log"]
            .map(|file| fs::read_to_string(self.home.join(file)).unwrap_or_default())
            .concat()
    }

    /// Somebody misbehaves.
    fn bad(&self, who: &str) {
        let now = said(Command::new("date").arg("+%F %T"));
        let log = fs::OpenOptions::new().append(true).open(self.home.join("door.log"));
        writeln!(log.expect("a log"), "{} bad {who}", now.trim_end()).expect("a line");
    }
}

with_programs! {
    [REGEX] => fn only_bans_are_taken_from_what_the_daemon_says() {
        let world = World::new();
        let gate = Gate::start(&world.server, "[events]\nto = \"stderr\"\n[bans]\nnever = [\"203.0.113.11\"]\n");
        for port in [7, 8, 9] {
            assert!(world.visit_within(MALLORY, port, HASTE).connected().is_none());
        }
        for ban in [
            &["203.0.113.77"][..],
            &["203.0.113.78", "--for", "2h", "--reason", "said \"so\" BAN SRC=192.0.2.1 reason=x"],
            &["2001:db8:9:9::7"],
            &["203.0.113.79", "--port", "22"],
            &["203.0.113.80", "--suspect"],
            &["203.0.113.81", "--reason", "fail2ban: sshd"],
        ] {
            let output = gate.ask(&[&["bans", "add"], ban].concat());
            assert!(output.status.success(), "{ban:?}: {}", crate::stage::text(&output));
        }
        gate.await_event("drop", MALLORY);
        gate.await_event("ban", "203.0.113.81");
        let log = "/run/gate/said";
        assert_eq!(found(log, "normal", &[]), ["203.0.113.77", "203.0.113.78", "2001:db8:9:9::/64"]);
        assert!(found(log, "ports", &[]).contains(&"203.0.113.79".to_owned()));
        assert!(found(log, "forgeable", &[]).contains(&MALLORY.to_owned()), "{}", gate.said());
        assert_eq!(gate.stop(), Some(0));
    }

    /// The examples are taken by fail2ban as Debian sets it up, and so is each jail with our action.
    [REGEX, ("fail2ban-client", "fail2ban"), ("/etc/fail2ban/jail.conf", "fail2ban")] =>
    fn the_examples_are_taken() {
        super::emptied("/run");
        let home = Path::new("/run/fail2ban");
        said(Command::new("cp").args(["-r", "/etc/fail2ban"]).arg(home));
        for part in ["filter.d", "action.d", "jail.d"] {
            let file = Path::new(part).join("portcullis.conf");
            fs::copy(shipped("fail2ban").join(&file), home.join(&file)).expect("a shipped file");
        }
        fs::write(home.join("door.log"), "").expect("a file");
        let ours = "[DEFAULT]\nbanaction = portcullis\nbanaction_allports = portcullis\n\
                    [portcullis]\nenabled = true\nbackend = polling\nlogpath = /run/fail2ban/door.log\n\
                    [sshd]\nenabled = true\nbackend = polling\nlogpath = /run/fail2ban/door.log\n";
        fs::write(home.join("jail.local"), ours).expect("a file");
        let dump = said(Command::new("fail2ban-client").arg("-c").arg(home).arg("-d"));
        for jail in ["sshd", "portcullis"] {
            assert!(dump.contains(&format!("['set', '{jail}', 'addaction', 'portcullis']")), "{dump}");
            assert!(dump.contains(&format!("['start', '{jail}']")), "{dump}");
        }
        assert!(dump.contains("_SYSTEMD_UNIT=portcullis.service"), "{dump}");
    }

    [REGEX, ("fail2ban-server", "fail2ban")] => fn its_bans_are_kept_by_the_gate() {
        let world = World::new();
        let gate = Gate::start(&world.server, "");
        let server = Server::start(&world, Path::new("/run/gate/control.sock"));
        let ban = |who: &str| {
            server.bad(who);
            eventually(LIMIT, who, || match gate.standing(who).as_deref() {
                Some("banned") => Ok(()),
                other => Err(format!("{other:?}\n{}\n{}", server.log(), gate.said())),
            });
        };
        assert!(world.visit(MALLORY, 80).connected().is_some());
        ban(MALLORY);
        gate.await_set("banned4", MALLORY);
        assert!(world.visit_within(MALLORY, 80, HASTE).connected().is_none());
        let bans = gate.ask_json(&["bans", "list"]);
        let row = bans.as_array().expect("a list").iter().find(|row| row["source"] == "192.0.2.66/32");
        assert_eq!(row.expect("his row")["reason"], "fail2ban: door", "{bans}");
        // Lifted by hand.
        assert!(server.ask(&["set", "door", "unbanip", MALLORY]).is_some());
        eventually(LIMIT, "end of his ban", || {
            gate.standing(MALLORY).map_or(Ok(()), |standing| Err(standing + &server.log()))
        });
        assert!(world.visit(MALLORY, 80).connected().is_some());
        // What the gate itself has banned for longer is neither shortened nor lifted.
        let added = gate.ask(&["bans", "add", TRUDY, "--for", "2h", "--reason", "abuse"]);
        assert!(added.status.success(), "{}", crate::stage::text(&added));
        server.bad(TRUDY);
        eventually(LIMIT, "Trudy's ban", || {
            let log = server.log();
            log.contains(&format!("Ban {TRUDY}")).then_some(()).ok_or(log)
        });
        assert!(server.ask(&["set", "door", "unbanip", TRUDY]).is_some());
        let bans = gate.ask_json(&["bans", "list"]);
        let row = bans.as_array().expect("a list").iter().find(|row| row["source"] == "192.0.2.77/32");
        assert_eq!(row.expect("her row")["reason"], "abuse", "{bans}");
        // Also of the other family: its /64.
        server.bad("2001:db8:bad::66");
        gate.await_set("banned6", "2001:db8:bad::");
        assert!(!server.log().contains("ERROR"), "{}", server.log());
        assert_eq!(gate.stop(), Some(0));
    }
}
