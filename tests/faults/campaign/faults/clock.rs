//! The time of day, as the daemon sees it, jumps back and forth.

use super::Fault;
use crate::campaign::ground::{Ground, Outcome};

pub(super) const FAULTS: &[Fault] =
    &[Fault { force: jumped, ..Fault::new("clock jumps back and forth", "none") }];

/// By seconds, hours, days, and at last back to where it was.
fn jumped(ground: &mut Ground<'_>) -> Outcome {
    let jumps = 1 + ground.chance.below(3);
    for _ in 0..jumps {
        let most = [10, 3600 * 6, 3600 * 24 * 40][ground.chance.below(3) as usize];
        let ahead = ground.chance.below(2 * most) as i64 - most as i64;
        ground.preload.set_clock(ahead);
        ground.moment(100..1500);
        if let Some(wrong) = ground.standings.wrong()
            && !wrong.is_empty()
        {
            ground.preload.set_clock(0);
            return Err(format!("{ahead} s ahead: {}", wrong.join("; ")));
        }
    }
    ground.preload.set_clock(0);
    Ok(())
}
