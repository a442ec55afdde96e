//! `portcullis review` as it is typed: logs in, words, JSON and a page out, exit codes.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const LOG: &str = "\
2026-09-21T14:13:20+00:00 gate sshd[7]: Failed password for root from 203.0.113.7 port 4711
2026-09-21T14:13:20+00:00 gate portcullis[8]: DROP IN=eth0 SRC=203.0.113.7 DST=198.51.100.2 \
PROTO=TCP SPT=40312 DPT=23 reason=fingerprint what=mirai id=0000000001
2026-09-21T14:13:30+00:00 gate portcullis[8]: DROP-MORE SRC=203.0.113.7 count=1204 within=10s \
by=fingerprint:1204 text=\"and 1,204 more in 10 s\" id=0000000002
2026-09-21T14:13:31+00:00 gate portcullis[8]: ALARM what=x text=\"\\u001b[31m<script>\" id=0000000003
2026-09-21T14:13:32+00:00 gate portcullis[8]: DROP IN=eth0 SRC=203.0.113.7 DS
";

fn review(args: &[&str], folder: &Path, input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .arg("review")
        .args(args)
        .current_dir(folder)
        .env("TZ", "UTC")
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Whoever fails early does not read.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn words_json_and_a_page() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.log"), LOG).unwrap();
    let told = review(&["a.log", "--html", "page.html"], folder.path(), "");
    let (out, err) = (text(&told.stdout), text(&told.stderr));
    assert_eq!(told.status.code(), Some(0), "{err}");
    for line in [
        "Portcullis blocked 1,205 connection attempts of 1 source",
        "  lines      5 read: 3 counted, 1 of other programs, 1 damaged",
        "  2026-09-21 14:13:31  x: ?[31m<script>",
    ] {
        assert!(out.lines().any(|own| own == line), "{line}\n{out}");
    }
    assert!(out.is_ascii(), "LC_ALL=C");
    assert!(err.contains("a.log:5: this line is left out: it ends too early"), "{err}");
    let page = fs::read_to_string(folder.path().join("page.html")).unwrap();
    assert!(page.contains("?[31m&lt;script&gt;") && !page.contains("<script"));

    // The same from standard input, beside the file: what is read twice counts once.
    let told = review(&["a.log", "-", "--json"], folder.path(), LOG);
    let json: serde_json::Value = serde_json::from_slice(&told.stdout).unwrap();
    assert_eq!(
        (json["blocked"].as_u64(), json["lines"]["repeated"].as_u64()),
        (Some(1205), Some(3))
    );
    assert_eq!(json["sources"][0]["source"], "203.0.113.7/32");
}

#[test]
fn choices() {
    let folder = tempfile::tempdir().unwrap();
    for (args, blocked) in [
        (&["-", "--json", "--port", "23"][..], 1),
        (&["-", "--json", "--port", "22"], 0),
        (&["-", "--json", "--source", "203.0.113.0/24"], 1205),
        (&["-", "--json", "--source", "203.0.113.8"], 0),
        (&["-", "--json", "--reason", "fingerprint"], 1205),
        (&["-", "--json", "--since", "2026-09-21 14:13:25"], 1204),
        (&["-", "--json", "--until", "2026-09-21T16:13:25+02:00"], 1),
    ] {
        let told = review(args, folder.path(), LOG);
        let json: serde_json::Value = serde_json::from_slice(&told.stdout).unwrap();
        assert_eq!(json["blocked"], blocked, "{args:?}");
    }
}

#[test]
fn exit_codes() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("cut.gz"), b"\x1f\x8b\x08\0\0\0\0\0\0\x03\x01").unwrap();
    fs::write(folder.path().join("a.xz"), b"\xfd7zXZ\0").unwrap();
    for (args, code, says) in [
        (&["nowhere.log"][..], 66, "nowhere.log: No such file or directory"),
        (&["."], 66, "is a directory"),
        (&["a.xz"], 65, "unpack it on the way: xzcat FILE |"),
        (&["cut.gz"], 65, "cut.gz: it cannot be read further"),
        (&["-", "--since", "soon"], 64, "not a time"),
        (&["-", "--top", "0"], 64, "from 1 to 100000"),
        (&["-", "--source", "x"], 64, "neither an address nor a prefix"),
        (&["-", "--html", "no/such/page.html"], 73, "cannot be written"),
    ] {
        let told = review(args, folder.path(), "");
        let err = text(&told.stderr);
        assert_eq!(told.status.code(), Some(code), "{args:?}: {err}");
        assert!(err.contains(says), "{args:?}: {err}");
        // What could not be opened is not said to be empty.
        assert_eq!(told.stdout.is_empty(), code != 73, "{args:?}");
    }
}

/// An admin's own words are reasons too, so a word that nobody used is no mistake, but told.
#[test]
fn a_reason_that_nobody_has() {
    let folder = tempfile::tempdir().unwrap();
    for (reason, says) in [
        ("port", "nothing here has the reason port. The checks are: allowlist,"),
        ("rate", "the check rate has refused nobody here"),
        ("fingerprint", ""),
    ] {
        let told = review(&["-", "--reason", reason], folder.path(), LOG);
        let err = text(&told.stderr);
        assert_eq!(told.status.code(), Some(0), "{err}");
        assert!(err.contains(says) && err.contains("reason") == (reason == "port"), "{err}");
    }
}

/// Without any log it asks journalctl, and without a shell.
#[test]
fn the_journal() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let ask = |script: Option<&str>| {
        let path = folder.path().join("journalctl");
        match script {
            Some(script) => {
                fs::write(&path, script).unwrap();
                fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
            }
            None => fs::remove_file(&path).unwrap(),
        }
        let asked = Command::new(env!("CARGO_BIN_EXE_portcullis"))
            .args(["review", "--since", "2026-09-21T14:13:20Z"])
            .env("PATH", folder.path())
            .output()
            .unwrap();
        (asked.status.code(), text(&asked.stdout), text(&asked.stderr))
    };
    let entry = "__REALTIME_TIMESTAMP=1790000000250000\nSYSLOG_IDENTIFIER=portcullis\n\
                 MESSAGE=DROP IN=eth0 SRC=203.0.113.7 DPT=23 reason=scan id=0000000001\n\n";
    let script = format!(
        "#!/bin/sh\nfor word; do case $word in --since=@1790000000) found=yes;; esac; done\n\
         [ $found = yes ] && printf '%s' '{entry}'\n"
    );
    let (code, out, err) = ask(Some(&script));
    assert_eq!(code, Some(0), "{err}");
    assert!(out.starts_with("Portcullis blocked 1 connection attempt of 1 source\n"), "{out}");
    let (code, _, err) = ask(Some("#!/bin/sh\nexit 1\n"));
    assert_eq!(code, Some(69), "{err}");
    let (code, _, err) = ask(None);
    assert_eq!(code, Some(69), "{err}");
    assert!(err.contains("portcullis review /var/log/auth.log*"), "{err}");
}
