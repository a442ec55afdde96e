//! Every kind of line that the gate can write, written by the gate's own code.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use portcullis::config;
use portcullis::events::{Event, Events, Judged, Level, Notice, StandingChange, Verb};
use portcullis::memory::SourceKey;
use portcullis::packet::Syn;
use portcullis::policy::{CHECKS, CheckId, Decision, Evidence, Ruling, Scope, Standing};

/// Who is banned altogether in the catalogue, as a line names them.
pub(super) const BANNED: [&str; 3] = ["203.0.113.7", "2001:db8:7:1::/64", "203.0.113.8"];
/// Who is banned at one port only.
pub(super) const BANNED_AT_A_PORT: &str = "203.0.113.9";
/// Whom fail2ban has had banned.
pub(super) const BANNED_BY_FAIL2BAN: &str = "203.0.113.10";
/// Who is refused, once and again.
pub(super) const REFUSED: [&str; 2] = ["192.0.2.66", "2001:db8:bad::66"];
/// So many more refusals are summed up.
pub(super) const MORE: u64 = 1204;
/// Words that would do harm if they could.
pub(super) const NASTY: &str = "said \"so\" = \\ ]\nBAN SRC=192.0.2.1 reason=x\u{1b}[31m\u{202e}é";

/// Writes the whole catalogue where the policy says.
pub(super) fn write(policy: &config::Events) {
    write_these(policy, &Verb::ALL.into_iter().flat_map(story).collect::<Vec<_>>());
}

/// One event of each kind that comes alone.
pub(super) fn few() -> Vec<Event> {
    let alone = [Verb::Start, Verb::Drop, Verb::Suspect, Verb::Ban, Verb::Clear, Verb::Stop];
    alone.into_iter().filter_map(|verb| story(verb).into_iter().next()).collect()
}

/// Writes these events where the policy says.
pub(super) fn write_these(policy: &config::Events, these: &[Event]) {
    let (teller, events) = Events::start(policy).expect("a thread");
    for event in these {
        assert!(teller.tell_patiently(event.clone()));
    }
    // The summaries that wait are told at the end.
    events.stop();
}

/// What has to happen so that the gate writes a line with this verb; others may come with it.
fn story(verb: Verb) -> Vec<Event> {
    let refusals = |source: &str, enforced, count| {
        (0..count).map(|n| refused(source, n, enforced)).collect::<Vec<_>>()
    };
    match verb {
        Verb::Drop => REFUSED.iter().flat_map(|source| refusals(source, true, 1)).collect(),
        Verb::WouldDrop => refusals("192.0.2.67", false, 1),
        // Beyond the three lines that each source has in ten seconds.
        Verb::DropMore => refusals("192.0.2.68", true, 3 + MORE),
        Verb::WouldDropMore => refusals("192.0.2.69", false, 3 + 7),
        Verb::Suspect => vec![
            standing("192.0.2.66", Standing::Suspect, "scan", true),
            standing("2001:db8:bad::66", Standing::Suspect, "fingerprint", true),
        ],
        Verb::WouldSuspect => vec![standing("192.0.2.67", Standing::Suspect, "scan", false)],
        Verb::Ban => vec![
            standing(BANNED[0], Standing::Banned, "rate", true),
            standing("2001:db8:7:1::10", Standing::Banned, "rate", true),
            standing(BANNED[2], Standing::Banned, NASTY, true),
            at_a_port(standing(BANNED_AT_A_PORT, Standing::Banned, "rate", true)),
            standing(BANNED_BY_FAIL2BAN, Standing::Banned, "fail2ban: sshd", true),
        ],
        Verb::WouldBan => vec![standing("192.0.2.67", Standing::Banned, "rate", false)],
        Verb::Clear => vec![
            standing(BANNED[0], Standing::Clean, "expired", true),
            standing("2001:db8:7:1::10", Standing::Clean, NASTY, true),
        ],
        // Beyond the five hundred that may come at once.
        Verb::StandingsMore => (0..700_u32)
            .map(|n| {
                let source = std::net::Ipv4Addr::from(0xc633_0000 + n).to_string();
                standing(&source, Standing::Suspect, "scan", true)
            })
            .collect(),
        Verb::Start => vec![notice(Level::Notice, "start", "version 0.1.0, queue 7, mode enforce")],
        Verb::Stop => vec![notice(Level::Notice, "stop", "signal 15")],
        Verb::Reload => vec![
            notice(Level::Notice, "reload", "the new policy is in force"),
            notice(Level::Error, "reload", "the old policy stays: 3 mistakes"),
        ],
        Verb::Alarm => vec![
            notice(Level::Warning, "flushed", "somebody flushed our table; it is built again"),
            notice(Level::Error, "x", NASTY),
            notice(Level::Error, "long", &NASTY.repeat(100)),
        ],
        Verb::Accept => Vec::new(),
        Verb::Note => {
            vec![notice(Level::Info, "ports", "served: 22, 80"), notice(Level::Notice, "x", NASTY)]
        }
    }
}

fn refused(source: &str, n: u64, enforced: bool) -> Event {
    let from = SocketAddr::new(source.parse().expect("an address"), 40_000 + n as u16);
    let to = if from.is_ipv4() { "198.51.100.10:23" } else { "[2001:db8:5::10]:23" };
    Event::Judged(Judged {
        at: SystemTime::now(),
        interface: 1,
        syn: Syn { seq: n as u32, ..Syn::linux(from, to.parse().expect("an address")) },
        decision: Decision {
            ruling: Ruling::Drop,
            check: CheckId(
                CHECKS.iter().position(|check| check.name == "ports").expect("a check") as u8
            ),
            evidence: Evidence { what: "suspicious port", seen: 5.0, limit: 4.25 },
            retransmission: n % 2 == 1,
            earned: Standing::Clean,
            scope: Scope::All,
            renew: false,
        },
        enforced,
    })
}

fn standing(source: &str, standing: Standing, reason: &str, enforced: bool) -> Event {
    Event::Standing(StandingChange {
        at: SystemTime::now(),
        source: SourceKey::of(source.parse().expect("an address")),
        port: None,
        standing,
        lasts: (standing != Standing::Clean).then_some(Duration::from_secs(600)),
        reason: reason.to_owned(),
        offence: u32::from(reason == "rate"),
        enforced,
    })
}

fn at_a_port(event: Event) -> Event {
    match event {
        Event::Standing(change) => Event::Standing(StandingChange { port: Some(22), ..change }),
        Event::Judged(_) | Event::Notice(_) => panic!("only standings have a port"),
    }
}

fn notice(level: Level, what: &'static str, text: &str) -> Event {
    Event::Notice(Notice { at: SystemTime::now(), level, what, text: text.to_owned() })
}

/// The catalogue holds what it promises: each verb is written.
#[test]
fn is_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let json = folder.path().join("events.json");
    write(&super::to(config::LogTarget::Nowhere, &json));
    let told = super::told(&json);
    for verb in Verb::ALL {
        let word = verb.word().to_ascii_lowercase();
        let found = told.values().any(|event| event["event"] == word.as_str());
        assert!(found, "{word}");
    }
}
