//! The readers, fed with bytes made by hand.

use proptest::prelude::*;

use super::*;

/// A packet that was read.
type Read = (u64, u32, Vec<u8>);

fn number(big: bool, number: u32) -> [u8; 4] {
    if big { number.to_be_bytes() } else { number.to_le_bytes() }
}

fn short(big: bool, number: u16) -> [u8; 2] {
    if big { number.to_be_bytes() } else { number.to_le_bytes() }
}

fn pcap(big: bool, nanos: bool, link: u32, packets: &[(u32, u32, &[u8])]) -> Vec<u8> {
    let magic = if nanos { 0xa1b2_3c4d } else { 0xa1b2_c3d4 };
    let mut bytes = number(big, magic).to_vec();
    bytes.extend([short(big, 2), short(big, 4)].concat());
    for field in [0, 0, 65535, link] {
        bytes.extend(number(big, field));
    }
    for (seconds, fraction, packet) in packets {
        for field in [*seconds, *fraction, packet.len() as u32, 1500] {
            bytes.extend(number(big, field));
        }
        bytes.extend_from_slice(packet);
    }
    bytes
}

fn block(big: bool, kind: u32, body: &[u8]) -> Vec<u8> {
    let mut padded = body.to_vec();
    padded.resize(body.len().next_multiple_of(4), 0);
    let length = number(big, padded.len() as u32 + 12);
    [&number(big, kind)[..], &length, &padded, &length].concat()
}

fn section(big: bool) -> Vec<u8> {
    let body = [&number(big, 0x1a2b_3c4d)[..], &short(big, 1), &short(big, 0), &[0xff; 8]].concat();
    block(big, 0x0a0d_0d0a, &body)
}

/// An interface; options are code and value.
fn interface(big: bool, link: u16, snap: u32, options: &[(u16, &[u8])]) -> Vec<u8> {
    let mut body = [&short(big, link)[..], &[0, 0], &number(big, snap)].concat();
    for (code, value) in options {
        body.extend(short(big, *code));
        body.extend(short(big, value.len() as u16));
        body.extend_from_slice(value);
        body.resize(body.len().next_multiple_of(4), 0);
    }
    block(big, 1, &body)
}

fn enhanced(big: bool, interface: u32, stamp: u64, packet: &[u8]) -> Vec<u8> {
    let fields = [interface, (stamp >> 32) as u32, stamp as u32, packet.len() as u32, 1500]
        .map(|f| number(big, f));
    block(big, 6, &[&fields.concat(), packet].concat())
}

fn obsolete(big: bool, interface: u16, stamp: u32, packet: &[u8]) -> Vec<u8> {
    let fields = [0, stamp, packet.len() as u32, 1500].map(|f| number(big, f));
    block(big, 2, &[&short(big, interface)[..], &short(big, 77), &fields.concat(), packet].concat())
}

fn simple(big: bool, packet: &[u8]) -> Vec<u8> {
    block(big, 3, &[&number(big, packet.len() as u32), packet].concat())
}

/// All packets, and what was damaged.
fn read(bytes: &[u8]) -> (Vec<Read>, Vec<String>) {
    let mut capture = Capture::open(bytes).unwrap_or_else(|error| panic!("{error}"));
    let mut packets = Vec::new();
    while let Some(packet) = capture.next_packet() {
        packets.push((packet.at, packet.link, packet.bytes.to_vec()));
    }
    assert_eq!(capture.next_packet(), None, "the end stays the end");
    assert_eq!(capture.damages().len() as u64, capture.damaged().min(10));
    (packets, capture.damages().iter().map(ToString::to_string).collect())
}

#[test]
fn pcap_in_every_variant() {
    for (big, nanos) in [(false, false), (false, true), (true, false), (true, true)] {
        let bytes = pcap(big, nanos, 0x1000_0001, &[(7, 5, b"abc"), (u32::MAX, 999_999, b"")]);
        let unit = if nanos { 1 } else { 1000 };
        let expected = vec![
            (7_000_000_000 + 5 * unit, 1, b"abc".to_vec()),
            (4_294_967_295_000_000_000 + 999_999 * unit, 1, Vec::new()),
        ];
        assert_eq!(read(&bytes), (expected, Vec::new()), "{big} {nanos}");
    }
    assert_eq!(read(&pcap(false, false, 101, &[])), (Vec::new(), Vec::new()));
}

