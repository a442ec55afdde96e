//! Captures: pcap and pcapng of any origin, and the gate that they are replayed through.

use std::fs;
use std::io::{self, Read};
use std::sync::LazyLock;

use portcullis::capture::Block;
use portcullis::config::{self, Config};
use portcullis::policy::PortSet;
use portcullis::replay::{Capture, Damage, OpenError, Rivals, ServedFrom, replay};

static CONFIG: LazyLock<Config> = LazyLock::new(|| {
    let text = "[ports]\nopen = \"22, 80\"\n[memory]\nsources = 4096\nnetworks = 1024\n";
    match config::parse(text, "capture.toml") {
        Ok(loaded) => loaded.config,
        Err(errors) => panic!("{errors}"),
    }
});

/// What was read: the packets, the damages, how many there are, and how far it went.
type Told = (Vec<(u64, u32, Vec<u8>)>, Vec<Damage>, u64, u64);

/// A capture is read alike however its bytes arrive, its damages stand in it, and it can be replayed.
pub fn check(bytes: &[u8]) {
    if let Ok(packets) = check_reading(bytes) {
        check_replaying(bytes, packets);
    }
}

/// The same, but it is not replayed. Returns how many packets it has.
///
/// # Errors
/// It is no capture at all.
pub fn check_reading(bytes: &[u8]) -> Result<usize, OpenError> {
    let whole = read(bytes, bytes.len());
    let piecemeal = read(Drops(bytes), bytes.len());
    match (&whole, &piecemeal) {
        (Ok(whole), Ok(piecemeal)) => assert_eq!(whole, piecemeal, "read byte by byte"),
        (Err(whole), Err(piecemeal)) => assert_eq!(whole.to_string(), piecemeal.to_string()),
        _ => panic!("{whole:?} but {piecemeal:?} byte by byte"),
    }
    // What `portcullis capture` reads of the daemon is pcapng, too.
    let mut stream = bytes;
    for _ in 0..=bytes.len() / 12 {
        if !matches!(Block::read(&mut stream), Ok(Some(_))) {
            break;
        }
    }

    whole.map(|(packets, ..)| packets.len())
}

fn check_replaying(bytes: &[u8], packets: usize) {
    let folder = super::folder();
    let path = folder.path().join("capture");
    fs::write(&path, bytes).expect("a file can be written");
    let rivals = Rivals { new: &CONFIG, old: Some(&CONFIG) };
    for served in [ServedFrom::Capture, ServedFrom::Policy { listening: PortSet::default() }] {
        let report = replay(&path, rivals, &served, |_| {}).expect("it was read before");
        assert_eq!(report.packets, packets as u64);
        let judged = report.openings + report.unreadable + report.foreign.values().sum::<u64>();
        assert!(judged <= report.packets);
        let tracks = report.tracks.rows();
        let old = report.old.as_ref().map(|old| old.rows()).unwrap_or_default();
        for (new, old) in tracks.iter().zip(old) {
            assert_eq!((new.syns, new.accepted), (old.syns, old.accepted), "the same policy");
            assert!(new.accepted <= new.syns);
        }
        let openings: u64 = tracks.iter().map(|track| track.syns).sum();
        assert_eq!(openings + report.tracks.untold(), report.openings);
    }
}

fn read(source: impl Read, length: usize) -> Result<Told, OpenError> {
    let mut capture = Capture::open(source)?;
    let mut packets = Vec::new();
    while let Some(packet) = capture.next_packet() {
        packets.push((packet.at, packet.link, packet.bytes.to_vec()));
        assert!(packets.len() <= length, "more packets than bytes");
    }
    let bytes: usize = packets.iter().map(|(.., bytes)| bytes.len()).sum();
    assert!(bytes <= length, "more in the packets than in the file");
    assert!(capture.position() <= length as u64, "read beyond the end");
    assert!(capture.next_packet().is_none(), "it goes on behind its end");
    let (damages, damaged) = (capture.damages().to_vec(), capture.damaged());
    assert_eq!(damages.len() as u64, damaged.min(10));
    for damage in &damages {
        assert!(damage.offset <= length as u64, "{damage}");
    }
    Ok((packets, damages, damaged, capture.position()))
}

/// Hands over one byte at a time.
struct Drops<'a>(&'a [u8]);

impl Read for Drops<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(1);
        self.0.read(&mut buffer[..most])
    }
}
