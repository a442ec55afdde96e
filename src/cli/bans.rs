//! `portcullis bans`: who is suspect or banned, and changing it.

use std::net::IpAddr;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use ipnet::IpNet;
use jiff::Timestamp;

use super::asked;
use super::layout::{Align, Table, clean};
use crate::control::protocol::{BanRow, Done};
use crate::control::{Request, Response};
use crate::events::{Grouped, Span};
use crate::memory::SourceKey;
use crate::policy::Standing;

/// Who is suspect or banned
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    portcullis bans                                   who is banned, and why\n  \
    portcullis bans add 203.0.113.7 --for 1d          no new connection for a day\n  \
    portcullis bans add 203.0.113.0/24 --reason spam  a network, with a word why\n  \
    portcullis bans remove 203.0.113.7                it may come in again\n  \
    portcullis bans remove all                        everybody may\n\n\
A standing is what follows from offences: a suspect finds unserved ports closed and has to knock \
twice at the others; from a banned source the kernel takes no new connection.")]
pub struct Args {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum Action {
    /// Everybody with a standing, the latest first (default)
    List,
    /// Ban an address or prefix
    Add {
        /// Address or prefix; of an IPv6 address, its /64
        #[arg(value_name = "ADDRESS|PREFIX", value_parser = source)]
        net: IpNet,
        /// How long, such as 10m, 1h or 7d [default: the policy's first duration]
        #[arg(long = "for", value_name = "SPAN", value_parser = span)]
        lasts: Option<Duration>,
        /// The same, but a ban that lasts longer stays as it is: for programs that ban
        #[arg(long, value_name = "SPAN", value_parser = span,
              conflicts_with_all = ["lasts", "suspect"])]
        at_least: Option<Duration>,
        /// Only at this port; everywhere else it is judged like everybody
        #[arg(long, value_name = "PORT", conflicts_with = "suspect",
              value_parser = clap::value_parser!(u16).range(1..))]
        port: Option<u16>,
        /// Only suspect: it still reaches served ports, after a second try
        #[arg(long)]
        suspect: bool,
        /// Why, for the log and the list
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
    },
    /// Make an address, everybody in a prefix, or everybody clean
    #[command(visible_alias = "rm")]
    Remove {
        /// Address, prefix, or the word `all`
        #[arg(value_name = "ADDRESS|PREFIX|all", value_parser = who)]
        who: Who,
        /// Only bans at this port
        #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
        port: Option<u16>,
        /// Only what was given for this reason; if there is none, that is fine
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    All,
    Net(IpNet),
}

/// Lists or changes standings.
pub fn run(args: &Args, socket: &Path, json: bool) -> ExitCode {
    let request = match args.action.clone() {
        None | Some(Action::List) => Request::Bans,
        Some(Action::Add { net, lasts, at_least, port, suspect, reason }) => {
            if let Some(span) = at_least {
                let rows = match rows(socket) {
                    Ok(rows) => rows,
                    Err(code) => return code,
                };
                if let Some(row) = lasting(&rows, net, port, Timestamp::now(), span) {
                    let text = format!("{} is banned for longer; that stays", name(row.source));
                    let done = Done { text, ..Done::default() };
                    return asked::show(&done, json, asked::done);
                }
            }
            let standing = if suspect { Standing::Suspect } else { Standing::Banned };
            Request::BansAdd { net, port, standing, lasts: lasts.or(at_least), reason }
        }
        Some(Action::Remove { who, port, reason: Some(reason) }) => {
            return remove_given(who, port, &reason, socket, json);
        }
        Some(Action::Remove { who, port, reason: None }) => {
            let net = match who {
                Who::All => None,
                Who::Net(net) => Some(net),
            };
            Request::BansRemove { net, port }
        }
    };
    match asked::answer(socket, &request) {
        Ok(Response::Bans(rows)) => asked::show(&rows, json, |rows| screen(rows, Timestamp::now())),
        Ok(Response::Done(done)) => asked::show(&done, json, asked::done),
        Ok(_) => asked::misunderstood(),
        Err(code) => code,
    }
}

