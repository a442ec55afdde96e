//! What an admin can set about judging, checked and ready to use. One struct per table of the
//! policy file; `Default` is what the file's absence means.

use std::sync::Arc;
use std::time::Duration;

use super::{Allowlist, Lifelines, PortSet, PrefixSet};
use crate::anomaly::Budget;
use crate::memory::{FloodRule, Steps};

/// Everything the judge is told. Cheap to clone: the large parts are shared.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Policy {
    /// `[allowlist]`
    pub allowlist: Arc<Allowlist>,
    /// `[denylist]`
    pub denylist: Arc<Denylist>,
    /// `[quirks]`
    pub quirks: Quirks,
    /// `[fingerprint]`
    pub fingerprint: Fingerprint,
    /// `[ports]`
    pub ports: Ports,
    /// `[scan]`
    pub scan: Scan,
    /// `[flood]`
    pub flood: Flood,
    /// `[anomaly]`
    pub anomaly: Anomaly,
    /// `[rate]`
    pub rate: Rates,
    /// The part of `[bans]` that the judge needs.
    pub offences: Offences,
    /// Who is to reach SSH whatever the lists and ports say. Kept in step by the daemon; not a
    /// setting.
    pub lifelines: Arc<Lifelines>,
}

/// `[denylist]`: sources that are refused whatever they do.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Denylist {
    /// Refused prefixes, each with the index of the list that names it.
    pub prefixes: PrefixSet,
    /// The names of the lists: `"policy"` for the inline one, then the files' names.
    /// `'static` because evidence carries them; a list's name is leaked once per process.
    pub lists: Vec<&'static str>,
}

/// What to do about a finding that is odd but can be legitimate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stance {
    /// Refuse it.
    Deny,
    /// Let it pass and add to the source's score.
    Score,
    /// Take no notice.
    Ignore,
}

/// `[quirks]`: packets that no honest TCP sends, or hardly any.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quirks {
    /// SYN together with FIN or RST; `deny` by default.
    pub illegal_flags: Stance,
    /// None of SYN, RST and ACK: FIN, NULL and XMAS scans; `deny` by default.
    pub stealth: Stance,
    /// Data in a SYN that does not carry TCP Fast Open (RFC 7413); `deny` by default.
    pub payload: Stance,
    /// Larger than `max_length`, or options that end in the middle; `score` by default.
    pub odd_size: Stance,
    /// No options, no "don't fragment", or an acknowledgement number without the flag, from a
    /// source that is not proven; `score` by default.
    pub odd_header: Stance,
    /// Largest IP packet in bytes that an opening without Fast Open data may be; default 120:
    /// IPv6 header 40 + TCP header with full options 60 + slack for IPv4 options.
    pub max_length: u32,
}

impl Default for Quirks {
    fn default() -> Self {
        Self {
            illegal_flags: Stance::Deny,
            stealth: Stance::Deny,
            payload: Stance::Deny,
            odd_size: Stance::Score,
            odd_header: Stance::Score,
            max_length: 120,
        }
    }
}

/// `[fingerprint]`: SYNs that scanning tools wrote.
#[derive(Clone, Debug, PartialEq)]
pub struct Fingerprint {
    /// What to do about them; `deny` by default. Rules that honest devices meet only ever score.
    pub stance: Stance,
    /// Tools that are not looked for, by the names of [`super::tools`].
    pub ignore: Vec<&'static str>,
}

impl Default for Fingerprint {
    fn default() -> Self {
        Self { stance: Stance::Deny, ignore: Vec::new() }
    }
}

/// `[scan]`: a sequential test over the distinct targets of a source (Jung, Paxson, Berger and
/// Balakrishnan, "Fast Portscan Detection Using Sequential Hypothesis Testing", 2004), clamped
/// at zero (Mell and Harang, "Limitations to Threshold Random Walk Scan Detection", 2013).
///
/// Their likelihood ratio is kept as its logarithm, divided by what one failure adds to it: so
/// the walk counts failures, and everything is said in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scan {
    /// Where the walk makes a suspect, in failures; `None` switches the test off.
    pub limit: Option<Steps>,
    /// How far one success takes it back.
    pub success: Steps,
}

impl Scan {
    /// The share of scanners that the test finds before it calls them honest (the paper's β).
    const DETECTION: f64 = 0.99;

