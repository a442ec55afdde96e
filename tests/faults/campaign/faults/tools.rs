//! The tools that the gate calls do not do what they should.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use super::Fault;
use crate::campaign::ground::{Ground, Outcome};
use crate::stage::{cover_nft, is_there, mend_nft, text};

/// The lock of iptables' legacy variant.
const LOCK: &str = "/run/xtables.lock";
/// What waits for that lock looks at once a second, and its rules are looked at once a second.
const LOOKS: Duration = Duration::from_millis(2500);

pub(super) const FAULTS: &[Fault] = &[
    Fault { force: failing, quick: true, ..Fault::new("nft fails", "none") },
    Fault { force: missing, ..Fault::new("nft is missing", "none") },
    Fault { force: hanging, mended: Duration::from_secs(15), ..Fault::new("nft hangs", "none") },
    Fault {
        force: killed_meanwhile,
        ..Fault::new("kill -9 while nft hangs", "unjudged while down")
    },
    Fault {
        force: locked,
        skip: no_legacy,
        open: LOOKS,
        mended: Duration::from_secs(15),
        ..Fault::new("iptables lock held, rule gone", "unjudged until it is free")
    },
];

fn failing(ground: &mut Ground<'_>) -> Outcome {
    ground.preload.fail_nft(true);
    ground.moment(200..2000);
    ground.preload.fail_nft(false);
    Ok(())
}

/// A program whose interpreter is not there fails as one that is not there itself.
fn missing(ground: &mut Ground<'_>) -> Outcome {
    let nothing = Path::new("/run/nothing");
    fs::write(nothing, "#!/nowhere\n").expect("a file");
    fs::set_permissions(nothing, fs::Permissions::from_mode(0o755)).expect("it is ours");
    cover_nft(&ground.world.server, nothing);
    ground.moment(200..2000);
    mend_nft(&ground.world.server);
    Ok(())
}

/// Mostly it goes on at last; sometimes it takes longer than anybody waits, and is ended.
fn hanging(ground: &mut Ground<'_>) -> Outcome {
    let endless = ground.chance.below(5) == 0;
    ground.preload.hang_nft(true);
    ground.moment(if endless { 10_500..12_000 } else { 200..3000 });
    ground.preload.hang_nft(false);
    Ok(())
}

/// The nft that the gate has called outlives it, and holds nothing of it.
fn killed_meanwhile(ground: &mut Ground<'_>) -> Outcome {
    ground.preload.hang_nft(true);
    // The admin bans all the while, so by then one hangs.
    ground.moment(400..900);
    ground.while_down(|ground| {
        ground.crash();
        ground.moment(300..900);
        ground.preload.hang_nft(false);
        ground.start()
    })
}

fn no_legacy(ground: &Ground<'_>) -> Option<String> {
    if !is_there("iptables-legacy") {
        return Some("iptables' legacy variant is not installed".into());
    }
    let asked =
        ground.world.server.command("iptables-legacy").args(["-t", "mangle", "-S"]).output();
    let asked = asked.expect("it runs");
    (!asked.status.success()).then(|| format!("needs real root: {}", text(&asked).trim()))
}

/// With the legacy variant, which alone has a lock: somebody removes the gate's rule and holds the
/// lock, and meanwhile the policy is read anew.
fn locked(ground: &mut Ground<'_>) -> Outcome {
    let path = legacy_first();
    ground.while_down(|ground| {
        ground.stop()?;
        ground.start_with(|command| {
            command.env("PATH", &path);
        })
    })?;
    let lock = File::create(LOCK).expect("a file");
    let long = ground.chance.below(5) == 0;
    ground.while_down(|ground| {
        let flush = ["-w", "5", "-t", "mangle", "-F", "PREROUTING"];
        for tool in ["iptables-legacy", "ip6tables-legacy"] {
            let flushed = ground.world.server.command(tool).args(flush).status();
            assert!(flushed.expect("it runs").success());
        }
        flock(&lock, FlockOperation::LockExclusive).map_err(|error| error.to_string())?;
        ground.moment(if long { 5500..7000 } else { 300..2500 });
        flock(&lock, FlockOperation::Unlock).map_err(|error| error.to_string())
    })?;
    // What waits its turn may be held up for as long again.
    std::thread::sleep(LOOKS);
    ground.while_down(|ground| {
        ground.stop()?;
        ground.start()
    })?;
    let left = ground.world.server.command("iptables-legacy").args(["-t", "mangle", "-S"]).output();
    let left = text(&left.expect("it runs"));
    if left.contains("NFQUEUE") { Err(format!("rules are left behind: {left}")) } else { Ok(()) }
}

/// A PATH in which `iptables` is the legacy variant.
fn legacy_first() -> String {
    let folder = "/run/legacy";
    fs::create_dir_all(folder).expect("a folder");
    for tool in ["iptables", "ip6tables"] {
        let link = format!("{folder}/{tool}");
        let _ = fs::remove_file(&link);
        std::os::unix::fs::symlink(format!("/usr/sbin/{tool}-legacy"), link).expect("a link");
    }
    format!("{folder}:/usr/sbin:/usr/bin:/sbin:/bin")
}
