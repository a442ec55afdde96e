//! The README tells the truth: each command that it shows is run, on a server like the one it tells
//! of, and has to print what it shows.

mod page;
mod same;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use portcullis::lab::Host;

use self::page::Step;
use crate::stage::{Gate, HASTE, PORTCULLIS, World, eventually, in_lab, text};

/// Where the commands are that a reader types.
const BIN: &str = "/run/readme/bin";

in_lab! {
    fn each_command_prints_what_is_shown() {
        let world = World::new();
        let mut faults = Vec::new();
        let mut run = 0;
        let mut gate: Option<Gate<'_>> = None;
        let mut files = Vec::new();
        for (number, step) in page::steps(include_str!("../../../README.md")).into_iter().enumerate() {
            let home = || format!("/run/readme{number}");
            match step {
                Step::Policy(policy) => {
                    if let Some(gate) = gate.take() {
                        assert_eq!(gate.stop(), Some(0));
                    }
                    fs::create_dir_all(home()).unwrap();
                    for (name, text) in &files {
                        fs::write(Path::new(&home()).join(name), text).unwrap();
                    }
                    let started = Gate::try_start(&world.server, &home()["/run/".len()..], &policy);
                    gate = Some(started.unwrap_or_else(|refused| panic!("{policy}{refused:?}")));
                    write_commands(&home());
                }
                Step::File(name, text) => files.push((name, text)),
                Step::Do(words) => happens(&world, gate.as_ref(), &words),
                Step::Run { line, command, output } => {
                    run += 1;
                    let printed = typed(&world.server, &command);
                    if let Some(fault) = same::difference(&output, &printed) {
                        faults.push(format!("README.md:{line}: $ {command}\n{fault}"));
                    }
                }
            }
        }
        assert!(faults.is_empty(), "{}", faults.join("\n"));
        assert!(run >= 10, "only {run} commands");
    }
}

/// What a reader types, on the server: the program finds the gate under test by itself.
fn write_commands(home: &str) {
    fs::create_dir_all(BIN).unwrap();
    let write = |name: &str, script: &str| {
        let path = Path::new(BIN).join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    };
    write("sudo", "exec \"$@\"");
    fs::write("/run/readme/home", home).unwrap();
    write(
        "portcullis",
        &format!(
            "verb=$1; shift\n\
             case $verb in\n\
             check | rules | audit | doctor | unload | panic)\n\
                 case \" $* \" in *' --config '*) exec {PORTCULLIS} $verb \"$@\" ;; esac\n\
                 exec {PORTCULLIS} $verb \"$@\" --config {home}/policy.toml ;;\n\
             review | replay | --help | --version) exec {PORTCULLIS} $verb \"$@\" ;;\n\
             *) exec {PORTCULLIS} $verb \"$@\" --socket {home}/control.sock ;;\n\
             esac"
        ),
    );
}

/// Types a command on the server, and reads what it prints there.
fn typed(server: &Host, command: &str) -> String {
    let home = fs::read_to_string("/run/readme/home").unwrap_or_default();
    let path = std::env::var("PATH").unwrap_or_default();
    let output = server
        .command("sh")
        .args(["-c", &format!("cd /run/readme && {command}")])
        .env("PATH", format!("{BIN}:{path}:/usr/sbin:/sbin"))
        .env("COLUMNS", "80")
        .output()
        .unwrap();
    // On a real server the policy is elsewhere, and leaves to the gate what tests/vm/run prescribes.
    text(&output)
        .replace("redirect  nft, queue", "redirect  auto (nft, or else iptables), queue")
        .replace("redirect  iptables, queue", "redirect  auto (nft, or else iptables), queue")
        .replace(&format!("{home}/policy.toml"), "/etc/portcullis/portcullis.toml")
        .replace(&format!("{home}/state"), "/var/lib/portcullis")
        .replace(&format!("{home}/"), "/etc/portcullis/")
}

/// What happens in the network before the next command is typed.
fn happens(world: &World, gate: Option<&Gate<'_>>, words: &[String]) {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["visit", from, port] => {
            let seen = world.visit(from, port.parse().unwrap());
            assert!(seen.is_served(), "{words:?}: {seen:?}");
        }
        // One closed port after the other, from low to high.
        ["scan", from] => {
            for port in [21, 25, 110, 111, 135, 139, 143, 445] {
                world.visit_within(from, port, Duration::from_millis(50));
            }
        }
        ["guess", from, times] => {
            for _ in 0..times.parse().unwrap() {
                world.visit_within(from, 22, HASTE);
            }
        }
        ["await", standing, from] => {
            let gate = gate.expect("a gate");
            eventually(Duration::from_secs(10), standing, || match gate.standing(from) {
                Some(own) if own == standing => Ok(()),
                other => Err(format!("{other:?}")),
            });
        }
        _ => panic!("nobody knows how to {words:?}"),
    }
}