/// Everybody with a standing.
fn rows(socket: &Path) -> Result<Vec<BanRow>, ExitCode> {
    match asked::answer(socket, &Request::Bans)? {
        Response::Bans(rows) => Ok(rows),
        _ => Err(asked::misunderstood()),
    }
}

/// The ban that closes at least as much, and for at least as long.
fn lasting(
    rows: &[BanRow],
    net: IpNet,
    port: Option<u16>,
    now: Timestamp,
    span: Duration,
) -> Option<&BanRow> {
    rows.iter().find(|row| {
        row.standing == Standing::Banned
            && row.source.contains(&net)
            && (row.port.is_none() || row.port == port)
            && Duration::try_from(row.until.duration_since(now)).is_ok_and(|left| left >= span)
    })
}

/// Removes what was given for a reason, and nothing else.
fn remove_given(who: Who, port: Option<u16>, reason: &str, socket: &Path, json: bool) -> ExitCode {
    let rows = match rows(socket) {
        Ok(rows) => rows,
        Err(code) => return code,
    };
    let mut sum = Done::default();
    for row in rows.iter().filter(|row| is_given(row, who, port, reason)) {
        let request = Request::BansRemove { net: Some(row.source), port: row.port };
        match asked::answer(socket, &request) {
            Ok(Response::Done(done)) => {
                sum.changed += done.changed;
                sum.text = done.text;
                sum.warnings.extend(done.warnings);
            }
            Ok(_) => return asked::misunderstood(),
            Err(code) => return code,
        }
    }
    match sum.changed {
        0 => sum.text = "nobody there has a standing for that reason".to_owned(),
        1 => {}
        many => sum.text = format!("{} sources are clean", Grouped(many)),
    }
    asked::show(&sum, json, asked::done)
}

fn is_given(row: &BanRow, who: Who, port: Option<u16>, reason: &str) -> bool {
    let covered = match who {
        Who::All => true,
        Who::Net(net) => net.contains(&row.source),
    };
    covered && row.reason == reason && port.is_none_or(|port| row.port == Some(port))
}

fn screen(rows: &[BanRow], now: Timestamp) -> String {
    if rows.is_empty() {
        return "Nobody is suspect or banned.\n".to_owned();
    }
    let mut table = Table::new(
        0,
        &[
            ("SOURCE", Align::Left),
            ("STANDING", Align::Left),
            ("LEFT", Align::Left),
            ("OFFENCES", Align::Right),
            ("STOPPED", Align::Right),
            ("WHY", Align::Left),
        ],
    );
    for row in rows {
        let left = Duration::try_from(row.until.duration_since(now)).unwrap_or_default();
        let offences = if row.offences == 0 {
            "-".to_owned()
        } else {
            Grouped(row.offences.into()).to_string()
        };
        table.row([
            name(row.source),
            standing(row),
            Span(left).to_string(),
            offences,
            Grouped(row.stopped_packets).to_string(),
            why(row),
        ]);
    }
    let banned = rows.iter().filter(|row| row.standing == Standing::Banned).count() as u64;
    let others = rows.len() as u64 - banned;
    let plural = if others == 1 { "" } else { "s" };
    let ports = match rows.iter().any(|row| row.port.is_some()) {
        true => "A port behind \"banned\": only there.\n",
        false => "",
    };
    format!(
        "{}\n{} banned, {} suspect{plural}. STOPPED: packets that the kernel has dropped since.\n{ports}",
        table.text(),
        Grouped(banned),
        Grouped(others),
    )
}

/// `rate (login)`; with `by admin:` before an admin's words.
pub(super) fn why(row: &BanRow) -> String {
    let mut text = clean(&row.reason);
    if !row.evidence.is_empty() {
        text = format!("{text} ({})", clean(&row.evidence));
    }
    if row.who == "admin" {
        format!("by admin: {text}").trim_end_matches([':', ' ']).to_owned()
    } else {
        text
    }
}

/// `banned`, or `banned: 22` at one port only.
pub(super) fn standing(row: &BanRow) -> String {
    let word = row.standing.word();
    row.port.map_or_else(|| word.to_owned(), |port| format!("{word}: {port}"))
}

