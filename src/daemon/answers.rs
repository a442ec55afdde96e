//! What the daemon answers to the command line.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, SystemTime};

use ipnet::IpNet;
use jiff::Timestamp;

use super::advice::{Case, advice, is_wide, why};
use super::reload::Wish;
use super::{Daemon, lock};
use crate::anomaly::{self, Detector};
use crate::config::{Config, FailMode, Mode};
use crate::control::{
    AnomalyFacts, BanRow, CheckRow, Done, ExplainReport, FillingFacts, FindingWord, FirewallFacts,
    FloodFacts, HabitFacts, Latency, MOST_PEERS, MemoryFacts, PeerRow, QueueRow, Refusal, Reply,
    Request, Response, SourceFacts, StandingCounts, StatusReport, Trouble,
};
use crate::firewall::{By, Gone, Order, Spared, Told, Whom, as_counted, aside_since};
use crate::memory::{FloodKind, Moment, Source, SourceKey};
use crate::packet::Syn;
use crate::policy::{Anomaly, Evidence, Finding, Policy, Reaction, Row, Ruling, Standing, explain};

impl Daemon {
    /// Answers one request. Called from the threads of the control socket.
    pub(super) fn answer(&self, request: Request) -> Reply {
        let answer = match request {
            Request::Capture(wish) => return self.capture(&wish),
            Request::Status => self.status().map(|report| Response::Status(Box::new(report))),
            Request::Bans => match self.list() {
                Ok(told) => return Reply::Long(Box::new(move |out| write_bans(&told, out))),
                Err(refusal) => Err(refusal),
            },
            Request::BansAdd { net, port, standing, lasts, reason } => {
                self.add(Whom { net, port }, standing, lasts, reason).map(Response::Done)
            }
            Request::BansRemove { net, port } => self.remove(net, port).map(Response::Done),
            Request::Explain { address, port } => {
                self.explain(address, port).map(|report| Response::Explain(Box::new(report)))
            }
            Request::Standings { addresses } => self.standings(addresses).map(Response::Standings),
            Request::Busiest { most } => Ok(Response::Busiest(self.busiest(most))),
            Request::Reload { confirm, session } => {
                let wish = Wish { confirm, typed_in: session, vouched: false };
                self.reload(wish).map(Response::Done)
            }
            Request::Confirm { undo: false } => self.confirm().map(Response::Done),
            Request::Confirm { undo: true } => self.undo().map(Response::Done),
            Request::Trial => Ok(Response::Trial(self.trial_facts())),
        };
        answer.unwrap_or_else(Response::Error).into()
    }

