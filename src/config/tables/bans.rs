//! `[bans]`: when denials become an offence, and what follows.

use std::time::Duration;

use super::DAY;
use crate::config::section::Section;
use crate::config::settings::Bans;
use crate::config::units::Mistake;
use crate::policy::{EvidenceKind, Offences};

pub(super) fn bans(table: &mut Section<'_, '_>) -> (Bans, Offences) {
    let second = Duration::from_secs(1);
    let default = Offences::default();
    let kinds = [("proven", EvidenceKind::Proven), ("any", EvidenceKind::Any)];
    let offences = Offences {
        after: table.number("after", default.after, 1..=1000),
        within: table.duration("within", default.within, second..=30 * DAY),
        evidence: table.word("evidence", default.evidence, &kinds),
        patience: table.duration("patience", default.patience, Duration::ZERO..=60 * second),
    };
    let default = Bans::default();
    let established = [("keep", false), ("drop", true)];
    let bans = Bans {
        durations: table.durations("durations", default.durations, second..=3650 * DAY),
        forget_after: table.duration(
            "forget_after",
            default.forget_after,
            60 * second..=3650 * DAY,
        ),
        budget: table.number("budget", default.budget, 0..=1_000_000),
        budget_network: table.number("budget_network", default.budget_network, 0..=1_000_000),
        never: table.nets("never").into_iter().map(|(net, _)| net).collect(),
        drop_established: table.word("established", default.drop_established, &established),
        state_dir: table.path("state_dir", &default.state_dir),
    };
    if !bans.durations.is_sorted() {
        let help = "repetition usually lasts longer: write the shortest first";
        let mistake = Mistake::new("the durations do not rise").help(help);
        table.warn(&["durations"], mistake);
    }
    (bans, offences)
}
