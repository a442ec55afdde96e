//! Doors and policies that were made up, and what is found.

use super::*;
use crate::audit::{Banner, Protocol, doors};
use crate::host::Program;
use crate::policy::PrefixSet;

fn listener(at: &str) -> Listener {
    let program = Some(Program { pid: 900, name: "prog".into() });
    Listener { at: at.parse().unwrap(), program, waiting: 0, room: 128 }
}

fn listening() -> Ports {
    Ports::default()
}

fn naming(open: &[u16]) -> Ports {
    Ports { listening: false, open: open.iter().copied().collect(), ..Ports::default() }
}

/// `kind ports`, with `!` before what is off.
fn told(doors: &[Door], ports: &Ports) -> Vec<String> {
    let text = |f: &Finding| {
        let kind = serde_json::to_value(f.kind).unwrap();
        format!("{}{} {}", if f.off { "!" } else { "" }, kind.as_str().unwrap(), f.ports)
    };
    judge(doors, ports).iter().map(text).collect()
}

#[test]
fn listening_doors_against_policies() {
    let chosen = Ports {
        only_from: vec![([3306].into_iter().collect(), PrefixSet::default())],
        ..listening()
    };
    let mixed = Ports { open: [8080].into_iter().collect(), ..listening() };
    let any = Ports { any: true, ..naming(&[]) };
    let mut range = naming(&[22]);
    range.open.insert_range(50_000..=50_010);
    for (listeners, ports, expected) in [
        (&["0.0.0.0:22", "[::]:22"][..], &listening(), &[][..]),
        (&["0.0.0.0:22"], &naming(&[22]), &[]),
        (&["0.0.0.0:22"], &naming(&[22, 443]), &["!unheard 443"]),
        (&["127.0.0.1:22"], &naming(&[22]), &[]),
        (&["0.0.0.0:22", "0.0.0.0:8080"], &naming(&[22]), &["!unserved 8080"]),
        (&["127.0.0.1:8080"], &naming(&[]), &[]),
        (&["0.0.0.0:22"], &mixed, &["unheard 8080"]),
        (&["0.0.0.0:22"], &range, &["unheard 50000-50010"]),
        (&["0.0.0.0:22", "0.0.0.0:50003"], &range, &["unheard 50000-50002", "unheard 50004-50010"]),
        (&["0.0.0.0:31337"], &listening(), &["!suspicious 31337"]),
        (&["127.0.0.1:31337"], &listening(), &["suspicious 31337"]),
        (&["0.0.0.0:4444"], &naming(&[]), &["!suspicious 4444"]),
        (&["0.0.0.0:3306"], &listening(), &["!exposed 3306"]),
        (&["198.51.100.10:3306"], &naming(&[3306]), &["!exposed 3306"]),
        (&["10.0.0.1:3306", "127.0.0.1:5432"], &listening(), &[]),
        (&["0.0.0.0:3306"], &chosen, &[]),
        (&["0.0.0.0:45123"], &listening(), &["!unknown-service 45123"]),
        (&["0.0.0.0:45123"], &any, &["!unknown-service 45123"]),
        (&["0.0.0.0:45123"], &naming(&[45123]), &[]),
        (
            &["0.0.0.0:3306", "0.0.0.0:31337", "127.0.0.1:4444"],
            &listening(),
            &["!exposed 3306", "!suspicious 31337", "suspicious 4444"],
        ),
    ] {
        let doors = doors(listeners.iter().map(|at| listener(at)), []);
        assert_eq!(told(&doors, ports), expected, "{listeners:?} {:?}", ports.open);
    }
}

#[test]
fn published_ports_have_to_be_served() {
    let published = || [(8080..=8080, "172.17.0.2:80".to_owned())];
    let bare = doors([], published());
    // Nobody listens on this host, so the word `listening` does not serve it.
    assert_eq!(told(&bare, &listening()), ["!unserved-published 8080"]);
    assert_eq!(told(&bare, &naming(&[8080])), [""; 0]);
    let proxied = doors([listener("0.0.0.0:8080")], published());
    assert_eq!(told(&proxied, &listening()), [""; 0]);
    let finding = &judge(&bare, &listening())[0];
    assert_eq!(finding.todo, "[ports] open = \"listening, 8080\", then: portcullis reload");
}

/// Whoever follows both keeps both.
#[test]
fn advice_adds_up() {
    let at = ["0.0.0.0:80", "0.0.0.0:443", "0.0.0.0:31337", "127.0.0.1:8080"].map(listener);
    let found = judge(&doors(at, []), &naming(&[22]));
    let todo = |ports: &str| {
        let of = |f: &&Finding| f.ports == ports && f.kind == FindingKind::Unserved;
        found.iter().find(of).map(|finding| finding.todo.as_str()).unwrap_or_default()
    };
    for (port, other) in [("80", "443"), ("443", "80")] {
        let advice = format!(
            "[ports] open = \"22, 80, 443\" (with {other}, which this audit names too), then: "
        );
        assert!(todo(port).contains(&advice), "{}", todo(port));
    }
}

#[test]
fn answers_against_what_the_port_is_known_for() {
    let speaks = |protocol| Some(Answer::Speaks(Banner { protocol, detail: "x 1.0".into() }));
    for (at, answer, expected) in [
        ("0.0.0.0:22", speaks(Protocol::Ssh), &[][..]),
        ("0.0.0.0:22", speaks(Protocol::Http), &["!mismatch 22"]),
        ("127.0.0.1:22", speaks(Protocol::Http), &["!mismatch 22"]),
        ("0.0.0.0:443", speaks(Protocol::Http), &["!mismatch 443"]),
        ("0.0.0.0:22", Some(Answer::Unknown), &["silent 22"]),
        ("0.0.0.0:22", Some(Answer::Shut), &["!stuck 22"]),
        ("0.0.0.0:53", Some(Answer::Unknown), &[]),
        // Told by its banner, it is no longer unknown, but still unnamed.
        ("0.0.0.0:45123", speaks(Protocol::Http), &["unknown-service 45123"]),
        ("127.0.0.1:45123", speaks(Protocol::Http), &[]),
        ("0.0.0.0:13306", speaks(Protocol::MySql), &["!exposed 13306"]),
        ("10.0.0.1:13306", speaks(Protocol::MySql), &[]),
        ("0.0.0.0:45123", Some(Answer::Unknown), &["!unknown-service 45123"]),
    ] {
        let mut doors = doors([listener(at)], []);
        doors[0].answer = answer.clone();
        assert_eq!(told(&doors, &listening()), expected, "{at} {answer:?}");
    }
}

#[test]
fn a_full_queue_is_told() {
    let full = Listener { waiting: 129, ..listener("0.0.0.0:80") };
    assert_eq!(told(&doors([full], []), &listening()), ["!stuck 80"]);
    let busy = Listener { waiting: 128, ..listener("0.0.0.0:80") };
    assert_eq!(told(&doors([busy], []), &listening()), [""; 0]);
}

#[test]
fn sentences_are_whole() {
    let unknown = Listener { program: None, ..listener("0.0.0.0:45123") };
    let finding = judge(&doors([unknown], []), &listening()).remove(0);
    assert_eq!(finding.what, "a program listens on port 45123, at which no service is known");
    assert_eq!(
        finding.todo,
        "if it is meant, name it: [ports] open = \"listening, 45123\". If not, stop it or bind \
         it to 127.0.0.1: sudo ss -tlnp sport = :45123"
    );
}
