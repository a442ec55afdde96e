//! Who is spared because of an SSH session: looked up, and told to the judge and the ledger.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::sessions::{Rule, Session, Sessions};
use super::shared::Rules;
use super::{Daemon, State};
use crate::config::Config;
use crate::control::SparedRow;
use crate::firewall::{Entry, Order, Orders};
use crate::host::{self, Sshd};
use crate::memory::Moment;
use crate::policy::Lifelines;

/// How long the ledger may take to say who has a standing.
const PATIENCE: Duration = Duration::from_secs(2);

/// The sessions, and where they are looked for.
#[derive(Debug, Default)]
pub(super) struct Lifeline {
    sshd: Sshd,
    sessions: Sessions,
}

impl Lifeline {
    /// At the start of the daemon.
    pub(super) fn begin(config: &Config, now: Moment) -> Self {
        let sshd = ports(config);
        let sessions = Sessions::begin(&host::ssh_sessions(&sshd.ports), now);
        Self { sshd, sessions }
    }

    /// Whoever has a standing keeps it, and is not spared, though a session of his is open. Returns
    /// who that is. If the ledger does not answer in time, everybody is spared: better than to shut
    /// out an admin.
    pub(super) fn leave_out_standings(&mut self, orders: &Orders) -> BTreeSet<IpAddr> {
        let peers = self.peers().into_iter().collect();
        let Some(clean) = without_standing(orders, &self.sshd.ports, &peers) else {
            return BTreeSet::new();
        };
        self.sessions.only(&clean);
        &peers - &clean
    }

    /// Whom the judge is to let through at SSH's port.
    pub(super) fn lifelines(&self) -> Arc<Lifelines> {
        Arc::new(Lifelines::new(self.sessions.spared().map(|(session, _)| session)))
    }

    /// Whom nobody may ban.
    pub(super) fn peers(&self) -> Vec<IpAddr> {
        self.sessions.spared().map(|((_, peer), _)| peer.ip()).collect()
    }

    /// SSH's ports, as far as they are known.
    pub(super) fn ports(&self) -> &BTreeSet<u16> {
        &self.sshd.ports
    }

    fn rule(&self, config: &Config) -> Rule {
        Rule { login: self.sshd.login_grace, grace: config.lifeline.grace }
    }

    fn look(&mut self, open: &[(SocketAddr, SocketAddr)], config: &Config, now: Moment) {
        self.sessions.note(open, self.rule(config), now);
    }
}

/// SSH's ports, by the policy and by sshd's own configuration.
fn ports(config: &Config) -> Sshd {
    let mut sshd = host::sshd();
    sshd.ports.extend(config.lifeline.ports.iter());
    sshd
}

/// Those who are banned neither altogether nor at SSH's ports, and no suspects. `None` if the ledger
/// does not answer in time.
fn without_standing(
    orders: &Orders,
    ports: &BTreeSet<u16>,
    peers: &BTreeSet<IpAddr>,
) -> Option<BTreeSet<IpAddr>> {
    let places: Vec<Option<u16>> =
        [None].into_iter().chain(ports.iter().copied().map(Some)).collect();
    let asked: Vec<(IpAddr, Option<u16>)> =
        peers.iter().flat_map(|peer| places.iter().map(move |port| (*peer, *port))).collect();
    let order = |reply| Order::GetMany { peers: asked, reply };
    let entries = orders.ask_within(PATIENCE, order).ok().flatten()?;
    let now = SystemTime::now();
    let live = |entry: &Option<Entry>| entry.as_ref().is_some_and(|entry| entry.is_live(now));
    let of_each = peers.iter().zip(entries.chunks(places.len()));
    let clean = of_each.filter(|(_, entries)| !entries.iter().any(live));
    Some(clean.map(|(peer, _)| *peer).collect())
}

impl Daemon {
    /// Sees which sessions have come and gone.
    pub(super) fn look_at_sessions(&self, state: &mut State) {
        let config = Arc::clone(&state.config);
        let open = host::ssh_sessions(state.lifeline.ports());
        state.lifeline.look(&open, &config, self.shared.now());
        let lifelines = state.lifeline.lifelines();
        if lifelines != state.config.policy.lifelines {
            let mut config = Config::clone(&state.config);
            config.policy.lifelines = lifelines;
            self.shared.rules.store(Arc::new(Rules::new(&config)));
            state.config = Arc::new(config);
            self.look_at_addresses(state);
        }
    }

    /// Networks come and go: the addresses that must never be locked out are looked up again.
    pub(super) fn look_at_addresses(&self, state: &mut State) {
        let found = host::indispensable(&state.lifeline.peers());
        if found == state.indispensable {
            return;
        }
        // If too many orders wait, the list stays different and the next minute tries again.
        if self.orders.tell(Order::Protect { nets: found.clone() }) {
            state.indispensable = found;
        }
    }

    /// A policy is about to replace another: those who are logged in are to get in again.
    /// `open` are all connections, and `typed_in` is the session of whoever wants that, if it is one.
    pub(super) fn spare(
        &self,
        state: &mut State,
        new: &Config,
        open: &[(SocketAddr, SocketAddr)],
        typed_in: Option<Session>,
    ) {
        let now = self.shared.now();
        state.lifeline.sshd = ports(new);
        // Whatever port that is at, the admin knows that it is SSH's.
        state.lifeline.sshd.ports.extend(typed_in.map(|(own, _)| own.port()));
        let ports = state.lifeline.ports();
        let at_ssh = open.iter().filter(|(own, _)| ports.contains(&own.port()));
        let at_ssh: Vec<_> = at_ssh.copied().collect();
        state.lifeline.look(&at_ssh, new, now);
        let rule = state.lifeline.rule(new);
        let grown = state.lifeline.sessions.grown(rule);
        let clean = without_standing(&self.orders, state.lifeline.ports(), &grown);
        let clean = clean.unwrap_or_default();
        state.lifeline.sessions.spare(&clean, typed_in, rule);
        state.indispensable = host::indispensable(&state.lifeline.peers());
    }

    /// Who is spared now, for people.
    pub(super) fn spared_rows(&self, state: &State) -> Vec<SparedRow> {
        let mut rows: Vec<SparedRow> = Vec::new();
        for ((own, peer), open) in state.lifeline.sessions.spared() {
            let (address, port) = (peer.ip(), own.port());
            match rows.iter_mut().find(|row| row.address == address && row.port == port) {
                Some(row) => row.open |= open,
                None => rows.push(SparedRow { address, port, open }),
            }
        }
        rows
    }
}
