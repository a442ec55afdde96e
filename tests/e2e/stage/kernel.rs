//! What the kernel says, and what others do to it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

use portcullis::lab::Host;
use serde_json::Value;

/// Runs nft on a host.
pub(crate) fn nft(host: &Host, args: &[&str]) -> Output {
    host.command("nft").args(args).output().expect("nft runs")
}

/// Runs nft on a host, for an answer in JSON.
pub(crate) fn nft_json(host: &Host, args: &[&str]) -> Value {
    let output = nft(host, &[&["-j"], args].concat());
    assert!(output.status.success(), "nft {args:?}: {}", text(&output));
    serde_json::from_slice(&output.stdout).expect("nft writes JSON")
}

/// The named counters of a table, in packets.
pub(crate) fn counters(host: &Host, table: &str) -> BTreeMap<String, u64> {
    let listing = nft_json(host, &["list", "counters", "table", "inet", table]);
    let objects = listing["nftables"].as_array().into_iter().flatten();
    let counters = objects.filter_map(|object| object.get("counter"));
    let named = counters.filter_map(|counter| {
        Some((counter["name"].as_str()?.to_owned(), counter["packets"].as_u64()?))
    });
    named.collect()
}

/// Loads nft rules on a host. nft wants a line's end behind each brace that closes a block; other
/// braces are parts of a rule.
pub(crate) fn nft_load(host: &Host, rules: &str) {
    let file = "/run/rules.nft";
    let mut lines = format!("{rules}\n");
    // Twice, because a brace that is followed by one may follow one.
    for next in ["}", "}", "chain", "set", "table"] {
        lines = lines.replace(&format!("}} {next}"), &format!("}}\n{next}"));
    }
    fs::write(file, lines).expect("a file");
    let output = nft(host, &["-f", file]);
    assert!(output.status.success(), "nft {rules}: {}", text(&output));
}

/// Everything a program said.
pub(crate) fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[&*output.stdout, &*output.stderr].concat()).into_owned()
}

/// Waits for something to become true; says how it stands if it does not in time. To look is mostly
/// to run a program, and what is waited for needs the processor too: so it looks at once, then soon,
/// then ten times a second.
pub(crate) fn eventually<T>(
    limit: Duration,
    what: &str,
    mut look: impl FnMut() -> Result<T, String>,
) -> T {
    let deadline = Instant::now() + limit;
    let mut pause = Duration::from_millis(10);
    loop {
        match look() {
            Ok(seen) => return seen,
            Err(seen) if Instant::now() > deadline => panic!("no {what} within {limit:?}: {seen}"),
            Err(_) => std::thread::sleep(pause),
        }
        pause = (pause * 3 / 2).min(Duration::from_millis(100));
    }
}

/// From now on the machine's nft does nothing but fail. Not by a script: a gate that is confined
/// runs none.
pub(crate) fn break_nft(host: &Host) {
    cover_nft(host, Path::new("/bin/false"));
}

/// From now on something else is where the machine's nft was.
pub(crate) fn cover_nft(host: &Host, with: &Path) {
    let with = with.display();
    mount(
        host,
        &format!("mount --bind \"$(readlink -f {with})\" \"$(readlink -f /usr/sbin/nft)\""),
    );
}

/// It works again.
pub(crate) fn mend_nft(host: &Host) {
    // Somebody may be running it at this moment.
    mount(host, "umount -l \"$(readlink -f /usr/sbin/nft)\"");
}

fn mount(host: &Host, line: &str) {
    assert!(host.command("sh").args(["-c", line]).status().expect("sh runs").success(), "{line}");
}