    fn status(&self) -> Result<StatusReport, Refusal> {
        // The admin asks because something hangs: the rest is told without the firewall then.
        let counters = self.orders.ask_within(STATUS_PATIENCE, |reply| Order::Counters { reply });
        let counters = counters.map_err(gone)?;
        let busy = counters.is_none();
        let firewall = counters.unwrap_or_default();
        let counters = self.shared.counters.sum();
        let now = self.shared.now();
        let state = lock(&self.state);
        let (lines_lost, alarms) = lock(&self.events)
            .as_ref()
            .map(|events| (events.lines_lost(), events.alarms().recent()))
            .unwrap_or_default();
        let uptime = self.shared.birth().elapsed();
        // The marker itself counts: the firewall's thread may be too busy to say that it saw it.
        let aside = aside_since(&state.config.bans.state_dir);
        let aside = firewall.aside.or(aside).map(timestamp);
        let kernel = |name: &str| {
            firewall.kernel.iter().find(|(known, _)| *known == name).map_or(0, |(_, count)| *count)
        };
        Ok(StatusReport {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            mode: match state.config.mode {
                Mode::Enforce => "enforce".to_owned(),
                Mode::Observe => "observe".to_owned(),
            },
            redirect: self.redirect.clone(),
            started: timestamp(SystemTime::now() - uptime),
            uptime,
            clock_moved: self.shared.clock_moved(),
            config: self.path.display().to_string(),
            config_loaded: timestamp(state.loaded),
            state_dir: state.config.bans.state_dir.clone(),
            queues: self.queue_rows(&state.config),
            when_full: match state.config.when_full() {
                FailMode::Accept => "accept".to_owned(),
                FailMode::Drop => "drop".to_owned(),
            },
            per_second: state.rates.per_second(now, &counters),
            lines_lost,
            memory: self.memory_facts(&state.config),
            standings: StandingCounts {
                suspect: firewall.suspects as u64,
                banned: firewall.banned as u64,
            },
            anomaly: anomaly_facts(&state.config.policy.anomaly, &self.shared.memory.anomaly, now),
            kernel_sets: firewall.latency_p50.zip(firewall.latency_p99).map(|(p50, p99)| Latency {
                p50,
                p99,
                count: firewall.told,
            }),
            firewall: FirewallFacts {
                healthy: firewall.in_step && firewall.path.is_some() && aside.is_none(),
                aside,
                text: match (firewall.in_step, firewall.path.is_some()) {
                    _ if aside.is_some() => {
                        "the gate stands aside: nothing is judged and no ban acts until \
                         portcullis panic --over"
                            .into()
                    }
                    _ if busy => {
                        "unknown: nft keeps the firewall thread waiting; standings wait too".into()
                    }
                    (false, _) => {
                        "the kernel does not hold all standings; it is tried again".into()
                    }
                    (true, false) => "no packets are handed to the queue".into(),
                    (true, true) => String::new(),
                },
                filling: firewall.filling.map(|filling| FillingFacts {
                    left: filling.left as u64,
                    all: filling.all as u64,
                }),
                repaired: firewall.repairs,
                stopped_packets: ["banned", "suspect_stopped", "over_ceiling"]
                    .iter()
                    .map(|name| kernel(name))
                    .sum(),
                over_rate: kernel("over_rate"),
            },
            confined: self.confined_facts(),
            served: self.served(),
            counters,
            alarms,
            floods: self.floods(now),
            captures: self.capture_rows(),
            names: self.name_rows(),
            trial: self.trial_facts(),
            spared: self.spared_rows(&state),
        })
    }

    /// The queues as they are now.
    pub(super) fn queue_rows(&self, config: &Config) -> Vec<QueueRow> {
        let waiting = host_queues();
        let rows = self.queues.iter().zip(self.shared.counters.queues());
        let rows = rows.map(|((number, holds), (received, lost))| QueueRow {
            number: *number,
            waiting: waiting.iter().find(|(n, _)| n == number).map(|(_, waiting)| *waiting),
            length: config.queue.length.into(),
            buffer_holds: u64::from(*holds),
            received,
            lost,
        });
        rows.collect()
    }

    /// How full the memory is.
    pub(super) fn memory_facts(&self, config: &Config) -> MemoryFacts {
        let (newcomers, proven) = self.shared.memory.len();
        MemoryFacts {
            sources: (newcomers + proven) as u64,
            sources_bound: config.memory.sources as u64,
            networks: self.shared.memory.networks() as u64,
            networks_bound: config.memory.networks as u64,
        }
    }

    /// The floods that last.
    pub(super) fn floods(&self, now: Moment) -> Vec<FloodFacts> {
        let lasting = self.shared.memory.flood.lasting().into_iter();
        let facts = lasting.map(|flood| FloodFacts {
            kind: flood.kind.word().to_owned(),
            lasts: now.since(flood.since),
            ports: flood.ports,
            per_second: flood.rate.round(),
            peak: flood.peak.round(),
            syns: flood.syns,
            new_sources: flood.share,
            frozen: flood.kind == FloodKind::Forged,
        });
        facts.collect()
    }

    pub(super) fn list(&self) -> Result<Arc<[Told]>, Refusal> {
        let order = |reply| Order::List { reply };
        self.orders.ask_within(LIST_PATIENCE, order).map_err(gone)?.ok_or_else(busy)
    }

