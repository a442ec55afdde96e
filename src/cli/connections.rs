//! `portcullis connections`: this host's TCP sockets by state, and what the gate thinks of the
//! peers.

mod list;
mod peers;
mod screen;
#[cfg(test)]
mod tests;
mod watch;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;

use self::peers::Peers;
use super::asked::{self, complain};
use super::given;
use crate::audit::{Scene, Suspicion, SuspicionKind, suspicions};
use crate::host::{self, Program, TcpSocket, TcpState, TcpStates, TimerKind};
use crate::memory::SourceKey;
use crate::policy::Ports;

/// EX_OSERR of sysexits: the kernel does not tell.
const OS_ERROR: u8 = 71;

/// TCP sockets by state, with what the gate thinks of the peers
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Args {
    /// Only these states, named as `ss` or `netstat` do: syn-recv,CLOSE_WAIT,time-wait
    #[arg(long, value_name = "STATE", value_delimiter = ',')]
    state: Vec<TcpState>,
    /// Only what is worth a second look, and why
    #[arg(long)]
    suspicious: bool,
    /// Every socket on a line of its own, instead of one line for all that are alike
    #[arg(long)]
    all: bool,
    /// Name the program of each socket; other users' only for root
    #[arg(long)]
    programs: bool,
    /// Show it anew every so many seconds (2 if you do not say), until Ctrl-C
    #[arg(
        long,
        value_name = "SECS",
        num_args = 0..=1,
        default_missing_value = "2",
        value_parser = clap::value_parser!(u64).range(1..=3600)
    )]
    watch: Option<u64>,
    /// The policy that says what is served [default: the installed one, or the built-in one]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Looks once, or again and again. The exit code is 0 unless nothing could be seen.
pub fn run(args: &Args, socket: &Path, json: bool) -> ExitCode {
    let ports = match given::policy(args.config.as_deref()) {
        Ok(given) => given.config.policy.ports,
        Err(code) => return code.into(),
    };
    if let Some(seconds) = args.watch {
        return watch::run(seconds, json, || View::take(args, socket, &ports), args);
    }
    match View::take(args, socket, &ports) {
        Ok(view) if json => asked::show(&view.report(), true, |_| String::new()),
        Ok(view) => {
            asked::print(&screen::whole(&view, args));
            ExitCode::SUCCESS
        }
        Err(code) => code,
    }
}

/// What is there at one moment.
struct View {
    /// The sockets that were asked for.
    sockets: Vec<TcpSocket>,
    /// For each, whether the peer called us.
    inbound: Vec<bool>,
    /// The states that were asked for.
    states: TcpStates,
    /// What the gate says of the peers, or why it does not.
    peers: Peers,
    programs: HashMap<u32, Program>,
    suspicions: Vec<Suspicion>,
    /// By socket.
    suspicious: HashMap<usize, Vec<SuspicionKind>>,
}

impl View {
    fn take(args: &Args, daemon: &Path, ports: &Ports) -> Result<Self, ExitCode> {
        let states = match &args.state[..] {
            [] => TcpStates::ALL,
            chosen => chosen.iter().copied().collect(),
        };
        // Who listens has to be known in any case: it tells who called whom.
        let asked = TcpState::all().filter(|s| states.contains(*s) || *s == TcpState::Listen);
        let sockets = host::tcp_sockets(asked.collect()).map_err(|error| {
            complain(&format!(
                "the kernel does not list its sockets: {error}\n\
                 it needs the module tcp_diag: sudo modprobe tcp_diag"
            ));
            ExitCode::from(OS_ERROR)
        })?;
        let peers = Peers::ask(daemon, &sockets);
        Ok(Self::of(sockets, states, peers, ports, args))
    }

