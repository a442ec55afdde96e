//! The table at the end: who was let in, who was not, and why.

use super::Stop;
use super::cast::{CAST, Person};
use super::gate::Gate;
use super::narrator::{Narrator, Tone};
use crate::control::protocol::BanRow;
use crate::memory::SourceKey;
use crate::policy::Standing;

/// What someone experienced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tally {
    /// Who.
    pub(super) name: &'static str,
    /// How often they tried…
    pub(super) tries: usize,
    /// …and were let in.
    pub(super) served: usize,
}

/// Prints the table. What people experienced is theirs to say; reasons and standings are the
/// gate's.
pub(super) fn table(narrator: &Narrator, gate: &Gate<'_>, tallies: &[Tally]) -> Result<(), Stop> {
    let standings = gate.bans()?;
    let head = format!(
        "{:<8} {:<15} {:<4} {:<9} {:<24} {}",
        "who", "address", "for", "let in", "SYNs dropped because of", "standing"
    );
    narrator.say(&narrator.paint(Tone::Bold, &format!("   {head}")))?;
    for person in CAST {
        let of_them = tallies.iter().filter(|tally| tally.name == person.name);
        let (tries, served) =
            of_them.fold((0, 0), |(tries, served), t| (tries + t.tries, served + t.served));
        let refusals = narrator.refusals(person.address);
        let why = refusals.first().map_or("–", |(why, _)| why);
        let standing = standing(&standings, person);
        let now = gate.explain(person.ip(), person.port)?;
        let tone = match standing {
            Standing::Banned => Tone::Bad,
            Standing::Suspect => Tone::Mild,
            Standing::Clean if now.accepted => Tone::Good,
            Standing::Clean => Tone::Bad,
        };
        let row = format!(
            "   {:<8} {:<15} {:<4} {:<9} {:<24} {}",
            person.name,
            person.address,
            if person.port == 22 { "ssh" } else { "web" },
            format!("{served} of {tries}"),
            why,
            standing.word()
        );
        narrator.say(&narrator.paint(tone, &row))?;
    }
    Ok(())
}

/// The standing that the gate gives someone.
pub(super) fn standing(rows: &[BanRow], person: Person) -> Standing {
    let source = SourceKey::of(person.ip()).prefix();
    let row = rows.iter().find(|row| row.source.trunc() == source);
    row.map_or(Standing::Clean, |row| row.standing)
}

/// Prints the kernel's own sets.
pub(super) fn sets(narrator: &Narrator, gate: &Gate<'_>) -> Result<(), Stop> {
    for (name, meaning) in [
        ("banned4", "no new connections at all"),
        ("suspect4", "closed ports: dropped unseen; open ones: prove yourself"),
        ("proven4", "completed a real handshake"),
        ("proven6", "the same, as /64"),
    ] {
        let elements = gate.set(name)?;
        let label = narrator.paint(Tone::Bold, &format!("{name:<9}"));
        narrator.say(&format!("   {label} {}", narrator.paint(Tone::Faint, meaning)))?;
        for element in elements {
            narrator.say(&format!("             {:<8} {element}", whose(&element)))?;
        }
    }
    Ok(())
}

/// The name behind an element of a set: its first word is an address, or the base of a /64.
fn whose(element: &str) -> &'static str {
    let address = element.split(' ').next().and_then(|address| address.parse().ok());
    let source = address.map(SourceKey::of);
    let person = CAST.iter().find(|person| source == Some(SourceKey::of(person.ip())));
    person.map_or("", |person| person.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_have_names() {
        assert_eq!(whose("192.0.2.140 (9m 55s left)"), "Gus");
        assert_eq!(whose("2001:db8:7:: (1d left)"), "Ben");
        assert_eq!(whose("198.51.100.1"), "");
        assert_eq!(whose("junk"), "");
    }
}
