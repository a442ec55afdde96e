//! Values as the policy writes them, typed as arguments of the command line.

use super::units::{self, Mistake};
use crate::policy::PortSet;

/// Ports: `"22, 80, 8000-8999"`. At least one.
///
/// # Errors
/// What is wrong with it, and what to write instead.
pub(crate) fn ports(text: &str) -> Result<PortSet, String> {
    let mut set = PortSet::default();
    match units::ports(text, &mut set).into_iter().next() {
        Some(mistake) => Err(told(mistake)),
        None if set.is_empty() => Err("name at least one port".to_owned()),
        None => Ok(set),
    }
}

/// A size in bytes: `"16MB"`.
///
/// # Errors
/// What is wrong with it, and what to write instead.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    units::size(text).map_err(told)
}

fn told(mistake: Mistake) -> String {
    let Mistake { message, help, .. } = mistake;
    help.map_or(message.clone(), |help| format!("{message}; {help}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_in_the_policy() {
        assert_eq!(ports("22, 80-81").unwrap().to_string(), "22, 80-81");
        assert_eq!(size("2MB"), Ok(2_000_000));
        for wrong in ["", "22, ssh", "70000"] {
            assert!(ports(wrong).is_err(), "{wrong}");
        }
        assert!(size("2").unwrap_err().contains("kB, MB or GB"));
    }
}
