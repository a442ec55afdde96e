//! `portcullis replay` as people and programs meet it, over captures made here.

mod forge;

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use forge::{End, Forge};
use tempfile::TempDir;

const SERVER: [u8; 4] = [198, 51, 100, 2];
const ALICE: [u8; 4] = [192, 0, 2, 10];
const MALLORY: [u8; 4] = [203, 0, 113, 66];
const REFUSED: [u8; 4] = [203, 0, 113, 77];

/// Ports alone decide nothing here, so that what is tested does not move with the checks.
const POLICY: &str =
    "[ports]\nopen = \"22, 80\"\n[bans]\nafter = 3\n[denylist]\nfrom = [\"203.0.113.77\"]\n";

struct Ran {
    code: i32,
    out: String,
    err: String,
}

fn replay<S: AsRef<OsStr>>(args: &[S]) -> Ran {
    let output =
        Command::new(env!("CARGO_BIN_EXE_portcullis")).arg("replay").args(args).output().unwrap();
    Ran {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        // Notes are wrapped to the width of a terminal.
        err: one_line(&String::from_utf8(output.stderr).unwrap()),
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

fn end(address: [u8; 4], port: u16) -> End {
    (address, port)
}

/// A folder with a policy in it, and its path.
fn stage(policy: &str) -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy.toml");
    std::fs::write(&path, policy).unwrap();
    let policy = text(&path);
    (folder, policy)
}

/// Alice is served twice; Mallory sends FIN probes; somebody is refused by name.
fn ordinary_day() -> Forge {
    let mut forge = Forge::default();
    let ssh = end(SERVER, 22);
    forge.served(end(ALICE, 40_000), ssh, 1).wait(2000).served(end(ALICE, 40_001), ssh, 900);
    for port in 1..=5 {
        forge.tcp(end(MALLORY, 50_000), end(SERVER, port), "F", 5);
    }
    forge.tcp(end(REFUSED, 1000), ssh, "S", 3).wait(1000).tcp(end(REFUSED, 1000), ssh, "S", 3);
    forge
}

#[test]
fn json_is_one_object_per_source() {
    let (folder, policy) = stage(POLICY);
    let file = text(&ordinary_day().write(folder.path(), "day.pcap"));
    let ran = replay(&["--json", "--config", &policy, &file]);
    let expected = [
        r#"{"file":"day.pcap","source":"192.0.2.10","syns":2,"accepted":2,"dropped":0,"first_drop":null,"suspect_at":null,"banned_at":null,"flagged_at":null,"reason":null,"flood_at":null}"#,
        r#"{"file":"day.pcap","source":"203.0.113.66","syns":5,"accepted":0,"dropped":5,"first_drop":1,"suspect_at":3,"banned_at":null,"flagged_at":1,"reason":"quirks","flood_at":null}"#,
        r#"{"file":"day.pcap","source":"203.0.113.77","syns":2,"accepted":0,"dropped":2,"first_drop":1,"suspect_at":null,"banned_at":null,"flagged_at":null,"reason":"denylist","flood_at":null}"#,
    ];
    assert_eq!(ran.out.lines().collect::<Vec<_>>(), expected);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
}

#[test]
fn the_table_fits_a_hundred_columns() {
    let (folder, policy) = stage(POLICY);
    let file = text(&ordinary_day().write(folder.path(), "day.pcap"));
    let ran = replay(&["--config", &policy, &file]);
    assert!(ran.out.lines().all(|line| line.chars().count() <= 100), "{}", ran.out);
    let heading = "day.pcap: 15 packets in 3s 1ms, 9 SYNs of 3 sources\n";
    assert!(ran.out.contains(heading), "{}", ran.out);
    let second = ran.out.lines().nth(2).unwrap_or_default();
    assert!(second.trim_start().starts_with("203.0.113.66"), "the flagged first: {}", ran.out);
    assert!(second.ends_with("quirks: FIN probe"), "{}", ran.out);
}

/// Somebody completes a connection, so that the next offences are certainly its own.
#[test]
fn who_is_proven_can_be_banned() {
    let (folder, policy) = stage(POLICY);
    let mut forge = Forge::default();
    let ssh = end(SERVER, 22);
    forge.served(end(MALLORY, 40_000), ssh, 1);
    for n in 1..=5 {
        forge.tcp(end(MALLORY, 40_000 + n), ssh, "SF", n.into());
    }
    let proven = text(&forge.write(folder.path(), "proven.pcap"));
    let ran = replay(&["--json", "--config", &policy, &proven]);
    assert!(ran.out.contains(r#""suspect_at":null,"banned_at":4,"flagged_at":2"#), "{}", ran.out);

    // The same, but the server's data belongs to a connection whose opening was refused.
    let mut forge = Forge::default();
    let illegal = end(MALLORY, 39_000);
    forge.tcp(illegal, ssh, "SF", 1).tcp(ssh, illegal, "S.", 7).tcp(ssh, illegal, "P.", 8);
    for n in 1..=5 {
        forge.tcp(end(MALLORY, 40_000 + n), ssh, "SF", n.into());
    }
    let refused = text(&forge.write(folder.path(), "refused.pcap"));
    let ran = replay(&["--json", "--config", &policy, &refused]);
    assert!(ran.out.contains(r#""suspect_at":3,"banned_at":null,"flagged_at":1"#), "{}", ran.out);
}

/// The same port is served by one host and not by another, whatever the policy says.
#[test]
fn what_answers_is_served() {
    let (folder, policy) = stage(POLICY);
    let mut forge = Forge::default();
    let (open, shut) = (end(SERVER, 445), end([198, 51, 100, 3], 445));
    // It answers only later in the capture.
    forge.tcp(end(ALICE, 1), open, "S", 1).tcp(end(ALICE, 2), shut, "S", 1);
    forge.tcp(shut, end(ALICE, 2), "R.", 0).served(end(ALICE, 3), open, 5);
    let file = text(&forge.write(folder.path(), "smb.pcap"));
    let by_capture = replay(&["--json", "--served-from-capture", "--config", &policy, &file]);
    assert!(
        by_capture.out.contains(r#""syns":3,"accepted":2,"dropped":1,"first_drop":2"#),
        "{}",
        by_capture.out
    );
    let by_policy = replay(&["--json", "--config", &policy, &file]);
    assert!(by_policy.out.contains(r#""syns":3,"accepted":0,"dropped":3,"first_drop":1"#));
}

#[test]
fn labels_give_figures() {
    let (folder, policy) = stage(POLICY);
    let file = text(&ordinary_day().write(folder.path(), "day.pcap"));
    let other = text(&Forge::default().write(folder.path(), "other.pcap"));
    let labels = folder.path().join("labels.csv");
    std::fs::write(&labels, "file,class,attackers,note\nday.pcap,scan,203.0.113.66,\n").unwrap();
    let ran = replay(&["--labels", &text(&labels), "--config", &policy, &file, &other]);
    let rows: Vec<Vec<&str>> =
        ran.out.lines().map(|line| line.split_whitespace().collect()).collect();
    for class in ["scan", "total"] {
        let matrix = [class, "1", "1", "0", "0", "2", "100.0", "%", "0.0", "%"];
        assert!(rows.contains(&matrix.to_vec()), "{}", ran.out);
        assert!(rows.contains(&[class, "1", "1", "0s", "0s", "0"].to_vec()), "{}", ran.out);
    }
    assert!(ran.err.contains("no label"), "{}", ran.err);
    assert_eq!(ran.code, 0);

    let lines = replay(&["--json", "--labels", &text(&labels), "--config", &policy, &file]);
    assert_eq!(lines.out.lines().filter(|line| line.starts_with('{')).count(), 3);
    assert!(lines.err.contains("CAUGHT"), "the figures stand beside the lines: {}", lines.err);

    std::fs::write(&labels, "file,class,attackers,note\nday.pcap,scan,mallory,\n").unwrap();
    let bad = replay(&["--labels", &text(&labels), "--config", &policy, &file]);
    assert_eq!(bad.code, 65);
    assert!(bad.err.contains("line 2: \"mallory\" is no address"), "{}", bad.err);
}

#[test]
fn what_another_policy_would_change() {
    let (folder, old) = stage(POLICY);
    let new = folder.path().join("new.toml");
    std::fs::write(
        &new,
        "[ports]\nopen = \"22\"\n[quirks]\nstealth = \"ignore\"\n[denylist]\nfrom = [\"192.0.2.10\"]\n",
    )
    .unwrap();
    let file = text(&ordinary_day().write(folder.path(), "day.pcap"));
    let args = ["--config", &text(&new), "--against", &old, &file];
    let ran = replay(&args);
    for says in [
        "newly dropped (denylist: policy)",
        "no longer dropped (denylist: policy)",
        "Sources newly: 1 dropped,",
        "No longer:     1 dropped,",
    ] {
        assert!(ran.out.contains(says), "{says}: {}", ran.out);
    }
    let lines = replay(&[&["--json"], &args[..]].concat());
    let alice = lines.out.lines().find(|line| line.contains("192.0.2.10")).unwrap();
    assert!(alice.starts_with(r#"{"newly":["dropped"],"no_longer":[],"old":{"file":"day.pcap""#));
    assert!(
        alice.contains(r#""new":{"file":"day.pcap","source":"192.0.2.10","syns":2,"accepted":0"#)
    );

    let same = replay(&["--config", &old, "--against", &old, &file]);
    assert!(same.out.contains("nothing would change"), "{}", same.out);
    assert!(same.out.contains("newly: 0 dropped, 0 suspected, 0 banned"), "{}", same.out);
}

#[test]
fn damaged_files_are_read_as_far_as_they_go() {
    let (folder, policy) = stage(POLICY);
    let forge = ordinary_day();
    let whole = text(&forge.write(folder.path(), "whole.pcap"));
    let bytes = forge.bytes();
    let cut = folder.path().join("cut.pcap");
    std::fs::write(&cut, &bytes[..bytes.len() - 3]).unwrap();
    let noise = folder.path().join("noise.pcap");
    std::fs::write(&noise, "nothing of the kind").unwrap();
    let missing = folder.path().join("missing.pcap");

    let ran = replay(&["--json", "--config", &policy, &text(&cut), &whole]);
    assert_eq!(ran.code, 65);
    assert!(ran.err.contains("cut.pcap: damaged at byte"), "{}", ran.err);
    assert!(ran.err.contains("the file ends in a packet"), "{}", ran.err);
    let of = |name: &str| ran.out.lines().filter(|line| line.contains(name)).count();
    assert_eq!((of("cut.pcap"), of("whole.pcap")), (3, 3), "{}", ran.out);
    assert!(ran.out.contains(r#""source":"203.0.113.77","syns":1"#), "{}", ran.out);

    for (path, code, says) in [
        (noise, 65, "this is no capture"),
        (missing, 66, "No such file"),
        (folder.path().into(), 65, "ordinary file"),
    ] {
        let ran = replay(&["--json", "--config", &policy, &text(&path), &whole]);
        assert_eq!(ran.code, code, "{}", ran.err);
        assert!(ran.err.contains(says), "{}", ran.err);
        assert_eq!(ran.out.lines().count(), 3, "the other file is told all the same");
    }
}

#[test]
fn policies_are_checked_first() {
    let (folder, policy) = stage("[bans]\nafter = \"often\"\n");
    let file = text(&ordinary_day().write(folder.path(), "day.pcap"));
    let ran = replay(&["--config", &policy, &file]);
    assert_eq!((ran.code, ran.out.as_str()), (78, ""));
    assert!(ran.err.contains("policy.toml:2:"), "{}", ran.err);
    let ran = replay(&["--config", "/nonexistent.toml", &file]);
    assert_eq!((ran.code, ran.out.as_str()), (66, ""));
}

/// Stamps that go back, and a clock that is set back by an hour, stop nothing.
#[test]
fn time_may_go_back() {
    let (folder, policy) = stage(POLICY);
    let mut late = Forge::default();
    late.wait(3_600_000);
    let ssh = end(SERVER, 22);
    let mut early = Forge::default();
    for n in 0..3 {
        late.tcp(end(ALICE, 40_000 + n), ssh, "S", 1);
        early.tcp(end(ALICE, 41_000 + n), ssh, "S", 1);
    }
    let joined = [late.bytes(), early.bytes()[24..].to_vec()].concat();
    let file = folder.path().join("joined.pcap");
    std::fs::write(&file, joined).unwrap();
    let ran = replay(&["--config", &policy, "--json", &text(&file)]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    // Of six logins at once the sixth is one too many, whichever clock they are timed by.
    assert!(ran.out.contains(r#""syns":6,"accepted":5,"dropped":1,"first_drop":6"#), "{}", ran.out);
}

/// A server has its visitors, and then a crowd that nobody ever hears of again.
#[test]
fn floods_are_told() {
    let (folder, policy) = stage("[ports]\nopen = \"80\"\n");
    let mut forge = Forge::default();
    let web = end(SERVER, 80);
    for n in 0..50 {
        forge.served(end([192, 0, 2, n], 40_000), web, 1).wait(20);
    }
    for n in 0..2000u16 {
        let [high, low] = n.to_be_bytes();
        forge.tcp(end([10, 9, high, low], 40_000), web, "S", 1).wait(1);
    }
    // Five seconds later all is well again.
    forge.wait(4900).served(end(ALICE, 40_000), web, 1);
    let file = text(&forge.write(folder.path(), "flood.pcap"));
    let ran = replay(&["--config", &policy, &file]);
    let line = one_line(&ran.out);
    let says = "flood (forged) at port 80 from 1s ";
    assert!(line.contains(says), "{}", ran.out);
    assert!(line.contains("until 3s ") && !line.contains("longer than the capture"), "{line}");

    let lines = replay(&["--json", "--config", &policy, &file]);
    assert!(lines.err.contains(says), "{}", lines.err);
    let of = |source: &str| -> serde_json::Value {
        let line = lines.out.lines().find(|line| line.contains(&format!("{source}\"")));
        serde_json::from_str(line.unwrap()).unwrap()
    };
    assert_eq!(of("10.9.7.207")["flood_at"], 1);
    for spared in ["192.0.2.7", "192.0.2.10", "10.9.0.0"] {
        assert_eq!(of(spared)["flood_at"], serde_json::Value::Null, "{spared}");
    }
    let frozen = lines.out.lines().filter(|line| line.contains(r#""flood_at":1"#)).count();
    assert!(frozen >= 1800, "within 200 ms: {frozen} of 2000");

    let (_other, off) = stage("[ports]\nopen = \"80\"\n[flood]\nsurplus = \"unlimited\"\n");
    assert!(!replay(&["--config", &off, &file]).out.contains("flood ("));
}