/// A single address without its `/32`.
pub(super) fn name(net: IpNet) -> String {
    if net.prefix_len() == net.max_prefix_len() { net.addr().to_string() } else { net.to_string() }
}

/// An address or prefix, as the gate counts sources: of IPv6 never less than a /64.
fn source(text: &str) -> Result<IpNet, String> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(SourceKey::of(address).prefix());
    }
    let net: IpNet = text
        .parse()
        .map_err(|_| "not an address (203.0.113.7, 2001:db8::7) or prefix (203.0.113.0/24)")?;
    match net {
        _ if net.trunc() != net => Err(format!("did you mean {}?", net.trunc())),
        IpNet::V6(v6) if v6.prefix_len() > 64 => Ok(SourceKey::of(v6.addr().into()).prefix()),
        net => Ok(net),
    }
}

fn who(text: &str) -> Result<Who, String> {
    if text == "all" { Ok(Who::All) } else { source(text).map(Who::Net) }
}

/// At most ten years: longer is a denylist entry.
pub(super) fn span(text: &str) -> Result<Duration, String> {
    let Span(span) = text.parse::<Span>().map_err(|error| error.to_string())?;
    match span.as_secs() {
        0 => Err("must be at least a second".to_owned()),
        1..=315_360_000 => Ok(span),
        _ => Err("must be at most 3650d; what is meant for ever belongs in [denylist]".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    fn action(words: &str) -> Result<Option<Action>, String> {
        let words = std::iter::once("bans").chain(words.split_whitespace());
        Cli::try_parse_from(words).map(|cli| cli.args.action).map_err(|error| error.to_string())
    }

    #[test]
    fn what_can_be_typed() {
        let add = |words: &str| match action(words) {
            Ok(Some(Action::Add { net, lasts, suspect, reason, .. })) => {
                (net.to_string(), lasts.map(|lasts| lasts.as_secs()), suspect, reason)
            }
            other => panic!("{words}: {other:?}"),
        };
        assert_eq!(add("add 203.0.113.7"), ("203.0.113.7/32".into(), None, false, "".into()));
        assert_eq!(
            add("add 2001:db8::7 --for 1h30m --suspect --reason because"),
            ("2001:db8::/64".into(), Some(5400), true, "because".into())
        );
        assert_eq!(add("add ::ffff:203.0.113.7").0, "203.0.113.7/32");
        assert_eq!(add("add 2001:db8:0:1::/128").0, "2001:db8:0:1::/64");
        assert_eq!(add("add 203.0.113.0/24").0, "203.0.113.0/24");
        for (words, complaint) in [
            ("add", "ADDRESS|PREFIX"),
            ("add example.org", "not an address"),
            ("add 203.0.113.7/24", "did you mean 203.0.113.0/24?"),
            ("add 203.0.113.7 --for soon", "10m"),
            ("add 203.0.113.7 --for 0s", "at least a second"),
            ("add 203.0.113.7 --for 20000d", "[denylist]"),
            ("add 203.0.113.7 --port 0", "0 is not in 1..=65535"),
            ("add 203.0.113.7 --port 22 --suspect", "cannot be used with"),
            ("add 203.0.113.7 --for 1h --at-least 1h", "cannot be used with"),
            ("add 203.0.113.7 --at-least soon", "10m"),
            ("remove", "ADDRESS|PREFIX|all"),
        ] {
            let error = action(words).unwrap_err();
            assert!(error.contains(complaint), "{words}: {error}");
        }
        let port_of = |words: &str| match action(words) {
            Ok(Some(Action::Add { port, .. } | Action::Remove { port, .. })) => port,
            other => panic!("{words}: {other:?}"),
        };
        assert_eq!(port_of("add 203.0.113.7 --port 22"), Some(22));
        assert_eq!(port_of("remove 203.0.113.7 --port 22"), Some(22));
        assert_eq!(port_of("remove all"), None);
        assert!(matches!(action("remove all"), Ok(Some(Action::Remove { who: Who::All, .. }))));
        assert!(matches!(
            action("rm 192.0.2.1"),
            Ok(Some(Action::Remove { who: Who::Net(_), .. }))
        ));
        assert!(matches!(action("list"), Ok(Some(Action::List))));
        assert!(matches!(action(""), Ok(None)));
    }

    fn now() -> Timestamp {
        "2026-09-21T14:13:20Z".parse().unwrap()
    }

    fn row(
        source: &str,
        standing: Standing,
        left: i64,
        offences: u32,
        reason: &str,
        who: &str,
    ) -> BanRow {
        BanRow {
            source: source.parse().unwrap(),
            port: None,
            standing,
            since: now(),
            until: now() + jiff::SignedDuration::from_secs(left),
            offences,
            reason: reason.into(),
            who: who.into(),
            evidence: if who == "gate" { "login".into() } else { String::new() },
            stopped_packets: 1204,
        }
    }

    /// What other programs ban does not shorten what is banned already, nor end it.
    #[test]
    fn programs_that_ban() {
        let bans = [
            row("203.0.113.7/32", Standing::Banned, 3600, 2, "rate", "gate"),
            row("203.0.113.8/32", Standing::Suspect, 3600, 2, "scan", "gate"),
            BanRow {
                port: Some(22),
                ..row("203.0.113.9/32", Standing::Banned, 3600, 1, "rate", "gate")
            },
            row("192.0.2.0/24", Standing::Banned, 60, 0, "fail2ban: sshd", "admin"),
            row("192.0.2.9/32", Standing::Banned, 60, 0, "rate", "admin"),
        ];
        let lasts = |net: &str, port, seconds| {
            let span = Duration::from_secs(seconds);
            lasting(&bans, net.parse().unwrap(), port, now(), span).is_some()
        };
        for (net, port, seconds, expected) in [
            ("203.0.113.7/32", None, 3600, true),
            ("203.0.113.7/32", Some(22), 10, true),
            ("203.0.113.7/32", None, 3601, false),
            ("203.0.113.8/32", None, 10, false),
            ("203.0.113.9/32", None, 10, false),
            ("203.0.113.9/32", Some(22), 10, true),
            ("192.0.2.77/32", None, 60, true),
            ("203.0.113.0/24", None, 10, false),
        ] {
            assert_eq!(lasts(net, port, seconds), expected, "{net} {port:?} {seconds}");
        }
        let given =
            |who, port, reason| bans.iter().filter(|row| is_given(row, who, port, reason)).count();
        let net = |text: &str| Who::Net(text.parse().unwrap());
        assert_eq!(given(Who::All, None, "rate"), 3);
        assert_eq!(given(Who::All, Some(22), "rate"), 1);
        assert_eq!(given(net("192.0.2.0/24"), None, "fail2ban: sshd"), 1);
        assert_eq!(given(net("203.0.113.7/32"), None, "fail2ban: sshd"), 0);
    }

    #[test]
    fn the_list() {
        let now = now();
        let rate = row("203.0.113.7/32", Standing::Banned, 200, 2, "rate", "gate");
        let rows = [
            BanRow { port: Some(22), ..rate.clone() },
            rate,
            row("2001:db8:1:2::/64", Standing::Suspect, 3600, 1, "ports", "gate"),
            row(
                "192.0.2.0/24",
                Standing::Banned,
                -5,
                0,
                "they know why, and that's enough",
                "admin",
            ),
            row("192.0.2.9/32", Standing::Banned, 86_400 * 8, 0, "", "admin"),
        ];
        assert_eq!(
            screen(&rows, now),
            "\
SOURCE             STANDING    LEFT    OFFENCES  STOPPED  WHY
203.0.113.7        banned: 22  3m 20s         2    1,204  rate (login)
203.0.113.7        banned      3m 20s         2    1,204  rate (login)
2001:db8:1:2::/64  suspect     1h             1    1,204  ports (login)
192.0.2.0/24       banned      0s             -    1,204  by admin: they know w…
192.0.2.9          banned      8d             -    1,204  by admin

4 banned, 1 suspect. STOPPED: packets that the kernel has dropped since.
A port behind \"banned\": only there.
"
        );
        assert_eq!(screen(&[], now), "Nobody is suspect or banned.\n");
    }
}
