//! What there is to tell of names.

use std::fmt;
use std::net::IpAddr;

/// Something about a name that the admin should hear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// Whose.
    pub name: String,
    /// What.
    pub what: What,
}

/// What happened to a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Other addresses are trusted from now on.
    Changed {
        /// Before.
        was: Vec<IpAddr>,
        /// Now.
        is: Vec<IpAddr>,
    },
    /// Something is wrong with it. Its addresses stay trusted.
    Troubled {
        /// What is wrong.
        trouble: Trouble,
        /// The addresses that stay.
        kept: Vec<IpAddr>,
    },
    /// All is well again.
    Well,
    /// Its addresses were kept long enough.
    Dropped {
        /// What was wrong.
        trouble: Trouble,
        /// The addresses that are no longer trusted.
        was: Vec<IpAddr>,
    },
}

/// What can be wrong with a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Nobody answers, or not in order; in the system's words.
    Failing(String),
    /// The answer cannot be believed, and why.
    Refused(String),
    /// There is no such name, or it has no address.
    Gone,
}

impl Trouble {
    /// The same trouble, whatever the words?
    pub(super) fn is_like(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

/// Without the name.
impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failing(why) => write!(f, "cannot be looked up: {why}"),
            Self::Refused(why) => write!(f, "the answer is not believed: {why}"),
            Self::Gone => f.write_str("there is no such name"),
        }
    }
}

/// In a sentence. What can be done about a resolver, only its host knows.
impl fmt::Display for News {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match &self.what {
            What::Changed { was, is } if was.is_empty() => {
                write!(f, "{name} is {} and trusted from now on", List(is))
            }
            What::Changed { was, is } if is.is_empty() => {
                write!(f, "{name} has no address any more; was {}", List(was))
            }
            What::Changed { was, is } => write!(f, "{name} is now {}; was {}", List(is), List(was)),
            What::Well => write!(f, "{name} can be looked up again"),
            What::Dropped { trouble, was } => {
                let why = match trouble {
                    Trouble::Gone => "there has been no such name for a day",
                    Trouble::Failing(_) | Trouble::Refused(_) => {
                        "it could not be looked up for 30 days"
                    }
                };
                write!(f, "{name} is no longer trusted, because {why}; was {}", List(was))
            }
            What::Troubled { trouble, kept } => {
                match trouble {
                    Trouble::Failing(why) => write!(f, "{name} cannot be looked up: {why}")?,
                    Trouble::Refused(why) => {
                        write!(f, "the answer for {name} is not believed: {why}")?
                    }
                    Trouble::Gone => write!(f, "there is no such name as {name}")?,
                }
                match (kept.is_empty(), trouble) {
                    (true, _) => f.write_str("; nobody is trusted for it until there is an answer"),
                    (false, Trouble::Gone) => {
                        write!(f, "; its last answer, {}, stays trusted for a day", List(kept))
                    }
                    (false, _) => write!(f, "; its last answer, {}, stays trusted", List(kept)),
                }
            }
        }
    }
}

struct List<'a>(&'a [IpAddr]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, address) in self.0.iter().enumerate() {
            write!(f, "{}{address}", if n == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}