    fn add(
        &self,
        whom: Whom,
        standing: Standing,
        lasts: Option<Duration>,
        reason: String,
    ) -> Result<Done, Refusal> {
        let order = |reply| Order::Add { whom, standing, lasts, reason, reply };
        let told = self.orders.ask(order).map_err(gone)?.map_err(|spared| {
            let kept = (spared == Spared::Never).then(|| self.never(whom)).flatten();
            Refusal::new(Trouble::Usage, kept.unwrap_or_else(|| spared.to_string()))
        })?;
        let mut warnings = Vec::new();
        if !told.in_kernel {
            warnings.push("the kernel has not been told yet; it is tried again".to_owned());
        }
        let at = at_port(told.entry.port);
        let text = format!("{} is {}{at}", told.entry.net, told.entry.standing.word());
        Ok(Done { changed: 1, text, warnings })
    }

    /// Why the ledger takes no ban of it.
    fn never(&self, whom: Whom) -> Option<String> {
        let state = lock(&self.state);
        let config = &state.config;
        let allowed = &config.policy.allowlist;
        let needs = &state.indispensable;
        super::never::never(as_counted(whom.net), allowed, &config.bans.never, needs)
    }

    fn remove(&self, net: Option<IpNet>, port: Option<u16>) -> Result<Done, Refusal> {
        let listed = self.list()?;
        let covered = |told: &&Told| {
            net.is_none_or(|net| covers(net, told.entry.net))
                && port.is_none_or(|port| told.entry.port == Some(port))
        };
        // A source that is banned at some ports has as many standings.
        let mut clean = BTreeSet::new();
        let mut last = None;
        // All are sent before the first answer is waited for, so that the kernel is told of many at
        // once and not of one after the other.
        let removing = listed.iter().filter(covered).map(|told| {
            let (reply, answer) = channel();
            let whom = told.entry.whom();
            self.orders.send(Order::Remove { whom, reply }).map(|()| (whom, answer))
        });
        for (whom, answer) in removing.collect::<Result<Vec<_>, Gone>>().map_err(gone)? {
            if answer.recv().map_err(|_| gone(Gone))?.is_some() {
                last = if clean.insert(whom.net) { whom.port } else { port };
            }
        }
        let text = match (clean.first(), net) {
            (None, Some(net)) => {
                let around = listed
                    .iter()
                    .find(|told| told.entry.port.is_none() && told.entry.net.contains(&net));
                let more = around.map_or_else(String::new, |told| {
                    let wide = told.entry.net;
                    format!(
                        " of its own, but {wide} around it has.\nLift that one: portcullis bans remove {wide}"
                    )
                });
                let text = format!("{net} has no standing{}{more}", at_port(port));
                return Err(Refusal::new(Trouble::Usage, text));
            }
            (Some(net), _) if clean.len() == 1 => format!("{net} is clean{}", at_port(last)),
            _ => format!("{} sources are clean{}", clean.len(), at_port(port)),
        };
        Ok(Done { changed: clean.len() as u64, text, warnings: Vec::new() })
    }

    /// What is known of many peers at once. Those of whom nothing is known are left out.
    fn standings(&self, mut addresses: Vec<IpAddr>) -> Result<Vec<PeerRow>, Refusal> {
        if addresses.len() > MOST_PEERS {
            let text = format!("at most {MOST_PEERS} addresses in one request; ask in parts");
            return Err(Refusal::new(Trouble::Usage, text));
        }
        addresses.sort_by_key(|address| SourceKey::of(*address));
        addresses.dedup_by_key(|address| SourceKey::of(*address));
        let peers = addresses.iter().map(|address| (*address, None)).collect();
        let get = |reply| Order::GetMany { peers, reply };
        let entries = self.orders.ask_within(PATIENCE, get).map_err(gone)?.ok_or_else(busy)?;
        let now = SystemTime::now();
        let rules = self.shared.rules.load();
        let widths = (rules.policy.rate.network_v4, rules.policy.rate.network_v6);
        let rows = addresses.iter().zip(entries).filter_map(|(address, entry)| {
            let key = SourceKey::of(*address);
            let network = key.network(widths.0, widths.1);
            let proven = self.shared.memory.is_proven(key, network);
            let source = self.shared.memory.shard(network).0.peek(key);
            let entry = entry.filter(|entry| entry.is_live(now));
            (entry.is_some() || source.is_some()).then(|| PeerRow {
                source: key.prefix(),
                standing: entry.as_ref().map_or(Standing::Clean, |entry| entry.standing),
                standing_left: entry.as_ref().map(|entry| entry.left(now)),
                reason: entry.map(|entry| entry.reason.to_string()).unwrap_or_default(),
                memory: source.map(|source| source_facts(&source, proven)),
            })
        });
        Ok(rows.collect())
    }

