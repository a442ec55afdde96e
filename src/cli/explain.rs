//! `portcullis explain`: what would become of a connection, and why.

use std::net::IpAddr;
use std::path::Path;
use std::process::ExitCode;

use super::asked;
use super::layout::{Align, Table, clean, wrap};
use crate::control::protocol::{
    CheckRow, ExplainReport, FindingWord, HabitFacts, SourceFacts, SparedRow,
};
use crate::control::{Request, Response};
use crate::events::{Grouped, Measured, Span};
use crate::policy::Standing;

/// What would become of a connection, and why
#[derive(Clone, Copy, Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    portcullis explain 203.0.113.7        may it come to port 22?\n  \
    portcullis explain 2001:db8::7 443    and that one to port 443?\n\n\
Nothing is changed by asking. The checks are asked in order, and the first that refuses settles \
it. SEEN is what a check measured, LIMIT what it would still have let pass.")]
pub struct Args {
    /// Where it comes from
    address: IpAddr,
    /// The port it is for
    #[arg(default_value_t = 22, value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
}

/// Asks the daemon to judge an imagined connection. Nothing is changed by it.
pub fn run(args: &Args, socket: &Path, json: bool) -> ExitCode {
    let Args { address, port } = *args;
    match asked::answer(socket, &Request::Explain { address, port }) {
        Ok(Response::Explain(report)) => asked::show(&*report, json, screen),
        Ok(_) => asked::misunderstood(),
        Err(code) => code,
    }
}

/// The report as text. `top` shows it too.
pub(super) fn screen(report: &ExplainReport) -> String {
    let ExplainReport { address, port, standing, standing_left, accepted, .. } = report;
    let mut text = format!("A connection from {address} to port {port}\n\n");
    let mut table = Table::new(
        2,
        &[
            ("CHECK", Align::Left),
            ("FINDING", Align::Left),
            ("SEEN", Align::Right),
            ("LIMIT", Align::Right),
            ("WHAT", Align::Left),
        ],
    );
    for row in &report.checks {
        let CheckRow { check, finding, what, seen, limit } = row;
        let measured = *seen != 0.0 || *limit != 0.0;
        let number = |n: f32| if measured { Measured(n).to_string() } else { String::new() };
        table.row([
            clean(check),
            words(*finding).to_owned(),
            number(*seen),
            number(*limit),
            clean(what),
        ]);
    }
    text += &table.text();
    text.push('\n');
    let trusted = report.checks.iter().find(|row| row.finding == FindingWord::Allow);
    let by = match (report.settled_by.as_str(), trusted) {
        ("", Some(row)) if row.what != "trusted" => format!(" (allowed: {})", clean(&row.what)),
        ("", Some(_)) => " (allowed by the policy)".to_owned(),
        ("", None) => String::new(),
        (check, _) => format!(" (settled by: {check})"),
    };
    let idle = idle(report);
    let outcome = match (*accepted, &idle) {
        (true, None) => format!("it would be LET IN now{by}"),
        (false, None) => format!("it would be REFUSED now{by}"),
        (accepted, Some(Idle { because, otherwise })) => {
            let verdict = if accepted { "let in too" } else { "refused" };
            format!(
                "it would be LET IN now, because {because}; {otherwise} it would be {verdict}{by}"
            )
        }
    };
    text += &wrap("Outcome: ", &outcome);
    text.push('\n');

    let left =
        standing_left.map(|left| format!(", for another {}", Span(left))).unwrap_or_default();
    let meaning = match standing {
        Standing::Clean => "",
        Standing::Banned if report.standing_port.is_some() => {
            ", at this port only: there the kernel drops every new connection from it"
        }
        Standing::Suspect => ": unserved ports are closed to it, served ones want a second try",
        Standing::Banned => ": the kernel drops every new connection from it",
    };
    let not_now = match idle {
        Some(Idle { because, .. }) if !meaning.is_empty() => {
            format!("; not now, because {because}")
        }
        _ => String::new(),
    };
    text += "What is known of the source\n";
    let around = report.standing_of.map(|net| format!(", as all of {net}")).unwrap_or_default();
    text += &wrap("  standing  ", &format!("{}{around}{left}{meaning}{not_now}", standing.word()));
    if !report.standing_why.is_empty() {
        text += &wrap("  because   ", &report.standing_why);
    }
    match &report.memory {
        None => text += "  memory    nothing: it has not been seen lately\n",
        Some(facts) => memory(&mut text, facts),
    }
    if let Some(SparedRow { address, port, open }) = &report.spared {
        let is = if *open { "is" } else { "was until lately" };
        let spared = format!(
            "an SSH session of {address} {is} open at port {port}: it is never banned, and there \
             neither the deny list nor the port policy keep it out"
        );
        text += &wrap("  spared    ", &spared);
    }
    if let Some(facts) = &report.habits {
        habits(&mut text, facts);
    }
    if !report.advice.is_empty() {
        text += "\nWhat would change it\n";
        for advice in &report.advice {
            text += &wrap("  - ", advice);
        }
    }
    text
}