    fn of(
        mut sockets: Vec<TcpSocket>,
        states: TcpStates,
        peers: Peers,
        ports: &Ports,
        args: &Args,
    ) -> Self {
        let listening: HashSet<u16> = sockets
            .iter()
            .filter(|socket| socket.state == TcpState::Listen)
            .map(|socket| socket.local.port())
            .collect();
        let mut found = suspicions(&Scene { sockets: &sockets, peers: &peers.known, ports });
        let mut suspicious: HashMap<usize, Vec<SuspicionKind>> = HashMap::new();
        for suspicion in &found {
            for index in &suspicion.sockets {
                suspicious.entry(*index).or_default().push(suspicion.kind);
            }
        }
        // From here on only what was asked for; the places of the rest move up.
        let wanted = |index: usize, socket: &TcpSocket| {
            states.contains(socket.state) && (!args.suspicious || suspicious.contains_key(&index))
        };
        let kept: Vec<usize> =
            (0..sockets.len()).filter(|index| wanted(*index, &sockets[*index])).collect();
        let moved: HashMap<usize, usize> =
            kept.iter().enumerate().map(|(new, old)| (*old, new)).collect();
        suspicious = suspicious
            .into_iter()
            .filter_map(|(old, kinds)| Some((*moved.get(&old)?, kinds)))
            .collect();
        for suspicion in &mut found {
            suspicion.sockets =
                suspicion.sockets.iter().filter_map(|i| moved.get(i)).copied().collect();
        }
        found.retain(|suspicion| !suspicion.sockets.is_empty());
        let mut index = 0;
        sockets.retain(|_| {
            index += 1;
            moved.contains_key(&(index - 1))
        });
        let inbound = sockets
            .iter()
            .map(|s| s.state == TcpState::SynRecv || listening.contains(&s.local.port()))
            .collect();
        let programs = if args.programs {
            host::programs(&sockets.iter().map(|s| s.inode).filter(|inode| *inode > 0).collect())
        } else {
            HashMap::new()
        };
        Self { sockets, inbound, states, peers, programs, suspicions: found, suspicious }
    }

    /// How many are in each state that was asked for.
    fn counts(&self) -> Vec<(TcpState, usize)> {
        let mut counts: BTreeMap<TcpState, usize> = BTreeMap::new();
        for socket in &self.sockets {
            *counts.entry(socket.state).or_default() += 1;
        }
        let count = |state: TcpState| (state, counts.get(&state).copied().unwrap_or(0));
        TcpState::all().filter(|state| self.states.contains(*state)).map(count).collect()
    }

    /// For `--json`.
    fn report(&self) -> Report<'_> {
        Report {
            gate: self.peers.trouble.as_deref(),
            states: self.counts().iter().map(|(state, n)| (state.name(), *n)).collect(),
            suspicions: &self.suspicions,
            sockets: (0..self.sockets.len()).map(|index| self.row(index)).collect(),
        }
    }

    fn row(&self, index: usize) -> Row<'_> {
        let socket = &self.sockets[index];
        let listens = socket.state == TcpState::Listen;
        let peer = self.peers.known.get(&SourceKey::of(socket.peer.ip())).filter(|_| !listens);
        Row {
            state: socket.state.name(),
            local: canonical(socket.local),
            peer: (!listens).then(|| canonical(socket.peer)),
            inbound: self.inbound[index],
            timer: socket.timer.map(|timer| match timer.kind {
                TimerKind::Repeat => "repeat",
                TimerKind::KeepAlive => "keepalive",
                TimerKind::TimeWait => "time-wait",
                TimerKind::Probe => "probe",
            }),
            timer_left: socket.timer.map(|timer| timer.left.as_secs_f64()),
            repeated: socket.repeated,
            quiet: socket.quiet.map(|quiet| quiet.as_secs_f64()),
            unread: socket.unread,
            unsent: socket.unsent,
            standing: peer.map(|peer| peer.standing.word()),
            score: peer.and_then(|peer| peer.score),
            program: self.programs.get(&socket.inode),
            suspicious: self.suspicious.get(&index).map(Vec::as_slice).unwrap_or_default(),
        }
    }
}

/// IPv4 addresses as such, also on IPv6 sockets.
fn canonical(at: SocketAddr) -> SocketAddr {
    SocketAddr::new(at.ip().to_canonical(), at.port())
}

/// Everything, as `--json` prints it. Spans are seconds.
#[derive(Serialize)]
struct Report<'a> {
    /// Why there are no standings; null if there are.
    gate: Option<&'a str>,
    states: BTreeMap<&'static str, usize>,
    suspicions: &'a [Suspicion],
    sockets: Vec<Row<'a>>,
}

/// One socket.
#[derive(Serialize)]
struct Row<'a> {
    state: &'static str,
    local: SocketAddr,
    /// Null while it listens.
    peer: Option<SocketAddr>,
    /// Did the peer call this host?
    inbound: bool,
    timer: Option<&'static str>,
    timer_left: Option<f64>,
    repeated: u8,
    /// Nothing came or went for so long.
    quiet: Option<f64>,
    unread: u32,
    unsent: u32,
    /// Null if the gate does not know the peer.
    standing: Option<&'static str>,
    score: Option<u64>,
    program: Option<&'a Program>,
    suspicious: &'a [SuspicionKind],
}
