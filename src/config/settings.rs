//! The checked configuration. One struct per table of the policy file; `Default` is what the
//! file's absence means, and `config/portcullis.toml` documents each key with its reason.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use crate::policy::{Policy, PortSet, Rate};

/// A whole policy file with its overlays.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// `mode`, at the top of the file.
    pub mode: Mode,
    /// `[guard]`
    pub guard: Guard,
    /// `[queue]`
    pub queue: Queue,
    /// `[memory]`
    pub memory: Table,
    /// `[allowlist]`, `[denylist]`, `[quirks]`, `[ports]`, `[rate]` and half of `[bans]`.
    pub policy: Policy,
    /// `[allowlist]`, how its names are looked up.
    pub names: Names,
    /// `[lifeline]`
    pub lifeline: Lifeline,
    /// The other half of `[bans]`: what follows an offence.
    pub bans: Bans,
    /// `[events]`
    pub events: Events,
    /// `[metrics]`
    pub metrics: Metrics,
    /// `[capture]`
    pub capture: Capture,
    /// `[control]`
    pub control: Control,
    /// `[daemon]`
    pub daemon: Daemon,
}

impl Config {
    /// What becomes of SYNs that find no room in the queue: `[queue] when_full`, but who only
    /// observes lets everything pass.
    pub fn when_full(&self) -> FailMode {
        match self.mode {
            Mode::Observe => FailMode::Accept,
            Mode::Enforce => self.queue.when_full,
        }
    }
}

/// `mode`: does the gate act on its opinions?
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Drop what is refused; push standings into the kernel.
    #[default]
    Enforce,
    /// Accept everything, and say what would have been dropped.
    Observe,
}

/// What happens to a SYN that nobody can judge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FailMode {
    /// It passes unjudged: the service stays reachable.
    #[default]
    Accept,
    /// It is dropped: nothing passes unjudged.
    Drop,
}

/// `[guard]`: what stands behind the gate and how SYNs get to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Guard {
    /// How packets are handed to the queue (`redirect`).
    pub redirect: Redirect,
    /// Destinations beyond this host that are guarded too: hosts behind a gateway (`protect`).
    pub protect: Vec<IpNet>,
    /// While no daemon listens (`when_down`): the redirect rule's `bypass`.
    pub when_down: FailMode,
    /// More SYNs of one source than this never reach the queue (`ceiling`). At most u32::MAX per
    /// second, minute, hour or day, because the kernel's own meter counts them.
    pub ceiling: Option<Rate>,
    /// The lowest of the three packet mark bits the gate uses inside prerouting (`mark_bit`,
    /// 0–29): proven, suspect, judge. They are cleared before routing.
    pub mark_bit: u8,
    /// How long a completed handshake is remembered by the kernel (`proven_for`).
    pub proven_for: Duration,
    /// The most sources each kernel set holds (`set_size`).
    pub set_size: u32,
}

/// `[guard] redirect`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Redirect {
    /// Try nft, then iptables, and say which.
    #[default]
    Auto,
    /// The nft `queue` statement.
    Nft,
    /// The NFQUEUE target of iptables and ip6tables.
    Iptables,
    /// The admin places the rule; `portcullis rules` prints it.
    Manual,
}

/// `[queue]`: the kernel's waiting room.
#[derive(Clone, Debug, PartialEq)]
pub struct Queue {
    /// First queue number (`number`).
    pub number: u16,
    /// How many queues, one thread each (`threads`), numbered upwards from `number`.
    pub threads: u16,
    /// How many SYNs may wait in each (`length`).
    pub length: u32,
    /// What happens to the next one (`when_full`).
    pub when_full: FailMode,
    /// More SYNs per second than this are not handed over (`max_rate`). `None` is `"unlimited"`.
    pub max_rate: Option<Rate>,
    /// What happens to them (`when_over`).
    pub when_over: FailMode,
}

