//! The network itself, and more of it than there is room for.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use portcullis::lab::{Forge, Probe};
use rustix::process::Signal;

use super::Fault;
use crate::campaign::NOBODY;
use crate::campaign::ground::{Ground, Outcome};

/// Who is dropped tries again after a second.
const AGAIN: Duration = Duration::from_millis(1500);

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        force: device_gone,
        held: Duration::from_millis(2500),
        ..Fault::new("network device gone and back", "as long as it is gone")
    },
    Fault { force: overflow, held: AGAIN, ..Fault::new("queue overflow", "surplus unjudged") },
    Fault {
        force: overflow_shut,
        held: AGAIN,
        ..Fault::new("queue overflow, when_full = drop", "surplus shut")
    },
    Fault { force: too_many, held: AGAIN, ..Fault::new("more than max_rate", "surplus unjudged") },
    Fault {
        force: too_many_shut,
        held: AGAIN,
        ..Fault::new("more than max_rate, drop", "surplus shut")
    },
];

fn device_gone(ground: &mut Ground<'_>) -> Outcome {
    let world = ground.world;
    ground.while_unplugged(|ground| {
        world.lab.unplug(&world.server).map_err(|error| error.to_string())?;
        ground.moment(100..1000);
        world.lab.plug_in(&world.server).map_err(|error| error.to_string())
    })
}

/// More SYNs than the daemon's socket has room for, while it gets no processor.
fn overflow(ground: &mut Ground<'_>) -> Outcome {
    let before = ground.status().ok_or("no answer")?;
    let holds = before.queues.iter().map(|queue| queue.buffer_holds).max().unwrap_or_default();
    let lost = ground.lost();
    ground.while_down(|ground| {
        ground.while_shut(|ground| {
            ground.signal(Signal::STOP);
            let sent = send(ground, holds as u32 * 2 + 500, 60_000);
            ground.signal(Signal::CONT);
            sent
        })
    })?;
    // A gap is seen when the next one comes.
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while std::time::Instant::now() < deadline {
        let _ = ground.status();
        if ground.lost() > lost {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Err(format!("nothing was lost, with room for {holds}"))
}

fn overflow_shut(ground: &mut Ground<'_>) -> Outcome {
    started_with(ground, "[queue]\nwhen_full = \"drop\"\n", overflow)
}

fn too_many(ground: &mut Ground<'_>) -> Outcome {
    started_with(ground, "[queue]\nmax_rate = \"500/s\"\n", |ground| {
        ground.while_down(|ground| over_rate(ground, "accepted"))
    })
}

fn too_many_shut(ground: &mut Ground<'_>) -> Outcome {
    started_with(ground, "[queue]\nmax_rate = \"500/s\"\nwhen_over = \"drop\"\n", |ground| {
        ground.while_shut(|ground| over_rate(ground, "dropped"))
    })
}

fn over_rate(ground: &mut Ground<'_>, how: &str) -> Outcome {
    let count = 1500 + ground.chance.below(3000) as u32;
    send(ground, count, 3000)?;
    let over = ground.status().ok_or("no answer")?.firewall.over_rate;
    if over == 0 { Err(format!("nothing was {how} for the rate")) } else { Ok(()) }
}

/// A policy that is taken at a start only, and the usual one again afterwards.
fn started_with(
    ground: &mut Ground<'_>,
    policy: &str,
    work: impl FnOnce(&mut Ground<'_>) -> Outcome,
) -> Outcome {
    let anew = |ground: &mut Ground<'_>| {
        ground.while_down(|ground| {
            ground.stop()?;
            ground.start()
        })
    };
    ground.lay_over(policy);
    anew(ground)?;
    ground.moment(100..400);
    let done = work(ground);
    ground.lay_over("");
    done.and(anew(ground))
}

/// Forged SYNs from many addresses.
fn send(ground: &mut Ground<'_>, count: u32, per_second: u32) -> Outcome {
    let to = SocketAddr::new(ground.world.server.v4().expect("an address"), 80);
    let port = 1024 + ground.chance.below(60_000) as u16;
    let syn = |n: u32| {
        let from = IpAddr::from(Ipv4Addr::from_bits(NOBODY.to_bits() + 1 + n % 50_000));
        Probe::syn(SocketAddr::new(from, port), to)
    };
    let syns: Vec<Probe> = (0..count).map(syn).collect();
    let sent = ground.world.rogues.run(|| Forge::open()?.flood(syns, per_second));
    sent.map_err(|error| error.to_string())?.map(drop).map_err(|error| error.to_string())
}