    /// A test by its hypotheses. `honest` and `scanner` are the percentages of distinct targets
    /// that are served, among those that an honest source and a scanner try (the paper's θ₀ and
    /// θ₁); one honest source in `one_in` may be taken for a scanner (its α).
    ///
    /// Percentages are held within 1 to 99; a scanner that meets no fewer served targets than an
    /// honest source can never be told from it, and gives a test that is switched off.
    pub fn test(honest: u8, scanner: u8, one_in: u32) -> Self {
        let share = |percent: u8| f64::from(percent.clamp(1, 99)) / 100.0;
        let (honest, scanner) = (share(honest), share(scanner));
        if scanner >= honest {
            return Self { limit: None, success: Steps::default() };
        }
        let failure = ((1.0 - scanner) / (1.0 - honest)).ln();
        let limit = (Self::DETECTION * f64::from(one_in.max(2))).ln() / failure;
        let success = (honest / scanner).ln() / failure;
        Self { limit: Some(Steps::of(limit)), success: Steps::of(success) }
    }

    /// Has a source that stands there on its walk to show that it can hear us? From the second
    /// failure on: so much is an accident hardly ever, and a connect scan is to learn nothing while it
    /// becomes a suspect.
    #[inline]
    pub fn doubts(&self, value: Steps) -> bool {
        self.is_on() && value >= Steps::FAILURE.twice()
    }

    /// Is it looked for scanners at all?
    #[inline]
    pub fn is_on(&self) -> bool {
        self.limit.is_some()
    }

    /// The third distinct failure in a row makes a suspect.
    pub fn strict() -> Self {
        Self::test(90, 10, 100)
    }

    /// The fifth does.
    pub fn normal() -> Self {
        Self::test(90, 10, 10_000)
    }

    /// The eighth does.
    pub fn lenient() -> Self {
        Self::test(90, 10, 10_000_000)
    }
}

impl Default for Scan {
    fn default() -> Self {
        Self::normal()
    }
}

/// `[flood]`: when far more connections are asked for than are completed.
#[derive(Clone, Debug, PartialEq)]
pub struct Flood {
    /// From how many SYNs on that are not completed (`surplus`); `None` is `"unlimited"` and never
    /// sees a flood.
    pub rule: Option<FloodRule>,
    /// Ports that are left out (`except`).
    pub except: PortSet,
}

impl Default for Flood {
    fn default() -> Self {
        Self { rule: Some(FloodRule::new(200.0)), except: PortSet::default() }
    }
}

/// What is done about sources that behave like no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// Remember it against them: with another oddity, it makes a suspect.
    Score,
    /// Refuse them, too, until they show that they can hear us.
    Drop,
    /// Do not look at all.
    Off,
}

/// `[anomaly]`: sources that behave like no other; see [`crate::anomaly`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anomaly {
    /// What is done about them (`action`); `score` by default.
    pub action: Reaction,
    /// So many honest sources may be called unusual in a day (`false_positives_per_day`).
    pub false_positives_per_day: u32,
    /// Learn from proven sources (`learn`)?
    pub learn: bool,
    /// How long what a source sent waits before it is learnt (`quarantine`).
    pub quarantine: Duration,
}

impl Anomaly {
    /// What the detector is allowed.
    pub fn budget(&self) -> Budget {
        Budget {
            per_day: self.false_positives_per_day,
            quarantine: self.quarantine.as_secs(),
            learn: self.learn && self.action != Reaction::Off,
        }
    }
}

impl Default for Anomaly {
    fn default() -> Self {
        Self {
            action: Reaction::Score,
            false_positives_per_day: 1,
            learn: true,
            quarantine: Duration::from_secs(2 * 3600),
        }
    }
}

/// `[ports]`: what this host serves, and to whom.
#[derive(Clone, Debug, PartialEq)]
pub struct Ports {
    /// Served ports named in the policy (`open`).
    pub open: PortSet,
    /// Sockets that listen now are served too (`open` has the word `listening`; the default).
    pub listening: bool,
    /// Every port is served (`open = "any"`): the check refuses only by `only_from`.
    pub any: bool,
    /// The ports that are served at this moment: `open`, plus those that listen. Kept in step by
    /// the daemon; not a setting.
    pub served: PortSet,
    /// Ports that were served until a moment ago (`closed_grace`): neither refused nor an
    /// offence. Kept in step by the daemon; not a setting.
    pub closing: PortSet,
    /// How long a port stays neutral after its socket closed.
    pub closed_grace: Duration,
    /// Ports that nobody honest asks for unless they are served (`suspicious`); a hit weighs three offences.
    pub suspicious: PortSet,
    /// Ports with the only sources that may reach them (`[ports.only_from]`).
    pub only_from: Vec<(PortSet, PrefixSet)>,
    /// Destinations behind this host that the gate guards (`[guard] protect`).
    pub protect: PrefixSet,
    /// Served ports of the hosts in `protect` (`open_behind`); `None` is the word `any`.
    pub open_behind: Option<PortSet>,
}

