//! Which boot of the machine this is, and what its clocks say.

use std::fs;
use std::time::{Duration, SystemTime};

use rustix::time::{ClockId, clock_gettime};

use super::clock::Look;

/// A look at two clocks that takes longer than this was interrupted between them.
const AT_ONCE: Duration = Duration::from_millis(50);

/// A word that no other boot has (random(4), `boot_id`); empty if the system does not tell. A time
/// namespace counts from a boot of its own (time_namespaces(7)), so it is part of the word.
pub(super) fn boot() -> String {
    let Ok(id) = fs::read_to_string("/proc/sys/kernel/random/boot_id") else {
        return String::new();
    };
    let space = fs::read_link("/proc/self/ns/time").unwrap_or_default();
    format!("{} {}", id.trim(), space.display()).trim_end().to_owned()
}

/// Looks at both clocks. Whoever is stopped between them would take that for a jump, so then it is
/// looked once more.
pub(super) fn look() -> Look {
    loop {
        let (before, wall, since_boot) = (since_boot(), SystemTime::now(), since_boot());
        if since_boot.saturating_sub(before) < AT_ONCE {
            return Look { since_boot, wall };
        }
    }
}

fn since_boot() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boot_has_one_name_and_goes_on() {
        let boot = boot();
        assert!(boot.len() >= 36 && !boot.contains('\n'), "{boot:?}");
        assert_eq!(boot, super::boot());
        let (one, next) = (look(), look());
        assert!(one.since_boot <= next.since_boot);
        assert!(one.wall > SystemTime::UNIX_EPOCH);
    }
}
