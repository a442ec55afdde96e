//! The tools of the trade against the gate with the shipped policy: what they learn, when they are
//! known, and what ordinary clients feel. `cargo bench --bench tools` prints the whole table; here
//! is what must stay so.
//!
//! These tools are not part of what a build needs: where one is missing, its test says so on the
//! terminal and passes. With `PORTCULLIS_TEST_TOOLS=all` it fails.

use std::time::Duration;

use crate::range::{Attack, NEWCOMER, OPEN, Range, Reads, Seen, tool};
use crate::stage::inside_with;

/// Runs a test in a lab, if there is what it needs: programs, each with its Debian package.
fn with(tools: &[(&str, &str)], path: &str, body: impl FnOnce()) {
    // Every test here has ordinary clients.
    inside_with(&[tools, &[("curl", "curl")]].concat(), path, body);
}

macro_rules! with_tools {
    ($($tools:expr => fn $name:ident() $body:block)*) => {$(
        #[test]
        fn $name() {
            with(&$tools, concat!(module_path!(), "::", stringify!($name)), || $body);
        }
    )*};
}

const NMAP: (&str, &str) = ("nmap", "nmap");

/// nmap, given up after so many seconds. It waits a second for each answer that does not come, so it
/// is asked about few ports; it begins with the popular ones.
fn nmap(how: &str, seconds: u64) -> Attack {
    let line = format!("nmap -n -v -Pn --max-retries 1 {how} -p20-30,80,81,8080 SERVER");
    tool("nmap", &line, Reads::Nmap, seconds)
}

/// The packet that gave the tool away, counted from 1.
fn known_at(seen: &Seen) -> usize {
    seen.flag.as_ref().and_then(|flag| flag.knocks).unwrap_or_else(|| panic!("unknown: {seen:#?}"))
}

/// Whatever the tool does, the reader reads on.
fn nobody_suffers(seen: &Seen) {
    assert!(seen.curl.all > 3 && seen.curl.ok * 100 >= seen.curl.all * 99, "{seen:#?}");
    assert!(seen.newcomer.is_served(), "{seen:#?}");
}

with_tools! {
    [NMAP] => fn raw_scans_are_known_at_their_first_packet_and_learn_nothing() {
        let range = Range::new(4);
        for (n, (how, check)) in
            [("-sS", "fingerprint"), ("-sF", "quirks"), ("-sX", "quirks"), ("-sN", "quirks")]
                .into_iter()
                .enumerate()
        {
            // The scan itself works: without the gate it finds everything.
            let without = range.attack(n, &nmap(how, 10), false, false);
            assert_eq!(without.learnt, OPEN, "{how}: {without:#?}");
            let seen = range.attack(n, &nmap(how, 10), true, false);
            assert_eq!((known_at(&seen), &*seen.learnt), (1, &[][..]), "{how}: {seen:#?}");
            assert_eq!(seen.flag.as_ref().map(|flag| &*flag.check), Some(check), "{how}");
            assert_eq!(seen.standing.as_deref(), Some("suspect"), "{how}: {seen:#?}");
            nobody_suffers(&seen);
        }
    }

    [NMAP] => fn patience_does_not_help_a_raw_scan() {
        let range = Range::new(1);
        let seen = range.attack(0, &nmap("-sS -T2", 12), true, false);
        assert_eq!((known_at(&seen), &*seen.learnt), (1, &[][..]), "{seen:#?}");
    }

    [NMAP] => fn a_connect_scan_is_known_soon() {
        let range = Range::new(1);
        let seen = range.attack(0, &nmap("-sT", 10), true, false);
        assert!(known_at(&seen) <= 13, "{seen:#?}");
        // It is let in to one service, because the kernel retransmits for it as for honest ones.
        assert!(seen.learnt.len() <= 1, "{seen:#?}");
        assert!(seen.standing.is_some(), "{seen:#?}");
        nobody_suffers(&seen);
    }

    [NMAP] => fn innocent_decoys_can_still_connect() {
        let range = Range::new(1);
        let seen = range.attack(0, &nmap("-sS -D DECOYS,ME", 10), true, false);
        assert_eq!((known_at(&seen), &*seen.learnt), (1, &[][..]), "{seen:#?}");
        // One who is known, and one who was never there.
        nobody_suffers(&seen);
        assert!(seen.curl.longest() < Duration::from_millis(900), "{seen:#?}");
        assert_ne!(seen.newcomers_standing.as_deref(), Some("banned"), "{NEWCOMER}: {seen:#?}");
        let waited = seen.newcomer.connected().unwrap_or(Duration::MAX);
        assert!(waited < Duration::from_millis(1500), "{waited:?} {seen:#?}");
    }

    [("hping3", "hping3")] => fn a_flood_does_not_keep_ordinary_clients_out() {
        let range = Range::new(2);
        for (n, how) in ["", "--rand-source"].into_iter().enumerate() {
            let line = format!("hping3 -q -n -S -p 80 --flood {how} SERVER");
            let seen = range.attack(n, &tool("hping3", &line, Reads::Nothing, 3), true, false);
            assert!(seen.sent > 10_000, "that is no flood: {seen:#?}");
            nobody_suffers(&seen);
            if how.is_empty() {
                assert_eq!(known_at(&seen), 1, "{seen:#?}");
            }
        }
    }

    [("masscan", "masscan")] => fn masscan_is_known_at_its_first_packet_and_learns_nothing() {
        let range = Range::new(1);
        let line = "masscan SERVER -p20-60,80,8080 --rate 100 --wait 1 -e eth0 -oL -";
        let masscan = tool("masscan", line, Reads::Masscan, 15);
        let without = range.attack(0, &masscan, false, false);
        assert_eq!(without.learnt, OPEN, "{without:#?}");
        let seen = range.attack(0, &masscan, true, false);
        assert_eq!((known_at(&seen), &*seen.learnt), (1, &[][..]), "{seen:#?}");
        nobody_suffers(&seen);
    }

    [("hydra", "hydra"), ("sshd", "openssh-server"), ("ssh-keygen", "openssh-client")] =>
    fn guessing_passwords_ends_soon() {
        let range = Range::new(1);
        let line = "hydra -I -l root -P WORDS -t 16 ssh://SERVER";
        let seen = range.attack(0, &tool("hydra", line, Reads::Guesses, 8), true, false);
        assert!(known_at(&seen) <= 10, "{seen:#?}");
        assert_eq!(seen.standing.as_deref(), Some("banned"), "{seen:#?}");
        assert!(seen.guesses > 0 && seen.guesses < 60, "{seen:#?}");
        nobody_suffers(&seen);
    }
}
