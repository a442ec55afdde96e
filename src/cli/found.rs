//! What was found off, as `audit` and `doctor` show it.

use super::layout::wrap;

/// One finding: what, why it matters, what to do; with an empty line before it.
pub(super) fn found(off: bool, what: &str, why: &str, todo: &str) -> String {
    let what = wrap(if off { "OFF   " } else { "note  " }, what);
    format!("\n{what}{}{}", wrap("      why: ", why), wrap("      do:  ", todo))
}

/// The last word: by which policy, and how many things are off.
pub(super) fn verdict(policy: &str, off: usize) -> String {
    let count = match off {
        0 => "nothing is off".to_owned(),
        1 => "1 thing is off".to_owned(),
        n => format!("{n} things are off"),
    };
    wrap("", &format!("Judged by {policy}: {count}."))
}
