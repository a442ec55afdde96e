//! The disk that keeps the ledger.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use portcullis::firewall::{Line, peek};

use super::Fault;
use crate::campaign::STATE;
use crate::campaign::ground::{Ground, Outcome};
use crate::campaign::standings::LASTS;

/// The ledger is written anew at the next tick, a second apart.
const SAVED: Duration = Duration::from_secs(8);

pub(super) const FAULTS: &[Fault] = &[
    Fault { force: torn, ..Fault::new("ledger torn at every byte", "unjudged while down") },
    Fault { force: full, ..Fault::new("disk full, then kill -9", "unjudged while down") },
    Fault { force: torn_and_full, ..Fault::new("ledger torn, disk full", "unjudged while down") },
    Fault { force: readonly, ..Fault::new("disk read-only, then kill -9", "unjudged while down") },
];

/// A line of which only a part came to the disk before the power went: every length of it, over all
/// tries; or one at random.
fn torn(ground: &mut Ground<'_>) -> Outcome {
    let ledger = Path::new(STATE).join("standings");
    let random = ground.chance.below(200) as usize;
    let (first, step) = ground.share.unwrap_or((random, usize::MAX));
    ground.while_down(|ground| {
        ground.crash();
        let bytes = fs::read(&ledger).expect("a ledger");
        let line = bytes.trim_ascii_end().rsplit(|byte| *byte == b'\n').next();
        let line = line.expect("it has a line").to_vec();
        for cut in (1..=line.len()).skip(first % line.len()).step_by(step) {
            if ground.runs() {
                ground.crash();
            }
            let mut file = OpenOptions::new().append(true).open(&ledger).expect("a ledger");
            file.write_all(&line[..cut]).expect("a write");
            drop(file);
            ground.start()?;
            let set_aside = set_aside();
            if set_aside.is_empty() {
                return Err(format!("torn at byte {cut}: nothing was set aside"));
            }
            for file in set_aside {
                fs::remove_file(file).expect("it goes");
            }
            match ground.standings.wrong() {
                None => return Err(format!("torn at byte {cut}: no answer")),
                Some(wrong) if !wrong.is_empty() => {
                    return Err(format!("torn at byte {cut}: {}", wrong.join("; ")));
                }
                Some(_) => {}
            }
        }
        Ok(())
    })
}

/// Copies of damaged ledgers.
fn set_aside() -> Vec<PathBuf> {
    let files = fs::read_dir(STATE).expect("a folder").filter_map(Result::ok);
    let files = files.map(|file| file.path());
    files.filter(|path| path.to_string_lossy().contains("standings.bad-")).collect()
}

fn full(ground: &mut Ground<'_>) -> Outcome {
    let ballast = Ballast::load();
    ground.standings.add(LASTS);
    ground.moment(300..1800);
    drop(ballast);
    saved_and_killed(ground)
}

/// A line that was cut off.
const TORN: &[u8] = b"0123 half a li";

/// It starts with what can be read, and mends the file when the disk has room again.
fn torn_and_full(ground: &mut Ground<'_>) -> Outcome {
    let ledger = Path::new(STATE).join("standings");
    let mut ballast = None;
    ground.while_down(|ground| {
        ground.crash();
        let mut file = OpenOptions::new().append(true).open(&ledger).expect("a ledger");
        file.write_all(TORN).expect("a write");
        ballast = Some(Ballast::load());
        ground.start()
    })?;
    match ground.standings.wrong() {
        None => return Err("no answer".into()),
        Some(wrong) if !wrong.is_empty() => return Err(wrong.join("; ")),
        Some(_) => {}
    }
    ground.standings.add(LASTS);
    ground.moment(300..1800);
    // By a second name, which needs no room: a copy would.
    let inode = |path: &Path| fs::metadata(path).map(|file| file.ino()).ok();
    let set_aside = set_aside();
    if set_aside.len() != 1 || inode(&set_aside[0]) != inode(&ledger) {
        return Err(format!("the damaged file is not kept, or not in its place: {set_aside:?}"));
    }
    drop(ballast);
    saved_and_killed(ground)?;
    if !fs::read(&set_aside[0]).is_ok_and(|bytes| bytes.ends_with(TORN)) {
        return Err("the damaged file was not kept as it was".into());
    }
    set_aside.iter().for_each(|file| fs::remove_file(file).expect("it goes"));
    Ok(())
}

/// What fills the disk, to its last byte, until it is dropped.
struct Ballast(PathBuf);

impl Ballast {
    fn load() -> Self {
        let path = Path::new(STATE).join("ballast");
        let mut file = File::create(&path).expect("a file");
        let mut chunk = vec![0; 1 << 16];
        while !chunk.is_empty() {
            match file.write_all(&chunk) {
                Ok(()) => {}
                Err(_) => chunk.truncate(chunk.len() / 2),
            }
        }
        Self(path)
    }
}

impl Drop for Ballast {
    fn drop(&mut self) {
        fs::remove_file(&self.0).expect("it goes");
    }
}

fn readonly(ground: &mut Ground<'_>) -> Outcome {
    ground.preload.set_readonly(true);
    ground.standings.add(LASTS);
    ground.moment(300..1800);
    ground.preload.set_readonly(false);
    saved_and_killed(ground)
}

/// The disk takes it again: soon everything that was acknowledged must be on it.
fn saved_and_killed(ground: &mut Ground<'_>) -> Outcome {
    let wanted = ground.standings.held();
    let deadline = std::time::Instant::now() + SAVED;
    loop {
        let lines = peek(Path::new(STATE)).map_err(|error| error.to_string())?.lines;
        let there: std::collections::HashSet<_> = lines
            .iter()
            .filter_map(|line| match line {
                Line::Is(entry) => Some(entry.net),
                Line::Forgotten(_) | Line::Clock(_) => None,
            })
            .collect();
        let missing = wanted.iter().filter(|net| !there.contains(net));
        let missing = missing.filter(|net| ground.standings.is_held(**net)).count();
        if missing == 0 {
            break;
        }
        if std::time::Instant::now() > deadline {
            return Err(format!("{missing} are not on the disk {SAVED:?} after it had room again"));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    ground.while_down(|ground| {
        ground.crash();
        ground.start()
    })
}
