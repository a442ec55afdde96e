//! A long time of everything at once: more load than in the campaign, and faults drawn at random
//! moments, against one gate over all its restarts.

use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::{Duration, Instant};

use super::attempt;
use super::faults::{Fault, NOISE, all};
use super::ground::Ground;
use super::report::{Row, span};
use super::vitals::Vitals;

/// Between two faults, at random.
const PAUSE: std::ops::Range<u64> = 500..6000;
/// Memory may differ by so much between a young process and an old one at its bound.
const SLACK: (f64, u64) = (1.25, 12 * 1024);

/// One minute's end.
struct Minute {
    vitals: Vitals,
}

/// What a soak leaves.
pub(crate) struct Soaked {
    pub(crate) rows: Vec<Row>,
    minutes: Vec<Minute>,
    broken: Vec<String>,
}

/// Goes on for so long.
pub(crate) fn soak(ground: &mut Ground<'_>, lasting: Duration) -> Soaked {
    ground.share = None;
    let socket = ground.home().join("control.sock");
    let mut chance = ground.chance.clone();
    ground.load.add_more(ground.world, &socket, &mut chance);
    let mut rows: Vec<Row> = all()
        .filter(|fault| match (fault.skip)(ground) {
            Some(why) => {
                println!("LEFT OUT: {}: {why}", fault.name);
                false
            }
            None => true,
        })
        .map(|fault| Row { fault, tries: Vec::new() })
        .collect();
    let begun = Instant::now();
    let mut soaked = Soaked { rows: Vec::new(), minutes: Vec::new(), broken: Vec::new() };
    println!(
        "{:>4} {:>6} {:>8} {:>6} {:>8} {:>8} {:>9} {:>8} {:>4} {:>6}",
        "min",
        "faults",
        "let in",
        "not",
        "pause",
        "standing",
        "unanswer",
        "reloads",
        "fds",
        "RSS MB"
    );
    let (mut minute, mut calm) = (Tally::default(), Instant::now());
    while begun.elapsed() < lasting {
        let pause = ground.chance.millis(PAUSE);
        thread::sleep(pause);
        // What is seen between faults counts as well.
        let now = Instant::now();
        quiet(ground, calm, now, &mut minute, &mut soaked.broken);
        let which = ground.chance.below(rows.len() as u64) as usize;
        let fault: Fault = rows[which].fault;
        let seen = attempt(ground, &fault);
        calm = Instant::now();
        minute.add(seen.let_in, seen.refused, seen.held);
        for what in &seen.broken {
            println!("BROKEN: {}: {what}", fault.name);
        }
        rows[which].tries.push(seen);
        if !ground.runs() {
            break;
        }
        let elapsed = begun.elapsed().as_secs() / 60;
        while (soaked.minutes.len() as u64) < elapsed {
            let vitals = ground.vitals().0;
            soaked.minutes.push(Minute { vitals });
            tell(ground, soaked.minutes.len(), &std::mem::take(&mut minute), vitals);
        }
    }
    soaked.rows = rows;
    soaked.judge(ground);
    soaked
}

#[derive(Default)]
struct Tally {
    faults: usize,
    let_in: usize,
    refused: usize,
    held: Duration,
}

impl Tally {
    fn add(&mut self, let_in: usize, refused: usize, held: Duration) {
        self.faults += 1;
        self.quiet(let_in, refused, held);
    }

    fn quiet(&mut self, let_in: usize, refused: usize, held: Duration) {
        self.let_in += let_in;
        self.refused += refused;
        self.held = self.held.max(held);
    }
}

/// Between faults nothing may pause, and everybody is judged.
fn quiet(
    ground: &mut Ground<'_>,
    from: Instant,
    to: Instant,
    minute: &mut Tally,
    broken: &mut Vec<String>,
) {
    let sight = ground.observer.sight(from, to);
    minute.quiet(sight.let_in, sight.refused.len(), sight.held);
    let mut wrong = Vec::new();
    if sight.held > NOISE {
        wrong.push(format!("between faults, nobody got in for {:.2?}", sight.held));
    }
    if sight.open > Duration::ZERO {
        wrong.push(format!("between faults, nobody judged for {:.2?}", sight.open));
    }
    for knock in sight.refused.iter().take(3) {
        wrong.push(format!("between faults, {} did not get in: {:?}", knock.from, knock.end));
    }
    for what in &wrong {
        println!("BROKEN: {what}");
    }
    broken.extend(wrong);
}

fn tell(ground: &Ground<'_>, number: usize, minute: &Tally, vitals: Vitals) {
    println!(
        "{number:>4} {:>6} {:>8} {:>6} {:>8} {:>8} {:>9} {:>8} {:>4} {:>6.1}",
        minute.faults,
        minute.let_in,
        minute.refused,
        span(minute.held),
        ground.standings.count().0,
        ground.standings.unanswered(),
        ground.load.told.reloads.load(Relaxed),
        vitals.descriptors,
        vitals.rss as f64 / 1024.0
    );
}

impl Soaked {
    /// Memory and descriptors are flat: what the second half needs is what the first half needed.
    fn judge(&mut self, ground: &Ground<'_>) {
        let (first, second) = self.minutes.split_at(self.minutes.len() / 2);
        let most = |of: &[Minute], what: fn(&Vitals) -> u64| {
            of.iter().map(|minute| what(&minute.vitals)).max().unwrap_or_default()
        };
        let memory = [first, second].map(|half| most(half, |vitals| vitals.rss));
        if memory[1] as f64 > memory[0] as f64 * SLACK.0 + SLACK.1 as f64 && memory[0] > 0 {
            self.broken.push(format!("memory grew: {} kB, then {} kB", memory[0], memory[1]));
        }
        let told = &ground.load.told;
        println!(
            "\nBesides: {} starts, {} reloads ({} refused: bad policies, daemons that were down), \
             {} answers\nto readers, {} forged floods; {} standings acknowledged, {} orders without \
             an answer;\n{} SYNs found no room.",
            ground.starts,
            told.reloads.load(Relaxed),
            told.refused_reloads.load(Relaxed),
            told.reads.load(Relaxed),
            told.floods.load(Relaxed),
            ground.standings.count().1,
            ground.standings.unanswered(),
            ground.lost(),
        );
    }

    /// Memory and descriptors over time, a column a minute.
    pub(crate) fn print_chart(&self) {
        const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
        type Reading = fn(&Vitals) -> u64;
        let charts: [(&str, Reading); 2] = [
            ("memory, kB", |vitals| vitals.rss),
            ("descriptors", |vitals| vitals.descriptors as u64),
        ];
        for (name, what) in charts {
            let values: Vec<u64> = self.minutes.iter().map(|minute| what(&minute.vitals)).collect();
            let Some(most) = values.iter().copied().max().filter(|most| *most > 0) else {
                continue;
            };
            let least = values.iter().min().copied().unwrap_or_default();
            let bars: String =
                values.iter().map(|value| BARS[(value * 7 / most) as usize]).collect();
            println!("\n{name}: {least} to {most}, minute by minute, from 0");
            for row in bars.chars().collect::<Vec<_>>().chunks(76) {
                println!("  {}", row.iter().collect::<String>());
            }
        }
    }

    /// What was broken besides what the faults' rows have.
    pub(crate) fn broken(&self) -> &[String] {
        &self.broken
    }
}