/// Why the gate lets in everybody at present.
struct Idle {
    because: &'static str,
    /// The other case, as the beginning of a sentence.
    otherwise: &'static str,
}

fn idle(report: &ExplainReport) -> Option<Idle> {
    match (report.aside, report.enforced) {
        (true, _) => Some(Idle {
            because: "the gate stands aside (portcullis panic)",
            otherwise: "back in its place,",
        }),
        (false, false) => Some(Idle { because: "the gate only observes", otherwise: "enforcing," }),
        (false, true) => None,
    }
}

fn memory(text: &mut String, facts: &SourceFacts) {
    let SourceFacts { refused, refused_own, proven, score } = facts;
    let mut fact = |name: &str, value: &str| *text += &wrap(&format!("  {name:<8}  "), value);
    let own = match (*refused, *refused_own) {
        (0, _) => "none lately".to_owned(),
        (all, own) => {
            format!("{} lately; {} of them surely its own", Grouped(all), Grouped(own))
        }
    };
    fact("refused", &own);
    let proven = if *proven {
        "yes: it has completed real connections, so it is no forged address"
    } else {
        "no: it has not completed a connection, so its address may be forged"
    };
    fact("proven", proven);
    fact("score", &format!("{} of the 100 points that make a suspect", Grouped(*score)));
}

/// What made its score, in words.
fn habits(text: &mut String, facts: &HabitFacts) {
    let HabitFacts { score, limit, p_value, unusual, because } = facts;
    *text += "\nHow it behaves, beside everybody else\n";
    let verdict = match limit {
        None => "; too little is known yet to say how unusual that is".to_owned(),
        Some(limit) => {
            let word = if *unusual { "unusual" } else { "within what is usual" };
            let share = Measured((p_value * 1000.0).round() / 10.0);
            format!(": {word} (limit {limit:.2}; {share} % of honest sources score as high)")
        }
    };
    *text += &wrap("  score     ", &format!("{score:.2}{verdict}"));
    for (n, reason) in because.iter().enumerate() {
        *text += &wrap(if n == 0 { "  because   it " } else { "            it " }, reason);
    }
}