/// `[memory]`: the bound on what is remembered.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// The most sources that are remembered (`sources`). Proven and unproven sources have half
    /// each, so that forged addresses cannot push out those that really exist.
    pub sources: usize,
    /// The most networks (`networks`).
    pub networks: usize,
}

/// `[allowlist]`, how its names are looked up.
#[derive(Clone, Debug, PartialEq)]
pub struct Names {
    /// How often (`look_up_every`).
    pub every: Duration,
}

/// `[lifeline]`: what keeps an admin who has an SSH session open from locking himself out.
#[derive(Clone, Debug, PartialEq)]
pub struct Lifeline {
    /// SSH's ports (`ports`), besides those in sshd's own configuration.
    pub ports: PortSet,
    /// So long after the session has ended, its peer is still spared (`grace`).
    pub grace: Duration,
}

/// `[bans]`, the half that the firewall needs: what follows an offence.
#[derive(Clone, Debug, PartialEq)]
pub struct Bans {
    /// How long the first, second, … standing lasts; the last repeats (`durations`).
    pub durations: Vec<Duration>,
    /// After so long without an offence a source starts at the first duration again (`forget_after`).
    pub forget_after: Duration,
    /// New bans allowed per minute, all together (`budget`).
    pub budget: u32,
    /// New bans allowed per minute and network (`budget_network`; networks as in `[rate]`).
    pub budget_network: u32,
    /// Never banned nor suspected, though judged like everybody (`never`). The allow list and the
    /// host's own addresses, gateways and resolvers are added to it.
    pub never: Vec<IpNet>,
    /// Drop a banned source's established connections too (`established = "drop"`).
    pub drop_established: bool,
    /// Where standings are kept (`state_dir`).
    pub state_dir: PathBuf,
}

/// `[events]`: who is told, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Events {
    /// Where lines go (`to`).
    pub to: LogTarget,
    /// The form of a syslog line (`format`).
    pub format: SyslogFormat,
    /// The syslog facility (`facility`).
    pub facility: Facility,
    /// The syslog socket or server (`syslog`): a path, or `udp:HOST:PORT`.
    pub syslog: String,
    /// A file that gets the same as JSON, one object per line (`json`), and every change of
    /// standing even where the lines sum them up.
    pub json: Option<PathBuf>,
    /// Lines of one source that are written in full… (`lines`)
    pub lines: u32,
    /// …in this span (`every`); the rest is summed up.
    pub every: Duration,
}

/// `[events] to`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogTarget {
    /// The journal if standard error is connected to it, as under systemd; else standard error.
    #[default]
    Auto,
    /// Standard error, with the priority prefix journald reads when it is the journal.
    Stderr,
    /// The journal, with fields.
    Journal,
    /// Syslog.
    Syslog,
    /// Nobody: only the JSON file, if there is one.
    Nowhere,
}

/// `[events] format`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SyslogFormat {
    /// RFC 3164, the BSD form: what every local syslog daemon reads.
    #[default]
    Rfc3164,
    /// RFC 5424: with year, zone and structured data.
    Rfc5424,
}

/// `[events] facility` (RFC 5424 §6.2.1)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Facility {
    /// 3
    Daemon,
    /// 4
    Auth,
    /// 10
    #[default]
    AuthPriv,
    /// 16
    Local0,
    /// 17
    Local1,
    /// 18
    Local2,
    /// 19
    Local3,
    /// 20
    Local4,
    /// 21
    Local5,
    /// 22
    Local6,
    /// 23
    Local7,
}

impl Facility {
    /// Its number in a syslog priority.
    pub fn number(self) -> u8 {
        match self {
            Facility::Daemon => 3,
            Facility::Auth => 4,
            Facility::AuthPriv => 10,
            Facility::Local0 => 16,
            Facility::Local1 => 17,
            Facility::Local2 => 18,
            Facility::Local3 => 19,
            Facility::Local4 => 20,
            Facility::Local5 => 21,
            Facility::Local6 => 22,
            Facility::Local7 => 23,
        }
    }
}

