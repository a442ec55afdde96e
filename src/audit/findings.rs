//! The doors of this host against the port policy.

use serde::Serialize;

use super::doors::{Answer, Door, Listener, Reach};
use super::services::{Service, service};
use crate::policy::{PortSet, Ports};

#[cfg(test)]
mod tests;

/// What kind of thing was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FindingKind {
    /// A program listens on a port of `[ports] suspicious`.
    Suspicious,
    /// Another service answers than the port is known for.
    Mismatch,
    /// A service for insiders is open to everybody.
    Exposed,
    /// Somebody listens, but the policy does not serve the port.
    Unserved,
    /// A port is handed on, but the policy does not serve it.
    UnservedPublished,
    /// No service is known at this port, and nobody named it.
    UnknownService,
    /// The program does not accept connections.
    Stuck,
    /// The policy serves the port, but nobody listens.
    Unheard,
    /// The service did not say what it is.
    Silent,
}

impl FindingKind {
    /// Why it matters, in a sentence or two.
    pub fn why(self) -> &'static str {
        match self {
            FindingKind::Suspicious => {
                "Backdoors and bots like this port; nobody honest expects a service there."
            }
            FindingKind::Mismatch => {
                "The rates and rules for this port are made for another service; and whoever hides \
                 a service chooses the port of a harmless one."
            }
            FindingKind::Exposed => {
                "It is made for programs of one house. Strangers who reach it can guess its \
                 passwords or use faults that are known."
            }
            FindingKind::Unserved => {
                "The gate refuses everybody who asks for it: a service is cut off, or a program \
                 listens that should not."
            }
            FindingKind::UnservedPublished => {
                "The gate judges callers before they are handed on, and refuses them: what stands \
                 behind the port cannot be reached."
            }
            FindingKind::UnknownService => {
                "It is served only because somebody listens there: perhaps nobody meant it to be \
                 reachable."
            }
            FindingKind::Stuck => "Callers wait or are turned away, though the gate lets them in.",
            FindingKind::Unheard => {
                "Whoever tries it is not taken for a scanner, and a program that opens it later can \
                 be reached at once."
            }
            FindingKind::Silent => "What the gate guards there could not be checked.",
        }
    }
}

/// Something that an admin should know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Its kind.
    pub kind: FindingKind,
    /// Something is off. If not, it is only good to know.
    pub off: bool,
    /// The port, or ports as a policy writes them.
    pub ports: String,
    /// What was found, in a sentence.
    pub what: String,
    /// Why it matters.
    pub why: &'static str,
    /// What to do, with the command or the setting.
    #[serde(rename = "do")]
    pub todo: String,
}

/// Holds the doors against the policy: what is off first, then by port. `served` and `closing` of
/// the policy are not looked at: who listens is seen from the doors.
pub fn judge(doors: &[Door], ports: &Ports) -> Vec<Finding> {
    let mut ports = ports.clone();
    let reachable = |door: &&Door| !door.listeners.is_empty() && door.reach() != Reach::Loopback;
    let listening: PortSet = doors.iter().filter(reachable).map(|door| door.port).collect();
    ports.serve(&listening, &PortSet::default());
    // Whoever follows one piece of advice must not undo another: each names all ports.
    let mut unnamed = PortSet::default();
    for door in doors {
        look(door, &Named { ports: &ports, unnamed: &PortSet::default() }, &mut |kind, _, _, _| {
            if asks_for_name(kind) {
                unnamed.insert(door.port);
            }
        });
    }
    let named = Named { ports: &ports, unnamed: &unnamed };
    let mut found: Vec<(bool, u16, Finding)> = Vec::new();
    for door in doors {
        let mut note = |kind: FindingKind, off: bool, what: String, todo: String| {
            let ports = door.port.to_string();
            found.push((
                !off,
                door.port,
                Finding { kind, off, ports, what, why: kind.why(), todo },
            ));
        };
        look(door, &named, &mut note);
    }
    for (first, unheard) in unheard(doors, &ports) {
        found.push((!unheard.off, first, unheard));
    }
    found.sort_by_key(|(fine, port, finding)| (*fine, *port, finding.kind));
    found.into_iter().map(|(_, _, finding)| finding).collect()
}

