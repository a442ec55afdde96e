//! `check --live`: which of the sessions that are open now would a policy cut off?

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use super::resolve;
use crate::audit::{Cut, cut_off};
use crate::cli::asked::{self, complain};
use crate::cli::found::found;
use crate::cli::layout::wrap;
use crate::config::{Config, Loaded, Mode};
use crate::control::{MOST_PEERS, Request, Response, ask_within};
use crate::host::{self, TcpState};
use crate::memory::SourceKey;
use crate::names::{Answer, Book, FILE, Family, look_up};
use crate::policy::{Lifelines, Standing};

/// How long the daemon may take to say whom it has banned.
const PATIENCE: Duration = Duration::from_secs(5);
/// The most sessions that are shown.
const SHOWN: usize = 20;
/// Something would be cut off.
const OFF: u8 = 1;
/// EX_OSERR of sysexits: the kernel does not tell its sockets.
const SYSTEM: u8 = 71;

/// The options of it.
#[derive(Clone, Debug, clap::Args)]
pub struct Live {
    /// Also hold it against the connections that are open now: whose next one would be refused,
    /// by what, and what mends it (exit code 1 if there is any)
    #[arg(long)]
    live: bool,
    /// With --live: answer in JSON
    #[arg(long, requires = "live")]
    json: bool,
    /// With --live: the socket of the running gate, which knows who is banned [default: the
    /// policy's]
    #[arg(long, value_name = "PATH", requires = "live")]
    socket: Option<PathBuf>,
}

impl Live {
    pub(super) fn is_wanted(&self) -> bool {
        self.live
    }

    pub(super) fn look(&self, path: &Path, loaded: &Loaded, quiet: bool) -> ExitCode {
        let seen = host::listening_ports()
            .and_then(|ports| Ok((ports, host::tcp_sockets(TcpState::Established.into())?)));
        let (listening, open) = match seen {
            Ok(seen) => seen,
            Err(error) => {
                complain(&format!("the kernel does not tell which connections are open: {error}"));
                return ExitCode::from(SYSTEM);
            }
        };
        let mut config = loaded.config.clone();
        config.policy.ports.serve(&listening, &Default::default());
        let sessions: Vec<(SocketAddr, SocketAddr)> =
            open.iter().map(|socket| (socket.local, socket.peer)).collect();
        let mut ssh = host::sshd().ports;
        ssh.extend(config.lifeline.ports.iter());
        ssh.extend(host::own_session().map(|(own, _)| own.port()));
        let served = |port: u16| listening.contains(port) || ssh.contains(&port);
        let peers: BTreeSet<IpAddr> = sessions
            .iter()
            .filter(|(own, _)| served(own.port()))
            .map(|(_, peer)| peer.ip().to_canonical())
            .collect();
        let socket = self.socket.as_ref().unwrap_or(&config.control.socket).clone();
        let asked = self.ask(&socket, &peers, &mut config);
        let unknown = name_them(&mut config, asked.names, look_up);
        let asked = asked.banned;
        let banned = |peer| asked.get(&SourceKey::of(peer)).cloned();
        let cuts = cut_off(&config, sessions.iter().copied(), &ssh, &listening, banned);
        let off = cuts.iter().any(|cut| !cut.spared);
        if !unknown.is_empty() {
            complain(&format!(
                "nobody knows who these names of the allow list are, so whoever they are counts as \
                 a stranger below: {} (portcullis check --resolve says why)",
                unknown.join(", ")
            ));
        }
        if self.json {
            asked::show(&cuts, true, |_| String::new());
        } else if off || !quiet {
            asked::print(&screen(path, &config, peers.len(), &cuts));
        }
        ExitCode::from(if off { OFF } else { 0 })
    }

    /// Whom the running gate has banned, whom it spares, and who the allow list's names are for it;
    /// nobody if it does not run, but for names of which it left a note.
    fn ask(&self, socket: &Path, peers: &BTreeSet<IpAddr>, config: &mut Config) -> Asked {
        let mut banned = HashMap::new();
        let Ok(Response::Status(status)) = ask_within(socket, &Request::Status, PATIENCE) else {
            return Asked { banned, names: saved_names(config, SystemTime::now()) };
        };
        let names = status.names.into_iter().map(|row| (row.name, row.addresses)).collect();
        let at = |row: &crate::control::SparedRow| {
            // Only the port of this end and the address of the other count.
            let own = SocketAddr::new(row.address, row.port);
            (own, SocketAddr::new(row.address, 0))
        };
        config.policy.lifelines = Lifelines::new(status.spared.iter().map(at)).into();
        let peers: Vec<IpAddr> = peers.iter().copied().collect();
        for some in peers.chunks(MOST_PEERS) {
            let request = Request::Standings { addresses: some.to_vec() };
            if let Ok(Response::Standings(rows)) = ask_within(socket, &request, PATIENCE) {
                let rows = rows.into_iter().filter(|row| row.standing == Standing::Banned);
                banned.extend(rows.map(|row| (SourceKey::of(row.source.addr()), row.reason)));
            }
        }
        Asked { banned, names }
    }
}

/// What the running gate knows.
struct Asked {
    /// Whom it has banned, and why.
    banned: HashMap<SourceKey, String>,
    /// Who the allow list's names are.
    names: BTreeMap<String, Vec<IpAddr>>,
}

/// What a gate that does not run would know of the names at its start. Only those who may read its
/// state folder learn that.
fn saved_names(config: &Config, now: SystemTime) -> BTreeMap<String, Vec<IpAddr>> {
    let mut book = Book::new(config.names.every);
    book.follow(&config.policy.allowlist.names, config.names.every, now);
    let bytes = std::fs::read(config.bans.state_dir.join(FILE)).unwrap_or_default();
    if book.restore(&bytes, now).is_ok() {
        book.expire(now);
    }
    book.rows().into_iter().map(|row| (row.name, row.addresses)).collect()
}

