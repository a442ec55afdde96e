//! What other programs make of the pages and the completions: mandoc, man, and the three shells.
//!
//! Where one is missing, its test says so on the terminal and passes; with
//! `PORTCULLIS_TEST_TOOLS=all` it fails.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output};

use jiff::Timestamp;
use tempfile::TempDir;

use crate::everything;

/// A folder with everything in it.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in everything(Timestamp::UNIX_EPOCH) {
        let path = folder.path().join(&file.path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, file.text).unwrap();
    }
    folder
}

/// Runs a program in a folder; `None` if it is missing.
fn run(program: &str, package: &str, arguments: &[&str], folder: &Path) -> Option<Output> {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder).env("LC_ALL", "C.UTF-8");
    match command.env("MANWIDTH", "80").env("HOME", folder).output() {
        Ok(output) => Some(output),
        Err(_) => {
            let missing = format!("{program} is not installed (package {package})");
            let strict = std::env::var("PORTCULLIS_TEST_TOOLS").is_ok_and(|word| word == "all");
            assert!(!strict, "{missing}");
            // Past the test harness, which would swallow it.
            let _ = writeln!(std::io::stderr(), "\nSKIPPED: {missing}");
            None
        }
    }
}

/// What it said, on both ways; it must have gone well.
fn said(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(output.status.success(), "{}\n{text}", output.status);
    text
}

fn pages(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder.join("man")).unwrap();
    let mut pages: Vec<String> =
        entries.map(|entry| format!("man/{}", entry.unwrap().file_name().display())).collect();
    pages.sort();
    assert!(pages.len() >= 17);
    pages
}

#[test]
fn mandoc_has_nothing_to_say() {
    let folder = folder();
    let pages = pages(folder.path());
    let mut arguments = vec!["-T", "lint", "-W", "warning"];
    arguments.extend(pages.iter().map(String::as_str));
    if let Some(output) = run("mandoc", "mandoc", &arguments, folder.path()) {
        assert_eq!(said(&output), "");
    }
}

#[test]
fn man_warns_of_nothing_and_fills_80_columns() {
    let folder = folder();
    for page in pages(folder.path()) {
        let arguments = ["--warnings=w", "-E", "UTF-8", "-l", &page];
        let Some(output) = run("man", "man-db", &arguments, folder.path()) else { return };
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{page}");
        let text = said(&output);
        assert!(text.lines().count() > 20, "{page}:\n{text}");
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{page}: {line}");
        }
    }
}

#[test]
fn bash_completes() {
    let folder = folder();
    let script = r#"
        source completions/portcullis
        COMP_WORDS=(portcullis ba) COMP_CWORD=1 COMP_LINE="portcullis ba" COMP_POINT=13
        complete -p portcullis >/dev/null && _portcullis portcullis ba portcullis && echo "${COMPREPLY[@]}"
        COMP_WORDS=(portcullis bans add --r) COMP_CWORD=3
        _portcullis portcullis --r add && echo "${COMPREPLY[@]}""#;
    let arguments = ["--norc", "-c", script];
    if let Some(output) = run("bash", "bash", &arguments, folder.path()) {
        assert_eq!(said(&output), "bans\n--reason\n");
    }
}

#[test]
fn fish_completes() {
    let folder = folder();
    let check = ["--no-execute", "completions/portcullis.fish"];
    let Some(output) = run("fish", "fish", &check, folder.path()) else { return };
    assert_eq!(said(&output), "");
    let script = "source completions/portcullis.fish; complete -C 'portcullis ba' | string split -f1 \\t; \
                  complete -C 'portcullis bans add --re' | string split -f1 \\t";
    let output = run("fish", "fish", &["--no-config", "-c", script], folder.path()).unwrap();
    assert_eq!(said(&output), "bans\n--reason\n");
}

#[test]
fn zsh_completes() {
    let folder = folder();
    let Some(output) = run("zsh", "zsh", &["-n", "completions/_portcullis"], folder.path()) else {
        return;
    };
    assert_eq!(said(&output), "");
    // A real line editor on a terminal of its own, as when somebody presses the tabulator key. What
    // never comes ends it after a while.
    let script = r#"
        zmodload zsh/zpty
        zpty shell "TERM=vt100 PS1= zsh -f -i"
        zpty -w shell 'fpath=($PWD/completions $fpath); autoload -Uz compinit'
        zpty -w shell 'compinit -u -d $PWD/dump; print LOAD''ED'
        zpty -r -m shell line '*LOADED*'
        zpty -w -n shell $'portcullis ba\t'
        zpty -r -m shell line '*bans*'
        zpty -w -n shell $'add --rea\t'
        zpty -r -m shell line '*--reason*'
        print completed"#;
    let arguments = ["60", "zsh", "-f", "-c", script];
    let output = run("timeout", "coreutils", &arguments, folder.path()).unwrap();
    assert_eq!(said(&output).trim(), "completed");
}
