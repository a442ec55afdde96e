//! The ledger on disk: `firewall::Store`, and the standings that are made of it.
//!
//! The first byte says how the rest becomes a file: as it is, or with the checksum that each line
//! needs in front of it, without which hardly any gets far. A line that begins with `!` gets none.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use portcullis::config::Config;
use portcullis::firewall::{
    Clock, Damage, Entry, Ledger, Line, Loaded, Look, Rules, Store, Whom, peek,
};
use portcullis::memory::SourceKey;
use portcullis::policy::Standing;

/// Of a damaged file the lines before the damage are kept, and all of it beside them; and what is
/// kept is the same after every reopening and rewriting.
pub fn check(bytes: &[u8]) {
    let Some((how, bytes)) = bytes.split_first() else { return };
    let bytes = if how & 1 == 0 { bytes.to_vec() } else { with_checksums(bytes) };
    let folder = super::folder();
    let path = folder.path().join("standings");
    fs::write(&path, &bytes).expect("a file can be written");

    let seen = peek(folder.path()).expect("it is there");
    let Loaded { lines, clock, damage } = open(folder.path()).1;
    assert_eq!(seen.lines, lines, "looking at it and opening it differ");
    let kept = fs::read(&path).expect("it is still there");
    assert!(bytes.starts_with(&kept), "something else was kept");
    // Those about the clock are no lines of the ledger; the last of them counts.
    let good = kept.iter().filter(|byte| **byte == b'\n').count();
    assert!(good >= lines.len() && (good > lines.len()) == clock.is_some(), "{good} good lines");
    assert_eq!(damage.is_some(), kept.len() < bytes.len());
    if let Some(Damage { aside, because }) = damage {
        assert!(because.is_none(), "{because:?}");
        assert_eq!(fs::read(aside).expect("what was damaged is kept"), bytes);
    }
    let (mut store, again) = open(folder.path());
    assert_eq!((&again.lines, again.damage.is_none()), (&lines, true), "opened again");

    // The same standings, whether they are worked out here or by the ledger.
    let mut last: BTreeMap<Whom, Entry> = BTreeMap::new();
    let mut ledger = Ledger::new(Rules::new(&Config::default(), &[]));
    for line in &lines {
        match line {
            Line::Is(entry) => drop(last.insert(entry.whom(), entry.clone())),
            Line::Forgotten(whom) => drop(last.remove(whom)),
            Line::Clock(_) => {}
        }
    }
    ledger.restore(lines);
    assert_eq!(entries(ledger.entries()), last.values().cloned().collect::<Vec<_>>());

    live(&mut ledger, &mut store, clock.as_ref());
    let now: Vec<Entry> = entries(ledger.entries());
    store.compact(ledger.entries()).expect("it can be rewritten");
    let (mut store, compacted) = open(folder.path());
    let mut read = lines_of(&compacted.lines);
    read.sort_by_key(Entry::whom);
    assert_eq!((read, compacted.damage.is_none()), (now.clone(), true), "rewritten");
    assert_eq!(compacted.clock, clock, "its times are by the same clock");

    let more: Vec<Line> = now.iter().take(2).cloned().map(Line::Is).collect();
    store.append(&more).expect("it can be appended to");
    store.sync().expect("it can be saved");
    let appended = open(folder.path()).1;
    assert_eq!(appended.lines, [compacted.lines, more].concat(), "appended to");
}

/// A day in the life of whatever was read.
fn live(ledger: &mut Ledger, store: &mut Store, clock: Option<&Clock>) {
    let now = at(1_800_000_000);
    let mut lines = Vec::new();
    for change in ledger.expire(now) {
        let whom = change.entry.whom();
        lines.push(if change.forgotten { Line::Forgotten(whom) } else { Line::Is(change.entry) });
    }
    for (n, standing) in [Standing::Suspect, Standing::Banned].into_iter().enumerate() {
        let source = SourceKey::of([203, 0, 113, n as u8].into());
        if let Ok(change) = ledger.offence(source, None, standing, "scan", "".into(), now) {
            lines.push(Line::Is(change.entry));
        }
    }
    store.append(&lines).expect("it can be appended to");
    for (since_boot, second) in [(100, 1_900_000_000), (200, 1_600_000_000), (u64::MAX, 0)] {
        let look = Look { since_boot: Duration::from_secs(since_boot), wall: at(second) };
        let (_, jump) = Clock::begin(clock, clock.map_or("", |clock| &clock.boot), look);
        if let Some(jump) = jump {
            ledger.clock_was_set(&jump);
        }
        let known = Duration::from_secs(200_000_000);
        let seen = Look { since_boot: known, wall: now };
        let mut other = Clock { boot: "fuzz".into(), began: Duration::ZERO, seen };
        if let Some(jump) = other.look(Look { since_boot: known, ..look }) {
            ledger.clock_was_set(&jump);
        }
    }
    ledger.expire(at(1_900_000_000));
    assert!(ledger.live() + ledger.remembered() == ledger.len(), "an entry is lost");
}

fn open(folder: &Path) -> (Store, Loaded) {
    Store::open(folder, at(1_800_000_000)).unwrap_or_else(|error| panic!("{error}"))
}

fn at(second: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(second)
}

fn entries<'a>(entries: impl Iterator<Item = &'a Entry>) -> Vec<Entry> {
    let mut all: Vec<Entry> = entries.cloned().collect();
    all.sort_by_key(Entry::whom);
    all
}

fn lines_of(lines: &[Line]) -> Vec<Entry> {
    let entry = |line: &Line| match line {
        Line::Is(entry) => Some(entry.clone()),
        Line::Forgotten(whom) => panic!("{whom:?} is forgotten, and yet it was written"),
        Line::Clock(_) => None,
    };
    lines.iter().filter_map(entry).collect()
}

fn with_checksums(bytes: &[u8]) -> Vec<u8> {
    let mut file = Vec::with_capacity(bytes.len() * 2);
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        match line.strip_prefix(b"!") {
            Some(rest) => file.extend_from_slice(rest),
            None => {
                let json = line.strip_suffix(b"\n").unwrap_or(line);
                file.extend_from_slice(format!("{:08x} ", crc32fast::hash(json)).as_bytes());
                file.extend_from_slice(line);
            }
        }
    }
    file
}
