//! `portcullis audit`: this host's doors against the port policy.

mod knock;
mod screen;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;

use serde::Serialize;

use super::asked::{self, complain};
use super::given::{self, Given};
use crate::audit::{Answer, Door, Finding, Listener, doors, judge, service};
use crate::firewall::{PublishedPorts, published_ports};
use crate::host::{self, TcpState};
use crate::policy::{PortSet, Ports};

/// Something is off.
const OFF: u8 = 1;
/// EX_USAGE of sysexits: an address that is not ours.
const USAGE: u8 = 64;
/// EX_OSERR of sysexits: the kernel does not tell.
const OS_ERROR: u8 = 71;

/// Listening programs and published ports against the port policy
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Exit code: 0 if all is well, 1 if something is off; others (sysexits) if \
                        the audit itself failed.")]
pub struct Args {
    /// Knock at each door and name the service that answers; only at addresses of this host, by
    /// default where each program listens
    #[arg(long, value_name = "ADDRESS", num_args = 0.., value_delimiter = ',')]
    probe: Option<Vec<IpAddr>>,
    /// The policy [default: the installed one, or the built-in one]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

/// Looks, knocks if that is asked for, and says what is off.
pub fn run(args: &Args) -> ExitCode {
    match look(args) {
        Ok(audit) => {
            let off = audit.findings.iter().any(|finding| finding.off);
            let code = asked::show(&audit, args.json, screen::screen);
            if off && code == ExitCode::SUCCESS { OFF.into() } else { code }
        }
        Err(code) => code.into(),
    }
}

fn look(args: &Args) -> Result<Audit, u8> {
    let Given { config, from, .. } = given::policy(args.config.as_deref())?;
    let foreign = |foreign: knock::Foreign| {
        complain(&foreign.to_string());
        USAGE
    };
    if let Some(addresses) = &args.probe {
        knock::own_only(addresses).map_err(foreign)?;
    }
    let (listeners, hidden) = listeners()?;
    let PublishedPorts { found, unseen } = published_ports();
    let published = found.into_iter().map(|published| (published.ports, published.to));
    let mut doors = doors(listeners, published);
    if let Some(addresses) = &args.probe {
        probe(&mut doors, addresses).map_err(foreign)?;
    }
    let mut not_seen = Vec::new();
    if let Some(why) = unseen {
        let root = rustix::process::geteuid().is_root();
        let why = if root { why } else { "nft and iptables answer root only".to_owned() };
        not_seen.push(format!("published ports ({why})"));
    }
    if hidden > 0 {
        not_seen.push(format!(
            "the programs of {hidden} listening sockets (other users' programs are shown to root only)"
        ));
    }
    Ok(Audit::new(&doors, &config.policy.ports, from, not_seen))
}

/// The listening sockets, and of how many the program is not known.
fn listeners() -> Result<(Vec<Listener>, usize), u8> {
    let sockets = host::tcp_sockets(TcpState::Listen.into()).map_err(|error| {
        complain(&format!(
            "the kernel does not list its sockets: {error}\n\
             it needs the module tcp_diag: sudo modprobe tcp_diag"
        ));
        OS_ERROR
    })?;
    let programs = host::programs(&sockets.iter().map(|socket| socket.inode).collect());
    let listeners: Vec<Listener> = sockets
        .iter()
        .map(|socket| Listener {
            at: socket.local,
            program: programs.get(&socket.inode).cloned(),
            waiting: socket.unread,
            room: socket.unsent,
        })
        .collect();
    let hidden = listeners.iter().filter(|listener| listener.program.is_none()).count();
    Ok((listeners, hidden))
}

/// Knocks at each door once: at the address where somebody listens, or at the given ones.
fn probe(doors: &mut [Door], addresses: &[IpAddr]) -> Result<(), knock::Foreign> {
    let own: Vec<IpAddr> =
        host::own_addresses().into_iter().filter(|at| !at.is_loopback()).collect();
    let mut places = Vec::new();
    for (index, door) in doors.iter().enumerate() {
        let expected = service(door.port).and_then(|known| known.speaks);
        let listening: Vec<IpAddr> =
            door.listeners.iter().map(|l| l.at.ip().to_canonical()).collect();
        let at = if addresses.is_empty() {
            let first = listening.first().map(|at| match at {
                IpAddr::V4(v4) if v4.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
                IpAddr::V6(v6) if v6.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
                at => *at,
            });
            // What is only handed on does not answer on loopback.
            vec![first.or_else(|| own.first().copied()).unwrap_or(Ipv4Addr::LOCALHOST.into())]
        } else {
            let covers = |at: &&IpAddr| {
                let everywhere =
                    |own: &IpAddr| own.is_unspecified() && (own.is_ipv6() || at.is_ipv4());
                listening.iter().any(|own| own == *at || everywhere(own))
                    || !door.published.is_empty()
            };
            addresses.iter().filter(covers).copied().collect()
        };
        places.extend(at.into_iter().map(|at| (index, (SocketAddr::new(at, door.port), expected))));
    }
    let asked: Vec<_> = places.iter().map(|(_, place)| *place).collect();
    for ((index, _), answer) in places.iter().zip(knock::knock(&asked)?) {
        // One address that tells is enough.
        let known = matches!(doors[*index].answer, Some(Answer::Speaks(_)));
        if !known {
            doors[*index].answer = Some(answer);
        }
    }
    Ok(())
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Audit {
    /// Where the policy comes from.
    policy: String,
    doors: Vec<DoorRow>,
    findings: Vec<Finding>,
    /// What this user could not see.
    not_seen: Vec<String>,
}

/// One port.
#[derive(Debug, Serialize)]
struct DoorRow {
    port: u16,
    /// `all`, `loopback`, or addresses.
    reach: String,
    /// Does the policy serve it? `some` is served to chosen sources only.
    served: &'static str,
    program: Option<host::Program>,
    published: Vec<String>,
    /// The service that the port is known for.
    service: Option<&'static str>,
    /// The service that answered; null if nobody knocked.
    found: Option<String>,
}

impl Audit {
    fn new(doors: &[Door], ports: &Ports, policy: String, not_seen: Vec<String>) -> Self {
        let outer = |door: &&Door| !door.listeners.is_empty() && door.reach().is_outer();
        let mut now = ports.clone();
        let listening: PortSet = doors.iter().filter(outer).map(|door| door.port).collect();
        now.serve(&listening, &PortSet::default());
        let row = |door: &Door| DoorRow {
            port: door.port,
            reach: door.reach().to_string(),
            served: match now.serves(door.port, false) {
                _ if !door.reach().is_outer() => "-",
                true if now.only_from.iter().any(|(only, _)| only.contains(door.port)) => "some",
                true => "yes",
                false => "no",
            },
            program: door.program().cloned(),
            published: door.published.clone(),
            service: service(door.port).map(|known| known.name),
            found: door.answer.as_ref().map(|answer| match answer {
                Answer::Speaks(banner) => {
                    format!("{} {}", banner.protocol, banner.detail).trim_end().to_owned()
                }
                Answer::Unknown => "?".to_owned(),
                Answer::Shut => "shut".to_owned(),
            }),
        };
        let rows = doors.iter().map(row).collect();
        Self { policy, doors: rows, findings: judge(doors, ports), not_seen }
    }
}
