//! How the allow list's names are.

use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::seconds;

/// A name of the allow list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NameRow {
    /// The name.
    pub name: String,
    /// The addresses that are trusted for it.
    pub addresses: Vec<IpAddr>,
    /// When the resolver last confirmed them; `None` if there are none.
    pub confirmed: Option<Timestamp>,
    /// How long ago that was.
    #[serde(default, with = "seconds::optional")]
    pub age: Option<Duration>,
    /// `good`, `unknown` (not answered yet), `failing` (cannot be looked up, or is not believed) or
    /// `gone` (there is no such name).
    pub state: String,
}