impl Default for Ports {
    fn default() -> Self {
        Self {
            open: PortSet::default(),
            listening: true,
            any: false,
            served: PortSet::default(),
            closing: PortSet::default(),
            closed_grace: Duration::from_secs(60),
            suspicious: [23, 2323, 4444, 5555, 6667, 31337].into_iter().collect(),
            only_from: Vec::new(),
            protect: PrefixSet::default(),
            open_behind: None,
        }
    }
}

/// So many events in so much time, with a burst: `rate = "6/m"`, `burst = 5`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Events…
    pub count: u32,
    /// …in this span.
    pub per: Duration,
    /// Events that may come at once. At least 1.
    pub burst: u32,
}

/// `[rate]`: how often a source may try.
#[derive(Clone, Debug, PartialEq)]
pub struct Rates {
    /// All attempts of one source. `None` is `"unlimited"`, here and below.
    pub source: Option<Rate>,
    /// All attempts of one network.
    pub network: Option<Rate>,
    /// What a network is: this many bits of an IPv4 address…
    pub network_v4: u8,
    /// …and this many of an IPv6 address.
    pub network_v6: u8,
    /// All attempts of everybody.
    pub total: Option<Rate>,
    /// Service classes, at most [`Rates::CLASSES`]. A port that is in none belongs to `other`.
    pub classes: Vec<Class>,
    /// The class of every other port.
    pub other: Class,
}

impl Rates {
    /// The most service classes there can be besides `other`: each costs memory in every source.
    pub const CLASSES: usize = crate::memory::CLASSES - 1;

    /// The class a port belongs to, and its place in every source's memory.
    #[inline]
    pub fn class_of(&self, port: u16) -> (usize, &Class) {
        let own = self.classes.iter().take(Self::CLASSES).enumerate();
        own.into_iter()
            .find(|(_, class)| class.ports.contains(port))
            .map_or((Self::CLASSES, &self.other), |found| found)
    }
}

/// `[rate.class.NAME]`: attempts of one source at one kind of service.
#[derive(Clone, Debug, PartialEq)]
pub struct Class {
    /// Its name in the policy, in evidence and in `explain`. Leaked once per process, as lists are.
    pub name: &'static str,
    /// The ports that belong to it.
    pub ports: PortSet,
    /// How often one source may try them.
    pub rate: Option<Rate>,
    /// How often the sources of one network may, all together. Beyond it they are throttled, and
    /// nothing is held against them.
    pub network: Option<Rate>,
    /// What a refusal for that is called: the name, and the word `network`.
    pub network_name: &'static str,
    /// Does going over the rate count as an offence? If not, it only throttles.
    pub offends: bool,
    /// What a ban for going over the rate closes.
    pub ban: Scope,
}

/// What a ban closes to a source (`[rate.class.NAME] ban`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// Every port.
    #[default]
    All,
    /// Only the port at which it offended.
    Port,
}

/// Which evidence suffices for a ban (`[bans] evidence`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EvidenceKind {
    /// Only what no third party can have forged; the rest makes suspects.
    Proven,
    /// Any SYN.
    Any,
}

/// When denials become an offence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Offences {
    /// Distinct denied attempts (`after`).
    pub after: u16,
    /// Within this span (`within`).
    pub within: Duration,
    /// What a ban takes.
    pub evidence: EvidenceKind,
    /// How soon a suspect's retransmission is believed: the least time since the first SYN.
    pub patience: Duration,
}

impl Default for Offences {
    fn default() -> Self {
        Self {
            after: 5,
            within: Duration::from_secs(10 * 60),
            evidence: EvidenceKind::Proven,
            patience: Duration::from_millis(700),
        }
    }
}

impl Default for Rates {
    fn default() -> Self {
        let rate = |count, secs, burst| Some(Rate { count, per: Duration::from_secs(secs), burst });
        let class = |names: (_, _), ports: &[u16], rate, network, offends| Class {
            name: names.0,
            ports: ports.iter().copied().collect(),
            rate,
            network,
            network_name: names.1,
            offends,
            ban: Scope::All,
        };
        Self {
            source: rate(100, 1, 3000),
            network: rate(1000, 1, 4000),
            network_v4: 24,
            network_v6: 48,
            total: None,
            classes: vec![
                class(
                    ("login", "login, network"),
                    &[21, 22, 23, 110, 143, 465, 587, 993, 995, 3389, 5900],
                    rate(4, 60, 5),
                    rate(40, 60, 50),
                    true,
                ),
                class(
                    ("web", "web, network"),
                    &[80, 443, 8000, 8080, 8443],
                    rate(300, 10, 3000),
                    None,
                    false,
                ),
                class(
                    ("data", "data, network"),
                    &[445, 1433, 3306, 5432],
                    rate(30, 60, 40),
                    rate(300, 60, 400),
                    true,
                ),
            ],
            other: class(("other", "other, network"), &[], rate(600, 10, 600), None, true),
        }
    }
}
