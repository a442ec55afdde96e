//! The anomaly detector, measured: does it keep its budget, what does it find, can it be taught
//! nonsense, what does it cost.
//!
//!     cargo bench --bench anomaly
//!     zcat CORPUS.csv.gz | cargo bench --bench anomaly -- --corpus - --labels LABELS.csv CAPTURE…
//!
//! Without arguments it works on traffic that it makes up itself (`anomaly/made_up.rs`), so that
//! it always runs; what that shows is that the machinery holds, not how good it is out there. A
//! corpus is CSV with one row per SYN; labels and captures are those of `portcullis replay`.
//! `--genesis` prints the histograms that are shipped in `src/anomaly/genesis.rs` instead.
//!
//! Each of 20 times the honest sources are split at random: some stand for what is shipped, some
//! teach, some calibrate, and the rest are strangers, on which the rate of false alarms is
//! counted. A source is one address in one capture. The judge itself says who offended, and the
//! detector's own code makes the features. Attackers send long streams, so each is cut into pieces
//! of eight SYNs, each judged as a source of its own, and counted by what kind of attack it is.

#[path = "anomaly/captures.rs"]
mod captures;
#[path = "anomaly/corpus.rs"]
mod corpus;
#[path = "anomaly/made_up.rs"]
mod made_up;
#[path = "anomaly/party.rs"]
mod party;
#[path = "anomaly/trial.rs"]
mod trial;

use std::hint::black_box;
use std::time::Instant;

use portcullis::anomaly::{BINS, Digest, Habits, Histogram, PROJECTIONS, Scorer};

use party::{Kind, Life, Party};
use trial::{Stream, Trial, split};

const SPLITS: u64 = 20;

fn main() {
    // Cargo passes --bench.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let genesis_wanted = arguments.iter().any(|argument| argument == "--genesis");
    let (parties, from) = match gather(&arguments) {
        Ok(found) => found,
        Err(wrong) => {
            eprintln!("{wrong}");
            std::process::exit(66);
        }
    };
    let lives: Vec<Life> = parties.iter().filter_map(Party::live).collect();
    let honest: Vec<&Life> = lives.iter().filter(|life| life.kind == Kind::Honest).collect();
    let attacks: Vec<&Life> = lives.iter().filter(|life| life.kind != Kind::Honest).collect();
    if genesis_wanted {
        print_genesis(&honest);
        return;
    }
    println!("From {from}: {} honest sources", honest.len());
    for kind in Kind::ATTACKS {
        let pieces = attacks.iter().filter(|life| life.kind == kind).count();
        println!("  {:<14}{pieces:>7} pieces of attacks", kind.word());
    }
    budgets(&honest, &attacks);
    poisoning(&honest, &attacks);
    cost(&honest);
}

fn gather(arguments: &[String]) -> Result<(Vec<Party>, String), String> {
    let mut parties = Vec::new();
    let mut from = Vec::new();
    let mut labels = None;
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--genesis" => {}
            "--corpus" => {
                let path = rest.next().ok_or("--corpus needs a file, or - for standard input")?;
                parties.extend(corpus::read(path)?);
                from.push("a corpus".to_owned());
            }
            "--labels" => labels = Some(rest.next().ok_or("--labels needs a file")?.clone()),
            path => {
                let labels = labels.as_ref().ok_or("captures need --labels FILE before them")?;
                parties.extend(captures::read(path, labels)?);
                from.push("captures".to_owned());
            }
        }
    }
    if parties.is_empty() {
        return Ok((made_up::everybody(), "made-up traffic".to_owned()));
    }
    from.dedup();
    Ok((parties, from.join(" and ")))
}

