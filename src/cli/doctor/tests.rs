//! A screen of 80 columns, from a report that was made up.

use super::*;
use crate::doctor::FindingKind;

fn report() -> Report {
    let look = |topic: &str, seen: &str| Look { topic: topic.into(), seen: seen.into() };
    let chain = |hook: &str, priority, table: &str, name: &str, owner: &str| BaseChain {
        hook: hook.into(),
        priority,
        family: "inet".into(),
        table: table.into(),
        name: name.into(),
        owner: owner.into(),
    };
    Report {
        policy: "the policy /etc/portcullis/portcullis.toml".into(),
        looks: vec![look("kernel", &"word ".repeat(30)), look("no verdict", "gate down: accept")],
        chains: vec![
            chain("prerouting", -299, "portcullis", "early", "portcullis"),
            chain("prerouting", -140, "firewalld", "mangle_PREROUTING", "firewalld"),
            chain("input", 10, "firewalld", "filter_INPUT", "firewalld"),
        ],
        findings: vec![
            Finding::off(FindingKind::QueueTaken, "queue 7 belongs to x", "stop it: kill 9"),
            Finding::note(FindingKind::Observing, "nothing is dropped", "mode = \"enforce\""),
        ],
        proof: None,
        not_seen: vec!["who listens (the kernel shows its queues to root only)".into()],
    }
}

#[test]
fn the_usual_screen() {
    let text = screen::screen(&report());
    assert_eq!(
        format!("\n{text}"),
        r#"
kernel      word word word word word word word word word word word word word
            word word word word word word word word word word word word word
            word word word word
no verdict  gate down: accept

NEW CONNECTIONS PASS  PRIORITY  CHAIN                             OF
  prerouting              -299  inet portcullis early             portcullis
                          -140  inet firewalld mangle_PREROUTING  firewalld
  input                     10  inet firewalld filter_INPUT       firewalld

OFF   queue 7 belongs to x
      why: A queue number belongs to one program at a time: the gate cannot
           start, or gets nothing to judge.
      do:  stop it: kill 9

note  nothing is dropped
      why: Everything is let in; the gate only says what it would have refused.
      do:  mode = "enforce"

Judged by the policy /etc/portcullis/portcullis.toml: 1 thing is off.
To see on this kernel that bans block: portcullis doctor --prove
Not seen: who listens (the kernel shows its queues to root only)
To see that, too: sudo portcullis doctor
"#
    );
}

#[test]
fn a_proof_is_shown() {
    let mut report = report();
    report.not_seen.clear();
    report.findings.clear();
    report.chains.clear();
    let proof = |holds, seen: &str| Proof {
        claim: "a ban blocks IPv4 to this host".into(),
        holds,
        seen: seen.into(),
    };
    report.proof = Some(vec![proof(true, "let in before and after"), proof(false, "let in")]);
    let text = screen::screen(&report);
    for line in [
        "  yes  a ban blocks IPv4 to this host (let in before and after)",
        "  NO   a ban blocks IPv4 to this host (let in)",
        "nothing is off.",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    assert!(!text.contains("--prove") && !text.contains("sudo"), "{text}");
}

#[test]
fn as_json() {
    let json = serde_json::to_value(report()).unwrap();
    let finding = &json["findings"][0];
    assert_eq!((&finding["kind"], &finding["off"]), (&"queue-taken".into(), &true.into()));
    assert!(finding["do"].is_string() && finding["why"].is_string() && finding["what"].is_string());
    assert_eq!(json["chains"][0]["priority"], -299);
    assert!(json["proof"].is_null() && json["not_seen"].is_array());
}