/// Puts the addresses of the allow list's names into a policy: those that the gate trusts for them,
/// which may be older than the resolver's, and for others those that the resolver knows. Returns
/// the names that nobody knows.
fn name_them(
    config: &mut Config,
    mut known: BTreeMap<String, Vec<IpAddr>>,
    look_up: impl Fn(&str, Family) -> Answer + Send + Sync + 'static,
) -> Vec<&'static str> {
    known.retain(|_, addresses| !addresses.is_empty());
    let allowed = &config.policy.allowlist;
    let mut unknown = allowed.names.clone();
    unknown.retain(|name| !known.contains_key(*name));
    let (book, _) = resolve::ask(&unknown, config.names.every, look_up);
    let addresses = |name: &str| known.get(name).cloned().unwrap_or_else(|| book.addresses(name));
    config.policy.allowlist = allowed.resolved(addresses).into();
    unknown.retain(|name| book.addresses(name).is_empty());
    unknown
}

fn screen(path: &Path, config: &Config, peers: usize, cuts: &[Cut]) -> String {
    let name = path.display();
    let peers = match peers {
        1 => "1 peer has".to_owned(),
        n => format!("{n} peers have"),
    };
    let first = match (config.mode, cuts.iter().filter(|cut| !cut.spared).count()) {
        (Mode::Observe, _) => "only observes, so it cuts off nobody".to_owned(),
        (_, 0) if cuts.is_empty() => "cuts off nobody who is connected".to_owned(),
        (_, 0) => "cuts off nobody as long as the sessions below last".to_owned(),
        (_, 1) => "would CUT OFF 1 that is open now".to_owned(),
        (_, n) => format!("would CUT OFF {n} that are open now"),
    };
    let first = format!("{name} {first} ({peers} a connection open to what is served here).");
    let mut text = wrap("", &first);
    for cut in cuts.iter().take(SHOWN) {
        text += &found(!cut.spared, &cut.words(), &format!("{}.", cut.why), &cut.todo);
    }
    if cuts.len() > SHOWN {
        text += &format!("\nand {} more: --json has them all\n", cuts.len() - SHOWN);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_whom_the_gate_knows_or_else_the_resolver() {
        let policy = "[allowlist]\nfrom = [\"old.example\", \"new.example\", \"none.example\"]";
        let mut config = crate::config::parse(policy, "f").unwrap().config;
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let known = [("old.example", vec![address("203.0.113.9")]), ("none.example", vec![])];
        let known = known.map(|(name, addresses)| (name.to_owned(), addresses)).into();
        let look_up = move |name: &str, family| match (name, family) {
            ("new.example", Family::V6) => Answer::Addresses(vec![address("2001:db8::9")]),
            ("old.example", Family::V4) => Answer::Addresses(vec![address("203.0.113.66")]),
            _ => Answer::Nothing,
        };
        assert_eq!(name_them(&mut config, known, look_up), ["none.example"]);
        let nets: Vec<String> =
            config.policy.allowlist.nets.iter().map(ToString::to_string).collect();
        assert_eq!(nets, ["203.0.113.9/32", "2001:db8::9/128"]);

        // What the gate left in its state folder, as it would find it.
        let folder = tempfile::tempdir().unwrap();
        config.bans.state_dir = folder.path().to_owned();
        assert_eq!(saved_names(&config, SystemTime::now())["old.example"], Vec::<IpAddr>::new());
        let (book, _) = resolve::ask(&["old.example"], config.names.every, move |_, family| {
            if family == Family::V4 {
                Answer::Addresses(vec![address("203.0.113.9")])
            } else {
                Answer::Nothing
            }
        });
        std::fs::write(folder.path().join(FILE), book.save()).unwrap();
        let saved = saved_names(&config, SystemTime::now());
        assert_eq!(saved["old.example"], [address("203.0.113.9")]);
    }

    #[test]
    fn what_is_cut_off_is_shown() {
        let cut = Cut {
            peer: "203.0.113.7".parse().unwrap(),
            port: 22,
            ssh: true,
            check: "denylist".into(),
            why: "it is on the deny list (policy)".into(),
            todo: "Take it out of there, or add to [allowlist]: from = [\"203.0.113.7\"]".into(),
            spared: false,
        };
        let config = Config::default();
        let spared = Cut { spared: true, ..cut.clone() };
        assert_eq!(
            screen(Path::new("p.toml"), &config, 3, &[cut, spared.clone()]),
            "\
p.toml would CUT OFF 1 that is open now (3 peers have a connection open to what
is served here).

OFF   203.0.113.7 has an SSH session open at port 22; a new one would be refused
      why: it is on the deny list (policy).
      do:  Take it out of there, or add to [allowlist]: from = [\"203.0.113.7\"]

note  203.0.113.7 has an SSH session open at port 22; new ones are let in while
      it lasts, and refused after that
      why: it is on the deny list (policy).
      do:  Take it out of there, or add to [allowlist]: from = [\"203.0.113.7\"]
"
        );
        let calm = screen(Path::new("p.toml"), &config, 1, &[]);
        assert!(calm.starts_with("p.toml cuts off nobody who is connected (1 peer has"), "{calm}");
        let lasting = screen(Path::new("p.toml"), &config, 1, &vec![spared; 25]);
        assert!(lasting.ends_with("and 5 more: --json has them all\n"), "{lasting}");
    }
}
