//! `[fingerprint]`, `[scan]` and `[flood]`: what is known of scanners and floods. `[anomaly]`: what
//! is not.

use std::time::Duration;

use super::{DAY, STANCES};
use crate::config::section::Section;
use crate::config::units::Mistake;
use crate::memory::FloodRule;
use crate::policy::{Anomaly, Fingerprint, Flood, Rate, Reaction, Scan, tools};

pub(super) fn fingerprint(table: &mut Section<'_, '_>) -> Fingerprint {
    let default = Fingerprint::default();
    Fingerprint {
        stance: table.word("stance", default.stance, &STANCES),
        ignore: table.choices("ignore", &tools()),
    }
}

/// Which test the word `sensitivity` asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    Fixed(Scan),
    Own,
}

pub(super) fn scan(table: &mut Section<'_, '_>) -> Scan {
    let off = Scan { limit: None, ..Scan::normal() };
    let words = [
        ("strict", Asked::Fixed(Scan::strict())),
        ("normal", Asked::Fixed(Scan::normal())),
        ("lenient", Asked::Fixed(Scan::lenient())),
        ("own", Asked::Own),
        ("off", Asked::Fixed(off)),
    ];
    let asked = table.word("sensitivity", Asked::Fixed(Scan::default()), &words);
    let honest = table.number("honest", 90, 2..=99);
    let scanner = table.number("scanner", 10, 1..=98);
    let one_in = table.number("one_in", 10_000, 10..=1_000_000_000);
    let own = Scan::test(honest, scanner, one_in);
    match asked {
        Asked::Fixed(scan) => {
            if own != Scan::normal() {
                let message = "honest, scanner and one_in count only with sensitivity = \"own\"";
                let help = "write sensitivity = \"own\", or leave them out";
                table.warn(&["honest", "scanner", "one_in"], Mistake::new(message).help(help));
            }
            scan
        }
        Asked::Own => {
            if scanner >= honest {
                let message = "a scanner must meet fewer served targets than an honest source";
                let help = "make scanner smaller than honest: 10 and 90 are usual";
                table.error(&["scanner", "honest"], Mistake::new(message).help(help));
            }
            own
        }
    }
}

pub(super) fn flood(table: &mut Section<'_, '_>) -> Flood {
    let default = Flood::default();
    let written = default.rule.map(|rule| Rate {
        count: rule.surplus() as u32,
        per: Duration::from_secs(1),
        burst: 1,
    });
    let surplus = table.rate("surplus", written, None);
    let per_second = surplus.map(|rate| rate.count as f32 / rate.per.as_secs_f32());
    if per_second.is_some_and(|surplus| surplus < FloodRule::LEAST as f32) {
        let message = "a few honest visitors would be a flood";
        let help = format!("write surplus = \"{}/s\" or more", FloodRule::LEAST);
        table.error(&["surplus"], Mistake::new(message).help(help));
    }
    Flood { rule: per_second.map(FloodRule::new), except: table.ports("except", default.except) }
}

pub(super) fn anomaly(table: &mut Section<'_, '_>) -> Anomaly {
    let reactions = [("score", Reaction::Score), ("drop", Reaction::Drop), ("off", Reaction::Off)];
    let default = Anomaly::default();
    let hour = Duration::from_secs(3600);
    Anomaly {
        action: table.word("action", default.action, &reactions),
        false_positives_per_day: table.number(
            "false_positives_per_day",
            default.false_positives_per_day,
            1..=1000,
        ),
        learn: table.boolean("learn", default.learn),
        quarantine: table.duration("quarantine", default.quarantine, hour..=DAY),
    }
}
