//! Who has an SSH session open can open another, whatever the policy says.

use std::net::TcpStream;
use std::process::Output;
use std::time::Duration;

use serde_json::Value;

use crate::stage::{
    ANNA, BEN, CARLA, Gate, HASTE, MALLORY, PORTCULLIS, World, eventually, in_lab, text,
};
use crate::standing::established;

/// Shuts out everybody at every port.
const SHUT: &str = "[denylist]\nfrom = [\"0.0.0.0/0\", \"::/0\"]\n[ports]\nopen = \"81\"\n";

/// The variable that sshd sets for what is typed in a session.
fn connection(session: &TcpStream) -> String {
    let (peer, own) = (session.local_addr().unwrap(), session.peer_addr().unwrap());
    format!("{} {} {} {}", peer.ip(), peer.port(), own.ip(), own.port())
}

/// `check --live --json` on the server, as if typed in a session or not.
fn check_live(world: &World, args: &[&str]) -> (Option<i32>, Value, String) {
    let mut command = world.server.command(PORTCULLIS);
    command.args(["check", "--live", "--config", "/run/gate/policy.toml"]).args(args);
    let output: Output = command.output().unwrap();
    let json = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output.status.code(), json, text(&output))
}

in_lab! {
    fn sessions_that_are_open_at_the_start_are_spared() {
        let world = World::new();
        let _session = established(&world, BEN, 22);
        let gate = Gate::start(&world.server, SHUT);
        // He gets in at the port of his session, and nowhere else; nobody else gets in at all.
        assert!(world.visit(BEN, 22).is_served(), "{}", gate.said());
        for (from, port) in [(BEN, 80), (ANNA, 22), (CARLA, 22)] {
            assert!(!world.visit_within(from, port, HASTE).is_served(), "{from} {port}");
        }
        let status = gate.status();
        assert_eq!(status["spared"][0]["address"], BEN, "{status}");
        let explained = gate.explain(BEN, 22);
        assert_eq!((&explained["accepted"], &explained["spared"]["port"]), (&true.into(), &22.into()));
        let screen = text(&gate.ask(&["explain", BEN, "80"]));
        assert!(screen.contains("spared    an SSH session of 203.0.113.11 is open"), "{screen}");
        assert_eq!(gate.explain(ANNA, 22)["spared"], Value::Null);
        // The rates of logins hold for him as for everybody.
        let served = (0..12).filter(|_| world.visit_within(BEN, 22, HASTE).is_served()).count();
        assert!(served < 10, "{served}");
        assert_eq!(gate.standing(BEN), None, "but he is not banned for it");
    }

    fn a_reload_spares_who_types_it_and_says_whom_it_cuts_off() {
        let world = World::new();
        let gate = Gate::start(&world.server, "");
        let session = established(&world, BEN, 22);
        let _guesser = established(&world, MALLORY, 22);
        let _web = established(&world, ANNA, 80);
        gate.write_policy(SHUT);
        let (code, cuts, said) = check_live(&world, &["--json"]);
        assert_eq!(code, Some(1), "{said}");
        let told: Vec<(&str, u64, &str)> = cuts.as_array().unwrap().iter().map(|cut| {
            (cut["peer"].as_str().unwrap(), cut["port"].as_u64().unwrap(), cut["check"].as_str().unwrap())
        }).collect();
        assert_eq!(told, [(MALLORY, 22, "denylist"), (BEN, 22, "denylist"), (ANNA, 80, "denylist")]);
        let (_, _, screen) = check_live(&world, &[]);
        assert!(screen.contains("would CUT OFF 3 that are open now"), "{screen}");
        assert!(screen.lines().all(|line| line.chars().count() <= 80), "{screen}");
        assert!(screen.contains("OFF   203.0.113.11 has an SSH session open at port 22"), "{screen}");

        let mut reload = world.server.command(PORTCULLIS);
        reload.args(["reload", "--socket", "/run/gate/control.sock"]);
        reload.env("SSH_CONNECTION", connection(&session));
        let reload = reload.output().unwrap();
        assert!(reload.status.success(), "{}", text(&reload));
        let said = text(&reload).split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(said.contains("203.0.113.11 has an SSH session open at port 22; new ones are let in while it lasts"), "{said}");
        assert!(said.contains("192.0.2.66 has an SSH session open at port 22; a new one would be refused"), "{said}");
        assert!(world.visit(BEN, 22).is_served(), "{}", gate.said());
        for (from, port) in [(BEN, 80), (MALLORY, 22)] {
            assert!(!world.visit_within(from, port, HASTE).is_served(), "{from} {port}");
        }
        assert_eq!(gate.ask(&["bans", "add", BEN]).status.code(), Some(64), "never banned");
        assert!(gate.ask(&["bans", "add", MALLORY]).status.success());
        let (_, cuts, _) = check_live(&world, &["--json"]);
        let of = |peer: &str| cuts.as_array().unwrap().iter().find(|cut| cut["peer"] == peer).unwrap().clone();
        assert_eq!((&of(BEN)["spared"], &of(MALLORY)["check"]), (&true.into(), &"standing".into()));

        // The session ends; its peer is spared for a while, and that is told.
        drop(session);
        eventually(Duration::from_secs(30), "the end of the session", || {
            let status = gate.status();
            match status["spared"][0]["open"].as_bool() {
                Some(false) => Ok(()),
                _ => Err(status["spared"].to_string()),
            }
        });
        assert!(world.visit(BEN, 22).is_served());
    }

    fn a_ban_outlasts_a_start_though_its_peer_is_connected() {
        let world = World::new();
        let gate = Gate::start(&world.server, "");
        let _session = established(&world, MALLORY, 22);
        let _other = established(&world, BEN, 22);
        assert!(gate.ask(&["bans", "add", MALLORY, "--for", "1h", "--reason", "insider"]).status.success());
        gate.await_set("banned4", MALLORY);
        assert_eq!(gate.stop(), Some(0));
        let gate = Gate::restart(&world.server, "gate").unwrap();
        assert_eq!(gate.standing(MALLORY).as_deref(), Some("banned"), "{}", gate.said());
        gate.await_set("banned4", MALLORY);
        let status = gate.status();
        let spared = status["spared"].as_array().unwrap();
        assert_eq!((spared.len(), &spared[0]["address"]), (1, &BEN.into()), "{status}");
        assert!(gate.said().contains("portcullis bans remove 192.0.2.66"), "{}", gate.said());
        assert!(!world.visit_within(MALLORY, 22, HASTE).is_served());
    }

    fn a_policy_that_cuts_off_nobody_is_told_so() {
        let world = World::new();
        let _gate = Gate::start(&world.server, "");
        let _session = established(&world, BEN, 22);
        let (code, _, said) = check_live(&world, &[]);
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("cuts off nobody who is connected (1 peer has"), "{said}");
        let (code, _, said) = check_live(&world, &["--quiet"]);
        assert_eq!((code, said.as_str()), (Some(0), ""));
    }
}
