//! Which boot of the machine this is, and what its clocks say.

use std::fs;
use std::time::{Duration, SystemTime};

use rustix::time::{ClockId, clock_gettime};

use super::clock::Look;

/// A look at two clocks that takes longer than this was interrupted between them.
const AT_ONCE: Duration = Duration::from_millis(50);

/// Where the systemd unit says it: it shows the daemon nothing of /proc but processes.
pub(super) const TOLD: &str = "PORTCULLIS_BOOT_ID";
/// Where the kernel does (random(4)).
pub(super) const KERNELS: &str = "/proc/sys/kernel/random/boot_id";

/// A word that no other boot has; empty if the system does not tell.
pub(super) fn boot() -> String {
    let id = fs::read_to_string(KERNELS).or_else(|_| std::env::var(TOLD));
    let space = fs::read_link("/proc/self/ns/time").unwrap_or_default();
    word(&id.unwrap_or_default(), &space.to_string_lossy())
}

/// The kernel and systemd write the same 128 bits, with and without dashes. A time namespace counts
/// from a boot of its own (time_namespaces(7)), so it is part of the word.
fn word(id: &str, space: &str) -> String {
    let id: String = id.trim().chars().filter(|sign| *sign != '-').collect();
    if id.len() != 32 || !id.bytes().all(|sign| sign.is_ascii_hexdigit()) {
        return String::new();
    }
    format!("{} {space}", id.to_ascii_lowercase()).trim_end().to_owned()
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

/// The time since boot, sleep included.
pub(super) fn since_boot() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_and_systemd_name_the_same_boot() {
        let bare = "fb9bbde8fa574202b147135aba87cb84";
        let space = "time:[4026531834]";
        let named = format!("{bare} {space}");
        for (id, space, is) in [
            ("fb9bbde8-fa57-4202-b147-135aba87cb84\n", space, &*named),
            (bare, space, &*named),
            ("FB9BBDE8FA574202B147135ABA87CB84", "", bare),
            ("", space, ""),
            ("%b", space, ""),
            ("fb9bbde8fa574202b147135aba87cb8", space, ""),
            ("gb9bbde8fa574202b147135aba87cb84", space, ""),
        ] {
            assert_eq!(word(id, space), is, "{id}");
        }
        let unit = include_str!("../../systemd/portcullis.service");
        assert!(unit.lines().any(|line| line == format!("Environment={TOLD}=%b")));
    }

    #[test]
    fn a_boot_has_one_name_and_goes_on() {
        let boot = boot();
        assert!(boot.len() >= 32 && !boot.contains('\n'), "{boot:?}");
        assert_eq!(boot, super::boot());
        let (one, next) = (look(), look());
        assert!(one.since_boot <= next.since_boot);
        assert!(one.wall > SystemTime::UNIX_EPOCH);
    }
}
