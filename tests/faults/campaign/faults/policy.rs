//! The policy: changed at a bad moment, wrong, or read over and over.

use std::fs::{self, File};
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use portcullis::control::{Request, Response};
use rustix::process::Signal;

use super::Fault;
use crate::campaign::ground::{Ground, Outcome, POLICY};
use crate::campaign::vitals::Vitals;

/// Mistakes of every kind.
const BAD: [&str; 6] = [
    "mode = [[[ \u{0} nonsense",
    "[bans]\nafter = \"five\"\n",
    "[denylist]\nfiles = [\"/nowhere/list\"]\n",
    "[no-such-table]\nkey = 1\n",
    "[guard]\nmark_bit = 99\n",
    "[rate.class.login]\nrate = \"6/q\"\n",
];

pub(super) const FAULTS: &[Fault] = &[
    Fault { force: replaced, ..Fault::new("policy replaced while it is read", "none") },
    Fault { force: bad, quick: true, ..Fault::new("reload of a bad policy", "none") },
    Fault { force: reloads, ..Fault::new("many reloads", "none") },
];

fn ask(ground: &Ground<'_>) -> Result<Response, String> {
    ground.ask(&Request::Reload { confirm: None, session: None })
}

/// Half of this policy would shut out those whom the whole one lets in.
fn replaced(ground: &mut Ground<'_>) -> Outcome {
    let path = ground.home().join("policy.toml");
    let filling = "# A line of a policy that is larger than one write.\n".repeat(200);
    let whole = format!("[denylist]\nfrom = [\"10.9.1.0/24\"]\n{filling}{POLICY}");
    let stop = Arc::new(AtomicBool::new(false));
    let writer = {
        let (path, stop, whole) = (path.clone(), Arc::clone(&stop), whole.clone());
        std::thread::spawn(move || {
            while !stop.load(Relaxed) {
                // In place, piece by piece; then another file in its place.
                let mut file = File::create(&path).expect("a file");
                for piece in whole.as_bytes().chunks(512) {
                    file.write_all(piece).expect("a write");
                }
                drop(file);
                std::thread::sleep(Duration::from_millis(2));
                let new = path.with_extension("new");
                fs::write(&new, &whole).and_then(|()| fs::rename(&new, &path)).expect("a file");
                std::thread::sleep(Duration::from_millis(1));
            }
        })
    };
    let (mut taken, mut refused) = (0, 0);
    for _ in 0..15 {
        match ask(ground) {
            Ok(Response::Done(_)) => taken += 1,
            Ok(Response::Error(_)) => refused += 1,
            _ => {}
        }
    }
    stop.store(true, Relaxed);
    writer.join().expect("it writes");
    fs::write(&path, POLICY).expect("a file");
    if taken + refused == 0 {
        return Err("no reload was answered".into());
    }
    ground.reload()
}

fn bad(ground: &mut Ground<'_>) -> Outcome {
    let which = ground.chance.below(BAD.len() as u64) as usize;
    ground.lay_over(BAD[which]);
    let answer = ask(ground);
    ground.moment(50..300);
    ground.lay_over("");
    match answer {
        Ok(Response::Done(_)) => Err(format!("this was taken: {:?}", BAD[which])),
        _ => ground.reload(),
    }
}

/// Of so many reloads, each tenth part is told with what the process holds by then.
const WORTH_TELLING: u32 = 1000;

/// One after the other, and some by signal, as many as come.
fn reloads(ground: &mut Ground<'_>) -> Outcome {
    let mut refused = Vec::new();
    let begun = Instant::now();
    for n in 0..ground.reloads {
        if ground.reloads >= WORTH_TELLING && n % (ground.reloads / 10) == 0 {
            tell(ground, n, begun);
        }
        match ask(ground) {
            Ok(Response::Done(_)) => {}
            other => refused.push(format!("{other:?}")),
        }
        if n % 10 == 0 {
            for _ in 0..10 {
                ground.signal(Signal::HUP);
            }
        }
    }
    if ground.reloads >= WORTH_TELLING {
        tell(ground, ground.reloads, begun);
    }
    match refused.first() {
        None => Ok(()),
        Some(first) => {
            Err(format!("{} of {} were refused: {first}", refused.len(), ground.reloads))
        }
    }
}

fn tell(ground: &mut Ground<'_>, count: u32, since: Instant) {
    let Vitals { rss, descriptors } = ground.vitals().0;
    let since = since.elapsed();
    println!("{count:>7} reloads, {since:>6.0?}: {rss:>6} kB, {descriptors} descriptors");
}