/// Does it keep to its budget, and what does it find?
fn budgets(honest: &[&Life], attacks: &[&Life]) {
    println!(
        "\n| budget | false alarms, mean of {SPLITS} splits | worst split | splits over budget | \
         with those whom other checks accuse, or who never connect |\n|---|---|---|---|---|"
    );
    let mut found = Vec::new();
    for budget in [0.02, 0.01, 0.005] {
        let run = |seed| split(honest, seed).run(&Stream::Clean, budget);
        let trials: Vec<Trial> = (0..SPLITS).map(run).collect();
        let rates: Vec<(f64, f64)> = trials.iter().map(Trial::false_alarms).collect();
        let mean = |rates: &mut dyn Iterator<Item = f64>| rates.sum::<f64>() / SPLITS as f64;
        let worst = rates.iter().map(|rates| rates.0).fold(0.0, f64::max);
        let over = rates.iter().filter(|rates| rates.0 > budget).count();
        println!(
            "| {} | {} | {} | {over} of {SPLITS} | {} |",
            percent(budget),
            percent(mean(&mut rates.iter().map(|rates| rates.0))),
            percent(worst),
            percent(mean(&mut rates.iter().map(|rates| rates.1)))
        );
        found.push((budget, trials));
    }
    println!(
        "\n| attack | found at a budget of {} | area under the ROC curve |",
        found.iter().map(|(b, _)| percent(*b)).collect::<Vec<_>>().join(" | ")
    );
    println!("|---|{}", "---|".repeat(found.len() + 1));
    for kind in Kind::ATTACKS {
        let of_kind: Vec<&Life> =
            attacks.iter().copied().filter(|life| life.kind == kind).collect();
        if of_kind.is_empty() {
            continue;
        }
        let cells = found.iter().map(|(_, trials)| {
            let rates = trials.iter().map(|trial| trial.detection(&of_kind));
            format!("{:.2}", rates.sum::<f64>() / trials.len() as f64)
        });
        let cells = cells.collect::<Vec<_>>().join(" | ");
        let areas = found[0].1.iter().map(|trial| trial.area(&of_kind));
        println!("| {} | {cells} | {:.3} |", kind.word(), areas.sum::<f64>() / SPLITS as f64);
    }
}

/// One SYN of five that could be learnt is an attacker's: with the gate before learning, and
/// without.
fn poisoning(honest: &[&Life], attacks: &[&Life]) {
    println!(
        "\n| learning from a stream | found, mean of {SPLITS} splits | attackers' SYNs learnt |"
    );
    println!("|---|---|---|");
    // A single SYN of a forged flood is all that its source sends; it teaches nobody anything.
    let scans: Vec<&Life> =
        attacks.iter().copied().filter(|life| life.kind != Kind::Flood).collect();
    for (name, gated, poisoned) in [
        ("clean", true, false),
        ("20 % attacks, gated (as built)", true, true),
        ("20 % attacks, everybody teaches", false, true),
    ] {
        let (mut found, mut learnt) = (0.0, 0);
        for seed in 0..SPLITS {
            let mut shuffled = scans.clone();
            trial::shuffle(&mut shuffled, seed);
            let (teachers, strangers) = shuffled.split_at(shuffled.len() / 2);
            let stream = match (poisoned, gated) {
                (false, _) => Stream::Clean,
                (true, true) => Stream::Gated(teachers),
                (true, false) => Stream::Open(teachers),
            };
            let trial = split(honest, seed).run(&stream, 0.01);
            found += trial.detection(strangers);
            learnt += trial.poison;
        }
        println!("| {name} | {:.3} | {} |", found / SPLITS as f64, learnt / SPLITS as usize);
    }
}

fn cost(honest: &[&Life]) {
    let digests: Vec<Digest> = honest.iter().flat_map(|life| &life.digests).copied().collect();
    let mut histogram = Histogram::default();
    digests.iter().for_each(|digest| histogram.learn(*digest));
    let scorer = Scorer::new(&histogram, &histogram);
    let best = |mut work: Box<dyn FnMut(Digest) + '_>| {
        let pass = |work: &mut Box<dyn FnMut(Digest) + '_>| {
            let begin = Instant::now();
            let mut count = 0;
            while count < 20_000 {
                digests.iter().for_each(|digest| work(*digest));
                count += digests.len();
            }
            begin.elapsed().as_nanos() as f64 / count as f64
        };
        (0..50).map(|_| pass(&mut work)).fold(f64::MAX, f64::min)
    };
    let score = best(Box::new(|digest| {
        black_box(scorer.score(black_box(digest)));
    }));
    let shares = best(Box::new(|digest| {
        black_box(scorer.shares(black_box(digest)));
    }));
    let mut learning = histogram.clone();
    let learn = best(Box::new(|digest| learning.learn(black_box(digest))));
    println!("\n| cost | |\n|---|---|");
    println!("| a score | {score:.0} ns |");
    println!("| an explanation | {shares:.0} ns |");
    println!("| learning a SYN (not on a verdict's way) | {learn:.0} ns |");
    println!("| in every source's memory | {} bytes |", size_of::<Habits>());
    println!("| the model | {} KiB |", PROJECTIONS * BINS * 4 / 1024);
}

fn percent(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}

/// The table of `genesis.rs`: counts of everybody who may teach.
fn print_genesis(honest: &[&Life]) {
    let histogram = trial::shipped(honest);
    let teachers = honest.iter().filter(|life| life.teaches).count();
    println!("/// {} SYNs of {teachers} sources.", histogram.total());
    println!("#[rustfmt::skip]\nconst COUNTS: [[u16; BINS]; PROJECTIONS] = [");
    for counts in histogram.counts() {
        let cells: Vec<String> = counts.iter().map(|count| count.to_string()).collect();
        println!("    [{}],", cells.join(", "));
    }
    println!("];");
}
