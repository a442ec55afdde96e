//! What is on disk comes back, wherever the writing was cut.

use std::time::{Duration, UNIX_EPOCH};

use proptest::prelude::*;

use super::super::clock::Look;
use super::super::entry::By;
use super::line::{Texts, quick};
use super::*;
use crate::policy::Standing;

fn entry(n: u8, standing: Standing, words: &str) -> Entry {
    let at = |secs: u64| UNIX_EPOCH + Duration::from_secs(1_800_000_000 + secs);
    Entry {
        net: format!("203.0.113.{n}/32").parse().unwrap(),
        port: (n > 200 && standing != Standing::Suspect).then_some(u16::from(n)),
        standing,
        since: at(n.into()),
        until: at(600 + u64::from(n)),
        offences: n.into(),
        last_offence: at(n.into()),
        reason: words.into(),
        by: if n.is_multiple_of(2) { By::Gate } else { By::Admin },
        evidence: words.into(),
    }
}

/// Reads a file that is in memory, a little at a time.
fn decode_all(bytes: &[u8]) -> (Vec<Line>, usize) {
    let read_at = |into: &mut [u8], from: u64| {
        let rest = &bytes[from as usize..];
        let some = rest.len().min(into.len()).min(70_000);
        into[..some].copy_from_slice(&rest[..some]);
        Ok(some)
    };
    let Lines { lines, good, .. } = reading::read(read_at, bytes.len() as u64).unwrap();
    (lines, good as usize)
}

fn reload(folder: &Path) -> Loaded {
    Store::open(folder, UNIX_EPOCH + Duration::from_secs(1_900_000_000)).unwrap().1
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn what_is_written_is_read(lines in proptest::collection::vec(
        (any::<u8>(), 0u8..4, "\\PC{0,12}"), 0..30))
    {
        let folder = tempfile::tempdir().unwrap();
        let (mut store, _) = Store::open(folder.path(), UNIX_EPOCH).unwrap();
        let lines: Vec<Line> = lines.iter().map(|(n, kind, words)| match kind {
            0 => Line::Forgotten(entry(*n, Standing::Clean, "").whom()),
            1 => Line::Is(entry(*n, Standing::Clean, words)),
            2 => Line::Is(entry(*n, Standing::Suspect, words)),
            _ => Line::Is(entry(*n, Standing::Banned, words)),
        }).collect();
        lines.chunks(3).for_each(|some| store.append(some).unwrap());
        let loaded = reload(folder.path());
        prop_assert_eq!(loaded.lines, lines);
        prop_assert!(loaded.damage.is_none());
    }
}

#[test]
fn torn_at_every_byte() {
    let lines: Vec<Line> =
        (0..4).map(|n| Line::Is(entry(n, Standing::Suspect, "words \"and\" \n more"))).collect();
    let mut whole = Vec::new();
    let mut ends = vec![0];
    for line in &lines {
        line.encode(&mut whole);
        ends.push(whole.len());
    }
    for cut in 0..=whole.len() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("standings"), &whole[..cut]).unwrap();
        let loaded = reload(folder.path());
        let kept = ends.iter().rposition(|end| *end <= cut).unwrap();
        assert_eq!(loaded.lines, lines[..kept], "cut at {cut}");
        assert_eq!(loaded.damage.is_some(), !ends.contains(&cut), "cut at {cut}");
        if let Some(Damage { aside, because }) = loaded.damage {
            assert!(because.is_none(), "{because:?}");
            assert_eq!(std::fs::read(aside).unwrap(), whole[..cut]);
        }
        // It goes on where it was cut.
        let (mut store, _) = Store::open(folder.path(), UNIX_EPOCH).unwrap();
        store.append(&lines[3..]).unwrap();
        assert_eq!(reload(folder.path()).lines.len(), kept + 1);
    }
}

#[test]
fn a_file_of_an_earlier_version_is_read() {
    let json = r#"{"net":"203.0.113.8/32","standing":"banned","entry":{"since":1800000008000,"until":1800000608000,"offences":8,"last":1800000008000,"reason":"x","by":"gate","evidence":"x"}}"#;
    let line = format!("{:08x} {json}\n", crc32fast::hash(json.as_bytes()));
    let (read, good) = decode_all(line.as_bytes());
    assert_eq!((read, good), (vec![Line::Is(entry(8, Standing::Banned, "x"))], line.len()));
    let mut written = Vec::new();
    Line::Is(entry(8, Standing::Banned, "x")).encode(&mut written);
    assert_eq!(written, line.as_bytes(), "and an earlier version reads what knows of no port");
}

#[test]
fn what_the_kernel_has_no_place_for_is_not_read() {
    let at_a_port = |entry: Entry| {
        let mut line = Vec::new();
        Line::Is(Entry { port: Some(22), ..entry }).encode(&mut line);
        Line::decode(line.trim_ascii_end(), &mut Texts::default())
    };
    let banned = entry(1, Standing::Banned, "x");
    assert!(at_a_port(banned.clone()).is_some());
    assert_eq!(at_a_port(entry(1, Standing::Suspect, "x")), None);
    assert_eq!(at_a_port(Entry { net: "203.0.113.0/24".parse().unwrap(), ..banned }), None);
}

