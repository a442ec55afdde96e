//! `[rate]` and its service classes.

use super::intern;
use crate::config::section::Section;
use crate::config::source::Place;
use crate::config::units::Mistake;
use crate::policy::{Class, PortSet, Rate, Rates, Scope};

/// A network has the rate of so many sources, if it has one and none is written.
const SOURCES: u32 = 10;

/// The burst of `total` when nothing is written.
const TOTAL_BURST: u32 = 10_000;

pub(super) fn rates(table: &mut Section<'_, '_>) -> Rates {
    let default = Rates::default();
    let burst = |rate: Option<Rate>, otherwise| rate.map_or(otherwise, |rate| rate.burst);
    let source = burst(default.source, 1);
    let network = burst(default.network, 1);
    let total = burst(default.total, TOTAL_BURST);
    let (classes, other) =
        table.table("class", |table| classes(table, default.classes, default.other));
    Rates {
        source: table.rate("source", default.source, Some(("source_burst", source))),
        network: table.rate("network", default.network, Some(("network_burst", network))),
        network_v4: table.number("network_v4", default.network_v4, 8..=32),
        network_v6: table.number("network_v6", default.network_v6, 16..=64),
        total: table.rate("total", default.total, Some(("total_burst", total))),
        classes,
        other,
    }
}

/// A class, and where its ports are written, if they are written and not the default.
type Placed = (Class, Option<Place>);

fn classes(table: &mut Section<'_, '_>, defaults: Vec<Class>, other: Class) -> (Vec<Class>, Class) {
    let mut classes: Vec<Placed> = Vec::new();
    for default in defaults {
        classes.push(table.table(default.name, |table| class(table, default)));
    }
    let other = table.table(other.name, |table| {
        let help = "leave it out: `other` is every port that no class names";
        table.forbid("ports", Mistake::new("the class `other` has no ports of its own").help(help));
        limits(table, other)
    });
    for (name, place) in table.names() {
        let own = own_class(table, &name, &place);
        if classes.len() < Rates::CLASSES {
            classes.push(own);
        } else {
            let most = Rates::CLASSES;
            let message = format!("`{name}` is one class too many: there can be {most}");
            let help = "each class costs memory in every source; put ports of one kind together";
            table.findings.error(&place, Mistake::new(message).help(help));
        }
    }
    (apart(table, classes), other)
}

/// A class that the admin made up: everything but its ports may be left out.
fn own_class(table: &mut Section<'_, '_>, name: &str, place: &Place) -> Placed {
    let fine = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
    if name.is_empty() || name.len() > 24 || !name.bytes().all(fine) {
        let message = format!("\"{}\" cannot be the name of a class", name.escape_debug());
        let help = "use up to 24 of a-z, 0-9, - and _: the name stands in log lines";
        table.findings.error(place, Mistake::new(message).help(help));
    }
    let (written, placed) = table.table(name, |table| {
        let default = Class {
            name: intern(name),
            network_name: intern(&format!("{name}, network")),
            ports: PortSet::default(),
            ..Rates::default().other
        };
        (table.place("ports").is_some() && table.place("rate").is_some(), class(table, default))
    });
    if !written {
        let message = format!("the class `{name}` needs ports and a rate");
        let help = "for example: ports = \"25\" and rate = \"30/m\"";
        table.findings.error(place, Mistake::new(message).help(help));
    }
    placed
}

fn class(table: &mut Section<'_, '_>, default: Class) -> Placed {
    let ports = table.ports("ports", default.ports.clone());
    // The shipped file writes the defaults out, and has to mean the same as an empty one.
    let place = table.place("ports").filter(|_| ports != default.ports);
    (Class { ports, ..limits(table, default) }, place)
}

fn limits(table: &mut Section<'_, '_>, default: Class) -> Class {
    let burst = default.rate.map_or(1, |rate| rate.burst);
    let rate = table.rate("rate", default.rate, Some(("burst", burst)));
    // A network's rate follows the source's unless it is written: whoever raises that one is not
    // to meet another limit at once.
    let tenfold = rate.map(|rate| Rate {
        count: rate.count.saturating_mul(SOURCES),
        burst: rate.burst.saturating_mul(SOURCES),
        ..rate
    });
    let burst = tenfold.or(default.network).map_or(SOURCES * burst, |rate| rate.burst);
    let default_network = default.network.and(tenfold);
    let network = table.rate("network", default_network, Some(("network_burst", burst)));
    let scopes = [("all", Scope::All), ("port", Scope::Port)];
    let class = Class {
        rate,
        network,
        offends: table.boolean("offends", default.offends),
        ban: table.word("ban", default.ban, &scopes),
        ..default
    };
    if !class.offends && class.ban == Scope::Port {
        let help = "write offends = true, or leave `ban` out";
        let mistake = Mistake::new("`ban` has no effect where going over the rate is no offence");
        table.warn(&["ban"], mistake.help(help));
    }
    class
}

/// Sees to it that no port is in two classes. A class whose ports were chosen takes them from
/// the default ports of another; chosen twice is a mistake.
fn apart(table: &mut Section<'_, '_>, mut classes: Vec<Placed>) -> Vec<Class> {
    for i in 0..classes.len() {
        for j in 0..i {
            let Ok([(first, first_place), (second, second_place)]) =
                classes.get_disjoint_mut([j, i])
            else {
                continue;
            };
            let shared: PortSet = (1..=u16::MAX)
                .filter(|p| first.ports.contains(*p) && second.ports.contains(*p))
                .collect();
            if shared.is_empty() {
                continue;
            }
            let without = |ports: &PortSet| -> PortSet {
                (1..=u16::MAX).filter(|p| ports.contains(*p) && !shared.contains(*p)).collect()
            };
            match (first_place, second_place) {
                (_, None) => second.ports = without(&second.ports),
                (None, Some(_)) => first.ports = without(&first.ports),
                (Some(_), Some(place)) => {
                    let message = format!(
                        "port {shared} is in the classes `{}` and `{}`",
                        first.name, second.name
                    );
                    let help = "a port can be in one class only";
                    table.findings.error(place, Mistake::new(message).help(help));
                }
            }
        }
    }
    classes.into_iter().map(|(class, _)| class).collect()
}