    /// What would become of an ordinary SYN from `address` to `port` at this moment?
    fn explain(&self, address: IpAddr, port: u16) -> Result<ExplainReport, Refusal> {
        let get = |reply| Order::Get { address, port, reply };
        let entry = self.orders.ask_within(PATIENCE, get).map_err(gone)?.ok_or_else(busy)?;
        let now = SystemTime::now();
        let entry = entry.filter(|entry| entry.until > now);
        let standing = entry.as_ref().map_or(Standing::Clean, |entry| entry.standing);
        let rules = self.shared.rules.load();
        let suspect = standing == Standing::Suspect;
        let key = SourceKey::of(address);
        let widths = (rules.policy.rate.network_v4, rules.policy.rate.network_v6);
        let known = self.shared.memory.is_proven(key, key.network(widths.0, widths.1));
        let syn = Syn { suspect, proven: known, ..ordinary(address, port) };
        let (ruling, rows, source) =
            explain(&rules.policy, &self.shared.memory, &syn, self.shared.now());
        let banned = standing == Standing::Banned;
        let denied = rows.iter().find(|row| {
            matches!(row.finding, Some(Finding::Deny { .. } | Finding::Condemn { .. }))
        });
        let aside = aside_since(&lock(&self.state).config.bans.state_dir).is_some();
        let settled_by = match denied {
            _ if banned => "standing".to_owned(),
            Some(row) => row.check.name().to_owned(),
            None => String::new(),
        };
        Ok(ExplainReport {
            address,
            port,
            standing,
            standing_port: entry.as_ref().and_then(|entry| entry.port),
            standing_left: entry.as_ref().and_then(|entry| entry.until.duration_since(now).ok()),
            accepted: ruling == Ruling::Accept && !banned,
            enforced: rules.enforce,
            aside,
            settled_by,
            checks: rows.iter().map(|row| check_row(row, banned)).collect(),
            memory: source.map(|source| source_facts(&source, known)),
            habits: source.and_then(|source| self.habit_facts(&source, &rules.policy)),
            spared: self
                .spared_rows(&lock(&self.state))
                .into_iter()
                .filter(|row| SourceKey::of(row.address) == key)
                .min_by_key(|row| (row.port != port, row.address != address, !row.open)),
            standing_why: entry
                .as_ref()
                .filter(|entry| entry.is_live(now))
                .map(why)
                .unwrap_or_default(),
            standing_of: entry.as_ref().map(|entry| entry.net).filter(|net| is_wide(*net)),
            advice: advice(
                address,
                &Case { entry: entry.as_ref(), banned, denied, enforced: rules.enforce },
            ),
        })
    }

    /// How unlike others a source behaved in this hour.
    fn habit_facts(&self, source: &Source, policy: &Policy) -> Option<HabitFacts> {
        let worst = source.habits.worst().filter(|_| policy.anomaly.action != Reaction::Off)?;
        let scorer = self.shared.memory.anomaly.scorer();
        let score = scorer.score(worst);
        Some(HabitFacts {
            score,
            limit: scorer.is_ready().then(|| scorer.limit()),
            p_value: scorer.p_value(score),
            unusual: source.habits.odd().is_some(),
            because: scorer.shares(worst)[..3].iter().map(anomaly::explain).collect(),
        })
    }
}

/// What the anomaly detector knows.
fn anomaly_facts(policy: &Anomaly, detector: &Detector, now: Moment) -> Option<AnomalyFacts> {
    if policy.action == Reaction::Off {
        return None;
    }
    let report = detector.report(now.0 / 1_000_000_000, policy.budget());
    Some(AnomalyFacts {
        ready: report.ready,
        learnt: report.learnt as u64,
        learnt_needed: report.learnt_needed as u64,
        waiting: report.waiting as u64,
        measures: report.calibrated as u64,
        measures_needed: report.needed as u64,
        possible: report.possible,
        sources_per_day: report.per_day,
        flagged: report.flagged,
        paused: report.paused,
    })
}