/// A finding for people.
fn words(finding: FindingWord) -> &'static str {
    match finding {
        FindingWord::Pass => "nothing against it",
        FindingWord::Allow => "trusted",
        FindingWord::Suspect => "odd, not refused",
        FindingWord::Deny => "refused",
        FindingWord::NotAsked => "not asked",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn row(check: &str, finding: FindingWord, what: &str, seen: f32, limit: f32) -> CheckRow {
        CheckRow { check: check.into(), finding, what: what.into(), seen, limit }
    }

    #[test]
    fn refused() {
        let report = ExplainReport {
            address: "203.0.113.7".parse().unwrap(),
            port: 22,
            standing: Standing::Suspect,
            standing_port: None,
            standing_left: Some(Duration::from_secs(200)),
            standing_why: "scan (different closed targets: 5, limit 4)".into(),
            standing_of: Some("203.0.113.0/24".parse().unwrap()),
            accepted: false,
            enforced: true,
            aside: false,
            settled_by: "rate".into(),
            checks: vec![
                row("allowlist", FindingWord::Pass, "", 0.0, 0.0),
                row("quirks", FindingWord::Suspect, "no options", 1.0, 0.0),
                row("rate", FindingWord::Deny, "login", 7.5, 5.0),
                row("flood", FindingWord::NotAsked, "", 0.0, 0.0),
            ],
            memory: Some(SourceFacts { refused: 1204, refused_own: 7, proven: false, score: 20 }),
            habits: Some(HabitFacts {
                score: 4.012,
                limit: Some(3.49),
                p_value: 0.0042,
                unusual: true,
                because: vec![
                    "tries 7 different ports (usual: 1 to 3)".into(),
                    "meets 5 closed ports (usual: 0)".into(),
                    "offers a window of 1024-2047 bytes (usual: 16384-32767 to 32768 or more)"
                        .into(),
                ],
            }),
            spared: Some(SparedRow {
                address: "203.0.113.7".parse().unwrap(),
                port: 22,
                open: true,
            }),
            advice: vec![
                "Wait 12 s: the login rate of 10 a minute then has room for another attempt."
                    .into(),
                "Or let it in for good: add it to [allowlist] from, then: portcullis reload".into(),
            ],
        };
        assert_eq!(
            screen(&report),
            "\
A connection from 203.0.113.7 to port 22

  CHECK      FINDING             SEEN  LIMIT  WHAT
  allowlist  nothing against it
  quirks     odd, not refused       1      0  no options
  rate       refused              7.5      5  login
  flood      not asked

Outcome: it would be REFUSED now (settled by: rate)

What is known of the source
  standing  suspect, as all of 203.0.113.0/24, for another 3m 20s: unserved
            ports are closed to it, served ones want a second try
  because   scan (different closed targets: 5, limit 4)
  refused   1,204 lately; 7 of them surely its own
  proven    no: it has not completed a connection, so its address may be forged
  score     20 of the 100 points that make a suspect
  spared    an SSH session of 203.0.113.7 is open at port 22: it is never
            banned, and there neither the deny list nor the port policy keep it
            out

How it behaves, beside everybody else
  score     4.01: unusual (limit 3.49; 0.4 % of honest sources score as high)
  because   it tries 7 different ports (usual: 1 to 3)
            it meets 5 closed ports (usual: 0)
            it offers a window of 1024-2047 bytes (usual: 16384-32767 to 32768
               or more)

What would change it
  - Wait 12 s: the login rate of 10 a minute then has room for another attempt.
  - Or let it in for good: add it to [allowlist] from, then: portcullis reload
"
        );
    }

    #[test]
    fn refused_in_words_only() {
        let report = ExplainReport {
            address: "203.0.113.7".parse().unwrap(),
            port: 23,
            standing: Standing::Clean,
            standing_port: None,
            standing_left: None,
            standing_why: String::new(),
            standing_of: None,
            accepted: false,
            enforced: false,
            aside: false,
            settled_by: "ports".into(),
            checks: vec![],
            memory: None,
            habits: None,
            spared: None,
            advice: vec![],
        };
        let line = |report: &ExplainReport| {
            let text = screen(report);
            let at = text.find("Outcome").unwrap();
            text[at..].split_whitespace().collect::<Vec<_>>().join(" ")
        };
        let told = line(&report);
        let outcome = "Outcome: it would be LET IN now, because the gate only observes; enforcing, \
                       it would be refused (settled by: ports) What";
        assert!(told.starts_with(outcome), "{told}");
        // A ban does not act then, and nothing says that it does.
        let banned = ExplainReport {
            standing: Standing::Banned,
            settled_by: "standing".into(),
            ..report.clone()
        };
        let told = line(&banned);
        assert!(told.contains("from it; not now, because the gate only observes"), "{told}");
        let aside = ExplainReport { aside: true, enforced: true, ..banned };
        let told = line(&aside);
        let outcome = "Outcome: it would be LET IN now, because the gate stands aside (portcullis \
                       panic); back in its place, it would be refused (settled by: standing) What";
        assert!(told.starts_with(outcome), "{told}");
        let clean = ExplainReport { accepted: true, settled_by: String::new(), ..report };
        let told = line(&clean);
        assert!(told.contains("enforcing, it would be let in too What"), "{told}");
    }

    #[test]
    fn let_in() {
        let report = ExplainReport {
            address: "2001:db8::7".parse().unwrap(),
            port: 443,
            standing: Standing::Clean,
            standing_port: None,
            standing_left: None,
            standing_why: String::new(),
            standing_of: None,
            accepted: true,
            enforced: true,
            aside: false,
            settled_by: String::new(),
            checks: vec![row("denylist", FindingWord::Pass, "", 0.0, 0.0)],
            memory: None,
            habits: None,
            spared: None,
            advice: vec![],
        };
        assert_eq!(
            screen(&report),
            "\
A connection from 2001:db8::7 to port 443

  CHECK     FINDING             SEEN  LIMIT  WHAT
  denylist  nothing against it

Outcome: it would be LET IN now

What is known of the source
  standing  clean
  memory    nothing: it has not been seen lately
"
        );
    }
}