#[test]
fn pcapng_in_both_orders() {
    for big in [false, true] {
        let offset = if big { 60i64.to_be_bytes() } else { 60i64.to_le_bytes() };
        let bytes = [
            section(big),
            interface(big, 1, 0, &[(2, b"eth0"), (0, b"")]),
            interface(big, 276, 3, &[(9, &[9]), (14, &offset)]),
            interface(big, 101, 0, &[(9, &[0x8a])]),
            block(big, 5, &[0; 16]),
            enhanced(big, 0, 1_500_000, b"micro"),
            enhanced(big, 1, 1_500_000_000, b"nano"),
            enhanced(big, 2, 1536, b"binary"),
            simple(big, b"none"),
            obsolete(big, 1, 2_000_000_000, b"old"),
            // A section of the other order, with an interface of its own.
            section(!big),
            interface(!big, 113, 2, &[]),
            simple(!big, b"cut"),
            enhanced(!big, 0, u64::from(u32::MAX) + 1, b"late"),
        ]
        .concat();
        let expected = vec![
            (1_500_000_000, 1, b"micro".to_vec()),
            (61_500_000_000, 276, b"nano".to_vec()),
            (1_500_000_000, 101, b"binary".to_vec()),
            (1_500_000_000, 1, b"none".to_vec()),
            (62_000_000_000, 276, b"old".to_vec()),
            (62_000_000_000, 113, b"cu".to_vec()),
            (4_294_967_296_000, 113, b"late".to_vec()),
        ];
        assert_eq!(read(&bytes), (expected, Vec::new()), "{big}");
    }
}

#[test]
fn times_beyond_all_bounds() {
    let before = (-9i64).to_le_bytes();
    let bytes = [
        section(false),
        interface(false, 1, 0, &[(9, &[0])]),
        interface(false, 1, 0, &[(14, &before)]),
        interface(false, 1, 0, &[(9, &[0x7f])]),
        enhanced(false, 0, u64::MAX, b""),
        enhanced(false, 1, 5, b""),
        enhanced(false, 2, 1_000_000, b""),
    ]
    .concat();
    let (packets, damages) = read(&bytes);
    let times: Vec<u64> = packets.iter().map(|(at, ..)| *at).collect();
    assert_eq!(times, [u64::MAX, 0, 1_000_000_000]);
    assert_eq!(damages.len(), 1, "{damages:?}");
    assert!(damages[0].contains("ticks impossibly fast"), "{damages:?}");
}

#[test]
fn damage_is_told_where_it_stands() {
    let start = [section(false), interface(false, 1, 0, &[])].concat();
    let good = enhanced(false, 0, 9, b"good");
    let changed = |mut bytes: Vec<u8>, place: usize, four: u32| {
        bytes[place..place + 4].copy_from_slice(&four.to_le_bytes());
        bytes
    };
    let at = start.len();
    let behind = at + good.len();
    let ng = |bad: Vec<u8>| [start.clone(), bad, good.clone()].concat();
    let old = pcap(false, false, 1, &[(0, 0, b"good"), (0, 0, b"more")]);
    // What is wrong, how many packets can be read, what is said.
    let table: Vec<(Vec<u8>, usize, String)> = vec![
        // The frame is whole: the block is passed over.
        (ng(enhanced(false, 7, 9, b"x")), 1, format!("byte {at}: a packet of an interface")),
        (ng(changed(good.clone(), 20, 9)), 1, format!("byte {at}: a packet that is longer")),
        (ng(block(false, 6, b"tiny")), 1, format!("byte {at}: a packet block that is too")),
        // It is not: nothing behind it can be found.
        (ng(changed(good.clone(), 4, 8)), 0, format!("byte {at}: a block claims to have 8")),
        (ng(changed(good.clone(), 4, 37)), 0, format!("byte {at}: a block claims to have 37")),
        (ng(changed(good.clone(), 4, u32::MAX - 3)), 0, format!("byte {at}: a block claims")),
        (
            ng(changed(good.clone(), 4, 300_000)),
            0,
            format!("byte {at}: the file ends in a block, w"),
        ),
        (
            ng(changed(block(false, 5, b""), 4, 1 << 30)),
            0,
            format!("byte {at}: the file ends in a b"),
        ),
        (ng(changed(good.clone(), good.len() - 4, 8)), 0, format!("byte {at}: a block says 36")),
        (ng(changed(section(false), 8, 1)), 0, format!("byte {at}: a section without")),
        (
            [ng(Vec::new()), vec![1; 7]].concat(),
            1,
            format!("byte {behind}: the file ends in the h"),
        ),
        (changed(old.clone(), 52, 262_145), 1, "byte 44: a packet claims to have 262145".into()),
        (changed(old.clone(), 52, 262_144), 1, "byte 44: the file ends in a packet, with 4".into()),
        (old[..50].to_vec(), 1, "byte 44: the file ends in the header of a packet".into()),
    ];
    for (bytes, count, says) in table {
        let (packets, damages) = read(&bytes);
        assert_eq!(packets.len(), count, "{says}");
        assert_eq!(damages.len(), 1, "{damages:?}");
        assert!(damages[0].starts_with(&says), "{says} / {damages:?}");
    }
}