/// Is the advice to name the port in the policy?
fn asks_for_name(kind: FindingKind) -> bool {
    use FindingKind::{UnknownService, Unserved, UnservedPublished};
    matches!(kind, Unserved | UnservedPublished | UnknownService)
}

/// The port policy, and the ports that it should perhaps name and does not.
struct Named<'a> {
    ports: &'a Ports,
    unnamed: &'a PortSet,
}

/// Everything about one door.
fn look(door: &Door, named: &Named<'_>, note: &mut impl FnMut(FindingKind, bool, String, String)) {
    let ports = named.ports;
    let port = door.port;
    let reach = door.reach();
    let served = ports.serves(port, false);
    let suspicious = ports.suspicious.contains(port) && !door.listeners.is_empty();
    if suspicious {
        note(
            FindingKind::Suspicious,
            reach != Reach::Loopback,
            format!("{} listens on port {port}, which the policy calls suspicious", who(door)),
            format!(
                "look at the program: {}. If it is yours, take {port} out of [ports] suspicious",
                look_at(door)
            ),
        );
    }
    if let Some(stuck) = door.listeners.iter().find(|listener| is_full(listener)) {
        note(
            FindingKind::Stuck,
            true,
            format!(
                "{} does not take its callers on port {port}: {} wait, and there is room for {}",
                who(door),
                stuck.waiting,
                stuck.room
            ),
            format!("look at its log, or restart it: {}", look_at(door)),
        );
    } else if door.answer == Some(Answer::Shut) && !door.listeners.is_empty() {
        note(
            FindingKind::Stuck,
            true,
            format!("{} listens on port {port}, but no connection could be made", who(door)),
            format!("look at its log, or restart it: {}", look_at(door)),
        );
    }
    // What is suspicious is not to be served, and nobody shall be told how.
    if reach == Reach::Loopback || suspicious {
        return answered(door, note);
    }
    let open = named.with(port);
    if !served && door.published.is_empty() {
        note(
            FindingKind::Unserved,
            true,
            format!("{} listens on port {port}, but the policy does not serve it", who(door)),
            format!(
                "if it is meant: {open}, then: portcullis reload. If not, stop it: {}",
                look_at(door)
            ),
        );
    } else if !served {
        note(
            FindingKind::UnservedPublished,
            true,
            format!(
                "port {port} is handed on to {}, but the policy does not serve it",
                door.published.join(" and ")
            ),
            format!("{open}, then: portcullis reload"),
        );
    } else {
        exposed(door, &reach, named, note);
    }
    answered(door, note);
}

/// Served to everybody, and perhaps it should not be.
fn exposed(
    door: &Door,
    reach: &Reach,
    named: &Named<'_>,
    note: &mut impl FnMut(FindingKind, bool, String, String),
) {
    let (port, ports) = (door.port, named.ports);
    let chosen = ports.only_from.iter().any(|(only, _)| only.contains(port));
    let known = service(port);
    let spoken = door.banner().map(|banner| banner.protocol);
    if chosen || matches!(reach, Reach::Private(_)) {
        return;
    }
    let inner = known.filter(|known| known.inner).map(|known| known.name.to_owned());
    let inner =
        inner.or_else(|| spoken.filter(|said| said.is_inner()).map(|said| said.to_string()));
    if let Some(name) = inner {
        let wherever = match reach {
            Reach::All => "on all addresses".to_owned(),
            other => format!("on {other}"),
        };
        note(
            FindingKind::Exposed,
            true,
            format!(
                "{} listens {wherever}, and port {port} ({name}) is open to everybody",
                who(door)
            ),
            format!(
                "bind it to 127.0.0.1 in its own settings, or choose who may come: \
                 [ports.only_from] {port} = [\"192.0.2.0/24\"], then: portcullis reload"
            ),
        );
    } else if known.is_none() && !ports.open.contains(port) && door.published.is_empty() {
        let what = match spoken {
            Some(said) => format!("{said} answers on port {port}, at which no service is known"),
            None => format!("{} listens on port {port}, at which no service is known", who(door)),
        };
        note(
            FindingKind::UnknownService,
            spoken.is_none(),
            what,
            format!(
                "if it is meant, name it: {}. If not, stop it or bind it to 127.0.0.1: {}",
                named.with(port),
                look_at(door)
            ),
        );
    }
}

