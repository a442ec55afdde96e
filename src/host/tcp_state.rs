//! The states of TCP sockets, by every name that people know them by.

use std::fmt;
use std::str::FromStr;

/// State of a TCP socket (RFC 9293 §3.3.2; numbers from `include/net/tcp_states.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum TcpState {
    /// Open for both sides.
    Established = 1,
    /// This host knocks and waits for the answer.
    SynSent = 2,
    /// Half-open: this host answered a SYN and waits for the confirmation.
    SynRecv = 3,
    /// This host has closed; the peer has not confirmed that.
    FinWait1 = 4,
    /// This host has closed, the peer has not.
    FinWait2 = 5,
    /// Closed by both; remembered for a minute in case packets still come.
    TimeWait = 6,
    /// Not in use.
    Close = 7,
    /// The peer has closed; the program here has not.
    CloseWait = 8,
    /// Closed by both, the peer first; its last confirmation is missing.
    LastAck = 9,
    /// Waits for connections.
    Listen = 10,
    /// Closed by both at once; a confirmation is missing.
    Closing = 11,
}

/// Every state, in the order in which a screen lists them.
const STATES: [TcpState; 11] = [
    TcpState::Listen,
    TcpState::SynRecv,
    TcpState::SynSent,
    TcpState::Established,
    TcpState::CloseWait,
    TcpState::LastAck,
    TcpState::FinWait1,
    TcpState::FinWait2,
    TcpState::Closing,
    TcpState::TimeWait,
    TcpState::Close,
];

impl TcpState {
    /// Every state, those that await something first.
    pub fn all() -> impl Iterator<Item = TcpState> {
        STATES.into_iter()
    }

    /// The state with this number, as the kernel tells it.
    pub(super) fn from_kernel(number: u8) -> Option<Self> {
        /// TCP_NEW_SYN_RECV: what the kernel calls half-open sockets among its own.
        const NEW_SYN_RECV: u8 = 12;
        if number == NEW_SYN_RECV {
            return Some(TcpState::SynRecv);
        }
        STATES.into_iter().find(|state| *state as u8 == number)
    }

    /// Its name as `ss` writes filters: `syn-recv`.
    pub fn name(self) -> &'static str {
        match self {
            TcpState::Established => "established",
            TcpState::SynSent => "syn-sent",
            TcpState::SynRecv => "syn-recv",
            TcpState::FinWait1 => "fin-wait-1",
            TcpState::FinWait2 => "fin-wait-2",
            TcpState::TimeWait => "time-wait",
            TcpState::Close => "closed",
            TcpState::CloseWait => "close-wait",
            TcpState::LastAck => "last-ack",
            TcpState::Listen => "listen",
            TcpState::Closing => "closing",
        }
    }

    /// The other names, as `ss` and `netstat` print them, in lower case and without their dashes
    /// and underscores.
    fn aliases(self) -> &'static [&'static str] {
        match self {
            TcpState::Established => &["estab"],
            TcpState::SynRecv => &["synreceived"],
            TcpState::Close => &["close", "unconn"],
            TcpState::Listen => &["listening"],
            _ => &[],
        }
    }
}

/// As `ss` and `netstat` show it: `SYN-RECV`.
impl fmt::Display for TcpState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TcpState::Established => f.pad("ESTAB"),
            other => f.pad(&other.name().to_uppercase()),
        }
    }
}

/// A word that is no state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAState {
    /// It looks like one.
    #[error("there is no TCP state {word:?}; did you mean {near}?", near = near.name())]
    Near {
        /// What was written.
        word: String,
        /// What was probably meant.
        near: TcpState,
    },
    /// It does not.
    #[error("there is no TCP state {word:?}; the states are: {}", names())]
    Unknown {
        /// What was written.
        word: String,
    },
}

fn names() -> String {
    STATES.map(TcpState::name).join(", ")
}