#[test]
fn what_is_no_capture() {
    let no = |bytes: &[u8]| Capture::open(bytes).unwrap_err().to_string();
    assert_eq!(no(b""), "the file is empty");
    assert!(no(b"abc").contains("neither"));
    assert!(no(b"hello world").contains("neither"));
    assert!(no(&[0x1f, 0x8b, 8, 0, 0]).contains("compressed (gzip)"));
    assert!(no(&pcap(false, false, 1, &[])[..20]).contains("20 bytes instead of 24"));
    assert!(no(&section(true)[..20]).contains("damaged"));
}

/// A file of each kind, with everything in it.
fn samples() -> [Vec<u8>; 2] {
    let ng = [
        section(true),
        interface(true, 1, 0, &[(9, &[9]), (14, &[0; 8])]),
        enhanced(true, 0, 77, b"packet"),
        simple(true, b"simple"),
        block(true, 4, b"names"),
        section(false),
        interface(false, 113, 0, &[]),
        enhanced(false, 0, 78, b"packet"),
    ];
    [pcap(true, true, 1, &[(1, 2, b"first"), (3, 4, b"second")]), ng.concat()]
}

#[test]
fn cut_at_every_byte() {
    for whole in samples() {
        let (all, _) = read(&whole);
        for cut in 0..whole.len() {
            let Ok(mut capture) = Capture::open(&whole[..cut]) else { continue };
            let mut count = 0;
            while let Some(packet) = capture.next_packet() {
                assert_eq!((packet.at, packet.link, packet.bytes), {
                    let (at, link, bytes) = &all[count];
                    (*at, *link, &bytes[..])
                });
                count += 1;
            }
            assert!(capture.damaged() <= 1 && capture.position() <= cut as u64);
        }
    }
}

proptest! {
    #[test]
    fn nothing_panics_or_takes_memory_on_a_files_word(
        which in 0usize..2, place: prop::sample::Index, bytes: [u8; 4], cut: prop::sample::Index,
    ) {
        let mut file = samples()[which].clone();
        let place = place.index(file.len() - 4);
        file[place..place + 4].copy_from_slice(&bytes);
        file.truncate(cut.index(file.len()) + 1);
        if let Ok(mut capture) = Capture::open(&file[..]) {
            let mut count = 0;
            while capture.next_packet().is_some() {
                count += 1;
            }
            prop_assert!(count <= 10);
            prop_assert!(capture.record.capacity() <= 4096, "{}", capture.record.capacity());
        }
    }

    #[test]
    fn noise_behind_a_good_start(
        ng: bool, noise in proptest::collection::vec(any::<u8>(), 0..400),
    ) {
        let start = if ng { section(false) } else { pcap(false, false, 1, &[]) };
        let file = [start, noise].concat();
        let mut capture = Capture::open(&file[..]).unwrap();
        while capture.next_packet().is_some() {}
    }
}
