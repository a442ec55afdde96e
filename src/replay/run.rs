//! One file through the gate.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use std::time::Duration;

use super::capture::{Capture, Damage, OpenError, Packet};
use super::clock::Clock;
use super::gate::Gate;
use super::link::{ip_of, is_known};
use super::segment::Segment;
use super::served::{Serving, Targets};
use super::track::Tracks;
use crate::config::Config;
use crate::memory::{FloodReport, Moment};
use crate::packet::{Malformed, parse};
use crate::policy::PortSet;

/// The watcher hears something after so many packets.
pub(super) const WATCH_EVERY: u64 = 4096;

/// Bytes that are read at once.
const BUFFER: usize = 256 * 1024;

/// Where it is known from which ports are served.
#[derive(Clone, Debug)]
pub enum ServedFrom {
    /// From the policy; where that says `listening`, these ports do.
    Policy {
        /// The ports.
        listening: PortSet,
    },
    /// From the capture: what sends a SYN-ACK somewhere in it. The file is read twice.
    Capture,
}

/// The policies that a file is judged by.
#[derive(Clone, Copy, Debug)]
pub struct Rivals<'a> {
    /// The policy.
    pub new: &'a Config,
    /// Another one to compare it with.
    pub old: Option<&'a Config>,
}

/// What a file came to.
#[derive(Debug)]
pub struct Report {
    /// Packets of any kind.
    pub packets: u64,
    /// Openings and stealth probes.
    pub openings: u64,
    /// From the first packet to the last.
    pub span: Duration,
    /// TCP packets whose headers are broken or were not captured whole.
    pub unreadable: u64,
    /// Packets of link types that cannot be read, by LINKTYPE number.
    pub foreign: BTreeMap<u32, u64>,
    /// The first places where the file is damaged.
    pub damages: Vec<Damage>,
    /// How many there are.
    pub damaged: u64,
    /// What became of each source under the policy…
    pub tracks: Tracks,
    /// …and under the other one.
    pub old: Option<Tracks>,
    /// When the first packet came.
    pub begun: Moment,
    /// The floods under the policy, as they began.
    pub floods: Vec<FloodReport>,
}

/// Replays the file at `path`. `watch` hears now and then how much of the work is done, in bytes;
/// all of it is the length of the file, twice that with [`ServedFrom::Capture`].
///
/// # Errors
/// [`OpenError`] if the file is no capture. Damage further on is no error: it is in the report.
pub fn replay(
    path: &Path,
    rivals: Rivals<'_>,
    served: &ServedFrom,
    mut watch: impl FnMut(u64),
) -> Result<Report, OpenError> {
    let mut done = 0;
    let targets = match served {
        ServedFrom::Policy { .. } => None,
        ServedFrom::Capture => {
            let mut capture = open(path)?;
            let targets = Targets::of(&mut capture, &mut watch);
            done = capture.position();
            Some(targets)
        }
    };
    let gate = |config: &Config| {
        let serving = match (served, &targets) {
            (ServedFrom::Policy { listening }, _) => Serving::by_policy(&config.policy, listening),
            (ServedFrom::Capture, targets) => {
                Serving::by_capture(&config.policy, targets.clone().unwrap_or_default())
            }
        };
        Gate::new(config, serving)
    };
    let gates = [Some(gate(rivals.new)), rivals.old.map(gate)];
    Ok(through(&mut open(path)?, gates, |at| watch(done + at)))
}

fn open(path: &Path) -> Result<Capture<BufReader<File>>, OpenError> {
    let file = File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(OpenError::NotAFile);
    }
    Capture::open(BufReader::with_capacity(BUFFER, file))
}

/// Takes a capture through up to two gates, which do not know of each other.
fn through<R: Read>(
    capture: &mut Capture<R>,
    mut gates: [Option<Gate>; 2],
    mut watch: impl FnMut(u64),
) -> Report {
    let (mut packets, mut openings, mut unreadable) = (0u64, 0, 0);
    let mut foreign = BTreeMap::new();
    let mut clock = Clock::default();
    let mut span: Option<(Moment, Moment)> = None;
    while let Some(Packet { at, link, bytes }) = capture.next_packet() {
        let now = clock.at(at);
        span = Some((span.map_or(now, |(first, _)| first), now));
        packets += 1;
        match ip_of(link, bytes) {
            None if !is_known(link) => *foreign.entry(link).or_default() += 1,
            None => {}
            Some(ip) => match parse(ip) {
                Ok(syn) => {
                    openings += 1;
                    gates.iter_mut().flatten().for_each(|gate| gate.opening(syn, now));
                }
                Err(Malformed::NotOpening) => {
                    if let Some(segment) = Segment::of(ip) {
                        gates.iter_mut().flatten().for_each(|gate| gate.other(segment, now));
                    }
                }
                Err(Malformed::IpHeader | Malformed::Truncated | Malformed::TcpHeader) => {
                    unreadable += 1;
                }
                // The kernel puts fragments together before any of this; here their parts are
                // left out. The rest is not TCP.
                Err(Malformed::Fragment | Malformed::NotTcp | Malformed::NotIp) => {}
            },
        }
        if packets.is_multiple_of(WATCH_EVERY) {
            watch(capture.position());
        }
    }
    watch(capture.position());
    let [new, old] = gates.map(|gate| gate.map(Gate::finish));
    let (tracks, floods) = new.unwrap_or_default();
    Report {
        packets,
        openings,
        span: span.map_or(Duration::ZERO, |(first, last)| last.since(first)),
        unreadable,
        foreign,
        damages: capture.damages().to_vec(),
        damaged: capture.damaged(),
        tracks,
        old: old.map(|(tracks, _)| tracks),
        begun: span.map_or(Moment::default(), |(first, _)| first),
        floods,
    }
}
