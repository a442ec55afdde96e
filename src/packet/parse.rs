//! Bytes → [`Syn`].

use super::Syn;

/// Why bytes are no [`Syn`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// Nothing at all.
    Empty,
}

/// Reads an IP packet.
pub fn parse(_bytes: &[u8]) -> Result<Syn, Malformed> {
    Err(Malformed::Empty)
}