#[test]
fn a_changed_byte_is_noticed() {
    let mut whole = Vec::new();
    let lines: Vec<Line> = (0..2).map(|n| Line::Is(entry(n, Standing::Banned, "x"))).collect();
    lines.iter().for_each(|line| line.encode(&mut whole));
    for at in 0..whole.len() {
        let mut spoilt = whole.clone();
        spoilt[at] ^= 0x02;
        let (read, _) = decode_all(&spoilt);
        assert!(read.iter().zip(&lines).all(|(a, b)| a == b) && read.len() < 2, "at {at}");
    }
}

#[test]
fn compacting_keeps_the_last_of_each() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, _) = Store::open(folder.path(), UNIX_EPOCH).unwrap();
    let old = entry(1, Standing::Suspect, "old");
    store.append(&vec![Line::Is(old); 10_003]).unwrap();
    assert!(store.is_bloated(1) && !store.is_bloated(2));
    let new = entry(1, Standing::Banned, "new");
    store.compact([&new].into_iter()).unwrap();
    let other = Line::Is(entry(2, Standing::Banned, "later"));
    store.append(std::slice::from_ref(&other)).unwrap();
    store.sync().unwrap();
    assert_eq!(reload(folder.path()).lines, [Line::Is(new), other]);
    assert!(!folder.path().join("standings.new").exists());
}

#[test]
fn whoever_only_looks_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(peek(folder.path()).unwrap(), Peek { lines: vec![], whole: true });
    let (mut store, _) = Store::open(folder.path(), UNIX_EPOCH).unwrap();
    let lines: Vec<Line> = (1..4).map(|n| Line::Is(entry(n, Standing::Banned, "w"))).collect();
    store.append(&lines).unwrap();
    assert_eq!(peek(folder.path()).unwrap(), Peek { lines: lines.clone(), whole: true });
    let path = folder.path().join("standings");
    let good = std::fs::read(&path).unwrap();
    // A last line without its end is being written; a wrong one with its end is damage.
    for (more, whole) in [(&b"0123"[..], true), (b"0123\n", false), (b"0123\n4", false)] {
        let bytes = [&good[..], more].concat();
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(peek(folder.path()).unwrap(), Peek { lines: lines.clone(), whole });
        assert_eq!(std::fs::read(&path).unwrap(), bytes, "nothing is repaired");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

proptest! {
    #[test]
    fn what_is_read_quickly_is_read_alike(
        n in any::<u8>(), kind in 0u8..3, words in "[ -~é]{0,12}", edit in any::<(u8, u8)>(),
    ) {
        let standing = [Standing::Clean, Standing::Suspect, Standing::Banned][usize::from(kind)];
        let mut encoded = Vec::new();
        Line::Is(entry(n, standing, &words)).encode(&mut encoded);
        let json = encoded[9..].strip_suffix(b"\n").unwrap();
        let mut texts = Texts::default();
        let read = quick(json, &mut texts);
        prop_assert_eq!(read.is_some(), !words.contains(['"', '\\']), "{}", words);
        prop_assert!(read.is_none() || read == Line::decode_json(json));
        // Whatever else stands there: what is taken, means the same.
        let mut other = json.to_vec();
        let place = usize::from(edit.0) % other.len();
        other[place] = edit.1;
        prop_assert!(quick(&other, &mut texts).is_none_or(|line| Line::decode_json(&other) == Some(line)));
    }
}

#[test]
fn long_files_are_read_in_parts() {
    // Now and then a line that is longer than what is read at a time.
    let words = |n: u32| if n % 3000 == 7 { "long ".repeat(40_000) } else { format!("number {n}") };
    let mut whole = Vec::new();
    let lines: Vec<Line> = (0..8000_u32)
        .map(|n| Line::Is(entry((n % 200) as u8, Standing::Banned, &words(n))))
        .collect();
    lines.iter().for_each(|line| line.encode(&mut whole));
    assert!(whole.len() > crate::config::parts::LONG);
    assert!(decode_all(&whole) == (lines.clone(), whole.len()));
    // Torn, wherever it is, nothing behind it counts.
    let ends: Vec<usize> = memchr::memchr_iter(b'\n', &whole).map(|end| end + 1).collect();
    for line in [1, 7, 4000, 7998] {
        whole[ends[line - 1] + 20] ^= 1;
        assert!(decode_all(&whole) == (lines[..line].to_vec(), ends[line - 1]), "line {line}");
        whole[ends[line - 1] + 20] ^= 1;
    }
    // The end of the file may be anywhere, too.
    for cut in [ends[0] - 1, whole.len() / 2, whole.len() / 2 + 1, whole.len() - 1] {
        let kept = ends.partition_point(|end| *end <= cut);
        let good = kept.checked_sub(1).map_or(0, |last| ends[last]);
        assert!(decode_all(&whole[..cut]) == (lines[..kept].to_vec(), good), "cut at {cut}");
    }
}

fn clock(wall: u64) -> Clock {
    let wall = UNIX_EPOCH + Duration::from_secs(wall);
    let since_boot = Duration::from_millis(95_500);
    Clock {
        boot: "0f5d time:[4026531834]".into(),
        began: Duration::from_secs(60),
        seen: Look { since_boot, wall },
    }
}

#[test]
fn the_last_clock_counts_and_outlives_a_rewriting() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, loaded) = Store::open(folder.path(), UNIX_EPOCH).unwrap();
    assert_eq!((loaded.clock, store.clock()), (None, None));
    let ban = entry(1, Standing::Banned, "x");
    store.append(&[Line::Clock(clock(1_000)), Line::Is(ban.clone())]).unwrap();
    store.append(&[Line::Clock(clock(9_000))]).unwrap();
    assert_eq!(store.clock(), Some(&clock(9_000)));
    let read = reload(folder.path());
    assert_eq!((read.lines.len(), read.clock), (1, Some(clock(9_000))));
    assert!(read.damage.is_none());
    // What was moved with a clock comes to the disk with it, at once.
    store.go_by(clock(20_000));
    assert_eq!(reload(folder.path()).clock, Some(clock(9_000)), "not alone");
    let moved = entry(2, Standing::Banned, "x");
    store.compact([&moved].into_iter()).unwrap();
    let read = reload(folder.path());
    assert_eq!(read.lines, [Line::Is(moved)]);
    assert_eq!(read.clock, Some(clock(20_000)));
}