/// `[metrics]`: numbers for Prometheus and its kin.
#[derive(Clone, Debug, PartialEq)]
pub struct Metrics {
    /// Where they are served over HTTP (`listen`). Of this host only, unless `remote` says
    /// otherwise.
    pub listen: Option<SocketAddr>,
    /// Other machines may ask too (`remote`).
    pub remote: bool,
    /// A file that they are written to, for node_exporter (`textfile`)…
    pub textfile: Option<PathBuf>,
    /// …this often (`every`).
    pub every: Duration,
}

/// `[capture]`: refused packets in files.
#[derive(Clone, Debug, PartialEq)]
pub struct Capture {
    /// The folder that they are written to (`dir`); none are without one.
    pub dir: Option<PathBuf>,
    /// Bytes at which another file is begun (`max_size`).
    pub max_size: u64,
    /// The most files that are kept (`files`).
    pub files: u32,
    /// The most packets that are written (`rate`); `None` is `"unlimited"`.
    pub rate: Option<Rate>,
}

/// `[control]`: the socket that the command line talks to.
#[derive(Clone, Debug, PartialEq)]
pub struct Control {
    /// Its path (`socket`).
    pub socket: PathBuf,
    /// Members of this group may use it too (`group`); otherwise only root and the daemon's user.
    pub group: Option<String>,
}

/// `[daemon]`: the process itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Daemon {
    /// Once it has started, it gives up what it does not need (`confine`).
    pub confine: bool,
}

impl Default for Guard {
    fn default() -> Self {
        Self {
            redirect: Redirect::Auto,
            protect: Vec::new(),
            when_down: FailMode::Accept,
            ceiling: Some(Rate { count: 2000, per: Duration::from_secs(1), burst: 4000 }),
            mark_bit: 28,
            proven_for: Duration::from_secs(24 * 3600),
            set_size: 262_144,
        }
    }
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            number: 7,
            threads: 1,
            length: 8192,
            when_full: FailMode::Accept,
            max_rate: Some(Rate { count: 100_000, per: Duration::from_secs(1), burst: 100_000 }),
            when_over: FailMode::Accept,
        }
    }
}

impl Default for Table {
    fn default() -> Self {
        Self { sources: 131_072, networks: 32_768 }
    }
}

impl Default for Names {
    fn default() -> Self {
        Self { every: Duration::from_secs(300) }
    }
}

impl Default for Lifeline {
    fn default() -> Self {
        Self { ports: [22].into_iter().collect(), grace: Duration::from_secs(600) }
    }
}

impl Default for Bans {
    fn default() -> Self {
        let minutes = |m: u64| Duration::from_secs(60 * m);
        Self {
            durations: vec![minutes(10), minutes(60), minutes(24 * 60), minutes(7 * 24 * 60)],
            forget_after: minutes(30 * 24 * 60),
            budget: 600,
            budget_network: 60,
            never: Vec::new(),
            drop_established: false,
            state_dir: PathBuf::from("/var/lib/portcullis"),
        }
    }
}

impl Default for Events {
    fn default() -> Self {
        Self {
            to: LogTarget::Auto,
            format: SyslogFormat::Rfc3164,
            facility: Facility::AuthPriv,
            syslog: "/dev/log".into(),
            json: None,
            lines: 3,
            every: Duration::from_secs(10),
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self { listen: None, remote: false, textfile: None, every: Duration::from_secs(15) }
    }
}

impl Default for Capture {
    fn default() -> Self {
        let rate = Rate { count: 100, per: Duration::from_secs(1), burst: 100 };
        Self { dir: None, max_size: 16_000_000, files: 4, rate: Some(rate) }
    }
}

impl Default for Control {
    fn default() -> Self {
        Self { socket: PathBuf::from("/run/portcullis/control.sock"), group: None }
    }
}

impl Default for Daemon {
    fn default() -> Self {
        Self { confine: true }
    }
}
