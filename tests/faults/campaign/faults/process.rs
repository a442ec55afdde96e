//! What happens to the process itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::channel;
use std::time::Duration;

use portcullis::queue::{Queue, Settings, Verdict};
use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};

use super::{Fault, NOISE};
use crate::campaign::ground::{Ground, Outcome};
use crate::campaign::standings::LASTS;
use crate::stage::eventually;

/// The longest that a try stops the process.
const STOPPED: Duration = Duration::from_millis(900);
/// As `Gate` starts it: WatchdogSec=1.
const WATCHDOG: Duration = Duration::from_secs(1);

pub(super) const FAULTS: &[Fault] = &[
    Fault { force: killed, quick: true, ..Fault::new("kill -9", "unjudged while down") },
    Fault { force: killed_shut, ..Fault::new("kill -9, when_down = drop", "shut while down") },
    Fault {
        force: stopped,
        held: Duration::from_millis(1400),
        quick: true,
        ..Fault::new("SIGSTOP, SIGCONT", "as long as it is stopped")
    },
    Fault { force: stuck, ..Fault::new("stuck for good", "until the watchdog ends it") },
    Fault { force: ended, ..Fault::new("clean stop and start", "unjudged while down") },
    Fault { force: queue_taken, ..Fault::new("queue number taken", "as the other one does") },
    Fault { force: no_descriptors, ..Fault::new("out of file descriptors", "none") },
];

fn killed(ground: &mut Ground<'_>) -> Outcome {
    ground.while_down(|ground| {
        ground.crash();
        ground.moment(0..300);
        ground.start()
    })
}

fn killed_shut(ground: &mut Ground<'_>) -> Outcome {
    ground.lay_over("[guard]\nwhen_down = \"drop\"\n");
    ground.reload()?;
    ground.moment(100..400);
    let done = ground.while_shut(|ground| {
        ground.crash();
        ground.moment(0..300);
        ground.start()
    });
    ground.lay_over("");
    done.and_then(|()| ground.reload())
}

fn stopped(ground: &mut Ground<'_>) -> Outcome {
    ground.signal(Signal::STOP);
    ground.moment(30..STOPPED.as_millis() as u64);
    ground.signal(Signal::CONT);
    Ok(())
}

/// As systemd does: who does not feed the watchdog is ended and started again.
fn stuck(ground: &mut Ground<'_>) -> Outcome {
    ground.signal(Signal::STOP);
    ground.while_shut(|ground| {
        while ground.hungry() < WATCHDOG {
            std::thread::sleep(Duration::from_millis(5));
        }
        ground.crash();
        Ok(())
    })?;
    ground.while_down(Ground::start)
}

fn ended(ground: &mut Ground<'_>) -> Outcome {
    ground.while_down(|ground| {
        ground.stop()?;
        ground.moment(0..300);
        ground.start()
    })
}

/// While it is down, another program takes its queue, and accepts everything.
fn queue_taken(ground: &mut Ground<'_>) -> Outcome {
    ground.while_down(|ground| {
        ground.crash();
        let stop = Arc::new(AtomicBool::new(false));
        let (told, ended) = (channel(), Arc::clone(&stop));
        let other = ground.world.server.spawn(move || {
            let settings = Settings {
                number: 7,
                length: 64,
                fail_open: true,
                patience: Duration::from_millis(20),
            };
            let mut queue = Queue::open(settings).map_err(|error| error.to_string())?;
            told.0.send(()).map_err(|error| error.to_string())?;
            while !ended.load(Relaxed) {
                let count = queue.receive().map_err(|error| error.to_string())?;
                let all = std::iter::repeat_n(Verdict::Accept, count.unwrap_or_default());
                queue.answer(all).map_err(|error| error.to_string())?;
            }
            Ok::<(), String>(())
        });
        let other = other.map_err(|error| error.to_string())?;
        // If it does not open, its own words say so below.
        let opened = told.1.recv_timeout(Duration::from_secs(5)).is_ok();
        let refused = if opened { ground.start_refused("queue 7 belongs to") } else { Ok(()) };
        stop.store(true, Relaxed);
        let ended = other.join().map_err(|_| "the other program panicked")?;
        ended.map_err(|error| error.to_string())??;
        ground.start()?;
        refused
    })
}

fn no_descriptors(ground: &mut Ground<'_>) -> Outcome {
    let pid = i32::try_from(ground.gate().pid()).ok().and_then(Pid::from_raw);
    let (now, _) = ground.vitals();
    let limit = |current: Option<u64>| {
        let maximum = rustix::process::getrlimit(Resource::Nofile).maximum;
        let set = prlimit(pid, Resource::Nofile, Rlimit { current, maximum });
        set.map_err(|error| format!("its limit cannot be set: {error}"))
    };
    let before = limit(Some(now.descriptors as u64))?;
    ground.standings.add(LASTS);
    ground.moment(300..2000);
    limit(before.current)?;
    eventually(Duration::from_secs(10), "answer", || ground.status().ok_or_else(String::new));
    Ok(())
}

const _: () = assert!(STOPPED.as_millis() + NOISE.as_millis() <= 1400);
