//! `portcullis demo`, as a newcomer runs it.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::stage::{PORTCULLIS, eventually, text};

#[test]
fn the_demo_shows_what_it_promises() {
    let begun = Instant::now();
    let output = Command::new(PORTCULLIS).args(["demo", "--fast"]).output().unwrap();
    let said = text(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(begun.elapsed() < Duration::from_secs(60));
    assert!(!said.contains('\x1b'), "no colours for a pipe: {said}");
    for line in said.lines() {
        assert!(line.chars().count() <= 80, "too wide: {line}");
    }
    // What the story ends with: the gate's word on each, and the kernel's sets.
    let row = |name: &str, words: &[&str]| {
        let row = said.lines().rfind(|line| line.starts_with(&format!("   {name} ")));
        let row = row.unwrap_or_else(|| panic!("no row of {name}: {said}"));
        for word in words {
            assert!(row.contains(word), "{word} in {row}\n{said}");
        }
    };
    row("Anna", &["2 of 2", "clean"]);
    row("Ben", &["2 of 2", "clean"]);
    row("Carl", &["10 of 10", "rate: web", "clean"]);
    row("Dora", &["2 of 2", "suspect"]);
    row("Mallory", &["0 of 1", "denylist"]);
    row("Trudy", &["0 of 200", "suspect"]);
    row("Gus", &["rate: login", "banned"]);
    for set in ["banned4", "suspect4", "proven4"] {
        row(set, &[]);
    }
}

#[test]
fn ctrl_c_ends_the_demo_and_everything_in_it() {
    let mut demo = Command::new(PORTCULLIS)
        .arg("demo")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = Pid::from_child(&demo);
    let mut lines = BufReader::new(demo.stdout.take().unwrap()).lines();
    let seen: Vec<String> =
        lines.by_ref().map_while(Result::ok).take_while(|line| !line.starts_with("1. ")).collect();
    assert!(!seen.is_empty());
    let namespace = fs::read_link(format!("/proc/{}/ns/mnt", demo.id())).unwrap();
    assert!(inhabitants(&namespace) > 1, "the demo and its daemon");
    kill_process(pid, Signal::INT).unwrap();
    let rest: Vec<String> = lines.map_while(Result::ok).collect();
    let mut complaint = String::new();
    demo.stderr.take().unwrap().read_to_string(&mut complaint).unwrap();
    let code = demo.wait().unwrap().code();
    assert_eq!(code, Some(130), "{seen:?} {rest:?} {complaint}");
    assert!(complaint.contains("interrupted"), "{complaint}");
    eventually(Duration::from_secs(3), "empty namespace", || match inhabitants(&namespace) {
        0 => Ok(()),
        left => Err(format!("{left} stayed behind")),
    });
}

/// How many processes live in a mount namespace.
fn inhabitants(namespace: &Path) -> usize {
    let processes = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let homes = processes.filter_map(|process| fs::read_link(process.path().join("ns/mnt")).ok());
    homes.filter(|home| home == namespace).count()
}