/// How long the firewall's thread has for an answer. It works on nothing else for longer, unless
/// nft hangs.
const PATIENCE: Duration = Duration::from_secs(5);
/// The same for `status`: whoever asks gives up after three seconds.
const STATUS_PATIENCE: Duration = Duration::from_secs(2);
/// The same for a list of everybody, with the kernel's counters: some seconds for large sets.
const LIST_PATIENCE: Duration = Duration::from_secs(25);

fn busy() -> Refusal {
    let text = "nft keeps the firewall thread waiting; try again, or see: journalctl -u portcullis";
    Refusal::new(Trouble::Unavailable, text)
}

fn gone(gone: Gone) -> Refusal {
    Refusal::new(Trouble::Software, format!("{gone}; systemctl restart portcullis"))
}

pub(super) fn timestamp(time: SystemTime) -> Timestamp {
    Timestamp::try_from(time).unwrap_or(Timestamp::MAX)
}

/// Is `inner` all inside `outer`? IPv6 addresses stand for their /64.
fn covers(outer: IpNet, inner: IpNet) -> bool {
    let whole = match outer {
        IpNet::V6(v6) if v6.prefix_len() > 64 => SourceKey::of(outer.addr()).prefix(),
        other => other,
    };
    whole.contains(&inner)
}

/// ` at port 22`, or nothing.
fn at_port(port: Option<u16>) -> String {
    port.map_or_else(String::new, |port| format!(" at port {port}"))
}

/// The latest first.
fn write_bans(told: &[Told], out: &mut dyn Write) -> io::Result<()> {
    let mut latest: Vec<&Told> = told.iter().collect();
    latest.sort_by_key(|told| std::cmp::Reverse(told.entry.since));
    Response::write_bans(out, latest.into_iter().map(ban_row))
}

fn ban_row(told: &Told) -> BanRow {
    let entry = &told.entry;
    BanRow {
        source: entry.net,
        port: entry.port,
        standing: entry.standing,
        since: timestamp(entry.since),
        until: timestamp(entry.until),
        offences: entry.offences,
        reason: entry.reason.to_string(),
        who: match entry.by {
            By::Gate => "gate".to_owned(),
            By::Admin => "admin".to_owned(),
        },
        evidence: entry.evidence.to_string(),
        stopped_packets: told.stopped,
    }
}

fn check_row(row: &Row, banned: bool) -> CheckRow {
    let (finding, evidence) = match row.finding {
        _ if banned && row.check.name() == "standing" => {
            (FindingWord::Deny, Evidence { what: "banned", ..Evidence::default() })
        }
        None => (FindingWord::NotAsked, Default::default()),
        Some(Finding::Pass) => (FindingWord::Pass, Default::default()),
        Some(Finding::Allow(evidence)) => (FindingWord::Allow, evidence),
        Some(Finding::Suspect { evidence, .. }) => (FindingWord::Suspect, evidence),
        Some(Finding::Deny { evidence, .. } | Finding::Condemn { evidence, .. }) => {
            (FindingWord::Deny, evidence)
        }
    };
    CheckRow {
        check: row.check.name().to_owned(),
        finding,
        what: evidence.what.to_owned(),
        seen: evidence.seen,
        limit: evidence.limit,
    }
}

fn source_facts(source: &Source, proven: bool) -> SourceFacts {
    SourceFacts {
        refused: source.offences.denied.into(),
        refused_own: source.offences.own.into(),
        proven,
        score: source.offences.score.into(),
    }
}

/// The SYN of an honest host that asks for a port of this one.
fn ordinary(src: IpAddr, dport: u16) -> Syn {
    let dst = match src {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    Syn::linux(SocketAddr::new(src, 0), SocketAddr::new(dst, dport))
}

/// Packets that wait in each queue, as far as this process may read it: only root may.
fn host_queues() -> Vec<(u16, u64)> {
    let table =
        std::fs::read_to_string("/proc/self/net/netfilter/nfnetlink_queue").unwrap_or_default();
    let row = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        Some((words.next()?.parse().ok()?, words.nth(1)?.parse().ok()?))
    };
    table.lines().filter_map(row).collect()
}