/// What it answered, against what the port is known for.
fn answered(door: &Door, note: &mut impl FnMut(FindingKind, bool, String, String)) {
    let port = door.port;
    let Some(Service { name, speaks: Some(expected), .. }) = service(port) else { return };
    match &door.answer {
        Some(Answer::Speaks(banner)) if banner.protocol != *expected => {
            let detail = if banner.detail.is_empty() {
                String::new()
            } else {
                format!(" ({})", banner.detail)
            };
            note(
                FindingKind::Mismatch,
                true,
                format!(
                    "port {port} is known for {name}, but {}{detail} answers there",
                    banner.protocol
                ),
                format!("make sure that it is meant: {}", look_at(door)),
            );
        }
        Some(Answer::Unknown) => note(
            FindingKind::Silent,
            false,
            format!("port {port} is known for {name}, but did not answer as {expected} does"),
            format!("see for yourself what answers: {}", look_at(door)),
        ),
        _ => {}
    }
}

/// The ports that the policy names and at which nobody listens, with the first of each.
///
/// A single port that is named in a policy without `listening` should have its program. Ranges, and
/// ports beside the word `listening`, are meant for programs that come and go.
fn unheard(doors: &[Door], ports: &Ports) -> Vec<(u16, Finding)> {
    let mut empty = ports.open.clone();
    empty.subtract(&doors.iter().map(|door| door.port).collect());
    let alone = |range: &std::ops::RangeInclusive<u16>| range.start() == range.end();
    let named: PortSet = ports.open.ranges().into_iter().filter(alone).flatten().collect();
    let finding = |range: std::ops::RangeInclusive<u16>| {
        let single = alone(&range);
        let off = single && !ports.listening && named.contains(*range.start());
        let text: PortSet = range.clone().collect();
        let (verb, there) = if single { ("port", "is") } else { ("ports", "are") };
        let finding = Finding {
            kind: FindingKind::Unheard,
            off,
            what: format!("{verb} {text} {there} served by the policy, but nobody listens there"),
            why: FindingKind::Unheard.why(),
            todo: format!(
                "start the service, or take {text} out of [ports] open, then: portcullis reload"
            ),
            ports: text.to_string(),
        };
        (*range.start(), finding)
    };
    empty.ranges().into_iter().map(finding).collect()
}

fn is_full(listener: &Listener) -> bool {
    listener.room > 0 && listener.waiting > listener.room
}

/// `nginx (pid 900)`, or who it may be.
fn who(door: &Door) -> String {
    match door.program() {
        Some(program) => format!("{} (pid {})", program.name, program.pid),
        None => "a program".to_owned(),
    }
}

/// The command that shows more.
fn look_at(door: &Door) -> String {
    match door.program() {
        Some(program) => format!("ps -fp {}", program.pid),
        None => format!("sudo ss -tlnp sport = :{}", door.port),
    }
}

impl Named<'_> {
    /// The setting that names one port more, and those of the other findings.
    fn with(&self, port: u16) -> String {
        let Self { ports, unnamed } = self;
        let mut others = (*unnamed).clone();
        others.subtract(&[port].into_iter().collect());
        let mut named = ports.open.clone();
        let single = others.ranges().into_iter().flatten();
        [port].into_iter().chain(single).for_each(|port| named.insert(port));
        let word = if ports.listening { "listening, " } else { "" };
        let also = match others.is_empty() {
            true => String::new(),
            false => format!(" (with {others}, which this audit names too)"),
        };
        format!("[ports] open = \"{word}{named}\"{also}")
    }
}