#[test]
fn a_torn_or_strange_clock_is_none() {
    let mut line = Vec::new();
    Line::Clock(clock(1_000)).encode(&mut line);
    for cut in 1..line.len() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("standings"), &line[..cut]).unwrap();
        let loaded = reload(folder.path());
        assert_eq!((loaded.clock, loaded.lines), (None, vec![]), "{cut}");
        assert!(loaded.damage.is_some(), "it is told");
    }
    for json in [
        "{\"clock\":{}}",
        "{\"clock\":{\"boot\":\"x\",\"began\":-1,\"since_boot\":1,\"wall\":1}}",
        "{\"clock\":7}",
    ] {
        let strange = format!("{:08x} {json}", crc32fast::hash(json.as_bytes()));
        assert_eq!(Line::decode(strange.as_bytes(), &mut Texts::default()), None, "{json}");
    }
}

#[test]
fn damage_is_kept_until_the_disk_takes_a_new_file() {
    let folder = tempfile::tempdir().unwrap();
    let (path, new) = (folder.path().join("standings"), folder.path().join("standings.new"));
    let lines: Vec<Line> = (1..4).map(|n| Line::Is(entry(n, Standing::Banned, "w"))).collect();
    let mut bytes = Vec::new();
    lines.iter().for_each(|line| line.encode(&mut bytes));
    bytes.extend(b"0123 half a li");
    std::fs::write(&path, &bytes).unwrap();
    // No new file can be written, as on a full disk.
    std::fs::create_dir(&new).unwrap();
    for start in 1..3 {
        let at = UNIX_EPOCH + Duration::from_secs(1_900_000_000 + start);
        let (mut store, loaded) = Store::open(folder.path(), at).unwrap();
        assert_eq!(loaded.lines, lines, "start {start}");
        let Damage { aside, because } = loaded.damage.unwrap();
        assert!(because.unwrap().to_string().starts_with("cannot repair "));
        assert!(store.append(&lines[..1]).is_err() && store.is_bloated(3));
        assert!(store.compact([&entry(7, Standing::Banned, "w")].into_iter()).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), bytes, "nothing is lost: start {start}");
        assert_eq!(std::fs::read(aside).unwrap(), bytes);
    }
    let (mut store, loaded) = Store::open(folder.path(), UNIX_EPOCH).unwrap();
    std::fs::remove_dir(&new).unwrap();
    let kept: Vec<Entry> = (5..8).map(|n| entry(n, Standing::Banned, "w")).collect();
    store.compact(kept.iter()).unwrap();
    store.append(&lines[..1]).unwrap();
    let read = reload(folder.path());
    assert!(read.damage.is_none() && read.lines.len() == 4);
    assert_eq!(read.lines[3], lines[0]);
    assert_eq!(std::fs::read(loaded.damage.unwrap().aside).unwrap(), bytes);
}

#[test]
fn what_is_kept_is_never_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("standings");
    let at = UNIX_EPOCH + Duration::from_secs(1_900_000_000);
    // Damaged again and again within a second, or when the clock begins anew at each boot.
    for n in 0..3_u8 {
        std::fs::write(&path, [b'0', n]).unwrap();
        let aside = Store::open(folder.path(), at).unwrap().1.damage.unwrap().aside;
        let more = if n == 0 { String::new() } else { format!("-{n}") };
        assert_eq!(aside, folder.path().join(format!("standings.bad-1900000000{more}")));
    }
    for (n, more) in ["", "-1", "-2"].into_iter().enumerate() {
        let aside = folder.path().join(format!("standings.bad-1900000000{more}"));
        assert_eq!(std::fs::read(aside).unwrap(), [b'0', n as u8]);
    }
}