/// Only letters and digits, in lower case: `TIME_WAIT`, `Time-Wait` and `timewait` are one.
fn bare(word: &str) -> String {
    word.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// Reads a name as `ss` or `netstat` writes it.
impl FromStr for TcpState {
    type Err = NotAState;

    fn from_str(word: &str) -> Result<Self, NotAState> {
        let typed = bare(word);
        let known = STATES.into_iter().flat_map(|state| {
            let others = state.aliases().iter().map(|alias| (*alias).to_owned());
            std::iter::once(bare(state.name())).chain(others).map(move |name| (state, name))
        });
        let near = known
            .map(|(state, name)| (strsim::damerau_levenshtein(&typed, &name), name.len(), state))
            .min_by_key(|(distance, ..)| *distance);
        match near {
            Some((0, _, state)) => Ok(state),
            Some((distance, length, near)) if distance <= length / 3 => {
                Err(NotAState::Near { word: word.to_owned(), near })
            }
            _ => Err(NotAState::Unknown { word: word.to_owned() }),
        }
    }
}

/// A set of states: the bitmap that the kernel takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpStates(u16);

impl TcpStates {
    /// All of them.
    pub const ALL: TcpStates = TcpStates(0xffe);

    /// Is `state` in the set?
    pub fn contains(self, state: TcpState) -> bool {
        self.0 & (1 << state as u8) != 0
    }

    /// The set without `state`.
    pub fn without(self, state: TcpState) -> Self {
        Self(self.0 & !(1 << state as u8))
    }

    pub(super) fn bits(self) -> u32 {
        self.0.into()
    }
}

impl From<TcpState> for TcpStates {
    fn from(state: TcpState) -> Self {
        [state].into_iter().collect()
    }
}

impl FromIterator<TcpState> for TcpStates {
    fn from_iter<I: IntoIterator<Item = TcpState>>(states: I) -> Self {
        Self(states.into_iter().fold(0, |bits, state| bits | 1 << state as u8))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_ss_and_netstat() {
        use TcpState::*;
        for (word, state) in [
            ("syn-recv", SynRecv),
            ("SYN_RECV", SynRecv),
            ("syn-received", SynRecv),
            ("ESTAB", Established),
            ("ESTABLISHED", Established),
            ("FIN_WAIT1", FinWait1),
            ("fin-wait-2", FinWait2),
            ("TIME_WAIT", TimeWait),
            ("timewait", TimeWait),
            ("CLOSE", Close),
            ("CLOSE_WAIT", CloseWait),
            ("last-ack", LastAck),
            ("listening", Listen),
        ] {
            assert_eq!(word.parse(), Ok(state), "{word}");
        }
        for state in STATES {
            assert_eq!(state.name().parse(), Ok(state));
            assert_eq!(state.to_string().parse(), Ok(state));
            assert_eq!(TcpState::from_kernel(state as u8), Some(state));
            assert!(TcpStates::ALL.contains(state));
        }
    }

    #[test]
    fn typing_errors() {
        let said = |word: &str| word.parse::<TcpState>().unwrap_err().to_string();
        for (word, near) in [
            ("syn-rcv", "syn-recv"),
            ("time-wiat", "time-wait"),
            ("closewat", "close-wait"),
            ("lissten", "listen"),
            ("established?d", "established"),
        ] {
            assert!(said(word).ends_with(&format!("did you mean {near}?")), "{}", said(word));
        }
        for word in ["", "half-open", "x"] {
            assert!(said(word).contains("the states are: listen, syn-recv, "), "{}", said(word));
        }
    }

    #[test]
    fn sets() {
        let states: TcpStates = [TcpState::SynRecv, TcpState::TimeWait].into_iter().collect();
        assert_eq!(states.bits(), 1 << 3 | 1 << 6);
        assert!(states.contains(TcpState::SynRecv) && !states.contains(TcpState::Listen));
        assert!(!TcpStates::ALL.without(TcpState::Listen).contains(TcpState::Listen));
    }
}
