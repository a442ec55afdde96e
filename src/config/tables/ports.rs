//! `[ports]`: what is served, and to whom.

use std::time::Duration;

use ipnet::IpNet;

use crate::config::section::Section;
use crate::config::units::{self, Mistake, OpenPorts};
use crate::policy::{PortSet, Ports, PrefixSet};

pub(super) fn ports(table: &mut Section<'_, '_>, protect: &[IpNet]) -> Ports {
    let default = Ports::default();
    let open = table.port_items("open", here(&default), units::open_ports);
    if open == OpenPorts::default() {
        let message = "no port is open: every connection will be refused";
        let help = "write open = \"listening\", or the ports you serve";
        table.warn(&["open"], Mistake::new(message).help(help));
    }
    let any = OpenPorts { any: true, ..OpenPorts::default() };
    let behind = table.port_items("open_behind", any, units::open_ports);
    if behind.listening {
        let message = "open_behind cannot say \"listening\": what hosts behind this one listen \
                       to cannot be seen from here";
        let help = "write their ports, or \"any\"";
        table.error(&["open_behind"], Mistake::new(message).help(help));
    }
    let grace = Duration::ZERO..=Duration::from_secs(3600);
    let closed_grace = table.duration("closed_grace", default.closed_grace, grace);
    let suspicious = table.ports("suspicious", default.suspicious);
    warn_of_contradictions(table, &open.named, &suspicious);
    let only_from = table.table("only_from", only_from);
    Ports {
        served: open.named.clone(),
        open: open.named,
        listening: open.listening,
        any: open.any,
        closing: PortSet::default(),
        closed_grace,
        suspicious,
        only_from,
        protect: PrefixSet::new(protect.iter().map(|net| (*net, 0)).collect()),
        open_behind: (!behind.any).then_some(behind.named),
    }
}

/// What `open` is when it is not written.
fn here(default: &Ports) -> OpenPorts {
    OpenPorts { named: default.open.clone(), listening: default.listening, any: default.any }
}

fn warn_of_contradictions(table: &mut Section<'_, '_>, open: &PortSet, suspicious: &PortSet) {
    let both: PortSet =
        (1..=u16::MAX).filter(|p| open.contains(*p) && suspicious.contains(*p)).collect();
    if !both.is_empty() {
        let message =
            format!("open and suspicious both name {both}; what is open is not suspicious");
        let help = "take it out of one of the two";
        table.warn(&["suspicious", "open"], Mistake::new(message).help(help));
    }
}

/// `[ports.only_from]`: its keys are ports.
fn only_from(table: &mut Section<'_, '_>) -> Vec<(PortSet, PrefixSet)> {
    let mut rules: Vec<(PortSet, PrefixSet)> = Vec::new();
    for (key, place) in table.names() {
        let mut ports = PortSet::default();
        for mistake in units::ports(&key, &mut ports) {
            let whole = Mistake { part: None, ..mistake };
            table.findings.error(&place, whole);
        }
        let twice: PortSet = (1..=u16::MAX)
            .filter(|p| ports.contains(*p) && rules.iter().any(|(other, _)| other.contains(*p)))
            .collect();
        if !twice.is_empty() {
            let message = format!("port {twice} stands in another line of this table too");
            let help = "write each port once, with all its sources in one list";
            table.findings.error(&place, Mistake::new(message).help(help));
        }
        let nets = table.nets(&key).into_iter().map(|(net, _)| (net, 0)).collect();
        rules.push((ports, PrefixSet::new(nets)));
    }
    rules
}
